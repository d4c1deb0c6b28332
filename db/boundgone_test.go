package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// device makes devices of nobody.
func (w *world) device(names ...id.Device) {
	w.Helper()
	for _, name := range names {
		w.exec(`INSERT INTO devices (tenant_id, name, kind) VALUES ($1, $2, 'sip')`, string(w.tenant), string(name))
	}
}

// The device is being deleted when a session takes hold of it: the session learns that it
// is gone, and holds nothing.
func TestBindings_DeviceIsDeletedMeanwhile_TheSessionIsToldAndHoldsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.device("desk", "other")
	s := w.session("1001", "support")
	s.p.Bound = []id.Device{"desk", "other"}
	save := s.state(agent.NotReady, t0)
	deleting, stood := w.holding(`DELETE FROM devices WHERE name = 'desk'`)
	done := make(chan record.Saved, 1)
	go func() {
		saved, err := w.SaveAgent(t.Context(), save)
		if err != nil {
			t.Error(err)
		}
		done <- saved
	}()
	stood()
	require.NoError(t, deleting.Commit(t.Context()))
	gone := []agent.Taken{{Device: "desk"}}
	require.Equal(t, gone, (<-done).Taken)
	require.Empty(t, w.holder("desk"))
	require.Equal(t, "1001", w.holder("other"))
	again, err := w.SaveAgent(t.Context(), save)
	require.NoError(t, err)
	require.Equal(t, gone, again.Taken, "and a repetition gets the same answer")
}

// Binding and deletion in the same instant, by the API and by a document: either the
// device is in use and stays, or it is gone and nobody holds it.
func TestBindings_BoundAndDeletedInTheSameInstant_OneOfTheTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	require.NoError(t, w.Warm(t.Context(), 2))
	w.exec(`INSERT INTO users (tenant_id, name, display_name, password_hash, roles) VALUES ($1, '1001', 'Anna', '', '{regular_agent}')`, string(acme))
	w.exec(`INSERT INTO agents (tenant_id, number, user_name) VALUES ($1, '1001', '1001')`, string(acme))
	doc, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	ways := map[string]func() error{
		"deleted": func() error {
			return w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "desk"})
		},
		"applied": func() error {
			_, err := w.Apply(t.Context(), doc, false)
			return err
		},
	}
	s := w.session("1001", "support")
	for name, remove := range ways {
		stayed := 0
		for round := range 40 {
			w.exec(`INSERT INTO devices (tenant_id, name, kind) VALUES ($1, 'desk', 'sip') ON CONFLICT DO NOTHING`, string(acme))
			s.bind(nil, []id.Device{}...) // lets go
			s.p.Bound = []id.Device{"desk"}
			save := s.state(agent.NotReady, t0.Add(time.Duration(round)*time.Second))
			s.p.Bound = nil
			var removed error
			var saved record.Saved
			var failed error
			later := time.NewTimer(time.Duration(round) * 400 * time.Microsecond) // over the whole deletion
			atOnce(func() { removed = remove() }, func() {
				<-later.C
				saved, failed = w.SaveAgent(t.Context(), save)
			})
			require.NoError(t, failed)
			if removed == nil {
				require.Empty(t, w.holder("desk"), "%s in round %d", name, round)
				require.Equal(t, []agent.Taken{{Device: "desk"}}, saved.Taken)
				continue
			}
			stayed++
			require.Equal(t, fault.Conflict, fault.KindOf(removed), "%v", removed)
			require.Equal(t, "1001", w.holder("desk"))
			require.Empty(t, saved.Taken)
		}
		t.Logf("%s: the device stayed in %d of 40 rounds", name, stayed)
	}
}
