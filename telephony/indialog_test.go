package telephony

import (
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/telephony/media"
	"holdfast/telephony/softphone"
)

// waiting is a raw caller whose call is answered with music; confirmed says whether it sent the ACK.
func (s *stage) waiting(confirmed bool, lines ...string) (*raw, call.Incoming) {
	s.t.Helper()
	r := s.raw()
	before := s.w.calls()
	branch := r.request("INVITE", append([]string{offerPCMU}, lines...)...)
	in := s.w.waitCall(s.t, before)
	require.NoError(s.t, s.Treat(s.t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatMusic}))
	r.expect(200, "INVITE")
	if confirmed {
		r.ack(branch+"a", 1)
		s.confirmed(in)
	}
	return r, in
}

// confirmed waits until the node has the ACK.
func (s *stage) confirmed(in call.Incoming) {
	s.t.Helper()
	a := s.index.call(ref(in))
	require.NotNil(s.t, a)
	require.Eventually(s.t, func() bool {
		is := false
		return a.ask(func() { is = a.customer.phase == up }) && is
	}, 20*time.Second, time.Millisecond)
}

func direction(d string) string { return offerPCMU + "a=" + d + "\r\n" }

func TestCall_WaitsWithMusic_ThenTalks(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "TCP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{Tone: 1000})
	require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatMusic}))
	require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatMusic}), "again: nothing changes")
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
	require.NoError(t, customer.Audio.WaitTone(s.soon(), media.MusicLow))
	done := s.ring(in, order(in, 1, "1001"))
	agent := s.rings(p)
	agent.Audio.Say(440)
	require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatRingback}))
	require.NoError(t, customer.Audio.WaitTone(s.soon(), media.MusicLow), "music goes on until somebody answers")
	require.NoError(t, agent.Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440))
	require.NoError(t, agent.Audio.WaitTone(s.soon(), 1000))
	require.NoError(t, customer.Audio.WaitWithout(s.soon(), media.MusicLow))

	require.NoError(t, agent.HangUp())
	require.NoError(t, customer.Wait(s.soon(), softphone.Ended))
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: "agent-1", Cause: leg.Hangup, Remote: true})
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup})
	s.empty()
}

func TestCall_HangsUpWhileWaiting_Abandoned(t *testing.T) {
	t.Parallel()
	s := play(t)
	r, in := s.waiting(true)
	r.request("BYE")
	r.expect(200, "BYE")
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
	s.empty()
	r.request("BYE") // one that crossed ours
	r.expect(200, "BYE")
	r.request("INFO")
	r.expect(481, "INFO")
}

func TestCall_HeldByThePhone_TheOtherHearsMusicUntilItIsTakenBack(t *testing.T) { // SEED-83
	t.Parallel()
	s := play(t)
	customer, agent, in := s.connected()
	require.NoError(t, agent.Audio.WaitTone(s.soon(), 1000))
	require.NoError(t, agent.Hold(s.soon(), true))
	s.w.waitFact(t, in.Call, call.LegHeld{Leg: "agent-1", Held: true})
	require.NoError(t, customer.Audio.WaitTone(s.soon(), media.MusicLow))
	require.NoError(t, customer.Hold(s.soon(), true), "both hold")
	s.w.waitFact(t, in.Call, call.LegHeld{Leg: call.CallerLeg, Held: true})
	require.NoError(t, customer.Hold(s.soon(), false))
	require.NoError(t, agent.Hold(s.soon(), false))
	s.w.waitFact(t, in.Call, call.LegHeld{Leg: "agent-1", Held: false})
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440))
	require.NoError(t, agent.Audio.WaitTone(s.soon(), 1000))
	require.NoError(t, customer.Hold(s.soon(), true))
	require.NoError(t, agent.Audio.WaitTone(s.soon(), media.MusicLow), "the agent hears music when the customer holds")
	require.NoError(t, customer.HangUp())
	s.empty()
}

func TestCall_ReinvitesAreAnsweredByTheRules(t *testing.T) {
	t.Parallel()
	s := play(t)
	r, in := s.waiting(true)
	reinvite := func(code int, lines ...string) *sip.Response {
		cseq := r.cseq
		branch := r.request("INVITE", lines...)
		res := r.expect(code, "INVITE")
		if code == 200 {
			branch += "a"
		}
		r.ack(branch, cseq)
		return res
	}
	first := reinvite(200, offerPCMU)
	require.Contains(t, string(first.Body()), "a=sendrecv")
	require.Contains(t, string(reinvite(200, direction("sendonly")).Body()), "a=recvonly")
	s.w.waitFact(t, in.Call, call.LegHeld{Leg: call.CallerLeg, Held: true})
	require.Contains(t, string(reinvite(200, direction("inactive")).Body()), "a=inactive")
	require.Contains(t, string(reinvite(200, strings.Replace(offerPCMU, "c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0", 1)).Body()), "a=recvonly")
	again := reinvite(200, offerPCMU)
	s.w.waitFact(t, in.Call, call.LegHeld{Leg: call.CallerLeg, Held: false})
	require.Equal(t, origin(first)[:2], origin(again)[:2], "one session for the dialog's life")
	reinvite(488, strings.ReplaceAll(offerPCMU, "RTP/AVP 0 101", "RTP/AVP 18"))
	reinvite(400, "v=0\r\nnonsense\r\n")
	require.Equal(t, string(again.Body()), string(reinvite(200, offerPCMU).Body()), "the refused ones changed nothing")
	require.Equal(t, 1, s.Calls())

	r.request("UPDATE", direction("sendonly"))
	require.Contains(t, string(r.expect(200, "UPDATE").Body()), "a=recvonly")
	r.request("UPDATE")
	require.Empty(t, r.expect(200, "UPDATE").Body(), "without offer, without answer")
}

// origin are the fields of the o= line.
func origin(m sip.Message) []string {
	_, line, _ := strings.Cut(string(m.Body()), "o=")
	line, _, _ = strings.Cut(line, "\r\n")
	return strings.Fields(line)
}

func TestCall_AReinviteWithoutOffer_GetsOneAndItsAnswerInTheAck(t *testing.T) {
	t.Parallel()
	s := play(t)
	r, in := s.waiting(true)
	cseq := r.cseq
	branch := r.request("INVITE")
	res := r.expect(200, "INVITE")
	require.Contains(t, string(res.Body()), "PCMA")
	require.Contains(t, string(res.Body()), "PCMU", "all that we can, not the latest answer")
	r.ack(branch+"a", cseq, direction("sendonly"))
	s.w.waitFact(t, in.Call, call.LegHeld{Leg: call.CallerLeg, Held: true})
}

func TestCall_AnInviteWithoutOffer_IsConnectedByTheAnswerInTheAck(t *testing.T) {
	t.Parallel()
	s := play(t)
	p := s.phone("1001", "UDP")
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{Tone: 1000, LateSDP: true})
	done := s.ring(in, order(in, 1, "1001"))
	agent := s.rings(p)
	agent.Audio.Say(440)
	require.NoError(t, agent.Answer())
	require.Equal(t, call.RingAnswered, s.wait(done).Outcome)
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 440))
	require.NoError(t, agent.Audio.WaitTone(s.soon(), 1000))
}

func TestCall_AnInviteWithoutOffer_UnusableAnswerEndsTheCall(t *testing.T) {
	t.Parallel()
	s := play(t)
	r := s.raw()
	branch := r.request("INVITE")
	in := s.w.waitCall(t, 0)
	require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatMusic}))
	r.expect(200, "INVITE")
	r.ack(branch+"a", 1, strings.ReplaceAll(offerPCMU, "RTP/AVP 0 101", "RTP/AVP 18"))
	require.Contains(t, r.expectRequest("BYE").GetHeader("Reason").Value(), "488")
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.NoCommonCodec})
}

func TestCall_AReinviteBeforeTheAck_500WithRetryAfter(t *testing.T) { // RFC 3261 §14.2
	t.Parallel()
	s := play(t)
	r, _ := s.waiting(false)
	r.request("INVITE", offerPCMU)
	res := r.expect(500, "INVITE")
	require.NotNil(t, res.GetHeader("Retry-After"))
}

func TestCall_AByeBeforeTheAck_EndsIt(t *testing.T) { // RFC 5407 §3.1.4
	t.Parallel()
	s := play(t)
	r, in := s.waiting(false)
	r.request("BYE")
	r.expect(200, "BYE")
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Abandoned, Remote: true})
	s.empty()
}

func TestCall_ALostAck_TheAnswerIsRepeatedThenTheCallEnds(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) { c.Timers.T1 = 20 * time.Millisecond })
	r, in := s.waiting(false)
	answers := 1
	for {
		m := r.read(5 * time.Second)
		require.NotNil(t, m)
		if res, ok := m.(*sip.Response); ok && res.StatusCode == sip.StatusOK {
			answers++
			continue
		}
		require.Equal(t, sip.BYE, m.(*sip.Request).Method)
		require.Equal(t, `SIP;cause=408;text="ACK missing"`, m.(*sip.Request).GetHeader("Reason").Value())
		break
	}
	require.Greater(t, answers, 3)
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.AckMissing})
	s.empty()
}

func TestCall_DroppedBeforeTheAck_ByeWaitsForIt(t *testing.T) { // RFC 3261 §15
	t.Parallel()
	s := play(t)
	r, in := s.waiting(false)
	require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: call.CallerLeg, Cause: leg.Forced}))
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Forced})
	for range 2 { // only the 2xx is repeated
		require.IsType(t, &sip.Response{}, r.read(5*time.Second))
	}
	r.ack("late", 1)
	require.Equal(t, `Q.850;cause=16;text="Ended by the platform"`, r.expectRequest("BYE").GetHeader("Reason").Value())
	s.empty()
}

func TestCall_OtherRequestsInTheDialog(t *testing.T) {
	t.Parallel()
	s := play(t)
	r, _ := s.waiting(true)
	r.request("OPTIONS")
	require.Contains(t, r.expect(200, "OPTIONS").GetHeader("Allow").Value(), "UPDATE")
	r.request("INFO")
	r.expect(200, "INFO")
	r.request("REFER", "Refer-To: <sip:1002@demo.localhost>")
	r.expect(603, "REFER")
	r.request("MESSAGE")
	require.Contains(t, r.expect(405, "MESSAGE").GetHeader("Allow").Value(), "INVITE")
	r.request("PRACK")
	r.expect(481, "PRACK")
	r.cseq -= 3
	r.request("OPTIONS") // an old number
	r.expect(500, "OPTIONS")
	r.cseq += 3
	tag := r.tag
	r.tag = "other"
	r.request("BYE")
	r.expect(481, "BYE")
	r.tag = tag
	require.Equal(t, 1, s.Calls())
}

func TestCall_InfoOfAnUnknownKind_415(t *testing.T) {
	t.Parallel()
	s := play(t)
	r, _ := s.waiting(true)
	r.request("INFO", "Content-Type: application/x-unknown")
	require.Contains(t, r.expect(415, "INFO").GetHeader("Accept").Value(), "dtmf")
	r.request("INFO", "Content-Type: application/dtmf-relay")
	r.expect(200, "INFO")
}

func TestCall_SilentParty_MediaTimeoutEndsBothLegs(t *testing.T) {
	t.Parallel()
	s := play(t, func(c *Config, _ *world) { c.Media.Timeout = 1500 * time.Millisecond })
	p := s.phone("1001", "UDP")
	r := s.raw() // sends no audio
	r.request("INVITE", offerPCMU)
	in := s.w.waitCall(t, 0)
	done := s.ring(in, order(in, 1, "1001"))
	agent := s.rings(p)
	require.NoError(t, agent.Answer())
	s.wait(done)
	r.expect(200, "INVITE")
	r.ack("x", 1)
	require.Contains(t, r.expectRequest("BYE").GetHeader("Reason").Value(), "Media timeout")
	require.NoError(t, agent.Wait(s.soon(), softphone.Ended))
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: call.CallerLeg, Cause: leg.MediaTimeout})
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: "agent-1", Cause: leg.MediaTimeout})
}

func TestCall_AgentsLegDropped_TheCustomerStaysAndCanBeOfferedAgain(t *testing.T) {
	t.Parallel()
	s := play(t)
	q := s.phone("1002", "UDP")
	customer, agent, in := s.connected()
	require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: "agent-1", Cause: leg.Forced}))
	require.NoError(t, agent.Wait(s.soon(), softphone.Ended))
	s.w.waitFact(t, in.Call, call.LegEnded{Leg: "agent-1", Cause: leg.Forced})
	require.NoError(t, customer.Audio.WaitTone(s.soon(), media.MusicLow))
	done := s.ring(in, order(in, 2, "1002"))
	next := s.rings(q)
	next.Audio.Say(1500)
	require.NoError(t, next.Answer())
	require.Equal(t, id.Leg("agent-2"), s.wait(done).Leg)
	require.NoError(t, customer.Audio.WaitTone(s.soon(), 1500))
	require.NoError(t, s.Drop(t.Context(), ref(in), call.Drop{Leg: call.CallerLeg, Cause: leg.Forced}))
	require.NoError(t, next.Wait(s.soon(), softphone.Ended))
	s.empty()
}
