package db_test

import (
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/leg"
)

// Who sends a number of thousands of characters is recorded as everybody is: no index stands
// in the way of its call's end.
func TestClose_NumbersOfThousandsOfCharacters_AreRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	noise := make([]byte, 4000)
	_, _ = rand.Read(noise)
	long := hex.EncodeToString(noise)
	s := w.arriving("support", t0)
	s.From, s.To = long, long
	s = w.open(s)
	s, _, err := s.Step(t0.Add(time.Second), call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
	require.NoError(t, err)
	for _, e := range s.Owed {
		if e.Close != nil {
			require.NoError(t, w.CloseCall(t.Context(), s.Ref(), *e.Close))
		}
	}
	var kept int
	w.one(&kept, `SELECT length(from_number) + length(to_number) FROM calls WHERE NOT open AND call = $1`, string(s.ID))
	require.Equal(t, 2*256, kept)
}
