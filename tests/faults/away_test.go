package faults

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// Database or Temporal is away later: readyz names it, whoever needs it gets 503 with
// Retry-After and one sentence, and the same request with the same key succeeds when it
// is back.
func TestGroundIsAway_TheAPISays503AndWhen_AndReadyzNamesIt(t *testing.T) {
	for name, what := range map[string]ground{"database": hall.Postgres, "temporal": hall.Temporal} {
		t.Run(name, func(t *testing.T) {
			ten := hall.Tenant(t, stage.Plan{})
			a := ten.Agent(1)
			a.SignIn()
			what.Kill()
			away := true
			defer func() {
				if away {
					_ = what.Restart(back(t))
				}
			}()
			for _, base := range []string{hall.HTTP(), "http://" + hall.NodeHealth()} {
				res, err := http.Get(base + "/readyz")
				require.NoError(t, err)
				var v struct {
					Missing []string `json:"missing"`
				}
				require.NoError(t, json.NewDecoder(res.Body).Decode(&v))
				require.NoError(t, res.Body.Close())
				require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
				require.NotEmpty(t, res.Header.Get("Retry-After"))
				require.Contains(t, v.Missing, name)
			}
			unavailable := func(ans stage.Answer) {
				t.Helper()
				var p struct {
					Code   string `json:"code"`
					Detail string `json:"detail"`
				}
				require.Equal(t, http.StatusServiceUnavailable, ans.Status, string(ans.Body))
				require.NotEmpty(t, ans.Header.Get("Retry-After"))
				require.NoError(t, json.Unmarshal(ans.Body, &p), string(ans.Body))
				require.NotEmpty(t, p.Code)
				require.NotEmpty(t, p.Detail)
				require.NotContains(t, string(ans.Body), "127.0.0.1", "addresses are for operators")
			}
			notReady := func() stage.Answer {
				return a.Try(http.MethodPost, "/v1/agent-session/not-ready", map[string]string{"reason": "LUNCH"}, "Idempotency-Key", "lunch")
			}
			unavailable(notReady())
			if name == "database" {
				for _, password := range []string{stage.Password, "wrong"} {
					ans, err := hall.Anonymous().Do(ten.Context(), http.MethodPost, "/v1/auth/login", map[string]string{"tenant": ten.Domain, "username": "1001", "password": password})
					require.NoError(t, err)
					unavailable(ans)
				}
			}
			require.NoError(t, what.Restart(back(t)))
			away = false
			require.Eventually(t, func() bool { return notReady().Status == http.StatusOK }, stage.Patience, stage.Patience/100)
			s := a.View()
			require.Equal(t, "NotReady LUNCH", s.State+" "+s.Reason)
		})
	}
}
