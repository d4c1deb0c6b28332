package faults

import (
	"net/http"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

const (
	ringMissed  = 15 * time.Second // run out by one, and long enough at the other to outlive a kill
	ringLong    = 5 * time.Minute  // longer than all scenes take on a loaded machine
	shortWrapUp = time.Second
	longWrapUp  = 6 * time.Second
	readyPath   = "/v1/agent-session/ready"
)

// The ends of a call in the records.
func answered(from, by, agent string, offers int) stage.Line {
	return stage.Line{From: from, Cause: "hangup", EndedBy: by, Agent: agent, Outcome: "answered", Offers: offers}
}

func abandoned(from string) stage.Line {
	return stage.Line{From: from, Cause: "abandoned", EndedBy: "customer", Outcome: "abandoned", Offers: 1}
}

// talkAndEnd is the rest of every call that rings: they talk, the customer hangs up, the
// agent has its wrap-up and comes free.
func talkAndEnd(ten *stage.Tenant, a *stage.Agent, customer, rung *softphone.Call) {
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.NoError(ten.T(), customer.HangUp())
	ten.WaitEnded(rung)
	a.WentThrough("Busy", "WorkingAfterCall", "Ready")
}

// talking is a customer who talks with the agent of the tenant.
func talking(ten *stage.Tenant, from string) (a *stage.Agent, customer, rung *softphone.Call) {
	a = ten.ReadyAgent(1)
	customer = ten.Call(from, "8000")
	rung = a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")
	return a, customer, rung
}

// ringing is a customer for whom the phone of the tenant's agent rings.
func ringing(ten *stage.Tenant, from string) (a *stage.Agent, customer, rung *softphone.Call) {
	a = ten.ReadyAgent(1)
	customer = ten.Call(from, "8000")
	rung = a.Offered()
	a.Wait("Reserved")
	return a, customer, rung
}

// A caller waits, another one behind: both keep hearing music, and their places.
func waits(ten *stage.Tenant) act {
	a := ten.Agent(1)
	a.SignIn()
	first := ten.Call("4935501", "8000")
	ten.WaitUp(first)
	place := ten.WaitCall("wait", func(c stage.CallView) bool { return c.Phase == "Queued" })
	second := ten.Call("4935502", "8000")
	ten.WaitUp(second)
	music := func() {
		require.NoError(ten.T(), stage.WaitMusic(ten.Context(), first))
		require.NoError(ten.T(), stage.WaitMusic(ten.Context(), second))
	}
	return act{away: music, after: func() {
		music()
		a.Ready()
		rung := a.Answered()
		require.Equal(ten.T(), "4935501", rung.From)
		ten.Talk(first, rung)
		again := ten.WaitCall("talk", func(c stage.CallView) bool { return c.ID == place.ID && c.Phase == "Talking" })
		require.Equal(ten.T(), place.QueuedAt, again.QueuedAt)
		require.NoError(ten.T(), rung.HangUp())
		rung = a.Answered()
		require.Equal(ten.T(), "4935502", rung.From)
		ten.Talk(second, rung)
		require.NoError(ten.T(), second.HangUp())
		ten.Booked(answered("4935501", "agent:1001", "1001", 1), answered("4935502", "customer", "1001", 1))
		a.Wait("Ready")
	}}
}

// The first offer rings, from the opening; the workflow has hardly begun.
func ringsFromTheOpening(ten *stage.Tenant) act {
	a := ten.ReadyAgent(1)
	var customer, rung *softphone.Call
	return act{
		moment: func() {
			customer = ten.Call("4935503", "8000")
			rung = a.Offered()
		},
		after: func() {
			require.Equal(ten.T(), softphone.Ringing, rung.Status().State)
			require.NoError(ten.T(), rung.Answer())
			talkAndEnd(ten, a, customer, rung)
			ten.Booked(answered("4935503", "customer", "1001", 1))
		},
	}
}

// The first offer rings, and the call has no workflow yet: Temporal has not taken it.
func ringsWithoutAWorkflow(ten *stage.Tenant) act {
	a := ten.ReadyAgent(1)
	var customer, rung *softphone.Call
	return act{
		frozen: func() {
			customer = ten.Call("4935521", "8000")
			rung = a.Offered()
		},
		after: func() {
			require.NoError(ten.T(), rung.Answer())
			talkAndEnd(ten, a, customer, rung)
			require.Equal(ten.T(), 1, a.Phone.Invites())
			ten.Booked(answered("4935521", "customer", "1001", 1))
		},
	}
}

// The agent answers while they are gone: both talk at once.
func answeredMeanwhile(ten *stage.Tenant) act {
	a, customer, rung := ringing(ten, "4935504")
	return act{
		away: func() {
			require.NoError(ten.T(), rung.Answer())
			ten.Talk(customer, rung)
		},
		after: func() {
			talkAndEnd(ten, a, customer, rung)
			ten.Booked(answered("4935504", "customer", "1001", 1))
		},
	}
}

// The caller gives up while they are gone: the phone stops, the agent comes free.
func givenUpMeanwhile(ten *stage.Tenant) act {
	a, customer, rung := ringing(ten, "4935505")
	return act{
		away: func() {
			require.NoError(ten.T(), customer.HangUp())
			ten.WaitEnded(rung)
		},
		after: func() {
			a.Wait("Ready")
			ten.Booked(abandoned("4935505"))
		},
	}
}

// The first agent declines, and the second one's phone rings: by the workflow.
func declinedByTheFirst(ten *stage.Tenant) act {
	unwilling, willing := ten.ReadyAgent(1), ten.ReadyAgent(2)
	customer := ten.Call("4935506", "8000")
	require.NoError(ten.T(), unwilling.Offered().Reject(603))
	rung := willing.Offered()
	unwilling.Wait("NotReady(REJECTED)")
	return act{
		away: func() { require.NoError(ten.T(), stage.WaitMusic(ten.Context(), customer)) },
		after: func() {
			require.Equal(ten.T(), softphone.Ringing, rung.Status().State)
			require.NoError(ten.T(), rung.Answer())
			talkAndEnd(ten, willing, customer, rung)
			require.Equal(ten.T(), "NotReady REJECTED", unwilling.View().State+" "+unwilling.View().Reason)
			require.Equal(ten.T(), 1, willing.Phone.Invites())
			ten.Booked(answered("4935506", "customer", "1002", 2))
		},
	}
}

// The first agent's offer runs out, and the second one's phone rings: answered while they are gone.
func missedByTheFirst(ten *stage.Tenant) act {
	deaf, next := ten.ReadyAgent(1), ten.ReadyAgent(2)
	var customer, missed, rung *softphone.Call
	return act{
		begin: func() {
			customer = ten.Call("4935507", "8000")
			missed = deaf.Offered()
		},
		moment: func() {
			ten.WaitEnded(missed)
			rung = next.Offered()
		},
		urgent: func() {
			require.NoError(ten.T(), rung.Answer())
			ten.Talk(customer, rung)
		},
		after: func() {
			deaf.Wait("NotReady(RONA)")
			talkAndEnd(ten, next, customer, rung)
			ten.Booked(answered("4935507", "customer", "1002", 2))
		},
	}
}

// An agent becomes ready by command, and its phone rings for the caller who waited.
func ringsByCommand(ten *stage.Tenant) act {
	a := ten.Agent(1)
	a.SignIn()
	customer := ten.Call("4935508", "8000")
	ten.WaitUp(customer)
	a.Ready()
	rung := a.Offered()
	return act{
		away: func() { require.NoError(ten.T(), stage.WaitMusic(ten.Context(), customer)) },
		after: func() {
			require.NoError(ten.T(), rung.Answer())
			talkAndEnd(ten, a, customer, rung)
			require.Equal(ten.T(), 1, a.Phone.Invites())
			ten.Booked(answered("4935508", "customer", "1001", 1))
		},
	}
}

// Two talk, and hear each other all the time.
func talks(ten *stage.Tenant) act {
	a, customer, rung := talking(ten, "4935509")
	return act{
		away: func() { ten.Talk(customer, rung) },
		after: func() {
			ten.Talk(customer, rung)
			require.Equal(ten.T(), "Busy", a.View().State)
			require.NoError(ten.T(), rung.HangUp())
			ten.WaitEnded(customer)
			a.WentThrough("Busy", "WorkingAfterCall", "Ready")
			ten.Booked(answered("4935509", "agent:1001", "1001", 1))
		},
	}
}

// They hang up while nobody is there to write it down.
func hungUpMeanwhile(ten *stage.Tenant) act {
	a, customer, rung := talking(ten, "4935510")
	return act{
		away: func() {
			require.NoError(ten.T(), rung.HangUp())
			ten.WaitEnded(customer)
		},
		after: func() {
			a.Wait("Ready")
			ten.Booked(answered("4935510", "agent:1001", "1001", 1))
		},
	}
}

// The agent has asked to sign out after the call.
func signedOutForAfterwards(ten *stage.Tenant) act {
	a, customer, rung := talking(ten, "4935511")
	a.SignOut()
	return act{after: func() {
		view := a.View()
		require.Equal(ten.T(), "Busy", view.State)
		require.NotNil(ten.T(), view.Pending)
		require.Equal(ten.T(), "LoggedOff", view.Pending.State)
		ten.Talk(customer, rung)
		require.NoError(ten.T(), customer.HangUp())
		a.Wait("LoggedOff")
		require.Equal(ten.T(), http.StatusNotFound, a.Try(http.MethodGet, "/v1/agent-session", nil).Status)
		ten.Booked(answered("4935511", "customer", "1001", 1))
	}}
}

// They have hung up, and the transaction of the record stands in the middle.
func recordIsBeingWritten(ten *stage.Tenant) act {
	a, customer, rung := talking(ten, "4935512")
	ten.WaitCall("talk", func(c stage.CallView) bool { return c.Phase == "Talking" })
	var lock *stage.Lock
	return act{
		moment: func() {
			lock = ten.Lock(stage.CallRows)
			require.NoError(ten.T(), customer.HangUp())
			ten.WaitEnded(rung)
			lock.WaitHit()
		},
		away: func() { lock.Release() },
		after: func() {
			a.Wait("Ready")
			ten.Booked(answered("4935512", "customer", "1001", 1))
		},
	}
}

// The agent is in wrap-up, and a caller waits: offered when it is over, and not before.
func inWrapUp(ten *stage.Tenant) act {
	a, customer, _ := talking(ten, "4935513")
	next := ten.Call("4935514", "8000")
	ten.WaitUp(next)
	var wrapUp stage.Session
	return act{
		moment: func() {
			require.NoError(ten.T(), customer.HangUp())
			wrapUp = a.Wait("WorkingAfterCall")
		},
		after: func() {
			rung := a.Answered()
			require.False(ten.T(), rung.Status().Times.Invited.Before(*wrapUp.WrapUpUntil), "not before the end of wrap-up")
			talkAndEnd(ten, a, next, rung)
			ten.Booked(answered("4935513", "customer", "1001", 1), answered("4935514", "customer", "1001", 1))
		},
	}
}

// The agent signs out, and the transaction stands in the middle.
func signsOut(ten *stage.Tenant) act {
	a := ten.ReadyAgent(1)
	var lock *stage.Lock
	var heard <-chan struct{}
	return act{
		moment: func() {
			lock = ten.Lock(stage.PresenceRows)
			heard = command(a, http.MethodDelete, "/v1/agent-session")
			lock.WaitHit()
		},
		away: func() { lock.Release() },
		after: func() {
			<-heard
			require.Contains(ten.T(), []int{http.StatusOK, http.StatusNotFound}, repeated(ten.T(), a, http.MethodDelete, "/v1/agent-session").Status)
			a.Wait("LoggedOff")
			customer := ten.Call("4935515", "8000")
			ten.WaitUp(customer)
			require.NoError(ten.T(), stage.WaitMusic(ten.Context(), customer))
			require.Zero(ten.T(), a.Phone.Invites(), "checked out")
			a.SignIn()
			a.Ready()
			rung := a.Answered()
			ten.Talk(customer, rung)
			require.NoError(ten.T(), rung.HangUp())
			ten.Booked(answered("4935515", "agent:1001", "1001", 1))
		},
	}
}
