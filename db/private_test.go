package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/id"
)

// A caller who withholds its number is named to no agent, whichever side makes the match, and
// however often the call is placed; the record has who it was.
func TestSaveAgent_ACallerWhoWithholdsItsNumberWaits_TheOfferDoesNotNameIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	waits := w.open(w.private("support", t0))
	require.Equal(t, call.Queued, waits.Phase)
	anna := w.session("1001", "support").ready(t0.Add(time.Second))
	require.NotNil(t, anna.Reserved)
	require.Equal(t, call.Hidden, anna.Reserved.From)

	w.exec(`DELETE FROM waiting WHERE call = $1`, string(waits.ID))
	w.again(waits, "1001")
	var shown, kept string
	w.one(&shown, `SELECT from_number FROM waiting WHERE call = $1`, string(waits.ID))
	require.Equal(t, call.Hidden, shown)
	w.one(&kept, `SELECT from_number FROM calls WHERE call = $1`, string(waits.ID))
	require.Equal(t, "1002", kept)
}

// private is a call to a queue from 1002, who does not want to be shown.
func (w *world) private(q id.Queue, at time.Time) call.State {
	w.Helper()
	s := w.arriving(q, at)
	s.From, s.Private = "1002", true
	return s
}
