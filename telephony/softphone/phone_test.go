package softphone_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
)

// pair is two phones that know each other's address.
func pair(t *testing.T, transport string) (caller, callee *softphone.Phone) {
	t.Helper()
	callee, err := softphone.New(t.Context(), softphone.Config{User: "bob", Transport: transport})
	require.NoError(t, err)
	t.Cleanup(callee.Close)
	caller, err = softphone.New(t.Context(), softphone.Config{User: "alice", Server: callee.Addr(), Transport: transport})
	require.NoError(t, err)
	t.Cleanup(caller.Close)
	return caller, callee
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func ring(t *testing.T, caller, callee *softphone.Phone, how softphone.Dial) (out, in *softphone.Call) {
	t.Helper()
	out, err := caller.Dial(t.Context(), how)
	require.NoError(t, err)
	select {
	case in = <-callee.Incoming():
	case <-within(t, 5*time.Second).Done():
		t.Fatal("no call came in")
	}
	require.NoError(t, in.Ring())
	require.NoError(t, out.Wait(within(t, 5*time.Second), softphone.Ringing))
	return out, in
}

func TestPhones_CallEachOther_HearEachOthersTones(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"UDP", "TCP"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			caller, callee := pair(t, transport)
			out, in := ring(t, caller, callee, softphone.Dial{To: "bob", From: "4930123", Tone: 1000, Headers: map[string]string{"X-CC-Account": "7"}})
			require.Equal(t, "4930123", in.From)
			in.Audio.Say(440)
			require.NoError(t, in.Answer())
			require.NoError(t, out.Wait(within(t, 5*time.Second), softphone.Up))
			require.NoError(t, out.Audio.WaitTone(within(t, 5*time.Second), 440))
			require.NoError(t, in.Audio.WaitTone(within(t, 5*time.Second), 1000))

			require.NoError(t, out.Hold(within(t, 5*time.Second), true))
			require.NoError(t, in.WaitHeld(within(t, 5*time.Second), true))
			require.NoError(t, out.Hold(within(t, 5*time.Second), false))
			require.NoError(t, in.WaitHeld(within(t, 5*time.Second), false))

			require.NoError(t, in.HangUp())
			require.NoError(t, out.Wait(within(t, 5*time.Second), softphone.Ended))
			require.True(t, out.Status().Remote)
			require.Contains(t, out.Status().Reason, "Normal call clearing")
		})
	}
}

func TestPhone_LateOffer_IsAnsweredInTheAck(t *testing.T) {
	t.Parallel()
	caller, callee := pair(t, "UDP")
	out, in := ring(t, caller, callee, softphone.Dial{To: "bob", Tone: 1000, LateSDP: true})
	require.NoError(t, in.Answer())
	require.NoError(t, out.Wait(within(t, 5*time.Second), softphone.Up))
	require.NoError(t, in.Audio.WaitTone(within(t, 5*time.Second), 1000))
}

func TestPhone_CallerGivesUp_RingingStops(t *testing.T) {
	t.Parallel()
	caller, callee := pair(t, "UDP")
	out, in := ring(t, caller, callee, softphone.Dial{To: "bob"})
	require.NoError(t, out.HangUp())
	require.NoError(t, in.Wait(within(t, 5*time.Second), softphone.Ended))
	require.NoError(t, out.Wait(within(t, 5*time.Second), softphone.Ended))
	require.Equal(t, 487, out.Status().Code)
}

func TestPhone_CalleeIsBusy_CallerLearnsIt(t *testing.T) {
	t.Parallel()
	caller, callee := pair(t, "UDP")
	out, in := ring(t, caller, callee, softphone.Dial{To: "bob"})
	require.NoError(t, in.Reject(486))
	require.NoError(t, out.Wait(within(t, 5*time.Second), softphone.Ended))
	require.Equal(t, 486, out.Status().Code)
}
