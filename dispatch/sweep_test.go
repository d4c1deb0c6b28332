package dispatch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
)

// A phone's registration ran out after its node had died: nobody else tells its owner.
func TestSweeper_RegistrationRanOutAtADeadNode_ItsOwnerHearsOfIt(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	d.books.lapsed = []device.Stranded{
		{Tenant: "acme.example", Device: "lobby", Instance: "a", Node: "node-1"}, // nobody's
		{Tenant: "acme.example", Device: "1001", Instance: "a", Node: "node-1"},
	}
	d.Start()
	require.Eventually(t, func() bool { return len(d.temporal.sent()) > 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"agent:acme.example:1001 device_changed"}, d.temporal.sent())
	require.Eventually(t, func() bool { return d.books.left() == 0 }, 10*time.Second, time.Millisecond, "then it is removed")
}

// Whether somebody can be reached does not wait for events that nobody can tell now.
func TestSweeper_HeldBackEventsCantBeTold_TheOwnerOfALostPhoneHearsOfItAllTheSame(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, well)
		d.books.heldStuck = true
		d.books.lapsed = []device.Stranded{{Tenant: "acme.example", Device: "1001", Instance: "a", Node: "node-1"}}
		d.Start()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Zero(t, d.books.left())
	})
}

func (b *books) left() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.lapsed)
}

// While its owner can't be told, the registration stays, so that it is told later.
func TestSweeper_OwnerCantBeToldYet_RegistrationStaysUntilItIs(t *testing.T) {
	t.Parallel()
	gate := newGate()
	d := newDesk(t, gate.next)
	d.books.lapsed = []device.Stranded{{Tenant: "acme.example", Device: "1001", Instance: "a", Node: "node-1"}}
	d.Start()
	require.Eventually(t, func() bool { return d.books.lapseLooks() > 2 }, 10*time.Second, time.Millisecond)
	require.Equal(t, 1, d.books.left())
	gate.open()
	require.Eventually(t, func() bool { return d.books.left() == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"agent:acme.example:1001 device_changed"}, d.temporal.sent())
}

func (b *books) lapseLooks() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lapses
}

// After an outage of the database its nodes come first: what they owe says that their
// phones are there.
func TestSweeper_DatabaseWasAway_NodesGetTheTimeToWriteWhatTheyOwe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, well)
		d.books.gone = 100 // looks, one each ms
		d.books.lapsed = []device.Stranded{{Tenant: "acme.example", Device: "1001", Instance: "a", Node: "node-1"}}
		d.Start()
		time.Sleep(104500 * time.Microsecond) // the database is back since four looks
		synctest.Wait()
		require.Zero(t, d.books.lapseLooks())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, 1, d.books.lapseLooks())
	})
}

// Older news may have overtaken what a session was told: the next refresh puts it right.
func TestRegistered_ARefreshThatTheSessionTakesForUnreachable_IsToldAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	refresh := func(told int) {
		t.Helper()
		reg := device.Registration{Tenant: "acme.example", Device: "1001", Instance: "a", Boot: "b1", Expires: time.Now().Add(time.Minute)}
		require.NoError(t, d.Registered(t.Context(), reg))
		require.Eventually(t, func() bool { return len(d.temporal.sent()) == told }, 10*time.Second, time.Millisecond)
	}
	refresh(1)
	refresh(1)
	d.books.unheard = true
	refresh(2)
	d.books.unheard = false
	refresh(2)
}

// A node whose run was given up tells its phones anew: its owner hears of each, though
// they only refresh what this dispatcher knows.
func TestRegistered_AgainByAnotherRunOfTheNode_SessionHearsOfIt(t *testing.T) {
	t.Parallel()
	d := newDesk(t, well)
	for i, boot := range []string{"b1", "b1", "b2"} {
		reg := device.Registration{Tenant: "acme.example", Device: "1001", Instance: "a", Boot: boot, Expires: time.Now().Add(time.Minute)}
		require.NoError(t, d.Registered(t.Context(), reg))
		want := []int{1, 1, 2}[i]
		require.Eventually(t, func() bool { return len(d.temporal.sent()) == want }, 10*time.Second, time.Millisecond)
	}
}
