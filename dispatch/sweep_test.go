package dispatch_test

import (
	"testing"
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
		{Tenant: "acme.example", Device: "1001", Instance: "a", Node: "node-1", Agent: "1001"},
	}
	d.Start()
	require.Eventually(t, func() bool { return len(d.temporal.sent()) > 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, []string{"agent:acme.example:1001 device_changed"}, d.temporal.sent())
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
