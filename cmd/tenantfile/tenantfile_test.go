package tenantfile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/cmd/tenantfile"
	"holdfast/demo"
	"holdfast/domain/fault"
	"holdfast/domain/tenancy"
)

func TestDemo_IsValid_AndSurvivesWriting(t *testing.T) {
	t.Parallel()
	d, err := tenantfile.Read(demo.File)
	require.NoError(t, err)
	require.Len(t, d.Agents, 5)
	out, err := tenantfile.Write(d)
	require.NoError(t, err)
	again, err := tenantfile.Read(out)
	require.NoError(t, err, string(out))
	require.Equal(t, d.Complete(), again.Complete())
	require.Empty(t, tenancy.Compare(d.Complete(), again.Complete()))
}

// SEED-44: prices are read as they are written, and written as they are kept.
func TestRead_Tariffs_AndWritesThemBack(t *testing.T) {
	t.Parallel()
	d, err := tenantfile.Read(append([]byte(`
tariffs:
  - {prefix: "+49", display_name: Germany, per_minute: "0.020", first: 0s, step: 1s}
  - {prefix: "+", per_minute: 1, per_call: "0.000001"}
`), demo.File...))
	require.NoError(t, err)
	none, minute := tenancy.Duration(0), tenancy.Duration(time.Minute)
	want := []tenancy.Tariff{{Prefix: "+", PerMinute: 1_000_000, PerCall: 1, First: &minute, Step: minute}, {Prefix: "+49", DisplayName: "Germany", PerMinute: 20_000, First: &none, Step: tenancy.Duration(time.Second)}}
	require.Equal(t, want, d.Complete().Tariffs)
	out, err := tenantfile.Write(d.Complete())
	require.NoError(t, err)
	again, err := tenantfile.Read(out)
	require.NoError(t, err, string(out))
	require.Equal(t, want, again.Tariffs)
	require.Equal(t, "EUR", again.Tenant.Currency)
	silent, err := tenantfile.Read(demo.File)
	require.NoError(t, err)
	require.Nil(t, silent.Tariffs, "it does not speak of them")
	empty, err := tenantfile.Read(append([]byte("tariffs: []\n"), demo.File...))
	require.NoError(t, err)
	require.NotNil(t, empty.Complete().Tariffs, "there are to be none")
}

// A broken file names line and field.
func TestRead_NamesLineAndFieldOfWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":   {"strategy: longest_idle", "strategie: longest_idle", `unknown field "strategie"`},
		"wrong type":      {"wrap_up: 10s, addresses: [\"1002\"]", "wrap_up: soon, addresses: [\"1002\"]", "not a duration"},
		"unknown agent":   {`- {agent: "1003"}`, `- {agent: "1009"}`, `queues[0].members[2].agent: there is no agent "1009"`},
		"unknown queue":   {"queue: support}", "queue: sales}", `numbers[0].queue: there is no queue "sales"`},
		"second agent":    {`number: "1002", user: "1002"`, `number: "1002", user: "1001"`, `has an agent already`},
		"no role":         {"roles: [supervisor_agent]", "roles: []", "a user has at least one role"},
		"not YAML":        {"queues:", "queues: [", "line"},
		"bad prefix":      {"127.0.0.0/8", "127.0.0.0/80", "not an IP address or prefix"},
		"no amount":       {"numbers:\n", "tariffs: [{prefix: \"+49\", per_minute: cheap}]\nnumbers:\n", "is not an amount"},
		"amount is lost":  {"numbers:\n", "tariffs: [{prefix: \"+49\", per_minute: 0.10}]\nnumbers:\n", "put 0.10 in quotes"},
		"no prefix":       {"numbers:\n", "tariffs: [{prefix: \"+049\", per_minute: \"1\"}]\nnumbers:\n", "tariffs[0].prefix: \"+049\" is not how an international number begins"},
		"no currency":     {"display_name: Demo}", "display_name: Demo, currency: euro}", "tenant.currency: \"euro\" is not a currency"},
		"plus is lost":    {`number: "8000"`, `number: +4930123456`, "put +4930123456 in quotes"},
		"zeros are lost":  {`number: "8000"`, `number: 0047`, "put 0047 in quotes"},
		"no base64":       {"numbers:\n", "music: [{name: a, audio: xx}]\nnumbers:\n", "audio: the sound is not base64"},
		"no number":       {"display_name: Demo}", "display_name: Demo, policies: {event_days: x}}", `"x" must be a whole number here`},
		"no truth":        {"display_name: Demo}", "display_name: Demo, policies: {wrapup_early_exit: 3}}", `"3" must be true or false here`},
		"field twice":     {"teams:\n", "teams:\n  - {name: a}\nteams:\n", "teams"},
		"line break name": {"display_name: Demo}", "display_name: \"a\\nb\"}", "must be one line"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, string(demo.File), c.old)
			_, err := tenantfile.Read([]byte(strings.Replace(string(demo.File), c.old, c.new, 1)))
			require.Error(t, err)
			require.Equal(t, fault.Invalid, fault.KindOf(err))
			require.Contains(t, err.Error(), c.want)
			require.Regexp(t, `line \d+`, err.Error())
		})
	}
	broken := strings.NewReplacer("strategy: longest_idle", "strategie: longest_idle", `number: "8000"`, `number: 0047`,
		"wrap_up: 10s, addresses: [\"1002\"]", "wrap_up: soon, addresses: [\"1002\"]",
		"wrap_up: 10s, addresses: [\"1003\"]", "wrap_up: 10s, addresses: 3").Replace(string(demo.File))
	_, err := tenantfile.Read([]byte(broken))
	require.Error(t, err)
	require.Regexp(t, `(?s)line \d+: put 0047 in quotes.*line \d+, wrap_up: .*not a duration.*line \d+: int was used where sequence is expected.*line \d+: unknown field "strategie"`, err.Error(),
		"all of it is named at once")
	for _, empty := range []string{"", "# nothing\n", "42\n"} {
		_, err := tenantfile.Read([]byte(empty))
		require.Error(t, err)
	}
}
