package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// SEED-26: a number or a trunk by which an external device is reached can't be taken away,
// and another way is found as soon as there is one.
func TestNumbersAndTrunks_ExternalDevicesStayReachable(t *testing.T) {
	t.Parallel()
	w := booking(t)
	dialled := func() string {
		r, err := w.Route(t.Context(), demoTenant, "5000")
		require.NoError(t, err)
		require.Equal(t, call.ToTrunk, r.Kind)
		return r.Targets[0].URI
	}
	require.Equal(t, "041139735857", dialled())
	number := directory.Change{Kind: directory.Number, Name: "0*"}
	w.make(directory.Trunk, "other", map[string]any{"host": "sip.other.example"})
	requireRefused(t, w.Delete(t.Context(), w.ada(), number), fault.Conflict, "device_unreachable")
	_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Trunk, Name: "carrier", Set: map[string]any{"host": ""}})
	requireRefused(t, err, fault.Conflict, "device_unreachable")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Number, Name: "+8641139735857", Set: map[string]any{"queue": "support"}})
	requireField(t, err, "number", `is what external device "carrier" dials: a call to it would come back`)

	w.exec(`DELETE FROM profile_changes`)
	w.make(directory.Number, "+*", map[string]any{"trunk": "other"})
	require.Eventually(t, func() bool { return dialled() == "+8641139735857" }, 20*time.Second, 5*time.Millisecond)
	require.Contains(t, told(t, w.DB), "1002", "its number is dialled in another form now")
	require.NoError(t, w.Delete(t.Context(), w.ada(), number))
	p, _, err := w.Profile(t.Context(), agent.Ref{Tenant: demoTenant, Agent: "1002"})
	require.NoError(t, err)
	require.Equal(t, id.Device("mobile-1002"), p.Addresses[1].Device)
	require.Equal(t, "+491701234567", p.Addresses[1].URI)
}
