package dispatch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/id"
)

const amy = "agent:acme.example:1001"

// An operator terminates a session while its phone rings: the agent is signed out, and
// the call goes on.
func TestReaper_SessionWasTerminated_IsBuriedAndItsOfferTakenBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.arrive(t)
	d.rings(t)
	d.reaches(t, is(call.Offering))
	d.books.kept = map[id.Agent]id.Offer{"1001": "c1/1"}
	d.temporal.over[amy], d.temporal.killed = true, []string{amy}
	d.Start()
	s := d.reaches(t, is(call.Queued))
	require.Equal(t, []id.Agent{"1001"}, s.Tried)
	require.Equal(t, []id.Agent{"1001"}, d.books.graves())
}

func TestReaper_TerminatedAndSignedInAgain_IsLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.temporal.killed = []string{"agent:acme.example:1002", amy}
	d.temporal.over[amy] = true
	d.Start()
	require.Eventually(t, func() bool { return len(d.books.graves()) > 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []id.Agent{"1001"}, d.books.graves(), "1002, whose session runs, came first")
}

// A reservation that nobody gave back although the session lives.
func TestReaper_ReservationIsOverdue_SessionAndCallAreTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.arrive(t)
	d.rings(t)
	d.reaches(t, is(call.Offering))
	d.books.kept = map[id.Agent]id.Offer{"1001": "c1/1"}
	d.Start()
	d.reaches(t, is(call.Queued))
	require.Eventually(t, func() bool {
		return slices.Contains(d.temporal.sent(), amy+" offer_ended")
	}, 10*time.Second, time.Millisecond)
	require.Empty(t, d.books.graves())
	looks := d.books.looked()
	require.Eventually(t, func() bool { return d.books.looked() > looks+2 }, 10*time.Second, time.Millisecond)
	told := slices.DeleteFunc(d.temporal.sent(), func(s string) bool { return s != amy+" offer_ended" })
	require.Len(t, told, 1, "it is not told again and again")
}

// While no worker is there, only the node knows that the phone was answered: the row says
// that it rings, and the session waits for the outcome.
func TestReaper_OverdueOfferWasAnsweredHere_IsLeftAlone(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.arrive(t)
	ring := d.rings(t)
	d.reaches(t, is(call.Offering))
	d.Report(c1, call.RingEnded{Offer: ring.Offer, Outcome: call.RingAnswered, Leg: ring.Leg, AnsweredAt: time.Now()})
	d.books.kept = map[id.Agent]id.Offer{"1001": ring.Offer}
	d.Start()
	require.Eventually(t, func() bool { return d.books.looked() > 3 }, 10*time.Second, time.Millisecond)
	require.NotContains(t, d.temporal.sent(), amy+" offer_ended")
	s, _ := d.temporal.workflow(c1)
	require.Equal(t, call.Offering, s.Phase)
	d.books.mu.Lock()
	defer d.books.mu.Unlock()
	require.Equal(t, "b1", d.books.asked, "it asks as the local node")
}

func (b *books) looked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.looks
}

func (b *books) graves() []id.Agent {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]id.Agent{}, b.buried...)
}

// A row says Ready, its session is gone: the call that is offered there goes on at once.
func TestOpening_SessionOfTheMatchedAgentIsGone_CallGoesOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.temporal.over[amy] = true
	d.arrive(t)
	require.EqualValues(t, "1001", d.rings(t).Agent)
	require.Eventually(t, func() bool {
		s, ok := d.temporal.workflow(c1)
		return ok && s.Offers >= 1 && s.Offer == nil || ok && s.Offer != nil && s.Offer.Agent == "1002"
	}, 10*time.Second, time.Millisecond)
	require.Contains(t, d.phone.transcript(), "cancel rescinded")
}
