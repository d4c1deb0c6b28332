package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// A command repeated with the same Idempotency-Key gives the same answer and has no second effect.
func TestIdempotencyKey_ARepeatGetsTheSameAnswerWithoutASecondEffect(t *testing.T) {
	t.Parallel()
	now := noon
	h := newHouse(t, func(c *Config) { c.Now = func() time.Time { return now } })
	signIn := func(key string) answer {
		return h.ask("1001", "POST", "/v1/agent-session", `{"interface":"phone"}`, "Idempotency-Key", key)
	}
	first := signIn("a")
	require.Equal(t, http.StatusCreated, first.Code)
	h.commands.created = false // the session runs now
	require.Equal(t, http.StatusCreated, signIn("a").Code)
	require.Equal(t, first.Body.String(), signIn("a").Body.String())
	require.Len(t, h.commands.asked, 1)
	require.Equal(t, http.StatusOK, signIn("b").Code)

	out := h.ask("1001", "DELETE", "/v1/agent-session", "", "Idempotency-Key", "x")
	require.Equal(t, http.StatusOK, out.Code)
	delete(h.commands.views, agent.Ref{Tenant: tenant, Agent: "1001"})
	require.Equal(t, http.StatusOK, h.ask("1001", "DELETE", "/v1/agent-session", "", "Idempotency-Key", "x").Code)
	require.Equal(t, http.StatusNotFound, h.ask("1001", "DELETE", "/v1/agent-session", "", "Idempotency-Key", "y").Code)

	require.Equal(t, http.StatusOK, h.ask("1002", "POST", "/v1/agent-session", `{"interface":"phone"}`, "Idempotency-Key", "a").Code,
		"another person's key is another key")
}

// What began or ended a session is answered by whichever process is asked, also by one
// that was started since; other answers are forgotten after a while.
func TestIdempotencyKey_OfWhatBeginsOrEndsASession_IsKnownToAllProcesses(t *testing.T) {
	t.Parallel()
	now := noon
	h := newHouse(t, func(c *Config) { c.Now = func() time.Time { return now } })
	type request struct{ user, method, path, body string }
	ask := func(r request, key string) answer {
		return h.ask(id.User(r.user), r.method, r.path, r.body, "Idempotency-Key", key)
	}
	first := map[request]answer{
		{"1001", "POST", "/v1/agent-session", `{"interface":"phone"}`}:                     {},
		{"1001", "DELETE", "/v1/agent-session", ""}:                                        {},
		{"supervisor", "POST", "/v1/agents/1002/session/sign-out", `{"reason":"MEETING"}`}: {},
	}
	for r := range first {
		first[r] = ask(r, "k")
		require.Less(t, first[r].Code, 300, first[r].Body)
	}
	require.Len(t, h.commands.asked, 3)
	ready := request{"1001", "POST", "/v1/agent-session/ready", ""}
	require.Equal(t, http.StatusOK, ask(ready, "k").Code)

	h.api.answers = newAnswers(h.api.config, h.api.seals) // another process
	clear(h.commands.views)
	for r, a := range first {
		again := ask(r, "k")
		require.Equal(t, a.Code, again.Code, again.Body)
		require.JSONEq(t, a.Body.String(), again.Body.String())
	}
	require.Len(t, h.commands.asked, 4)
	require.Equal(t, http.StatusNotFound, ask(ready, "k").Code, "its workflow answers that")
	require.Equal(t, http.StatusNotFound, ask(request{"1001", "DELETE", "/v1/agent-session", ""}, "another").Code)
	other := ask(request{"1001", "POST", "/v1/agent-session", `{"interface":"web"}`}, "k")
	require.Equal(t, "idempotency_key_reused", other.body["code"])
}

// An answer that shows a secret, once, shows it to a repeat as well; the vault has it sealed.
func TestIdempotencyKey_OfAnAnswerWithASecret_IsKeptSealed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	make := func() answer {
		return h.ask("admin", "POST", "/v1/webhooks", `{"name":"crm","url":"https://crm.example/","events":["call.*"]}`, "Idempotency-Key", "k")
	}
	made := make()
	require.Equal(t, http.StatusCreated, made.Code, made.Body)
	secret := made.body["secret"].(string)
	require.NotEmpty(t, secret)
	h.api.answers = newAnswers(h.api.config, h.api.seals) // another process
	require.Equal(t, secret, make().body["secret"])
	require.Len(t, h.vault.answers, 1)
	for _, a := range h.vault.answers {
		require.NotContains(t, string(a.Body), secret)
	}
}

func TestIdempotencyKey_ForAnotherRequestIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, http.StatusOK, h.ask("1001", "POST", "/v1/agent-session/not-ready", `{"reason":"BREAK"}`, "Idempotency-Key", "k").Code)
	a := h.ask("1001", "POST", "/v1/agent-session/not-ready", `{"reason":"LUNCH"}`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusUnprocessableEntity, a.Code)
	require.Equal(t, "idempotency_key_reused", a.body["code"])
	for _, bad := range []string{"with space", "ä", string(make([]byte, 129))} {
		a := h.ask("1001", "POST", "/v1/agent-session/ready", "", "Idempotency-Key", bad)
		require.Equal(t, http.StatusUnprocessableEntity, a.Code)
		require.Contains(t, a.fields(), "header:Idempotency-Key")
	}
}

func TestIdempotencyKey_ARefusalIsNotKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.commands.refuse = fault.Refuse("busy", "You are on a call.")
	ready := func() int { return h.ask("1001", "POST", "/v1/agent-session/ready", "", "Idempotency-Key", "k").Code }
	require.Equal(t, http.StatusConflict, ready())
	h.commands.refuse = nil
	require.Equal(t, http.StatusOK, ready())
}

func TestAnswers_AtTheSameTimeOneIsCarriedOutAndAllGetItsAnswer(t *testing.T) {
	t.Parallel()
	a := newAnswers(Config{Now: time.Now, Vault: newVault(), Log: slog.New(slog.DiscardHandler)}, nil)
	key := answerKey{operation: "ready", key: "k"}
	begun, finish := make(chan struct{}), make(chan struct{})
	var runs int
	do := func() (*string, error) {
		runs++
		close(begun)
		<-finish
		return ptr("done"), nil
	}
	var wait sync.WaitGroup
	results := make(chan *string, 5)
	for range 5 {
		wait.Go(func() {
			out, err := once(t.Context(), a, key, "request", do)
			require.NoError(t, err)
			results <- out
		})
	}
	<-begun
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := once(gone, a, key, "request", do)
	require.ErrorIs(t, err, context.Canceled)
	close(finish)
	wait.Wait()
	require.Equal(t, 1, runs)
	for range 5 {
		require.Equal(t, "done", *<-results)
	}
	for i := range 2 * maxAnswers {
		_, err := once(t.Context(), a, answerKey{key: fmt.Sprint(i)}, i, func() (*string, error) { return ptr(""), nil })
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(a.kept), maxAnswers+1)
}
