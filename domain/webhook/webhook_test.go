package webhook_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"holdfast/domain/webhook"
)

// The specification's own vector, and its own library, which verifies what we sign with
// either of two secrets.
func TestSign_IsWhatTheSpecificationVerifies(t *testing.T) {
	t.Parallel()
	at := time.Unix(1614265330, 0)
	got, err := webhook.Sign([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`))
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", got)

	old, young := webhook.NewSecret(), webhook.NewSecret()
	require.NotEqual(t, old, young)
	now := time.Now()
	body := []byte(`{"a":1}`)
	got, err = webhook.Sign([]string{young, old}, "evt_1", now, body)
	require.NoError(t, err)
	h := http.Header{}
	h.Set(webhook.HeaderID, "evt_1")
	h.Set(webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	h.Set(webhook.HeaderSignature, got)
	for _, secret := range []string{old, young} {
		wh, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, wh.Verify(body, h))
		require.Error(t, wh.Verify([]byte(`{"a":2}`), h))
	}
	wh, err := standardwebhooks.NewWebhook(webhook.NewSecret())
	require.NoError(t, err)
	require.Error(t, wh.Verify(body, h))
	_, err = webhook.Sign([]string{"whsec_%"}, "evt_1", now, body)
	require.Error(t, err)
}

// Every status at every age: what follows. The words are the table of docs/webhooks.md.
func TestJudge_EveryAnswerAtEveryAge(t *testing.T) {
	t.Parallel()
	s := webhook.DefaultSchedule()
	var b strings.Builder
	for _, a := range []webhook.Attempt{
		{Status: 200}, {Status: 204}, {Status: 0}, {Status: 301}, {Status: 400}, {Status: 404}, {Status: 410}, {Status: 429}, {Status: 429, RetryAfter: 2 * time.Minute},
		{Status: 500}, {Status: 500, RetryAfter: 2 * time.Minute}, {Status: 503, RetryAfter: time.Second}, {Status: 503, RetryAfter: 90 * time.Hour},
	} {
		for _, n := range []struct {
			number int
			age    time.Duration
		}{{1, time.Second}, {4, time.Minute}, {12, 71*time.Hour + 59*time.Minute}, {13, 72 * time.Hour}} {
			a.Number, a.Age = n.number, n.age
			v := s.Judge(a, 0.5)
			fmt.Fprintf(&b, "%3d retry-after %-6s try %2d at %-9s → %s", a.Status, a.RetryAfter, a.Number, a.Age, v.State)
			if v.State == webhook.Pending {
				fmt.Fprintf(&b, ", again after %s", v.Wait)
			}
			if v.Pause > 0 {
				fmt.Fprintf(&b, ", the webhook pauses %s", v.Pause)
			}
			if v.Disable != "" {
				fmt.Fprintf(&b, ", disabled: %s", v.Disable)
			}
			b.WriteString("\n")
		}
	}
	const file = "testdata/judge.txt"
	if os.Getenv("HOLDFAST_UPDATE") != "" {
		require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "if it is meant: HOLDFAST_UPDATE=1 go test ./domain/webhook, and read the difference")
}

// The whole schedule, as it is documented: it ends with a try at 72 h, whatever chance says.
func TestJudge_AReceiverThatIsDead_IsTriedUntilTheEnd(t *testing.T) {
	t.Parallel()
	for _, chance := range []float64{0, 0.5, 0.999} {
		s := webhook.DefaultSchedule()
		var waits []time.Duration
		age := time.Duration(0)
		for n := 1; ; n++ {
			v := s.Judge(webhook.Attempt{Number: n, Age: age, Status: 500}, chance)
			if v.State == webhook.Failed {
				break
			}
			require.Positive(t, v.Wait)
			waits = append(waits, v.Wait)
			age += v.Wait
		}
		require.Equal(t, 72*time.Hour, age)
		require.InDelta(t, 20, len(waits), 4)
		if chance == 0.5 {
			require.Equal(t, []time.Duration{5 * time.Second, 15 * time.Second, 45 * time.Second, 135 * time.Second, 405 * time.Second}, waits[:5])
			require.Equal(t, 6*time.Hour, waits[10])
		}
	}
}

func TestSchedule_OneThatCannotBe_IsRefused(t *testing.T) {
	t.Parallel()
	require.NoError(t, webhook.DefaultSchedule().Validate())
	for _, s := range []webhook.Schedule{{}, {First: time.Second, Longest: time.Millisecond, GiveUp: time.Hour}, {First: time.Hour, Longest: time.Hour, GiveUp: time.Minute}} {
		require.Error(t, s.Validate())
	}
}

// Whatever a call or a session tells is in the catalogue: kinds are read from where they
// are made.
func TestCatalogue_HoldsEveryKindThatIsTold(t *testing.T) {
	t.Parallel()
	found := 0
	for file, pattern := range map[string]string{
		"../call/offers.go": `save\("([A-Za-z]+)"`, "../call/legs.go": `save\("([A-Za-z]+)"`, "../../db/calls.go": `return "([A-Z][A-Za-z]+)"`, "../../db/records.go": `return "([A-Z][A-Za-z]+)"`,
	} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
			found++
			require.True(t, webhook.Selects(string(webhook.TypeOf("call:x", m[1]))), m[1])
		}
	}
	require.GreaterOrEqual(t, found, 8)
	text, err := os.ReadFile("../agent/state.go")
	require.NoError(t, err)
	states := regexp.MustCompile(`Status += "([A-Za-z]+)"`).FindAllStringSubmatch(string(text), -1)
	require.GreaterOrEqual(t, len(states), 6)
	for _, m := range states {
		require.True(t, webhook.Selects(string(webhook.TypeOf("agent:1", m[1]))), m[1])
	}
	for _, word := range []string{"*", "call.*", "agent.ready", "contact.merged"} {
		require.True(t, webhook.Selects(word))
	}
	for _, word := range []string{"", "call", "call.", "ping.*", "*.*", "Call.Queued", "ping"} {
		require.False(t, webhook.Selects(word), word)
	}
}

// The documentation's table of events is the catalogue.
func TestCatalogue_IsTheTableOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/webhooks.md")
	require.NoError(t, err)
	for _, e := range webhook.Catalogue() {
		require.Contains(t, string(page), fmt.Sprintf("| `%s` | %s |", e.Type, e.Says))
	}
	require.Len(t, regexp.MustCompile("(?m)^\\| `[a-z]+\\.[a-z_]+` \\|").FindAllString(string(page), -1), len(webhook.Catalogue()))
}
