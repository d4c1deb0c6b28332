package transaction

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

// caller is a client transaction over a tap, with what it heard.
type caller struct {
	tx *Client
	w  *wireTap
	mu sync.Mutex
	on []string
}

func (c *caller) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.on
	c.on = nil
	return l
}

func newRequest(method sip.RequestMethod) *sip.Request {
	uri := sip.Uri{Scheme: "sip", User: "8000", Host: "127.0.0.1", Port: 4000}
	req := sip.NewRequest(method, uri)
	from := &sip.FromHeader{Address: uri}
	from.Params.Add("tag", "ours")
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: uri})
	id := sip.CallIDHeader("call1")
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: method})
	req.AppendHeader(&sip.RouteHeader{Address: uri})
	req.SetTransport("UDP")
	req.SetDestination("127.0.0.1:4000")
	return req
}

func call(t *testing.T, l *Layer, method sip.RequestMethod, transport string) *caller {
	t.Helper()
	c := &caller{w: tap(transport)}
	req := newRequest(method)
	addVia(req, c.w)
	req.SetBody(nil)
	c.tx = newClient(l.shards[0], req, c.w, func(res *sip.Response, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.on = append(c.on, err.Error())
			return
		}
		c.on = append(c.on, fmt.Sprint(res.StatusCode))
	})
	require.NoError(t, l.shards[0].locked(func(e *effects) { c.tx.start(time.Now(), e) }))
	synctest.Wait()
	return c
}

// reply injects a response to the caller's request (or to its CANCEL).
func (c *caller) reply(l *Layer, code int, method, toTag string) {
	to := "To: <sip:8000@127.0.0.1:4000>"
	if toTag != "" {
		to += ";tag=" + toTag
	}
	inject(l, c.w, message(fmt.Sprintf("SIP/2.0 %d %s", code, Phrase(code)), "Via: "+c.tx.req.Via().Value(),
		"From: <sip:8000@127.0.0.1:4000>;tag=ours", to, "Call-ID: call1", "CSeq: 1 "+method, "Content-Length: 0"))
}

func TestClient_InviteWithoutResponse_RepeatsDoublingThenTimesOut(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.INVITE, "UDP")
		sleep(33 * time.Second)
		_, at := c.w.take()
		want := []time.Duration{0, 500, 1500, 3500, 7500, 15500, 31500}
		for i := range want {
			want[i] *= time.Millisecond
		}
		require.Equal(t, want, at)
		require.Equal(t, []string{"INVITE: no response in time"}, c.heard())
		require.EqualValues(t, 0, l.Stats().ClientsAlive)
	})
}

func TestClient_OverAStream_NothingIsRepeated(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.INVITE, "TCP")
		sleep(33 * time.Second)
		require.Len(t, c.w.lines(), 1)
		require.Equal(t, []string{"INVITE: no response in time"}, c.heard())
	})
}

func TestClient_Ringing_NeverTimesOut(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.INVITE, "UDP")
		c.reply(l, 180, "INVITE", "theirs")
		sleep(10 * time.Minute)
		require.Equal(t, []string{"180"}, c.heard())
		require.Len(t, c.w.lines(), 1)
		c.reply(l, 200, "INVITE", "theirs")
		require.Equal(t, []string{"200"}, c.heard())
	})
}

func TestClient_Rejected_AckIsSentByTheLayerAndAgainOnRepeat(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.INVITE, "UDP")
		c.w.take()
		c.reply(l, 486, "INVITE", "theirs")
		c.w.mu.Lock()
		ack := c.w.sent[0]
		c.w.mu.Unlock()
		require.True(t, strings.HasPrefix(ack, "ACK sip:8000@127.0.0.1:4000 SIP/2.0\r\nVia: "+c.tx.req.Via().Value()+"\r\n"), ack)
		require.Contains(t, ack, "To: <sip:8000@127.0.0.1:4000>;tag=theirs\r\n")
		require.Contains(t, ack, "CSeq: 1 ACK\r\n")
		require.Contains(t, ack, "Route: <sip:8000@127.0.0.1:4000>\r\n")
		c.reply(l, 486, "INVITE", "theirs")
		require.Len(t, c.w.lines(), 2)
		require.Equal(t, []string{"486"}, c.heard())
		sleep(33 * time.Second)
		require.EqualValues(t, 0, l.Stats().ClientsAlive)
	})
}

func TestClient_RepeatedRejections_DoNotDelayOtherMessages(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		c := call(t, l, sip.INVITE, "UDP")
		before := time.Now()
		for range 20 {
			c.reply(l, 486, "INVITE", "theirs")
		}
		inject(l, c.w, request("OPTIONS", "z9hG4bKo", "1", ""))
		require.Zero(t, time.Since(before))
		require.Equal(t, []string{"OPTIONS"}, r.events())
	})
}

func TestClient_Answered_RepeatIsAcknowledgedByTheLayerForkIsTold(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		c := call(t, l, sip.INVITE, "UDP")
		c.reply(l, 200, "INVITE", "a")
		c.reply(l, 200, "INVITE", "a")
		require.Equal(t, []string{"200", "200"}, c.heard(), "not yet acknowledged: the user hears each")
		c.w.take()
		data := []byte("ACK of a")
		require.NoError(t, l.shards[0].locked(func(*effects) { c.tx.ack, c.tx.ackTag = data, "a" }))
		c.reply(l, 200, "INVITE", "a")
		require.Equal(t, []string{"ACK of a"}, c.w.lines())
		require.Empty(t, c.heard())
		c.reply(l, 200, "INVITE", "b")
		require.Equal(t, []string{"200"}, c.heard())
		sleep(33 * time.Second)
		c.reply(l, 200, "INVITE", "a")
		require.Equal(t, []string{"stray SIP/2.0 200 OK"}, r.events())
	})
}

func TestClient_CancelBeforeAnyResponse_WaitsForTheFirst(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.INVITE, "UDP")
		c.w.take()
		require.NoError(t, c.tx.Cancel(sip.NewHeader("Reason", `SIP;cause=200;text="Call completed elsewhere"`)))
		synctest.Wait()
		require.Empty(t, c.w.lines())
		c.reply(l, 180, "INVITE", "theirs")
		c.w.mu.Lock()
		cancel := c.w.sent[0]
		c.w.mu.Unlock()
		require.True(t, strings.HasPrefix(cancel, "CANCEL sip:8000@127.0.0.1:4000 SIP/2.0\r\nVia: "+c.tx.req.Via().Value()+"\r\n"), cancel)
		require.Contains(t, cancel, "To: <sip:8000@127.0.0.1:4000>\r\n", "no tag")
		require.Contains(t, cancel, "CSeq: 1 CANCEL\r\n")
		require.Contains(t, cancel, "Reason: SIP;cause=200")
		require.NoError(t, c.tx.Cancel(), "a second wish changes nothing")
		c.reply(l, 200, "CANCEL", "theirs")
		c.reply(l, 487, "INVITE", "theirs")
		require.Equal(t, []string{"180", "487"}, c.heard())
	})
}

func TestClient_CancelledButSilent_EndsAfter64T1(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.INVITE, "UDP")
		c.reply(l, 180, "INVITE", "theirs")
		require.NoError(t, c.tx.Cancel())
		c.reply(l, 180, "INVITE", "theirs")
		sleep(31 * time.Second)
		require.Equal(t, []string{"180", "180"}, c.heard())
		sleep(2 * time.Second)
		require.Equal(t, []string{"INVITE: no response in time"}, c.heard())
		require.EqualValues(t, 0, l.Stats().ClientsAlive)
	})
}

func TestClient_AnswerBeatsCancel_UserHearsAnswer(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.INVITE, "UDP")
		require.NoError(t, c.tx.Cancel())
		c.reply(l, 200, "INVITE", "theirs")
		require.Equal(t, []string{"200"}, c.heard())
		require.Equal(t, []string{"INVITE sip:8000@127.0.0.1:4000 SIP/2.0"}, c.w.lines(), "no CANCEL after the final response")
	})
}

func TestClient_CancelOfOtherMethods_IsRefused(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		require.Error(t, call(t, l, sip.OPTIONS, "UDP").tx.Cancel())
	})
}

func TestClient_NonInvite_RepeatsUpToT2AndSlowsDownInProceeding(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.OPTIONS, "UDP")
		sleep(33 * time.Second)
		_, at := c.w.take()
		want := []time.Duration{0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500}
		for i := range want {
			want[i] *= time.Millisecond
		}
		require.Equal(t, want, at)
		require.Equal(t, []string{"OPTIONS: no response in time"}, c.heard())

		c = call(t, l, sip.OPTIONS, "UDP")
		c.reply(l, 100, "OPTIONS", "")
		sleep(6 * time.Second)
		_, at = c.w.take()
		require.Equal(t, []time.Duration{0, 500 * time.Millisecond, 4500 * time.Millisecond}, at)
		c.reply(l, 200, "OPTIONS", "theirs")
		c.reply(l, 200, "OPTIONS", "theirs")
		require.Equal(t, []string{"100", "200"}, c.heard())
		sleep(6 * time.Second)
		require.EqualValues(t, 0, l.Stats().ClientsAlive)
	})
}

func TestClient_ConnectionLost_PendingRequestsFailAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, _ *recorder) {
		c := call(t, l, sip.INVITE, "WS")
		c.reply(l, 180, "INVITE", "theirs")
		l.shards[0].queue <- inbound{link: c.w}
		synctest.Wait()
		require.Equal(t, []string{"180", "INVITE: the connection to the peer is gone"}, c.heard())
		require.EqualValues(t, 0, l.Stats().ClientsAlive)
	})
}

func TestLayer_ResponseWithoutTransaction_IsStray(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		c := call(t, l, sip.OPTIONS, "TCP")
		c.reply(l, 200, "OPTIONS", "x")
		c.reply(l, 200, "OPTIONS", "x")
		require.Equal(t, []string{"stray SIP/2.0 200 OK"}, r.events())
		require.EqualValues(t, 1, l.Stats().Strays)
	})
}
