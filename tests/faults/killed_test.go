package faults

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// scene is a phase of a call, or of an agent, in which processes are killed. Each has a
// tenant of its own, so that one kill meets all phases.
type scene struct {
	phase string
	plan  stage.Plan
	play  func(*stage.Tenant) act
}

// act is what happens in a scene, in this order; what is not needed is nil.
type act struct {
	begin  func() // when the people of all scenes are there
	moment func() // the last steps before the kill
	frozen func() // Temporal hears nothing any more: what it should have heard is lost with the process
	urgent func() // the processes are gone, and this can't wait
	away   func() // the processes are gone
	after  func() // they are back: all goes on
}

// Worker and API die by kill -9, each and both, and are started again, in every phase of
// a call: it goes on as if nothing had been, and is recorded once.
func TestKilledInEveryPhase_TheCallGoesOnAndNothingIsLost(t *testing.T) {
	for _, roles := range [][]*stage.Process{{hall.Worker}, {hall.API}, {hall.Worker, hall.API}} {
		name := roles[0].Name
		if len(roles) > 1 {
			name = "both"
		}
		t.Run(name, func(t *testing.T) { kill(t, roles) })
	}
}

// kill brings every scene into its phase, kills the roles once, starts them again, and
// lets every scene prove that it goes on.
func kill(t *testing.T, roles []*stage.Process) {
	var tenants []*stage.Tenant
	var acts []act
	all := scenes()
	for _, s := range all {
		ten := hall.Tenant(t, s.plan)
		tenants, acts = append(tenants, ten), append(acts, s.play(ten))
	}
	each := func(step func(act) func()) {
		for _, a := range acts {
			if do := step(a); do != nil {
				do()
			}
		}
	}
	each(func(a act) func() { return a.begin })
	each(func(a act) func() { return a.moment })
	thaw := hall.Freeze(t)
	each(func(a act) func() { return a.frozen })
	for _, p := range roles {
		p.Kill()
	}
	killed := true
	start := func() {
		for _, p := range roles {
			require.NoError(t, p.Start(back(t)))
		}
		killed = false
	}
	defer func() {
		if killed {
			start()
		}
	}()
	thaw()
	each(func(a act) func() { return a.urgent })
	each(func(a act) func() { return a.away })
	start()
	t.Run("afterwards", func(t *testing.T) {
		for i, s := range all {
			t.Run(s.phase, func(t *testing.T) {
				t.Parallel()
				tenants[i].In(t)
				acts[i].after()
			})
		}
	})
}

// scenes are all phases. In their order they come to their moments: a ring that must run
// out before the others hold anything that would run out meanwhile.
func scenes() []scene {
	return []scene{
		{"rings the second, the first declined", stage.Plan{Agents: 2, Ring: ringLong, WrapUp: shortWrapUp}, declinedByTheFirst},
		{"waits", stage.Plan{Ring: ringLong}, waits},
		{"rings, answered meanwhile", stage.Plan{Ring: ringLong, WrapUp: shortWrapUp}, answeredMeanwhile},
		{"rings, given up meanwhile", stage.Plan{Ring: ringLong}, givenUpMeanwhile},
		{"rings by command", stage.Plan{Ring: ringLong, WrapUp: shortWrapUp}, ringsByCommand},
		{"talks", stage.Plan{WrapUp: shortWrapUp}, talks},
		{"talks, hung up meanwhile", stage.Plan{WrapUp: shortWrapUp}, hungUpMeanwhile},
		{"talks, signed out for afterwards", stage.Plan{}, signedOutForAfterwards},
		{"rings the second, the first missed it", stage.Plan{Agents: 2, Ring: ringMissed, WrapUp: shortWrapUp}, missedByTheFirst},
		{"rings from the opening", stage.Plan{Ring: ringLong, WrapUp: shortWrapUp}, ringsFromTheOpening},
		{"rings, and has no workflow yet", stage.Plan{Ring: ringLong, WrapUp: shortWrapUp}, ringsWithoutAWorkflow},
		{"in wrap-up", stage.Plan{Ring: ringLong, WrapUp: longWrapUp}, inWrapUp},
		{"its record is being written", stage.Plan{WrapUp: shortWrapUp}, recordIsBeingWritten},
		{"signs out", stage.Plan{}, signsOut},
		{"matched, and nobody told", stage.Plan{Ring: ringLong, WrapUp: shortWrapUp}, matchedAndNobodyTold},
		{"matched, and only the phone knows", stage.Plan{Ring: ringLong, WrapUp: shortWrapUp}, matchedAndOnlyThePhoneKnows},
		{"matched, and answered meanwhile", stage.Plan{Ring: ringLong, WrapUp: shortWrapUp}, matchedAndAnsweredMeanwhile},
		{"matched, and given up meanwhile", stage.Plan{Ring: ringLong}, matchedAndGivenUpMeanwhile},
	}
}

// command sends a command of an agent while others go on; the answer may be lost with
// the process that gives it.
func command(a *stage.Agent, method, path string) (answered <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = a.API.Do(back(a.T()), method, path, nil, "Idempotency-Key", "the-killed-one")
	}()
	return done
}

// repeated is the answer to the same command, sent again because nobody knows whether
// the first one was heard.
func repeated(t testing.TB, a *stage.Agent, method, path string) stage.Answer {
	t.Helper()
	var ans stage.Answer
	require.Eventually(t, func() bool {
		var err error
		ans, err = a.API.Do(back(t), method, path, nil, "Idempotency-Key", "the-killed-one")
		return err == nil && ans.Status != http.StatusServiceUnavailable // which says to come back
	}, stage.Patience, stage.Soon)
	return ans
}
