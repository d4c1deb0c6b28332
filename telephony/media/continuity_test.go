package media

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/media/tone"
)

func TestContinuity_RelayMusicRelayOther_IsOneStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b, c := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000), newPhone(t, PCMA, 1500)
	sa, sb := r.pair(a, b)
	sc := r.joined("call", c)
	require.Equal(t, r.stats(sb).Out.SSRC, sb.SSRC())

	_, all := talk(a, sa, b, 3)
	require.NoError(t, sb.Play(Music()))
	for range 5 {
		all = append(all, b.hear())
	}
	require.NoError(t, sb.StopPlay())
	for drained := false; !drained; { // a last frame of music may be under way
		pkt, err := b.tryHear(50 * time.Millisecond)
		if drained = err != nil; !drained {
			all = append(all, pkt)
		}
	}
	switched := map[int]bool{0: true, 3: true, len(all): true}
	_, voice := talk(a, sa, b, 3)
	all = append(all, voice...)
	require.NoError(t, Bridge(sc, sb))
	switched[len(all)] = true
	_, voice = talk(c, sc, b, 3)
	all = append(all, voice...)

	requireContinuous(t, all)
	for i, pkt := range all {
		require.Equal(t, sb.SSRC(), pkt.SSRC)
		require.Equal(t, switched[i], pkt.Marker, "packet %d of %d", i, len(all))
	}
}

func TestContinuity_AfterSilence_TimestampFollowsTheClock(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b, c := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000), newPhone(t, PCMU, 1500)
	sa, sb := r.pair(a, b)
	sc := r.joined("call", c)
	_, before := talk(a, sa, b, 1)
	sent := r.await(sb, FirstOut, 1).At

	// Something that takes time: two packets of music to somebody else.
	require.NoError(t, sa.Play(Music()))
	a.hear()
	a.hear()
	require.NoError(t, Bridge(sc, sb))
	_, after := talk(c, sc, b, 1)
	passed := r.await(sb, Flowing, 2).At.Sub(sent)
	require.Greater(t, passed, 20*time.Millisecond)
	require.InDelta(t, passed.Seconds()*8000, after[0].Timestamp-before[0].Timestamp, 8)
	require.Equal(t, before[0].SequenceNumber+1, after[0].SequenceNumber)
}

func TestContinuity_SourceRestarts_IsHiddenFromPartner(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, _ := r.pair(a, b)
	_, all := talk(a, sa, b, 3)

	a.head.SSRC, a.head.SequenceNumber, a.head.Timestamp = 77, 60000, 12345678 // a new source
	_, voice := talk(a, sa, b, 3)
	require.True(t, voice[0].Marker)
	all = append(all, voice...)
	require.EqualValues(t, 77, r.stats(sa).In.SSRC)

	a.head.SequenceNumber, a.head.Timestamp = 20000, 99 // the same source begins again
	a.say(sa)                                           // one packet may be a stray
	_, voice = talk(a, sa, b, 3)
	require.True(t, voice[0].Marker)
	requireContinuous(t, append(all, voice...))
	b.deaf()
	require.EqualValues(t, 1, r.stats(sa).Rejected.Invalid)
	require.Zero(t, r.stats(sa).In.Lost)
}

func TestContinuity_LateFromBeforeTheSwitch_IsDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.joined("call", a), r.joined("call", b)
	for range 3 {
		a.say(sa)
	}
	r.awaitStats(sa, func(st Stats) bool { return st.In.Packets == 3 })
	require.NoError(t, Bridge(sa, sb))
	_, heard := talk(a, sa, b, 1)
	late := a.head
	late.SequenceNumber -= 3
	late.Timestamp -= 480
	a.sendFrom(a.rtp, sa, &rtp.Packet{Header: late, Payload: make([]byte, 160)})
	_, more := talk(a, sa, b, 1)
	requireContinuous(t, append(heard, more...))
}

func TestContinuity_RefreshWithoutChange_IsUnheard(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	_, all := talk(a, sa, b, 2)
	require.NoError(t, sb.Configure(b.params()))
	require.NoError(t, sa.Configure(a.params()))
	_, voice := talk(a, sa, b, 2)
	require.False(t, voice[0].Marker)
	require.Equal(t, all[1].Timestamp+160, voice[0].Timestamp)
	requireContinuous(t, append(all, voice...))
}

func TestContinuity_SamePartnersAgain_LeaveNoGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := r.pair(a, b)
	_, atB := talk(a, sa, b, 2)
	_, atA := talk(b, sb, a, 2)
	require.NoError(t, sa.Unbridge())
	for range 10 {
		a.say(sa)
		b.say(sb)
	}
	r.awaitStats(sa, func(st Stats) bool { return st.In.Packets == 12 })
	r.awaitStats(sb, func(st Stats) bool { return st.In.Packets == 12 })
	require.NoError(t, Bridge(sa, sb))
	_, voice := talk(a, sa, b, 2)
	require.True(t, voice[0].Marker)
	requireContinuous(t, append(atB, voice...))
	_, voice = talk(b, sb, a, 2)
	require.True(t, voice[0].Marker)
	requireContinuous(t, append(atA, voice...))
}

// The words of the design: the node dies, another process takes the port, the
// peer plays on.
func TestReopen_InAnotherEngine_GoesOnForThePeer(t *testing.T) {
	t.Parallel()
	first := newRig(t, nil)
	a, b := newPhone(t, PCMU, 440), newPhone(t, PCMU, 1000)
	sa, sb := first.pair(a, b)
	_, heard := talk(a, sa, b, 3)
	last := heard[2]
	began := time.Now()
	savedA, err := sa.Save()
	require.NoError(t, err)
	savedB, err := sb.Save()
	require.NoError(t, err)
	require.Equal(t, sb.Port(), savedB.Port)
	_, err = first.Reopen("call", savedA)
	require.ErrorIs(t, err, ErrPortTaken)
	require.NoError(t, first.Close())

	second := newRig(t, nil)
	sa, err = second.Reopen("call", savedA)
	require.NoError(t, err)
	sb, err = second.Reopen("call", savedB)
	require.NoError(t, err)
	require.NoError(t, sa.Configure(a.params()))
	require.NoError(t, sb.Configure(b.params()))
	require.NoError(t, Bridge(sa, sb))

	pcm, heard := talk(a, sa, b, 8)
	require.True(t, tone.Heard(pcm, 440))
	next := heard[0]
	require.Equal(t, last.SSRC, next.SSRC)
	require.True(t, next.Marker)
	passed := time.Since(began) / (20 * time.Millisecond) // in packets
	require.InDelta(t, safety, next.SequenceNumber-last.SequenceNumber, 100+float64(passed))
	require.Positive(t, int32(next.Timestamp-last.Timestamp))
}
