package event_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/event"
)

func TestStreams_AreNamedByWhatTheyAreAbout(t *testing.T) {
	t.Parallel()
	require.Equal(t, event.Stream("agent:1001"), event.AgentStream("1001"))
	require.Equal(t, event.Stream("call:c1"), event.CallStream("c1"))
}
