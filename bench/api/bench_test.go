package api

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/bench/figures"
	"holdfast/tests/stage"
)

// tally collects the durations of requests by what they are, and what failed.
type tally struct {
	mu     sync.Mutex
	of     map[string]figures.Durations
	failed []string
}

func (t *tally) add(what string, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failed = append(t.failed, fmt.Sprintf("%s: %v", what, err))
		return
	}
	if t.of == nil {
		t.of = map[string]figures.Durations{}
	}
	t.of[what] = append(t.of[what], took)
}

// all are the durations of everything.
func (t *tally) all() (list figures.Durations) {
	for _, d := range t.of {
		list = append(list, d...)
	}
	return list
}

// report publishes the quantiles, and fails the benchmark if a request failed.
func (t *tally) report(b *testing.B, name string) {
	b.Helper()
	for _, f := range t.failed[:min(len(t.failed), 5)] {
		b.Error(f)
	}
	b.ReportMetric(float64(len(t.failed)), "failed")
	t.all().Report(b, name)
	for _, what := range slices.Sorted(maps.Keys(t.of)) {
		b.Logf("%-40s %4d  p50 %6.1f ms  p99 %6.1f ms", what, len(t.of[what]), t.of[what].Ms(0.5), t.of[what].Ms(0.99))
	}
}

// Sign-ins by password as fast as the machine verifies them: argon2id is what they cost.
func BenchmarkLogin(b *testing.B) {
	founded(b)
	var t tally
	var work sync.WaitGroup
	next := make(chan int)
	b.ResetTimer()
	began := time.Now()
	for range 2 * runtime.NumCPU() {
		work.Go(func() {
			for n := range next {
				asked := time.Now()
				_, err := hall.Login(b.Context(), domain(n%tenants), "admin", stage.Password)
				t.add("login", time.Since(asked), err)
			}
		})
	}
	for n := range b.N {
		next <- n
	}
	close(next)
	work.Wait()
	took := time.Since(began)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/took.Seconds(), "logins/s")
	t.report(b, "login")
}

// request is one kind of request, with how often it comes among the others.
type request struct {
	weight       int
	what, method string
	path         func(n int) string
	body         func(n int) any
}

// day is what administrators, supervisors and programs ask for on a working day.
var day = []request{
	{6, "GET /v1/me", http.MethodGet, at("/v1/me"), nil},
	{6, "GET /v1/users", http.MethodGet, at("/v1/users?limit=50"), nil},
	{6, "GET /v1/users?q=", http.MethodGet, func(n int) string { return fmt.Sprintf("/v1/users?q=person+%d&limit=20", n%20) }, nil},
	{8, "GET /v1/users/{id}", http.MethodGet, func(n int) string { return fmt.Sprintf("/v1/users/u%04d", n%25) }, nil},
	{6, "GET /v1/agents?team=", http.MethodGet, at("/v1/agents?team=red&limit=50"), nil},
	{6, "GET /v1/agents/{id}", http.MethodGet, at("/v1/agents/1002"), nil},
	{4, "GET /v1/devices", http.MethodGet, at("/v1/devices?limit=50&sort=-updated_at"), nil},
	{4, "GET /v1/queues/{id}", http.MethodGet, at("/v1/queues/support"), nil},
	{6, "GET /v1/queues/{id}/live", http.MethodGet, at("/v1/queues/support/live"), nil},
	{6, "GET /v1/presence", http.MethodGet, at("/v1/presence"), nil},
	{6, "GET /v1/calls", http.MethodGet, at("/v1/calls?limit=20"), nil},
	{2, "GET /v1/audit", http.MethodGet, at("/v1/audit?limit=20"), nil},
	{6, "GET /v1/contacts?q=", http.MethodGet, func(n int) string { return fmt.Sprintf("/v1/contacts?q=customer+%d", n%100) }, nil},
	{6, "PATCH /v1/users/{id}", http.MethodPatch, func(n int) string { return fmt.Sprintf("/v1/users/u%04d", n%25) },
		func(n int) any { return map[string]any{"display_name": fmt.Sprintf("Person %d", n)} }},
	{4, "PATCH /v1/agents/{id}", http.MethodPatch, at("/v1/agents/1003"), func(n int) any { return map[string]any{"wrap_up_ms": n % 60_000} }},
	{6, "POST /v1/contacts", http.MethodPost, at("/v1/contacts"), func(n int) any {
		return map[string]any{"display_name": fmt.Sprintf("Customer %d", n), "numbers": []string{fmt.Sprintf("+4930%08d", 10_000_000+n)}}
	}},
}

func at(path string) func(int) string { return func(int) string { return path } }

// Everything else at 50 requests/s, half of them in the large tenant.
func BenchmarkRequests(b *testing.B) {
	founded(b)
	var deck []request
	for _, r := range day {
		deck = append(deck, slices.Repeat([]request{r}, r.weight)...)
	}
	chance := rand.New(rand.NewPCG(1, 2)) // the same mixture each time
	var t tally
	var work sync.WaitGroup
	b.ResetTimer()
	figures.Pace(50, b.N, func(i int) {
		r, who := deck[chance.IntN(len(deck))], town.admins[0]
		if chance.IntN(2) == 0 {
			who = town.admins[chance.IntN(tenants)]
		}
		work.Go(func() {
			var body any
			if r.body != nil {
				body = r.body(i)
			}
			asked := time.Now()
			err := who.Into(context.Background(), nil, r.method, r.path(i), body)
			t.add(r.what, time.Since(asked), err)
		})
	})
	work.Wait()
	b.StopTimer()
	t.report(b, "request")
}

// The beginning of a shift: so many agents of one tenant sign in within 30 s, each with
// password and agent session.
func BenchmarkShift(b *testing.B) {
	founded(b)
	const within = 30 * time.Second
	require.LessOrEqual(b, b.N, largeAgents)
	var t tally
	var work sync.WaitGroup
	sessions := make([]*stage.Client, b.N)
	b.ResetTimer()
	began := time.Now()
	figures.Pace(max(1, float64(b.N)/within.Seconds()), b.N, func(i int) {
		work.Go(func() {
			asked := time.Now()
			c, err := hall.Login(context.Background(), domain(0), fmt.Sprintf("u%04d", i), stage.Password)
			t.add("login", time.Since(asked), err)
			if err != nil {
				return
			}
			asked = time.Now()
			err = c.Into(context.Background(), nil, http.MethodPost, "/v1/agent-session", map[string]any{"terminal_id": fmt.Sprint("t", i)})
			t.add("agent-session", time.Since(asked), err)
			sessions[i] = c
		})
	})
	work.Wait()
	took := time.Since(began)
	b.StopTimer()
	b.ReportMetric(took.Seconds(), "s")
	t.report(b, "sign-in")
	require.NotContains(b, sessions, (*stage.Client)(nil))
	for _, c := range sessions { // for the next run
		require.NoError(b, c.Into(context.Background(), nil, http.MethodDelete, "/v1/agent-session", nil))
	}
}
