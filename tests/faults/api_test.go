package faults

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// A sign-out whose answer was lost is repeated after the api process was killed: the
// same answer, though the session is over; and an old repeat ends no later session.
func TestAPIIsKilled_ARepeatedSignOutGetsTheSameAnswer(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	out := func(key string) stage.Answer {
		return a.Try(http.MethodDelete, "/v1/agent-session", nil, "Idempotency-Key", key)
	}
	first := out("bye")
	require.Equal(t, http.StatusOK, first.Status, string(first.Body))
	a.Wait("LoggedOff")
	require.NoError(t, hall.API.Restart(back(t)))
	again := out("bye")
	require.Equal(t, http.StatusOK, again.Status, string(again.Body))
	require.JSONEq(t, string(first.Body), string(again.Body))
	require.Equal(t, http.StatusNotFound, out("another").Status, "without a session there is nothing to end")

	signIn := func() stage.Answer {
		return a.Try(http.MethodPost, "/v1/agent-session", map[string]string{"interface": "phone"}, "Idempotency-Key", "hello")
	}
	began := signIn()
	require.Equal(t, http.StatusCreated, began.Status, string(began.Body))
	require.NoError(t, hall.API.Restart(back(t)))
	require.JSONEq(t, string(first.Body), string(out("bye").Body))
	require.Equal(t, "NotReady", a.View().State, "the old sign-out is not meant for this session")
	again = signIn()
	require.Equal(t, http.StatusCreated, again.Status)
	require.JSONEq(t, string(began.Body), string(again.Body))
}

// The api process is killed after the session took the sign-out and before its answer
// was kept: the completed workflow still has it.
func TestAPIIsKilledInTheMiddleOfASignOut_TheWorkflowHasTheAnswer(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	first := a.Try(http.MethodDelete, "/v1/agent-session", nil, "Idempotency-Key", "bye")
	require.Equal(t, http.StatusOK, first.Status, string(first.Body))
	a.Wait("LoggedOff")
	_, err := hall.SQL(t).Exec(t.Context(), `DELETE FROM answers WHERE tenant_id = $1`, ten.Domain)
	require.NoError(t, err)
	require.NoError(t, hall.API.Restart(back(t)))
	again := a.Try(http.MethodDelete, "/v1/agent-session", nil, "Idempotency-Key", "bye")
	require.Equal(t, http.StatusOK, again.Status, string(again.Body))
	require.JSONEq(t, string(first.Body), string(again.Body))
}

// Who logged out stays out when the api process is killed.
func TestAPIIsKilled_WhoLoggedOutStaysOut(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	ans, err := hall.Anonymous().Do(ten.Context(), http.MethodPost, "/v1/auth/login", map[string]string{"tenant": ten.Domain, "username": "1001", "password": stage.Password})
	require.NoError(t, err)
	cookie, _, _ := strings.Cut(ans.Header.Get("Set-Cookie"), ";")
	var login struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.Unmarshal(ans.Body, &login))
	ans, err = hall.Anonymous().Do(ten.Context(), http.MethodPost, "/v1/auth/logout", nil, "Cookie", cookie)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, ans.Status)
	require.NoError(t, hall.API.Restart(back(t)))
	ans, err = hall.Anonymous().Do(ten.Context(), http.MethodPost, "/v1/auth/refresh", nil, "Cookie", cookie)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, ans.Status)
	ans, err = hall.Anonymous().With(login.Token).Do(ten.Context(), http.MethodGet, "/v1/me", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, ans.Status)
}

// The worker is away while the directory changes: the session hears of it when the
// worker is back, without a new sign-in.
func TestWorkerIsAwayWhileTheDirectoryChanges_TheSessionHearsOfItLater(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	hall.Worker.Kill()
	text, err := hall.Holdfast(ten.Context(), "export", "--tenant", ten.Domain)
	require.NoError(t, err, text)
	changed := strings.Replace(text, "user: \"1001\"\n", "user: \"1001\"\n    wrap_up: 4s\n", 1)
	require.NotEqual(t, text, changed)
	r, err := hall.Command(ten.Context(), changed, "apply", "-f", "-")
	require.NoError(t, err)
	require.Zero(t, r.Code, r.Errors)
	require.NoError(t, hall.Worker.Start(back(t)))
	require.Eventually(t, func() bool {
		var left int
		err := hall.SQL(t).QueryRow(t.Context(), `SELECT count(*) FROM profile_changes WHERE tenant_id = $1`, ten.Domain).Scan(&left)
		return err == nil && left == 0
	}, stage.Patience, 50*time.Millisecond)
	customer := ten.Call("4935601", "8000")
	a.Answered()
	ten.WaitUp(customer)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	wrapUp := a.Wait("WorkingAfterCall")
	require.InDelta(t, 4, wrapUp.WrapUpUntil.Sub(wrapUp.Since).Seconds(), 0.5)
}

// A node that is asked to stop lets its calls go on for a while; meanwhile it is not
// ready, and says why, so that nobody sends it new calls.
func TestNodeIsAskedToStop_ReadyzSays503AndThatItDrains(t *testing.T) {
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	readyz := func() (int, string) {
		res, err := http.Get("http://" + hall.NodeHealth() + "/readyz")
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	status, body := readyz()
	require.Equal(t, http.StatusOK, status, body)
	customer := ten.Call("4935701", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")
	stopped := make(chan error, 1)
	go func() { stopped <- hall.Node.Stop(back(t)) }()
	require.Eventually(t, func() bool { status, body = readyz(); return status == http.StatusServiceUnavailable }, stage.Patience, 20*time.Millisecond)
	var v struct {
		Status  string   `json:"status"`
		Missing []string `json:"missing"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &v), body)
	require.Equal(t, "not_ready", v.Status)
	require.True(t, slices.Contains(v.Missing, "draining"), body)
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	require.NoError(t, <-stopped)
	require.NoError(t, hall.Node.Start(back(t)))
	status, body = readyz()
	require.Equal(t, http.StatusOK, status, body)
	a.Wait("Ready")
}
