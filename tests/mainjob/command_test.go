package mainjob

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// ran runs a command of the binary that must end with that code.
func ran(t *testing.T, ten *stage.Tenant, code int, input string, args ...string) stage.Ran {
	t.Helper()
	r, err := hall.Command(ten.Context(), input, args...)
	require.NoError(t, err)
	require.Equal(t, code, r.Code, "%v\n%s%s", args, r.Out, r.Errors)
	return r
}

// exported is the tenant as the system has it now.
func exported(t *testing.T, ten *stage.Tenant) string {
	t.Helper()
	return ran(t, ten, 0, "", "export", "--tenant", ten.Domain).Out
}

// edited writes the tenant's exported file with one text replaced by another.
func edited(t *testing.T, ten *stage.Tenant, was, is string) string {
	t.Helper()
	text := exported(t, ten)
	require.Contains(t, text, was)
	file := filepath.Join(t.TempDir(), "tenant.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(text, was, is, 1)), 0o600))
	return file
}

// A file with anything wrong in it changes nothing, not even what is right in it; the
// command names line and field, and ends with a code that scripts notice.
func TestApplyABrokenFile_ChangesNothing_AndNamesLineAndField(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Change: func(d *tenancy.Document) { d.Tenant.DisplayName = "Before" }})
	before := exported(t, ten)
	for name, c := range map[string]struct{ was, is, named string }{
		"no such agent":  {`- agent: "1002"`, `- agent: "1009"`, `queues[0].members[1].agent: there is no agent "1009"`},
		"unknown field":  {"queue: support", "quue: support", `unknown field "quue"`},
		"wrong type":     {"ring: 15s", "ring: soon", "not a duration"},
		"not YAML":       {"queues:", "queues: [", ""},
		"a second line":  {"display_name: Before", `display_name: "After\r\nX-Evil: 1"`, "tenant.display_name: must be one line"},
		"a NUL":          {"display_name: Before", `display_name: "After\0"`, "tenant.display_name: must be one line"},
		"lost zeros":     {`number: "8000"`, `number: 0047`, "put 0047 in quotes"},
		"too long":       {"display_name: Before", "display_name: " + strings.Repeat("x", 300), "tenant.display_name: has 300 characters"},
		"second agent":   {`user: "1002"`, `user: "1001"`, "has an agent already"},
		"no such role":   {"- regular_agent", "- king", `there is no role "king"`},
		"a number twice": {"numbers:\n", "numbers:\n  - number: \"8000\"\n    agent: \"1001\"\n", `"8000" stands twice`},
	} {
		t.Run(name, func(t *testing.T) {
			file := edited(t, ten, c.was, c.is)
			if text, err := os.ReadFile(file); name != "a second line" && name != "a NUL" && name != "too long" {
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "display_name: Before", "display_name: After", 1)), 0o600))
			}
			r := ran(t, ten, 2, "", "apply", "-f", file)
			require.Contains(t, r.Errors, c.named)
			require.Regexp(t, `line \d+`, r.Errors)
			require.NotContains(t, r.Errors, "panic")
			require.Empty(t, r.Out)
			require.Equal(t, before, exported(t, ten))
		})
	}
	require.Contains(t, ran(t, ten, 2, "", "apply", "-f", "/nowhere/tenant.yaml").Errors, "/nowhere/tenant.yaml")
	require.Contains(t, ran(t, ten, 2, "", "apply").Errors, "apply needs a file")
	require.Equal(t, before, exported(t, ten))
}

// --dry-run shows what would change, and changes nothing; apply then does just that, and
// repeated it does nothing.
func TestApplyDryRun_ShowsTheDifference_AndChangesNothing(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	before := exported(t, ten)
	file := edited(t, ten, "ring: 15s", "ring: 25s")
	dry := ran(t, ten, 0, "", "apply", "-f", file, "--dry-run")
	require.Contains(t, dry.Out, "support")
	require.Contains(t, dry.Out, "25s")
	require.Contains(t, dry.Out, "1 thing would change")
	require.Equal(t, before, exported(t, ten))

	wet := ran(t, ten, 0, "", "apply", "-f", file)
	require.Equal(t, strings.Replace(dry.Out, "would change", "changed", 1), wet.Out)
	require.Contains(t, exported(t, ten), "ring: 25s")
	require.Contains(t, ran(t, ten, 0, "", "apply", "-f", file).Out, "is as the file says")
}

// What export writes, apply reads back to the same tenant: nothing is lost, not even the
// passwords, of which only hashes leave.
func TestExportAndApply_RoundTrip_LosesNothing(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Devices: 2})
	text := exported(t, ten)
	require.NotContains(t, text, stage.Password)
	require.Contains(t, ran(t, ten, 0, text, "apply", "-f", "-").Out, "is as the file says")

	less := edited(t, ten, "numbers:\n", "x_numbers:\n")
	require.Equal(t, 2, ran(t, ten, 2, "", "apply", "-f", less).Code)
	head, _, found := strings.Cut(text, "numbers:\n")
	require.True(t, found)
	require.Contains(t, ran(t, ten, 0, head, "apply", "-f", "-").Out, "8000")
	leads(t, ten, "8000", false)
	require.Contains(t, ran(t, ten, 0, text, "apply", "-f", "-").Out, "8000")
	require.Equal(t, text, exported(t, ten))
	leads(t, ten, "8000", true)
	ten.Books(known(t, ten)) // who found that out has left

	a := ten.ReadyAgent(1)
	customer := ten.Call("4930502", "8000")
	ten.Talk(customer, a.Answered())
	require.NotEqual(t, 0, ran(t, ten, 2, "", "export", "--tenant", "nobody.localhost").Code)
}

// A change of the directory counts for the next call and the next sign-in.
func TestApply_ReachesTheRunningSystem(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	a, other := ten.Agent(1), ten.ReadyAgent(2)
	require.Len(t, a.SignIn().Memberships, 1)
	a.SignOut()
	ran(t, ten, 0, "", "apply", "-f", edited(t, ten, "      - agent: \"1001\"\n", ""))
	require.Empty(t, a.SignIn().Memberships)
	a.Ready()
	customer := ten.Call("4930503", "8000")
	ten.Talk(customer, other.Answered())
	require.Zero(t, a.Phone.Invites())

	ran(t, ten, 0, "", "apply", "-f", edited(t, ten, `number: "8000"`, `number: "8009"`))
	leads(t, ten, "8009", true)
	leads(t, ten, "8000", false)
}

// leads waits until a number leads to a queue in which nobody is free, or nowhere any more: the
// node hears of a change a moment after apply has ended, and of what it had kept later than of
// what it looks up.
func leads(t *testing.T, ten *stage.Tenant, number string, somewhere bool) {
	t.Helper()
	so := false
	ten.Until(number+" leads elsewhere", func() bool {
		c := ten.Call("4930501", number)
		if c.Wait(ten.Context(), softphone.Up) == nil {
			require.NoError(t, c.HangUp())
			so = somewhere
		} else {
			so = !somewhere && c.Status().Code == 404
		}
		return so
	})
	require.True(t, so, "%s leads somewhere: %v", number, somewhere)
}
