package mainjob

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// impatient is a customer of the tenant who can hang up at any moment.
type impatient struct {
	ten *stage.Tenant
	raw *stage.Raw
	q   stage.Request
}

func newImpatient(t *testing.T, ten *stage.Tenant) *impatient {
	return &impatient{ten: ten, raw: hall.Raw(t, "UDP", ten.Trunk()),
		q: stage.Request{Method: "INVITE", URI: "sip:8000@" + ten.Domain, From: "sip:4930999@carrier.example", Body: stage.Offer("0")}}
}

// calls sends an INVITE and returns how to give up.
func (c *impatient) calls() (hangUp func() int) {
	invite := c.raw.Text(c.q)
	c.raw.Send(invite)
	return func() int {
		c.raw.Send(c.raw.Cancel(invite))
		return c.raw.Final(c.q, invite).StatusCode
	}
}

// known is how many calls the database knows.
func known(t *testing.T, ten *stage.Tenant) (n int) {
	t.Helper()
	require.NoError(t, hall.SQL(t).QueryRow(ten.Context(), `SELECT count(*) FROM calls WHERE tenant_id = $1`, ten.Domain).Scan(&n))
	return n
}

// The caller's CANCEL comes at any moment between the INVITE and the phone's ringing: the
// agent is free again at once, the phone that rang hears why it stops, and nothing is left
// in line, reserved or open.
func TestCallerHangsUpAtAnyMomentOfTheOpening_NothingIsLeft(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 3}) // the opening before may just take back what it did
	team := [3]*stage.Agent{ten.ReadyAgent(1), ten.ReadyAgent(2), ten.ReadyAgent(3)}
	c := newImpatient(t, ten)
	var busy []time.Duration // how long the agent was not free after the caller had left
	for after := time.Duration(0); after < 25*time.Millisecond; after += 500 * time.Microsecond {
		hangUp := c.calls()
		<-time.NewTimer(after).C
		require.Equal(t, 487, hangUp(), "after %v", after)
		gone := time.Now()
		for _, a := range team {
			a.WaitFree()
		}
		busy = append(busy, time.Since(gone))
	}
	slices.Sort(busy)
	t.Logf("all agents were free again after %v, %v at most", busy[len(busy)/2], busy[len(busy)-1])
	require.Less(t, busy[len(busy)/2], promptly)

	customer := ten.Call("4930998", "8000")
	rung := nextRing(t, ten, team)
	for ; rung.From != "4930998"; rung = nextRing(t, ten, team) {
		require.Contains(t, ten.WaitEnded(rung).Reason, "The caller hung up")
	}
	rung.Audio.Say(stage.AgentTone)
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	for _, l := range ten.Books(known(t, ten)) {
		if l.From != "4930998" {
			require.Equal(t, "abandoned", l.Outcome)
			require.Equal(t, "customer", l.EndedBy)
		}
	}
}

// nextRing is the next call that came to one of the phones, and may have been taken back.
func nextRing(t *testing.T, ten *stage.Tenant, team [3]*stage.Agent) *softphone.Call {
	t.Helper()
	select {
	case rung := <-team[0].Phone.Incoming():
		return rung
	case rung := <-team[1].Phone.Incoming():
		return rung
	case rung := <-team[2].Phone.Incoming():
		return rung
	case <-ten.Context().Done():
		require.FailNow(t, "no phone rings")
		return nil
	}
}

// The opening's COMMIT is under way and waits for the agent's row when the caller gives up.
func TestCallerHangsUpBetweenTheMatchAndTheFirstRing_TheNextOneGetsTheAgentAtOnce(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	lock := ten.Lock(stage.PresenceRows)
	hangUp := newImpatient(t, ten).calls()
	lock.WaitHit()
	require.Equal(t, 487, hangUp())
	lock.Release()
	began := time.Now()
	a.WaitFree()
	t.Logf("the agent was free again after %v", time.Since(began))
	customer := ten.Call("4930997", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	require.Equal(t, 1, a.Phone.Invites(), "nobody rang for the caller who left")
	ten.Booked(
		stage.Line{From: "4930999", Cause: "abandoned", EndedBy: "customer", Outcome: "abandoned", Offers: 1},
		stage.Line{From: "4930997", Cause: "hangup", EndedBy: "customer", Agent: "1001", Outcome: "answered", Offers: 1})
}
