package media

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/media/tone"
)

func TestBridge_TwoPhones_HearEachOtherAndNotThemselves(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)

	atB, _ := talk(a, sa, b, 8)
	atA, _ := talk(b, sb, a, 8)
	require.True(t, tone.Heard(atB, 440))
	require.False(t, tone.Heard(atB, 1000))
	require.True(t, tone.Heard(atA, 1000))
	require.False(t, tone.Heard(atA, 440))
}
