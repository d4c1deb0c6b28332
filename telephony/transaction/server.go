package transaction

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// phase is the state of a transaction; the names are those of RFC 3261 §17 and RFC 6026.
type phase uint8

const (
	trying     phase = iota // non-INVITE: no response yet. Client: "calling" for INVITE
	proceeding              // INVITE server from the start; others after a provisional response
	accepted                // INVITE answered by 2xx
	completed               // final response other than INVITE's 2xx
	confirmed               // server INVITE: ACK for that final response came
	terminated
)

// Server is the server transaction of one request. Its methods may be called from any goroutine.
type Server struct {
	shard *shard
	link  link
	req   *sip.Request
	key   string
	merge string

	// Guarded by shard.mu.
	timing
	phase     phase
	tag       string
	last      []byte // latest response, for repetition
	code      int    // its status, 0: none
	ackKey    string
	acked     bool
	cancelled bool
	unsent    [][]byte // responses that are decided, in order

	// sending is held while unsent is written, which blocks on nothing but the socket:
	// two goroutines that answer at once must not overtake each other.
	sending sync.Mutex
}

func newServer(s *shard, req *sip.Request, k link) *Server {
	tx := &Server{shard: s, link: k, req: req, key: serverKey(req, req.Method), merge: mergeKey(req), tag: NewTag()}
	tx.timing.owner, tx.timing.index = tx, -1
	if tag, ok := req.To().Params.Get("tag"); ok {
		tx.tag = tag
	}
	if req.IsInvite() {
		tx.phase = proceeding
	}
	return tx
}

// Request is the request as received. It must not be changed.
func (tx *Server) Request() *sip.Request { return tx.req }

// Flow is where the request came from and its responses go to.
func (tx *Server) Flow() Flow { return tx.link.flow() }

// Tag is the To tag of all our responses: that of the request if it has one, else ours.
func (tx *Server) Tag() string {
	tx.shard.mu.Lock()
	defer tx.shard.mu.Unlock()
	return tx.tag
}

// SetTag replaces our To tag, for a dialog that is known by another one (an INVITE repeated to a restarted
// process). It has no effect on an in-dialog request or after the first response.
func (tx *Server) SetTag(tag string) {
	tx.shard.mu.Lock()
	defer tx.shard.mu.Unlock()
	if _, ok := tx.req.To().Params.Get("tag"); !ok && tx.code <= sip.StatusTrying {
		tx.tag = tag
	}
}

// NewResponse makes a response with the headers of RFC 3261 §8.2.6 and our To tag. An empty reason takes the
// standard phrase. The caller adds Contact and body; Respond sends it.
func (tx *Server) NewResponse(code int, reason string) *sip.Response {
	return newResponse(tx.req, code, reason, tx.Tag())
}

// Reject answers with a final response without body, plus the headers given.
func (tx *Server) Reject(code int, headers ...sip.Header) error {
	res := tx.NewResponse(code, "")
	for _, h := range headers {
		res.AppendHeader(h)
	}
	return tx.Respond(res)
}

// Respond sends a response. Provisional responses may be sent until the final one; the latest is repeated when
// the request is. A final response is sent once; a non-2xx to INVITE is repeated until its ACK on UDP, a 2xx to
// INVITE on every transport at T1, 2·T1, 4·T1 … T2 until its ACK or 64·T1, when the User hears Unacknowledged.
//
// Errors: ErrCancelled when a CANCEL won (487 was sent), ErrAnswered after a final response or when the request is
// older than 64·T1 (non-INVITE), ErrFlowGone when the peer's connection is gone (the transaction has ended then),
// ErrStopped.
func (tx *Server) Respond(res *sip.Response) error {
	if tx.shard.layer.stopped() {
		return ErrStopped
	}
	err := tx.shard.locked(func(e *effects) { e.err = tx.respond(res, time.Now(), e) })
	if err == nil || errors.Is(err, ErrCancelled) || errors.Is(err, ErrAnswered) {
		return err
	}
	_ = tx.shard.locked(func(*effects) { tx.terminate() }) // writes nothing
	return fmt.Errorf("respond %d to %s: %w", res.StatusCode, tx.req.Method, err)
}

// respond is the user's half of the state machine. The lock is held.
func (tx *Server) respond(res *sip.Response, now time.Time, e *effects) error {
	switch {
	case tx.cancelled:
		return ErrCancelled
	case tx.phase != trying && tx.phase != proceeding:
		return ErrAnswered
	}
	tx.last, tx.code = []byte(res.String()), res.StatusCode
	tx.unsent = append(tx.unsent, tx.last)
	e.list = append(e.list, tx.send)
	switch {
	case res.StatusCode < 200:
		tx.phase = proceeding
	case !tx.req.IsInvite():
		tx.phase = completed
		tx.endAfter(now, tx.lingering(tx.timers().limit())) // Timer J
	case res.StatusCode < 300:
		tx.accept(res, now)
	default:
		tx.complete(now)
	}
	return nil
}

// send writes the responses that are decided, also those of another goroutine that has
// not come to it.
func (tx *Server) send() (err error) {
	tx.sending.Lock()
	defer tx.sending.Unlock()
	tx.shard.mu.Lock()
	responses := tx.unsent
	tx.unsent = nil
	tx.shard.mu.Unlock()
	for _, data := range responses {
		if failed := tx.link.send(data); err == nil {
			err = failed
		}
	}
	return err
}

func (tx *Server) accept(res *sip.Response, now time.Time) {
	t := tx.timers()
	tx.phase = accepted
	tx.ackKey = ackKey(res)
	tx.shard.acks[tx.ackKey] = tx
	tx.startRepeat(now, t.T1)
	tx.end = now.Add(t.limit()) // Timer L, and the wait for the ACK
	tx.shard.schedule(&tx.timing)
}

func (tx *Server) complete(now time.Time) {
	t := tx.timers()
	tx.phase = completed
	if !tx.link.flow().Reliable() {
		tx.startRepeat(now, t.T1) // Timer G
	}
	tx.end = now.Add(t.limit()) // Timer H
	tx.shard.schedule(&tx.timing)
}

// cancel answers the INVITE with 487 if it has no final response. The lock is held.
func (tx *Server) cancel(cancel *sip.Request, now time.Time, e *effects) {
	if tx.phase != proceeding {
		return // RFC 3261 §9.2: no effect on an answered request
	}
	res := newResponse(tx.req, sip.StatusRequestTerminated, "", tx.tag)
	if err := tx.respond(res, now, e); err != nil {
		return // answered in between: the same
	}
	tx.cancelled = true
	e.call(func() { tx.shard.layer.user.Cancelled(tx, cancel) })
}

// receive is the network's half: a repeated request, or the ACK of a non-2xx. The lock is held.
func (tx *Server) receive(req *sip.Request, now time.Time, e *effects) {
	if req.IsAck() {
		tx.ackReceived(req, now, e)
		return
	}
	tx.shard.layer.stats.repeatedIn.Add(1)
	if tx.last != nil && (tx.phase == proceeding || tx.phase == completed) {
		e.write(tx.link, tx.last)
	}
}

func (tx *Server) ackReceived(ack *sip.Request, now time.Time, e *effects) {
	switch tx.phase {
	case completed:
		tx.phase = confirmed
		tx.repeat = time.Time{}
		tx.endAfter(now, tx.lingering(tx.timers().T4)) // Timer I
	case accepted:
		if tx.acked {
			return
		}
		tx.acked = true
		tx.repeat = time.Time{}
		tx.shard.schedule(&tx.timing)
		from := tx.link.flow()
		e.call(func() { tx.shard.layer.user.Ack(ack, from) })
	}
}

// tick acts on a due timer. The lock is held.
func (tx *Server) tick(now time.Time, e *effects) {
	if !tx.repeat.IsZero() && !tx.repeat.After(now) && (tx.end.IsZero() || tx.end.After(now)) {
		e.write(tx.link, tx.last)
		tx.shard.layer.stats.repeatedOut.Add(1)
		tx.backOff(now, tx.timers().T2)
		tx.shard.schedule(&tx.timing)
		return
	}
	if tx.phase == accepted && !tx.acked {
		e.call(func() { tx.shard.layer.user.Unacknowledged(tx) })
	}
	if tx.phase == trying || tx.phase == completed && tx.req.IsInvite() {
		tx.shard.layer.stats.timeouts.Add(1)
	}
	tx.terminate()
}

// endAfter ends the transaction after d; at once when d is 0. The lock is held.
func (tx *Server) endAfter(now time.Time, d time.Duration) {
	if d <= 0 {
		tx.terminate()
		return
	}
	tx.end = now.Add(d)
	tx.shard.schedule(&tx.timing)
}

// lingering is d on UDP, where repetitions may still come, and 0 on a stream.
func (tx *Server) lingering(d time.Duration) time.Duration {
	if tx.link.flow().Reliable() {
		return 0
	}
	return d
}

// terminate forgets the transaction. The lock is held.
func (tx *Server) terminate() {
	if tx.phase == terminated {
		return
	}
	tx.phase = terminated
	s := tx.shard
	s.unschedule(&tx.timing)
	delete(s.servers, tx.key)
	if s.merged[tx.merge] == tx {
		delete(s.merged, tx.merge)
	}
	if s.acks[tx.ackKey] == tx {
		delete(s.acks, tx.ackKey)
	}
	s.layer.stats.servers.Add(-1)
}

func (tx *Server) timers() Timers { return tx.shard.layer.timers }

// serverKey matches a request to its transaction: RFC 3261 §17.2.3, with the older rule for peers without the
// branch cookie. ACK and CANCEL look for their INVITE by giving its method.
func serverKey(req *sip.Request, method sip.RequestMethod) string {
	via := req.Via()
	branch := via.Params.GetOr("branch", "")
	if len(branch) > len(sip.RFC3261BranchMagicCookie) && strings.HasPrefix(branch, sip.RFC3261BranchMagicCookie) {
		return strings.Join([]string{branch, via.SentBy(), string(method)}, "|")
	}
	from := req.From().Params.GetOr("tag", "")
	return strings.Join([]string{"2543", string(*req.CallID()), from, req.Recipient.String(),
		strconv.FormatUint(uint64(req.CSeq().SeqNo), 10), via.SentBy(), branch, string(method)}, "|")
}

// mergeKey is equal for two requests that are one request arriving by two ways.
func mergeKey(req *sip.Request) string {
	return strings.Join([]string{string(*req.CallID()), req.From().Params.GetOr("tag", ""),
		strconv.FormatUint(uint64(req.CSeq().SeqNo), 10), string(req.Method)}, "|")
}

// ackKey is equal for a 2xx to an INVITE and its ACK.
func ackKey(m sip.Message) string {
	return strings.Join([]string{string(*m.CallID()), m.From().Params.GetOr("tag", ""),
		m.To().Params.GetOr("tag", ""), strconv.FormatUint(uint64(m.CSeq().SeqNo), 10)}, "|")
}
