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
	time.Sleep(d)
	synctest.Wait()
}

// peer is the other side of a layer on the virtual clock: it sends requests, and tells
// what came back and what the layer's user was told.
type peer struct {
	*testing.T
	*Layer
	*recorder
	w *wireTap
}

// met lets a peer and a layer meet.
func met(t *testing.T, transport string, f func(p *peer)) {
	t.Helper()
	bubble(t, func(t *testing.T, l *Layer, r *recorder) { f(&peer{t, l, r, tap(transport)}) })
}

func (p *peer) sends(method, branch, cseq, toTag string) {
	inject(p.Layer, p.w, request(method, branch, cseq, toTag))
}

func (p *peer) invites() { p.sends("INVITE", "z9hG4bK1", "1", "") }

// answers lets the user answer the first request.
func (p *peer) answers(code int) {
	p.Helper()
	respond(p.T, p.tx(0), code)
}

// gets checks what came back since it was asked last.
func (p *peer) gets(lines ...string) {
	p.Helper()
	require.Equal(p, lines, p.w.lines())
}

// told checks what the user was told since it was asked last.
func (p *peer) told(events ...string) {
	p.Helper()
	require.Equal(p, events, p.events())
}

// left checks how many transactions are still alive.
func (p *peer) left(transactions int) {
	p.Helper()
	require.EqualValues(p, transactions, p.Stats().ServersAlive)
}

func TestServer_InviteWithoutAnswer_Gets100AndRepeatsAreAbsorbed(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.invites()
		p.gets("SIP/2.0 100 Trying")
		p.invites()
		p.gets("SIP/2.0 100 Trying")
		p.answers(180)
		p.invites()
		p.gets("SIP/2.0 180 Ringing", "SIP/2.0 180 Ringing")
		p.told("INVITE")
		require.EqualValues(p, 2, p.Stats().RepeatedIn)
	})
}

func TestServer_RejectedAtOnce_No100IsSent(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.handle(func(tx *Server) { _ = tx.Reject(403) })
		p.invites()
		p.gets("SIP/2.0 403 Forbidden")
	})
}

func TestServer_InviteRejected_RepeatsUntilAckAndEndsAfterT4(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.invites()
		p.answers(486)
		require.ErrorIs(p, p.tx(0).Respond(p.tx(0).NewResponse(200, "")), ErrAnswered)
		p.w.take()
		sleep(8 * time.Second) // 0.5, 1.5, 3.5, 7.5
		lines, at := p.w.take()
		require.Equal(p, []string{"SIP/2.0 486 Busy Here", "SIP/2.0 486 Busy Here", "SIP/2.0 486 Busy Here", "SIP/2.0 486 Busy Here"}, lines)
		require.Equal(p, []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond}, at)
		p.sends("ACK", "z9hG4bK1", "1", p.tx(0).Tag())
		sleep(4 * time.Second)
		p.gets()
		p.left(1)
		sleep(2 * time.Second)
		p.left(0)
		p.told("INVITE") // the ACK of a rejection is no business of the user
	})
}

func TestServer_RejectionNeverAcknowledged_EndsAfter64T1(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.invites()
		p.answers(486)
		sleep(33 * time.Second)
		p.left(0)
		require.EqualValues(p, 1, p.Stats().Timeouts)
	})
}

func TestServer_AnswerWithoutAck_RepeatsWithBackOffThenTellsUser(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"UDP", "TCP"} {
		met(t, transport, func(p *peer) {
			p.invites()
			p.w.take()
			p.w.begin = time.Now()
			p.answers(200)
			sleep(33 * time.Second)
			_, at := p.w.take()
			want := []time.Duration{0, 500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500}
			for i := range want {
				want[i] *= time.Millisecond
			}
			require.Equal(p, want, at)
			p.told("INVITE", "unacknowledged")
			p.left(0)
		})
	}
}

func TestServer_AckOfAnswer_StopsRepeatsAndIsToldOnce(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.invites()
		p.answers(200)
		p.w.take()
		p.sends("ACK", "z9hG4bK2", "1", p.tx(0).Tag())
		p.sends("ACK", "z9hG4bK2", "1", p.tx(0).Tag())
		sleep(40 * time.Second)
		p.gets()
		p.told("INVITE", "ack")
		p.sends("ACK", "z9hG4bK2", "1", p.tx(0).Tag())
		p.told("ack") // unknown to us now: the user decides
	})
}

func TestServer_CancelBeforeAnswer_200And487AndUserIsTold(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.invites()
		p.answers(180)
		p.w.take()
		p.sends("CANCEL", "z9hG4bK1", "1", "")
		p.w.mu.Lock()
		for _, m := range p.w.sent {
			require.Contains(p, m, ";tag="+p.tx(0).tag, "200, 487 and 180 have one To tag")
		}
		p.w.mu.Unlock()
		p.gets("SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated")
		p.told("INVITE", "cancelled")
		require.ErrorIs(p, p.tx(0).Respond(p.tx(0).NewResponse(200, "")), ErrCancelled)
		p.sends("CANCEL", "z9hG4bK1", "1", "")
		p.gets("SIP/2.0 200 OK") // a repeated CANCEL has no second effect
		p.told()
	})
}

func TestServer_CancelAfterAnswer_HasNoEffect(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.invites()
		p.answers(200)
		p.w.take()
		p.sends("CANCEL", "z9hG4bK1", "1", "")
		p.gets("SIP/2.0 200 OK")
		p.told("INVITE")
	})
}

func TestServer_CancelOfNothing_481(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.sends("CANCEL", "z9hG4bK9", "1", "")
		p.gets("SIP/2.0 481 Call/Transaction Does Not Exist")
		p.told()
	})
}

func TestServer_SameRequestByAnotherWay_482(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.invites()
		p.w.take()
		p.sends("INVITE", "z9hG4bK2", "1", "")
		p.gets("SIP/2.0 482 Loop Detected")
		require.EqualValues(p, 1, p.Stats().Merged)
		p.sends("INVITE", "z9hG4bK3", "2", "")
		p.gets("SIP/2.0 100 Trying")
	})
}

func TestServer_CredentialsWithSameCSeq_AreNotTakenForALoop(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.handle(func(tx *Server) { _ = tx.Reject(401) })
		p.sends("REGISTER", "z9hG4bK1", "1", "")
		p.sends("REGISTER", "z9hG4bK2", "1", "")
		p.told("REGISTER", "REGISTER")
	})
}

func TestServer_NonInvite_RepeatsAnswerOnRepeatedRequest(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.sends("OPTIONS", "z9hG4bK1", "1", "")
		p.gets()
		p.sends("OPTIONS", "z9hG4bK1", "1", "")
		p.gets()
		p.answers(200)
		p.sends("OPTIONS", "z9hG4bK1", "1", "")
		p.gets("SIP/2.0 200 OK", "SIP/2.0 200 OK")
		sleep(33 * time.Second)
		p.left(0)
	})
}

func TestServer_NonInviteNeverAnswered_IsForgotten(t *testing.T) {
	t.Parallel()
	met(t, "TCP", func(p *peer) {
		p.sends("OPTIONS", "z9hG4bK1", "1", "")
		sleep(33 * time.Second)
		p.left(0)
		require.ErrorIs(p, p.tx(0).Respond(p.tx(0).NewResponse(200, "")), ErrAnswered)
	})
}

func TestServer_PeerGone_RespondSaysSoAndTransactionEnds(t *testing.T) {
	t.Parallel()
	met(t, "TCP", func(p *peer) {
		p.invites()
		p.w.mu.Lock()
		p.w.err = ErrFlowGone
		p.w.mu.Unlock()
		require.ErrorIs(p, p.tx(0).Respond(p.tx(0).NewResponse(200, "")), ErrFlowGone)
		sleep(time.Minute)
		p.left(0)
		p.told("INVITE")
	})
}

func TestServer_PeerOfRFC2543_IsMatchedWithoutBranch(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		for range 2 {
			p.sends("INVITE", "1", "1", "")
		}
		p.told("INVITE")
		p.answers(486)
		p.w.take()
		p.sends("ACK", "1", "1", p.tx(0).Tag())
		sleep(10 * time.Second)
		p.gets()
		p.sends("INVITE", "1", "7", "")
		p.sends("CANCEL", "1", "7", "")
		p.told("INVITE", "cancelled")
	})
}

func TestServer_SetTag_HoldsForAllResponses(t *testing.T) {
	t.Parallel()
	met(t, "UDP", func(p *peer) {
		p.invites()
		p.tx(0).SetTag("old-tag")
		res := p.tx(0).NewResponse(180, "")
		require.Equal(p, "old-tag", res.To().Params.GetOr("tag", ""))
		require.NoError(p, p.tx(0).Respond(res))
		p.tx(0).SetTag("too-late")
		require.Equal(p, "old-tag", p.tx(0).Tag())
		p.sends("BYE", "z9hG4bK2", "2", "theirs")
		p.tx(1).SetTag("no")
		require.Equal(p, "theirs", p.tx(1).Tag())
	})
}
