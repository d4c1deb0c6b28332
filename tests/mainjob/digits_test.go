package mainjob

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// An agent calls somebody with a voice menu, from a phone that tells its keys by SIP INFO: the
// menu hears them. Then both talk on.
func TestAgentPressesKeysByINFO_TheOtherSideHearsThem(t *testing.T) {
	t.Parallel()
	ten, beyond := carrier(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	call := dials(t, ten, a, "0493055511")
	menu := ten.Offered(beyond, "the menu")
	require.NoError(t, menu.Answer())
	ten.WaitUp(call)
	ten.Talk(call, menu)
	for _, key := range []string{"1", "9", "#"} {
		code, err := call.Info(ten.Context(), softphone.Info{Type: "application/dtmf-relay", Body: "Signal=" + key + "\r\nDuration=120\r\n"})
		require.NoError(t, err)
		require.Equal(t, 200, code)
	}
	require.NoError(t, menu.Audio.WaitDigits(ten.Context(), 3))
	require.Equal(t, "19#", menu.Audio.Heard().Digits)
	ten.Talk(call, menu)
	require.NoError(t, call.HangUp())
	ten.WaitEnded(menu)
}
