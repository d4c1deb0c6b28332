package calls

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/bench/figures"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// spoken is how many packets of 20 ms a conversation lasts at least: what its beginning
// caused is written then.
const spoken = 15

// Caller's INVITE → INVITE at a free agent's phone, and the agent's 200 OK → first
// packet of each party at the other's socket, at 5 calls/s. They talk for 1 to 3 s, so that the ends of calls, which are
// work too, fall anywhere between the beginnings.
func BenchmarkFreeAgent(b *testing.B) {
	const agents = 20
	ten := hall.Tenant(b, stage.Plan{Agents: agents})
	crowd := newCrowd(b, ten, agents)
	for range 10 { // warm the caches
		crowd.oneCall(b, ten)
	}
	crowd.forget()
	crowd.talk = func() time.Duration { return time.Second + rand.N(2*time.Second) }
	b.ResetTimer()
	var calls sync.WaitGroup
	figures.Pace(5, b.N, func(int) {
		calls.Add(1)
		go func() {
			defer calls.Done()
			crowd.oneCall(b, ten)
		}()
	})
	calls.Wait()
	b.StopTimer()
	crowd.offers.Report(b, "offer")
	b.ReportMetric(crowd.audio.Ms(0.50), "audio-p50-ms")
	b.ReportMetric(crowd.audio.Ms(0.99), "audio-p99-ms")
}

// A waiting caller, and an agent who becomes ready by command → INVITE at the phone; and POST ready → 200.
func BenchmarkReadyCommand(b *testing.B) {
	ten := hall.Tenant(b, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	var offers, answers figures.Durations
	b.ResetTimer()
	for range b.N {
		customer := ten.Call("4930123456", "8000")
		ten.WaitUp(customer)
		asked := time.Now()
		a.Ready()
		answers = append(answers, time.Since(asked))
		rung := a.Offered()
		offers = append(offers, rung.Status().Times.Invited.Sub(asked))
		a.NotReady("NEXT") // pending
		require.NoError(b, rung.Answer())
		ten.WaitUp(customer)
		require.NoError(b, customer.HangUp())
		a.Wait("NotReady(NEXT)")
	}
	b.StopTimer()
	offers.Report(b, "offer")
	b.ReportMetric(answers.Ms(0.50), "ready-p50-ms")
	b.ReportMetric(answers.Ms(0.99), "ready-p99-ms")
}

// A waiting caller, and an agent whose call (without wrap-up) ends → INVITE at the phone.
func BenchmarkEndOfCall(b *testing.B) {
	ten := hall.Tenant(b, stage.Plan{})
	a := ten.ReadyAgent(1)
	var offers figures.Durations
	current := ten.Call("4930123456", "8000")
	rung := a.Answered()
	b.ResetTimer()
	for range b.N {
		next := ten.Call("4930123457", "8000")
		ten.WaitUp(next)
		a.Wait("Busy")
		require.NoError(b, rung.Audio.WaitPackets(b.Context(), spoken))
		require.NoError(b, rung.HangUp())
		left := rung.Status().Times.Ended
		rung = a.Answered()
		offers = append(offers, rung.Status().Times.Invited.Sub(left))
		ten.WaitEnded(current)
		current = next
	}
	b.StopTimer()
	offers.Report(b, "offer")
}

// A waiting caller, and an agent whose wrap-up ends → INVITE at the phone, counted from
// the end that the session announced.
func BenchmarkEndOfWrapUp(b *testing.B) {
	ten := hall.Tenant(b, stage.Plan{WrapUp: 2 * time.Second})
	a := ten.ReadyAgent(1)
	var offers figures.Durations
	current := ten.Call("4930123456", "8000")
	rung := a.Answered()
	b.ResetTimer()
	for range b.N {
		next := ten.Call("4930123457", "8000")
		ten.WaitUp(next)
		a.Wait("Busy")
		require.NoError(b, rung.Audio.WaitPackets(b.Context(), spoken))
		require.NoError(b, rung.HangUp())
		until := *a.Wait("WorkingAfterCall").WrapUpUntil
		rung = a.Answered()
		offers = append(offers, rung.Status().Times.Invited.Sub(until))
		ten.WaitEnded(current)
		current = next
	}
	b.StopTimer()
	offers.Report(b, "offer")
}

// An offer that runs out → INVITE at the next agent's phone, counted from the CANCEL
// at the first.
func BenchmarkRingTimeout(b *testing.B) {
	ten := hall.Tenant(b, stage.Plan{Agents: 2, Ring: time.Second, OnRONA: "stay"})
	agents := []*stage.Agent{ten.ReadyAgent(1), ten.ReadyAgent(2)}
	var offers figures.Durations
	b.ResetTimer()
	for range b.N {
		customer := ten.Call("4930123456", "8000")
		first, second := agents[0], agents[1]
		var rung *softphone.Call
		select {
		case rung = <-first.Phone.Incoming():
		case rung = <-second.Phone.Incoming():
			first, second = second, first
		}
		require.NoError(b, rung.Ring())
		missed := ten.WaitEnded(rung).Times.Ended
		next := second.Answered()
		offers = append(offers, next.Status().Times.Invited.Sub(missed))
		ten.WaitUp(customer)
		require.NoError(b, customer.HangUp())
		ten.WaitEnded(next)
		second.Wait("Ready")
		// The one who missed takes a call: five missed in a row would be the end of Ready.
		first.Wait("Ready")
		customer = ten.Call("4930123457", "8000")
		taken := first.Answered()
		ten.WaitUp(customer)
		require.NoError(b, customer.HangUp())
		ten.WaitEnded(taken)
		first.Wait("Ready")
	}
	b.StopTimer()
	offers.Report(b, "offer")
}

// sustained is the rate of BenchmarkSustained.
var sustained = flag.Float64("rate", 15, "calls per second of BenchmarkSustained")

// Whole queue calls sustained: ring, talk 3 s, wrap-up, record. CPU per call of every
// process is reported; this process plays all customers and agents.
func BenchmarkSustained(b *testing.B) {
	const agents, talk = 100, 3 * time.Second
	rate := *sustained
	ten := hall.Tenant(b, stage.Plan{Agents: agents, WrapUp: time.Second})
	crowd := newCrowd(b, ten, agents)
	crowd.talk = func() time.Duration { return talk }
	before := usage(b)
	b.ResetTimer()
	start := time.Now()
	var calls sync.WaitGroup
	figures.Pace(rate, b.N, func(int) {
		calls.Add(1)
		go func() {
			defer calls.Done()
			crowd.oneCall(b, ten)
		}()
	})
	sent := time.Since(start)
	calls.Wait()
	b.StopTimer()
	for name, after := range usage(b) {
		b.ReportMetric(float64((after-before[name]).Microseconds())/1000/float64(b.N), name+"-cpu-ms/call")
	}
	b.ReportMetric(float64(b.N)/sent.Seconds(), "calls/s")
	b.ReportMetric(float64(crowd.failed.Load()), "failed")
	crowd.offers.Report(b, "offer")
}

// Sign-in storms and the like come with the agent session's own issue; here only what a
// call needs: POST ready → 200 with nobody waiting.
func BenchmarkReady(b *testing.B) {
	ten := hall.Tenant(b, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	var answers figures.Durations
	b.ResetTimer()
	for i := range b.N {
		asked := time.Now()
		require.NoError(b, a.API.Into(context.Background(), nil, http.MethodPost, "/v1/agent-session/ready", nil, "Idempotency-Key", fmt.Sprint("r", i)))
		answers = append(answers, time.Since(asked))
		a.NotReady("NEXT")
	}
	b.StopTimer()
	answers.Report(b, "ready")
}
