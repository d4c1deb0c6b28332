package dialog

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"

	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

var (
	noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	flow = transaction.Flow{Transport: "UDP", Local: "127.0.0.1:5060", Remote: "127.0.0.1:4000"}
)

// parse reads a message written with LF.
func parse(t *testing.T, text string) sip.Message {
	t.Helper()
	m, err := sip.ParseMessage([]byte(strings.ReplaceAll(strings.TrimLeft(text, "\n"), "\n", "\r\n") + "\r\n"))
	require.NoError(t, err, text)
	return m
}

func parseRequest(t *testing.T, text string) *sip.Request { return parse(t, text).(*sip.Request) }

// outgoing is a dialog in which we call.
func outgoing(t *testing.T, route ...string) *Dialog {
	t.Helper()
	d, err := New(Call{
		Target: "sip:1001@10.0.0.9", From: "sip:8000@demo.localhost", FromName: `Desk "A"`, To: "sip:1001@demo.localhost",
		Contact: "sip:hf@127.0.0.1:5060", Flow: flow, Route: route, CallID: "c1", LocalTag: "us",
	})
	require.NoError(t, err)
	return d
}

// answer is a response to req with a To tag and further header lines.
func answer(t *testing.T, req *sip.Request, code, tag string, lines ...string) *sip.Response {
	t.Helper()
	to := "To: <" + req.To().Address.String() + ">"
	if tag != "" {
		to += ";tag=" + tag
	}
	lines = append([]string{"SIP/2.0 " + code, "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKx", "From: " + req.From().Value(),
		to, "Call-ID: " + req.CallID().Value(), "CSeq: " + req.CSeq().Value()}, lines...)
	return parse(t, strings.Join(lines, "\n")+"\n").(*sip.Response)
}

const incomingInvite = `
INVITE sip:8000@demo.localhost SIP/2.0
Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKa
Record-Route: <sip:p1.test;lr>
Record-Route: <sip:p2.test;lr>, <sip:p3.test;lr>
From: "Anna \"A\"" <sip:anna@demo.localhost>;tag=them
To: <sip:8000@demo.localhost>
Call-ID: c2
CSeq: 7 INVITE
Contact: <sip:anna@10.0.0.9:5070;transport=udp>
Content-Length: 0
`

func incoming(t *testing.T) *Dialog {
	t.Helper()
	d, err := FromInvite(parseRequest(t, incomingInvite), flow, "us", "sip:hf@127.0.0.1:5060")
	require.NoError(t, err)
	return d
}

// inDialog is a request of the peer in incoming's dialog.
func inDialog(t *testing.T, method, cseq string, lines ...string) *sip.Request {
	t.Helper()
	body := ""
	lines = append([]string{method + " sip:hf@127.0.0.1:5060 SIP/2.0", "Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKb" + cseq + method,
		"From: <sip:anna@demo.localhost>;tag=them", "To: <sip:8000@demo.localhost>;tag=us", "Call-ID: c2",
		"CSeq: " + cseq + " " + method}, lines...)
	return parseRequest(t, strings.Join(lines, "\n")+"\n"+body)
}

func TestUAC_Invite_HasAllThatRFC3261Asks(t *testing.T) {
	t.Parallel()
	d := outgoing(t, "sip:proxy.test;lr")
	req := d.Invite([]byte("v=0\r\n"), sip.NewHeader("Supported", "timer"))
	require.Equal(t, strings.ReplaceAll(`INVITE sip:1001@10.0.0.9 SIP/2.0
Route: <sip:proxy.test;lr>
Max-Forwards: 70
From: "Desk \"A\"" <sip:8000@demo.localhost>;tag=us
To: <sip:1001@demo.localhost>
Call-ID: c1
CSeq: 1 INVITE
Contact: <sip:hf@127.0.0.1:5060>
Supported: timer
Content-Length: 5
Content-Type: application/sdp

v=0
`, "\n", "\r\n"), req.String())
	require.Equal(t, "127.0.0.1:4000", req.Destination())
	require.Equal(t, "UDP", req.Transport())
	require.Equal(t, 5060, req.Laddr.Port)
}

func TestUAC_RingingThenAnswer_RouteSetReversedTargetFromContact(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	inv := d.Invite(nil)
	require.NoError(t, d.Answered(answer(t, inv, "100 Trying", ""), noon))
	require.Equal(t, Calling, d.State)
	require.NoError(t, d.Answered(answer(t, inv, "180 Ringing", "them"), noon))
	require.Equal(t, Early, d.State)
	require.NoError(t, d.Answered(answer(t, inv, "200 OK", "them", "Contact: <sip:bob@10.0.0.9:5090;x=y?Subject=z>",
		"Record-Route: <sip:p1.test;lr>, <sip:p2.test;lr>"), noon))
	require.Equal(t, Confirmed, d.State)
	require.Equal(t, []string{"sip:p2.test;lr", "sip:p1.test;lr"}, d.RouteSet)

	ack := d.Ack()
	require.Equal(t, "ACK sip:bob@10.0.0.9:5090;x=y SIP/2.0", ack.StartLine())
	require.Equal(t, "1 ACK", ack.CSeq().Value())
	require.Nil(t, ack.Contact())
	bye := d.Bye(headers.Reason{Protocol: "Q.850", Cause: 16})
	require.Equal(t, "2 BYE", bye.CSeq().Value())
	require.Equal(t, "<sip:1001@demo.localhost>;tag=them", bye.To().Value())
	require.Equal(t, "Q.850;cause=16", headers.Value(bye, "Reason"))
	require.Len(t, bye.GetHeaders("Route"), 2)
	require.Equal(t, "<sip:p2.test;lr>", bye.Route().Value())
}

func TestUAC_AckAfterOtherRequests_KeepsTheInvitesNumber(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	inv := d.Invite(nil)
	require.NoError(t, d.Answered(answer(t, inv, "183 Session Progress", "them", "Contact: <sip:b@10.0.0.9>"), noon))
	d.Request(sip.INFO)
	d.Request(sip.PRACK)
	require.NoError(t, d.Answered(answer(t, inv, "200 OK", "them", "Contact: <sip:b@10.0.0.9>"), noon))
	require.Equal(t, "1 ACK", d.Ack().CSeq().Value())
	require.Equal(t, "4 BYE", d.Bye(headers.AnsweredElsewhere).CSeq().Value())
}

func TestUAC_StrictRouter_GoesIntoRequestURI(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	inv := d.Invite(nil)
	require.NoError(t, d.Answered(answer(t, inv, "200 OK", "them", "Contact: <sip:bob@10.0.0.9>",
		"Record-Route: <sip:p1.test;lr>, <sip:strict.test>"), noon))
	bye := d.Bye(headers.Reason{Protocol: "SIP", Cause: 200})
	require.Equal(t, "BYE sip:strict.test SIP/2.0", bye.StartLine())
	var routes []string
	for _, h := range bye.GetHeaders("Route") {
		routes = append(routes, h.Value())
	}
	require.Equal(t, []string{"<sip:p1.test;lr>", "<sip:bob@10.0.0.9>"}, routes)
}

func TestUAC_Forks_FirstAnswerWinsOthersGetAckAndBye(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	inv := d.Invite(nil)
	require.NoError(t, d.Answered(answer(t, inv, "180 Ringing", "a", "Contact: <sip:a@10.0.0.1>"), noon))
	ringingB := answer(t, inv, "183 Session Progress", "b", "Contact: <sip:b@10.0.0.2>")
	require.ErrorIs(t, d.Answered(ringingB, noon), ErrOtherFork)
	b, err := d.Fork(ringingB, noon)
	require.NoError(t, err)
	require.Equal(t, "sip:b@10.0.0.2", b.RemoteTarget)
	require.Equal(t, Early, b.State)
	require.Equal(t, "a", d.RemoteTag)

	require.NoError(t, d.Answered(answer(t, inv, "200 OK", "c", "Contact: <sip:c@10.0.0.3>"), noon), "an answer wins over an early fork")
	require.Equal(t, "c", d.RemoteTag)
	require.Equal(t, "sip:c@10.0.0.3", d.RemoteTarget)
	d.Request(sip.INFO)

	late := answer(t, inv, "200 OK", "a", "Contact: <sip:a@10.0.0.1>", "Record-Route: <sip:p.test;lr>")
	require.ErrorIs(t, d.Answered(late, noon), ErrOtherFork)
	ack, bye, err := d.Refuse(late, noon, headers.AnsweredElsewhere)
	require.NoError(t, err)
	require.Equal(t, "ACK sip:a@10.0.0.1 SIP/2.0", ack.StartLine())
	require.Equal(t, "1 ACK", ack.CSeq().Value())
	require.Equal(t, "2 BYE", bye.CSeq().Value())
	require.Equal(t, "a", bye.To().Params.GetOr("tag", ""))
	require.Equal(t, "c", d.RemoteTag, "the winner is untouched")
}

func TestUAC_Challenged_TriesAgainInTheSameCall(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	inv := d.Invite(nil)
	require.NoError(t, d.Answered(answer(t, inv, "407 Proxy Authentication Required", "x"), noon))
	require.Equal(t, Ended, d.State)
	again := d.Retry(nil, sip.NewHeader("Proxy-Authorization", "Digest"))
	require.Equal(t, Calling, d.State)
	require.Equal(t, "2 INVITE", again.CSeq().Value())
	require.False(t, again.To().Params.Has("tag"))
	require.NoError(t, d.Answered(answer(t, again, "200 OK", "y", "Contact: <sip:b@10.0.0.9>"), noon))
	require.Equal(t, "2 ACK", d.Ack().CSeq().Value())
}

func TestUAC_TargetRefresh_ByAnswerToReInviteAndUpdate(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	require.NoError(t, d.Answered(answer(t, d.Invite(nil), "200 OK", "them", "Contact: <sip:b@10.0.0.9>"), noon))
	re := d.Invite([]byte("v=0\r\n"))
	require.NoError(t, d.Answered(answer(t, re, "200 OK", "them", "Contact: <sip:b@10.0.0.10>"), noon))
	require.Equal(t, "sip:b@10.0.0.10", d.RemoteTarget)
	require.Equal(t, "2 ACK", d.Ack().CSeq().Value())
	up := d.Update(nil)
	require.NoError(t, d.Answered(answer(t, up, "200 OK", "them", "Contact: <sip:b@10.0.0.11>"), noon))
	require.Equal(t, "sip:b@10.0.0.11", d.RemoteTarget)
	info := d.Request(sip.INFO)
	require.NoError(t, d.Answered(answer(t, info, "200 OK", "them", "Contact: <sip:evil@10.6.6.6>"), noon))
	require.Equal(t, "sip:b@10.0.0.11", d.RemoteTarget, "INFO refreshes nothing")
	refused := d.Invite(nil)
	require.NoError(t, d.Answered(answer(t, refused, "488 Not Acceptable Here", "them", "Contact: <sip:z@10.0.0.12>"), noon))
	require.Equal(t, "sip:b@10.0.0.11", d.RemoteTarget)
	require.Equal(t, Confirmed, d.State, "a refused re-INVITE does not end the call")
	require.NoError(t, d.Answered(answer(t, d.Request(sip.INFO), "481 Gone", "them"), noon))
	require.Equal(t, Ended, d.State)
}

func TestUAS_FromInvite_RouteSetInOrder(t *testing.T) {
	t.Parallel()
	d := incoming(t)
	require.Equal(t, []string{"sip:p1.test;lr", "sip:p2.test;lr", "sip:p3.test;lr"}, d.RouteSet)
	require.Equal(t, Early, d.State)
	d.Accept(parseRequest(t, incomingInvite))
	require.Equal(t, Confirmed, d.State)
	bye := d.Bye(headers.Reason{Protocol: "SIP", Cause: 200})
	require.Equal(t, "BYE sip:anna@10.0.0.9:5070;transport=udp SIP/2.0", bye.StartLine())
	require.Equal(t, "<sip:8000@demo.localhost>;tag=us", bye.From().Value())
	require.Equal(t, `"Anna \"A\"" <sip:anna@demo.localhost>;tag=them`, bye.To().Value())
	require.Equal(t, "1 BYE", bye.CSeq().Value())
	require.Equal(t, "127.0.0.1:4000", bye.Destination(), "to the flow, whatever Contact and Route say")
}

func TestUAS_BadInvites_AreAnswered400Or481(t *testing.T) {
	t.Parallel()
	for contact, code := range map[string]int{
		"": 400, "Contact: *\n": 400, "Contact: <tel:+491>\n": 400, "Contact: <sip:a@b>, <sip:c@d>\n": 400,
		"Contact: <sip:a@b>\nto-tag": 481,
	} {
		text := strings.Replace(incomingInvite, "Contact: <sip:anna@10.0.0.9:5070;transport=udp>\n", strings.TrimSuffix(contact, "to-tag"), 1)
		if strings.HasSuffix(contact, "to-tag") {
			text = strings.Replace(text, "To: <sip:8000@demo.localhost>", "To: <sip:8000@demo.localhost>;tag=gone", 1)
		}
		_, err := FromInvite(parseRequest(t, text), flow, "us", "sip:hf@127.0.0.1")
		var reply *Reply
		require.ErrorAs(t, err, &reply, contact)
		require.Equal(t, code, reply.Code, contact)
	}
}

func TestDialog_RestoredFromJSON_GoesOnWithNextNumber(t *testing.T) {
	t.Parallel()
	for _, d := range []*Dialog{incoming(t), outgoing(t)} {
		d.State, d.RemoteTag = Confirmed, "them"
		d.Request(sip.INFO)
		d.Timer.start(30*time.Minute, RefreshLocal, noon)
		text, err := json.Marshal(d)
		require.NoError(t, err)
		var again Dialog
		require.NoError(t, json.Unmarshal(text, &again))
		next, restored := d.Request(sip.INFO), again.Request(sip.INFO)
		require.Equal(t, next.String(), restored.String())
		require.Equal(t, "2 INFO", restored.CSeq().Value())
		require.Equal(t, d.ID(), again.ID())
		require.True(t, again.Timer.RefreshAt.Equal(noon.Add(15*time.Minute)))
		again.SkipCSeq(10)
		require.Equal(t, "13 BYE", again.Bye(headers.AnsweredElsewhere).CSeq().Value())
	}
}

func TestReceive_NumberNotHigher_500(t *testing.T) {
	t.Parallel()
	d := incoming(t)
	d.Accept(parseRequest(t, incomingInvite))
	require.NoError(t, d.Receive(inDialog(t, "ACK", "7"), noon))
	require.NoError(t, d.Receive(inDialog(t, "INFO", "9"), noon))
	for _, cseq := range []string{"9", "8", "7"} {
		var reply *Reply
		require.ErrorAs(t, d.Receive(inDialog(t, "INFO", cseq), noon), &reply)
		require.Equal(t, 500, reply.Code)
	}
	require.NoError(t, d.Receive(inDialog(t, "BYE", "20"), noon))
}

func code(err error) int {
	var reply *Reply
	if errors.As(err, &reply) {
		return reply.Code
	}
	return 0
}

func TestReceive_OtherDialog_481(t *testing.T) {
	t.Parallel()
	d := incoming(t)
	foreign := inDialog(t, "BYE", "8")
	foreign.From().Params.Add("tag", "somebody")
	require.Equal(t, 481, code(d.Receive(foreign, noon)))
	require.EqualValues(t, 7, d.RemoteCSeq)
}

func TestReceive_AfterTheEnd_ByeGets200For32Seconds(t *testing.T) {
	t.Parallel()
	d := incoming(t)
	d.End(noon)
	d.End(noon.Add(time.Hour))
	require.Equal(t, 200, code(d.Receive(inDialog(t, "BYE", "8"), noon.Add(31*time.Second))))
	require.Equal(t, 481, code(d.Receive(inDialog(t, "INFO", "9"), noon.Add(31*time.Second))))
	require.Equal(t, 481, code(d.Receive(inDialog(t, "BYE", "9"), noon.Add(33*time.Second))))
}

func TestTombstones_AnswerForOwnersThatAreGone(t *testing.T) {
	t.Parallel()
	var ts Tombstones
	ts.Bury(incoming(t).ID(), noon)
	ts.Bury(incoming(t).ID(), noon.Add(20*time.Second))
	bye := inDialog(t, "BYE", "8")
	require.Equal(t, 200, ts.Answer(bye, noon.Add(10*time.Second)))
	require.Equal(t, 481, ts.Answer(inDialog(t, "INFO", "9"), noon.Add(10*time.Second)))
	require.Equal(t, 481, ts.Answer(bye, noon.Add(33*time.Second)))
	require.Zero(t, ts.Len())
}

func TestGlare_TheirInviteMeetsOurs_491(t *testing.T) {
	t.Parallel()
	d := incoming(t)
	d.Accept(parseRequest(t, incomingInvite))
	require.False(t, d.MayOffer(), "the ACK is missing")
	require.NoError(t, d.Receive(inDialog(t, "ACK", "7"), noon))
	require.True(t, d.MayOffer())
	re := d.Invite([]byte("v=0\r\n"))
	require.False(t, d.MayOffer())
	require.Equal(t, 491, code(d.Receive(inDialog(t, "INVITE", "8", "Contact: <sip:a@b>"), noon)))
	require.Equal(t, 0, code(d.Receive(inDialog(t, "INFO", "9"), noon)), "only offers collide")
	require.NoError(t, d.Answered(answer(t, re, "491 Request Pending", "them"), noon))
	require.True(t, d.MayOffer())
	require.NoError(t, d.Receive(inDialog(t, "INVITE", "10", "Contact: <sip:a@b>"), noon))
}

func TestGlare_TheirSecondInviteBeforeTheFirstIsDone_500WithRetryAfter(t *testing.T) {
	t.Parallel()
	d := incoming(t)
	err := d.Receive(inDialog(t, "INVITE", "8", "Contact: <sip:a@b>"), noon)
	require.Equal(t, 500, code(err), "the first is not answered")
	var reply *Reply
	require.ErrorAs(t, err, &reply)
	require.Len(t, reply.Headers(), 1)
	require.LessOrEqual(t, reply.RetryAfter, 10*time.Second)
	d.Accept(parseRequest(t, incomingInvite))
	require.Equal(t, 500, code(d.Receive(inDialog(t, "INVITE", "9", "Contact: <sip:a@b>"), noon)), "the ACK is missing")
	require.NoError(t, d.Receive(inDialog(t, "ACK", "7"), noon))
	re := inDialog(t, "INVITE", "10", "Contact: <sip:new@10.0.0.9>")
	require.NoError(t, d.Receive(re, noon))
	d.Rejected(re, noon)
	require.Equal(t, Confirmed, d.State)
	require.Equal(t, "sip:anna@10.0.0.9:5070;transport=udp", d.RemoteTarget, "a refused request refreshes nothing")
	up := inDialog(t, "UPDATE", "11", "Contact: <sip:new@10.0.0.9>")
	up.SetBody([]byte("v=0\r\n"))
	require.NoError(t, d.Receive(up, noon))
	up2 := inDialog(t, "UPDATE", "12")
	up2.SetBody([]byte("v=0\r\n"))
	require.Equal(t, 500, code(d.Receive(up2, noon)))
	d.Accept(up)
	require.Equal(t, "sip:new@10.0.0.9", d.RemoteTarget)
}

func TestUAS_RejectedInvite_EndsTheDialog(t *testing.T) {
	t.Parallel()
	d := incoming(t)
	d.Rejected(parseRequest(t, incomingInvite), noon)
	require.Equal(t, Ended, d.State)
}

func TestGlareDelay_IsWithinTheBoundsOfBothSides(t *testing.T) {
	t.Parallel()
	for range 1000 {
		caller, callee := outgoing(t).GlareDelay(), incoming(t).GlareDelay()
		require.True(t, caller >= 2100*time.Millisecond && caller <= 4*time.Second, caller)
		require.True(t, callee >= 0 && callee <= 2*time.Second, callee)
	}
}

func TestNextHop_FollowsRouteOrContactOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	d := outgoing(t)
	require.NoError(t, d.Answered(answer(t, d.Invite(nil), "200 OK", "them", "Contact: <sip:b@10.0.0.9>"), noon))
	require.Equal(t, "127.0.0.1:4000", d.NextHop())
	d.Follow = true
	require.Equal(t, "10.0.0.9:5060", d.NextHop())
	d.RouteSet = []string{"sip:10.0.0.1:5080;lr"}
	require.Equal(t, "10.0.0.1:5080", d.NextHop())
	d.RouteSet = []string{"sip:proxy.test;lr"}
	require.Equal(t, "127.0.0.1:4000", d.NextHop(), "a name is not resolved here")
	d.Moved(transaction.Flow{Transport: "WS", Remote: "b1"})
	require.Equal(t, "b1", d.NextHop())
}

func TestNew_URIsThatWouldBreakAMessage_AreRefused(t *testing.T) {
	t.Parallel()
	_, err := New(Call{Target: "sip:x@y\r\nX-Evil: 1", From: "sip:a@b", To: "sip:a@b", Contact: "sip:a@b", Flow: flow})
	require.Error(t, err)
	_, err = New(Call{Target: "", From: "sip:a@b", To: "sip:a@b", Contact: "sip:a@b", Flow: flow})
	require.Error(t, err)
}
