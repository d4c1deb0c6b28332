package telephony

import (
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/telephony/headers"
	"holdfast/telephony/softphone"
)

// rungRaw is a raw phone that is registered (as the directory says) and being rung.
func (s *stage) rungRaw(in call.Incoming) (*raw, *sip.Request, <-chan outcome) {
	s.t.Helper()
	r := s.raw()
	reg := registration("1001", r.me)
	require.NoError(s.t, s.w.Registered(s.t.Context(), reg))
	done := s.ring(in, order(in, 1, "1001"))
	return r, r.expectRequest("INVITE"), done
}

func TestPhone_ItsLateAnswerGetsAckAndByeWithTheReason(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1002", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r := s.raw()
	require.NoError(t, s.w.Registered(t.Context(), registration("1001", r.me)))
	done := s.ring(in, order(in, 1, "1001", "1002"))
	invite := r.expectRequest("INVITE") // and not one word back: there can be no CANCEL
	require.NoError(t, s.rings(p).Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	r.answer(invite, 200, "late", offerPCMU)
	require.Equal(t, sip.ACK, r.expectRequest("ACK").Method)
	bye := r.expectRequest("BYE")
	require.Equal(t, headers.AnsweredElsewhere.String(), bye.GetHeader("Reason").Value())
	r.answer(bye, 200, "late")
	require.NoError(t, customer.HangUp())
	s.empty()
}

func TestPhone_CancelWaitsForTheFirstResponse(t *testing.T) { // RFC 3261 §9.1
	t.Parallel()
	s := play(t)
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r, invite, done := s.rungRaw(in)
	require.NoError(t, customer.HangUp())
	require.Equal(t, call.RingRescinded, s.wait(done).Outcome)
	r.answer(invite, 100, "slow")
	cancel := r.expectRequest("CANCEL")
	require.Equal(t, invite.Via().Value(), cancel.Via().Value())
	require.Equal(t, invite.CSeq().SeqNo, cancel.CSeq().SeqNo)
	r.answer(cancel, 200, "slow")
	r.answer(invite, 487, "slow")
	require.Equal(t, sip.ACK, r.expectRequest("ACK").Method)
	s.empty()
}

func TestPhone_TwoForksAnswer_TheSecondGetsAckAndBye(t *testing.T) {
	t.Parallel()
	s := play(t)
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r, invite, done := s.rungRaw(in)
	r.answer(invite, 180, "fork-a")
	r.answer(invite, 180, "fork-b")
	r.answer(invite, 200, "fork-b", offerPCMU)
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.Equal(t, "fork-b", r.expectRequest("ACK").To().Params.GetOr("tag", ""))
	r.answer(invite, 200, "fork-a", offerPCMU)
	require.Equal(t, "fork-a", r.expectRequest("ACK").To().Params.GetOr("tag", ""))
	bye := r.expectRequest("BYE")
	require.Equal(t, "fork-a", bye.To().Params.GetOr("tag", ""))
	r.answer(bye, 200, "fork-a")
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	r.answer(invite, 200, "fork-b", offerPCMU) // repeated, as if the ACK had been lost
	require.Equal(t, "fork-b", r.expectRequest("ACK").To().Params.GetOr("tag", ""))
	require.NoError(t, customer.HangUp())
	require.Equal(t, "fork-b", r.expectRequest("BYE").To().Params.GetOr("tag", ""))
}

func TestPhone_AnswersWhenItsCallIsLongOver_IsEnded(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) { c.Timers.T1 = 5 * time.Millisecond })
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r, invite, done := s.rungRaw(in)
	require.NoError(t, customer.HangUp())
	s.wait(done)
	s.empty() // the INVITE's transaction has timed out
	r.answer(invite, 200, "late", offerPCMU)
	require.Equal(t, sip.ACK, r.expectRequest("ACK").Method)
	bye := r.expectRequest("BYE")
	require.Equal(t, "late", bye.To().Params.GetOr("tag", ""))
	require.Equal(t, *invite.CallID(), *bye.CallID())
	require.Greater(t, bye.CSeq().SeqNo, invite.CSeq().SeqNo)
}

func TestPhone_AnswersWithoutACommonCodec_IsEndedAndCountsAsFailed(t *testing.T) {
	t.Parallel()
	s := play(t)
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r, invite, done := s.rungRaw(in)
	r.answer(invite, 200, "odd", strings.ReplaceAll(offerPCMU, "RTP/AVP 0 101", "RTP/AVP 18"))
	e := s.wait(done)
	require.Equal(t, call.RingFailed, e.Outcome)
	require.Equal(t, 488, e.SIPCode)
	r.expectRequest("ACK")
	require.Contains(t, r.expectRequest("BYE").GetHeader("Reason").Value(), "488")
	require.Equal(t, 1, s.Calls(), "the caller goes on waiting")
}

func TestPhone_WantsALongerSession_IsAskedAgain(t *testing.T) { // RFC 4028 §7.3
	t.Parallel()
	s := play(t)
	_, in := s.dial(s.customer("4930123"), softphone.Dial{})
	r, invite, done := s.rungRaw(in)
	require.Equal(t, "1800", invite.GetHeader("Session-Expires").Value())
	r.answer(invite, 422, "short", "Min-SE: 3600")
	r.expectRequest("ACK")
	again := r.expectRequest("INVITE")
	require.Equal(t, "3600", again.GetHeader("Session-Expires").Value())
	require.Equal(t, "3600", again.GetHeader("Min-SE").Value())
	require.Greater(t, again.CSeq().SeqNo, invite.CSeq().SeqNo)
	r.answer(again, 486, "short")
	require.Equal(t, call.RingBusy, s.wait(done).Outcome)
}
