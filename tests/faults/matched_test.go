package faults

import (
	"net/http"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// reserving brings an agent's command up to the middle of the transaction that matches
// it with the caller who waits.
type reserving struct {
	ten      *stage.Tenant
	a        *stage.Agent
	customer *softphone.Call
	rung     *softphone.Call
	lock     *stage.Lock
	heard    <-chan struct{}
}

func newReserving(ten *stage.Tenant, from string) *reserving {
	r := &reserving{ten: ten, a: ten.Agent(1)}
	r.a.SignIn()
	r.customer = ten.Call(from, "8000")
	ten.WaitUp(r.customer)
	ten.WaitCall("wait", func(c stage.CallView) bool { return c.Phase == "Queued" })
	return r
}

// commit sends the command, which stops at the lock: its COMMIT is on the way already,
// when it waits for the line's rows.
func (r *reserving) commit(rows string) {
	r.lock = r.ten.Lock(rows)
	r.heard = command(r.a, http.MethodPost, readyPath)
	r.lock.WaitHit()
}

// rings lets the transaction commit while Temporal hears nothing: the call's workflow
// can't be told of the match, but the node is prompted.
func (r *reserving) rings() {
	r.lock.Release()
	r.rung = r.a.Offered()
}

// goesOn is the rest, when the phone rings or has been answered.
func (r *reserving) goesOn(from string) {
	<-r.heard
	ans := repeated(r.ten.T(), r.a, http.MethodPost, readyPath)
	require.Equal(r.ten.T(), http.StatusOK, ans.Status, string(ans.Body))
	if r.rung.Status().State == softphone.Ringing {
		require.NoError(r.ten.T(), r.rung.Answer())
	}
	talkAndEnd(r.ten, r.a, r.customer, r.rung)
	require.Equal(r.ten.T(), 1, r.a.Phone.Invites(), "rung once")
	r.ten.Booked(answered(from, "customer", "1001", 1))
}

// The match commits after the worker that asked for it is dead: nobody has been told.
func matchedAndNobodyTold(ten *stage.Tenant) act {
	r := newReserving(ten, "4935516")
	return act{
		moment: func() { r.commit(stage.LineRows) },
		away:   func() { r.lock.Release() },
		after: func() {
			r.rung = r.a.Offered()
			r.goesOn("4935516")
		},
	}
}

// The match has committed, the phone rings by the prompt, and the worker dies before it
// can tell the call.
func matchedAndOnlyThePhoneKnows(ten *stage.Tenant) act {
	r := newReserving(ten, "4935517")
	return act{
		moment: func() { r.commit(stage.PresenceRows) },
		frozen: r.rings,
		after:  func() { r.goesOn("4935517") },
	}
}

// And the agent answers that ring while the worker is gone.
func matchedAndAnsweredMeanwhile(ten *stage.Tenant) act {
	r := newReserving(ten, "4935518")
	return act{
		moment: func() { r.commit(stage.PresenceRows) },
		frozen: r.rings,
		away: func() {
			require.NoError(ten.T(), r.rung.Answer())
			ten.Talk(r.customer, r.rung)
		},
		after: func() { r.goesOn("4935518") },
	}
}

// And the caller gives up while the worker is gone: the phone stops, the agent comes free.
func matchedAndGivenUpMeanwhile(ten *stage.Tenant) act {
	r := newReserving(ten, "4935519")
	return act{
		moment: func() { r.commit(stage.PresenceRows) },
		frozen: r.rings,
		away: func() {
			require.NoError(ten.T(), r.customer.HangUp())
			ten.WaitEnded(r.rung)
		},
		after: func() {
			<-r.heard
			require.Equal(ten.T(), http.StatusOK, repeated(ten.T(), r.a, http.MethodPost, readyPath).Status)
			r.a.Wait("Ready")
			next := ten.Call("4935520", "8000")
			rung := r.a.Answered()
			ten.Talk(next, rung)
			require.NoError(ten.T(), rung.HangUp())
			// The caller's leaving overtakes the news of the match: the record has it all the same.
			ten.Booked(abandoned("4935519"), answered("4935520", "agent:1001", "1001", 1))
		},
	}
}
