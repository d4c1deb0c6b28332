package transaction

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

// wireTap is a link that remembers what was sent and when, in a synctest bubble.
type wireTap struct {
	transport string
	begin     time.Time
	mu        sync.Mutex
	sent      []string
	at        []time.Duration
	err       error
}

func tap(transport string) *wireTap { return &wireTap{transport: transport, begin: time.Now()} }

func (w *wireTap) flow() Flow {
	return Flow{Transport: w.transport, Local: "127.0.0.1:5060", Remote: "127.0.0.1:4000"}
}
func (w *wireTap) sentBy() string { return "127.0.0.1:5060" }
func (w *wireTap) send(data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	w.sent = append(w.sent, string(data))
	w.at = append(w.at, time.Since(w.begin))
	return nil
}

// take returns the start lines sent since the last take, and when.
func (w *wireTap) take() (lines []string, at []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.sent {
		line, _, _ := strings.Cut(m, "\r\n")
		lines = append(lines, line)
	}
	at = w.at
	w.sent, w.at = nil, nil
	return lines, at
}

func (w *wireTap) lines() []string {
	l, _ := w.take()
	return l
}

// recorder is a User that writes down what it hears; onRequest, if set, acts on requests.
type recorder struct {
	mu        sync.Mutex
	log       []string
	txs       []*Server
	onRequest func(tx *Server)
}

func (r *recorder) note(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, s)
}
func (r *recorder) Request(tx *Server) {
	r.mu.Lock()
	r.txs = append(r.txs, tx)
	r.log = append(r.log, string(tx.Request().Method))
	f := r.onRequest
	r.mu.Unlock()
	if f != nil {
		f(tx)
	}
}
func (r *recorder) handle(f func(tx *Server)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onRequest = f
}
func (r *recorder) Ack(*sip.Request, Flow)              { r.note("ack") }
func (r *recorder) Cancelled(_ *Server, _ *sip.Request) { r.note("cancelled") }
func (r *recorder) Unacknowledged(*Server)              { r.note("unacknowledged") }
func (r *recorder) Stray(res *sip.Response, _ Flow)     { r.note("stray " + res.StartLine()) }
func (r *recorder) FlowClosed(Flow)                     { r.note("closed") }
func (r *recorder) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.log
	r.log = nil
	return l
}

// heardAll reports that exactly these were heard since the last events.
func (r *recorder) heardAll(want ...string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Equal(r.log, want)
}
func (r *recorder) latest() *Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.txs[len(r.txs)-1]
}
func (r *recorder) tx(i int) *Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.txs[i]
}

// bubble runs f with a layer on the virtual clock.
func bubble(t *testing.T, f func(t *testing.T, l *Layer, r *recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		l, err := New(Config{User: r, Log: slog.New(slog.DiscardHandler), Shards: 1})
		require.NoError(t, err)
		defer l.Stop()
		f(t, l, r)
	})
}

// message fills a template: CRLF line ends, an empty line at the end.
func message(lines ...string) []byte {
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")
}

func request(method, branch, cseq, toTag string) []byte {
	to := "To: <sip:8000@demo.localhost>"
	if toTag != "" {
		to += ";tag=" + toTag
	}
	return message(method+" sip:8000@demo.localhost SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.1:4000;rport;branch="+branch,
		"From: <sip:a@demo.localhost>;tag=from1", to, "Call-ID: call1", "CSeq: "+cseq+" "+method, "Max-Forwards: 70",
		"Contact: <sip:a@127.0.0.1:4000>", "Content-Length: 0")
}

func inject(l *Layer, w *wireTap, data []byte) {
	l.input(data, netip.MustParseAddrPort("127.0.0.1:4000"), w)
	synctest.Wait()
}

func respond(t *testing.T, tx *Server, code int) {
	t.Helper()
	require.NoError(t, tx.Respond(tx.NewResponse(code, "")))
}

func sleep(d time.Duration) { // virtual time
	<-time.After(d)
	synctest.Wait()
}

func TestServer_InviteWithoutAnswer_Gets100AndRepeatsAreAbsorbed(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		require.Equal(t, []string{"SIP/2.0 100 Trying"}, w.lines())
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		require.Equal(t, []string{"SIP/2.0 100 Trying"}, w.lines())
		respond(t, r.tx(0), 180)
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		require.Equal(t, []string{"SIP/2.0 180 Ringing", "SIP/2.0 180 Ringing"}, w.lines())
		require.Equal(t, []string{"INVITE"}, r.events())
		require.EqualValues(t, 2, l.Stats().RepeatedIn)
	})
}

func TestServer_RejectedAtOnce_No100IsSent(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		r.handle(func(tx *Server) { _ = tx.Reject(403) })
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		require.Equal(t, []string{"SIP/2.0 403 Forbidden"}, w.lines())
	})
}

func TestServer_InviteRejected_RepeatsUntilAckAndEndsAfterT4(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		respond(t, r.tx(0), 486)
		require.ErrorIs(t, r.tx(0).Respond(r.tx(0).NewResponse(200, "")), ErrAnswered)
		w.take()
		sleep(8 * time.Second) // 0.5, 1.5, 3.5, 7.5
		lines, at := w.take()
		require.Equal(t, []string{"SIP/2.0 486 Busy Here", "SIP/2.0 486 Busy Here", "SIP/2.0 486 Busy Here", "SIP/2.0 486 Busy Here"}, lines)
		require.Equal(t, []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond}, at)
		inject(l, w, request("ACK", "z9hG4bK1", "1", r.tx(0).Tag()))
		sleep(4 * time.Second)
		require.Empty(t, w.lines())
		require.EqualValues(t, 1, l.Stats().ServersAlive)
		sleep(2 * time.Second)
		require.EqualValues(t, 0, l.Stats().ServersAlive)
		require.Equal(t, []string{"INVITE"}, r.events(), "the ACK of a rejection is no business of the user")
	})
}

func TestServer_RejectionNeverAcknowledged_EndsAfter64T1(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		respond(t, r.tx(0), 486)
		sleep(33 * time.Second)
		require.EqualValues(t, 0, l.Stats().ServersAlive)
		require.EqualValues(t, 1, l.Stats().Timeouts)
	})
}

func TestServer_AnswerWithoutAck_RepeatsWithBackOffThenTellsUser(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"UDP", "TCP"} {
		bubble(t, func(t *testing.T, l *Layer, r *recorder) {
			w := tap(transport)
			inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
			w.take()
			w.begin = time.Now()
			respond(t, r.tx(0), 200)
			sleep(33 * time.Second)
			_, at := w.take()
			want := []time.Duration{0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500}
			for i := range want {
				want[i] *= time.Millisecond
			}
			require.Equal(t, want, at)
			require.Equal(t, []string{"INVITE", "unacknowledged"}, r.events())
			require.EqualValues(t, 0, l.Stats().ServersAlive)
		})
	}
}

func TestServer_AckOfAnswer_StopsRepeatsAndIsToldOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		respond(t, r.tx(0), 200)
		w.take()
		inject(l, w, request("ACK", "z9hG4bK2", "1", r.tx(0).Tag()))
		inject(l, w, request("ACK", "z9hG4bK2", "1", r.tx(0).Tag()))
		sleep(40 * time.Second)
		require.Empty(t, w.lines())
		require.Equal(t, []string{"INVITE", "ack"}, r.events())
		inject(l, w, request("ACK", "z9hG4bK2", "1", r.tx(0).Tag()))
		require.Equal(t, []string{"ack"}, r.events(), "unknown to us now: the user decides")
	})
}

func TestServer_CancelBeforeAnswer_200And487AndUserIsTold(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		respond(t, r.tx(0), 180)
		w.take()
		inject(l, w, request("CANCEL", "z9hG4bK1", "1", ""))
		w.mu.Lock()
		for _, m := range w.sent {
			require.Contains(t, m, ";tag="+r.tx(0).tag, "200, 487 and 180 have one To tag")
		}
		w.mu.Unlock()
		require.Equal(t, []string{"SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"}, w.lines())
		require.Equal(t, []string{"INVITE", "cancelled"}, r.events())
		require.ErrorIs(t, r.tx(0).Respond(r.tx(0).NewResponse(200, "")), ErrCancelled)
		inject(l, w, request("CANCEL", "z9hG4bK1", "1", ""))
		require.Equal(t, []string{"SIP/2.0 200 OK"}, w.lines(), "a repeated CANCEL has no second effect")
		require.Empty(t, r.events())
	})
}

func TestServer_CancelAfterAnswer_HasNoEffect(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		respond(t, r.tx(0), 200)
		w.take()
		inject(l, w, request("CANCEL", "z9hG4bK1", "1", ""))
		require.Equal(t, []string{"SIP/2.0 200 OK"}, w.lines())
		require.Equal(t, []string{"INVITE"}, r.events())
	})
}

func TestServer_CancelOfNothing_481(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("CANCEL", "z9hG4bK9", "1", ""))
		require.Equal(t, []string{"SIP/2.0 481 Call/Transaction Does Not Exist"}, w.lines())
		require.Empty(t, r.events())
	})
}

func TestServer_SameRequestByAnotherWay_482(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		w.take()
		inject(l, w, request("INVITE", "z9hG4bK2", "1", ""))
		require.Equal(t, []string{"SIP/2.0 482 Loop Detected"}, w.lines())
		require.EqualValues(t, 1, l.Stats().Merged)
		inject(l, w, request("INVITE", "z9hG4bK3", "2", ""))
		require.Equal(t, []string{"SIP/2.0 100 Trying"}, w.lines())
	})
}

func TestServer_CredentialsWithSameCSeq_AreNotTakenForALoop(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		r.handle(func(tx *Server) { _ = tx.Reject(401) })
		w := tap("UDP")
		inject(l, w, request("REGISTER", "z9hG4bK1", "1", ""))
		inject(l, w, request("REGISTER", "z9hG4bK2", "1", ""))
		require.Equal(t, []string{"REGISTER", "REGISTER"}, r.events())
	})
}

func TestServer_NonInvite_RepeatsAnswerOnRepeatedRequest(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("OPTIONS", "z9hG4bK1", "1", ""))
		require.Empty(t, w.lines())
		inject(l, w, request("OPTIONS", "z9hG4bK1", "1", ""))
		require.Empty(t, w.lines())
		respond(t, r.tx(0), 200)
		inject(l, w, request("OPTIONS", "z9hG4bK1", "1", ""))
		require.Equal(t, []string{"SIP/2.0 200 OK", "SIP/2.0 200 OK"}, w.lines())
		sleep(33 * time.Second)
		require.EqualValues(t, 0, l.Stats().ServersAlive)
	})
}

func TestServer_NonInviteNeverAnswered_IsForgotten(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("TCP")
		inject(l, w, request("OPTIONS", "z9hG4bK1", "1", ""))
		sleep(33 * time.Second)
		require.EqualValues(t, 0, l.Stats().ServersAlive)
		require.ErrorIs(t, r.tx(0).Respond(r.tx(0).NewResponse(200, "")), ErrAnswered)
	})
}

func TestServer_PeerGone_RespondSaysSoAndTransactionEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("TCP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		w.mu.Lock()
		w.err = ErrFlowGone
		w.mu.Unlock()
		require.ErrorIs(t, r.tx(0).Respond(r.tx(0).NewResponse(200, "")), ErrFlowGone)
		sleep(time.Minute)
		require.EqualValues(t, 0, l.Stats().ServersAlive)
		require.Equal(t, []string{"INVITE"}, r.events())
	})
}

func TestServer_PeerOfRFC2543_IsMatchedWithoutBranch(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		for range 2 {
			inject(l, w, request("INVITE", "1", "1", ""))
		}
		require.Equal(t, []string{"INVITE"}, r.events())
		respond(t, r.tx(0), 486)
		w.take()
		inject(l, w, request("ACK", "1", "1", r.tx(0).Tag()))
		sleep(10 * time.Second)
		require.Empty(t, w.lines())
		inject(l, w, request("INVITE", "1", "7", ""))
		inject(l, w, request("CANCEL", "1", "7", ""))
		require.Equal(t, []string{"INVITE", "cancelled"}, r.events())
	})
}

func TestServer_SetTag_HoldsForAllResponses(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) {
		w := tap("UDP")
		inject(l, w, request("INVITE", "z9hG4bK1", "1", ""))
		r.tx(0).SetTag("old-tag")
		res := r.tx(0).NewResponse(180, "")
		require.Equal(t, "old-tag", res.To().Params.GetOr("tag", ""))
		require.NoError(t, r.tx(0).Respond(res))
		r.tx(0).SetTag("too-late")
		require.Equal(t, "old-tag", r.tx(0).Tag())
		inject(l, w, request("BYE", "z9hG4bK2", "2", "theirs"))
		r.tx(1).SetTag("no")
		require.Equal(t, "theirs", r.tx(1).Tag())
	})
}
