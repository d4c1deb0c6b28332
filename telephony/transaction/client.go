package transaction

import (
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Client is the client transaction of one request. Its methods may be called from any goroutine.
type Client struct {
	shard *shard
	link  link
	req   *sip.Request
	data  []byte
	key   string
	on    func(*sip.Response, error)

	// Guarded by shard.mu.
	timing
	phase      phase
	ack        []byte // ACK sent for the final response, repeated with it
	ackTag     string // To tag of the 2xx that ack belongs to
	cancelWish bool
	cancelSent bool
	cancelWith []sip.Header
}

// Request is the request as sent, with our Via. It must not be changed.
func (tx *Client) Request() *sip.Request { return tx.req }

// Flow is the way that the request went.
func (tx *Client) Flow() Flow { return tx.link.flow() }

// Request sends req in a new client transaction. It needs a transport and a destination (SetTransport,
// SetDestination); a Via with a new branch is put in front. req belongs to the layer from then on.
//
// on is called on the call's shard goroutine for each provisional response and the final one, for an INVITE also
// for each further 2xx (from another fork, or repeated before Acknowledge); or once with an error, if no final
// response comes: ErrTimeout, or ErrFlowGone when the connection closes meanwhile. Non-2xx responses to INVITE
// are acknowledged by the layer. on may be called before Request returns. If Request itself returns an error, on is
// never called.
func (l *Layer) Request(req *sip.Request, on func(res *sip.Response, err error)) (*Client, error) {
	if l.stopped() {
		return nil, ErrStopped
	}
	k, err := l.prepare(req)
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", req.Method, err)
	}
	tx := newClient(l.shardOf(string(*req.CallID())), req, k, on)
	if err := tx.shard.locked(func(e *effects) { tx.start(time.Now(), e) }); err != nil {
		_ = tx.shard.locked(func(*effects) { tx.terminate() }) // writes nothing
		return nil, fmt.Errorf("send %s: %w", req.Method, err)
	}
	return tx, nil
}

func newClient(s *shard, req *sip.Request, k link, on func(*sip.Response, error)) *Client {
	tx := &Client{shard: s, link: k, req: req, data: []byte(req.String()), on: on}
	tx.key = clientKey(req.Via(), req.Method)
	tx.timing.owner, tx.timing.index = tx, -1
	return tx
}

// clientKey matches a response to its request: top Via's branch and the CSeq method (RFC 3261 §17.1.3).
func clientKey(via *sip.ViaHeader, method sip.RequestMethod) string {
	return via.Params.GetOr("branch", "") + "|" + string(method)
}

// start sends the request. The lock is held.
func (tx *Client) start(now time.Time, e *effects) {
	s := tx.shard
	if s.clients[tx.key] != nil {
		e.err = errors.New("a request with this branch is under way")
		tx.phase = terminated
		return
	}
	s.clients[tx.key] = tx
	s.layer.stats.clients.Add(1)
	if !tx.link.flow().Reliable() {
		tx.startRepeat(now, s.layer.timers.T1) // Timer A, E
	}
	tx.end = now.Add(s.layer.timers.limit()) // Timer B, F
	s.schedule(&tx.timing)
	e.write(tx.link, tx.data)
}

// receive is the network's half of the state machine. The lock is held.
func (tx *Client) receive(res *sip.Response, now time.Time, e *effects) {
	switch {
	case tx.phase == accepted:
		tx.furtherAnswer(res, e)
	case tx.phase == completed:
		if tx.ack != nil && res.StatusCode >= 300 {
			e.write(tx.link, tx.ack) // our ACK was lost
		}
	case res.StatusCode < 200:
		tx.provisional(res, now, e)
	default:
		tx.final(res, now, e)
	}
}

func (tx *Client) provisional(res *sip.Response, now time.Time, e *effects) {
	tx.phase = proceeding
	if tx.req.IsInvite() {
		tx.repeat = time.Time{}
		if !tx.cancelSent {
			tx.end = time.Time{} // RFC 3261 §17.1.1.2: the ringing time is the user's business
		}
	} else if !tx.repeat.IsZero() {
		tx.every = tx.shard.layer.timers.T2 // RFC 3261 §17.1.2.2
	}
	tx.shard.schedule(&tx.timing)
	e.call(func() { tx.on(res, nil) })
	if tx.cancelWish && !tx.cancelSent {
		tx.sendCancel(now, e)
	}
}

func (tx *Client) final(res *sip.Response, now time.Time, e *effects) {
	t := tx.shard.layer.timers
	tx.repeat = time.Time{}
	linger := t.T4 // Timer K
	switch {
	case tx.req.IsInvite() && res.StatusCode < 300:
		tx.phase, tx.ackTag = accepted, ""
		tx.end = now.Add(t.limit()) // Timer M
		tx.shard.schedule(&tx.timing)
		e.call(func() { tx.on(res, nil) })
		return
	case tx.req.IsInvite():
		tx.ack = []byte(newAck(tx.req, res).String())
		e.write(tx.link, tx.ack)
		linger = t.limit() // Timer D
	}
	tx.phase = completed
	e.call(func() { tx.on(res, nil) })
	if tx.link.flow().Reliable() {
		tx.terminate()
		return
	}
	tx.end = now.Add(linger)
	tx.shard.schedule(&tx.timing)
}

// furtherAnswer is a 2xx after the first: repeated because our ACK was lost, or from another fork.
func (tx *Client) furtherAnswer(res *sip.Response, e *effects) {
	if res.StatusCode < 200 || res.StatusCode >= 300 {
		return
	}
	if tx.ack != nil && res.To().Params.GetOr("tag", "") == tx.ackTag {
		e.write(tx.link, tx.ack)
		return
	}
	e.call(func() { tx.on(res, nil) })
}

// Acknowledge sends the ACK of a 2xx by the layer and keeps it: when the same 2xx comes again during 64·T1, it is
// sent again without calling on. ack is built by the dialog; its destination may differ from the request's.
func (tx *Client) Acknowledge(ack *sip.Request) error {
	l := tx.shard.layer
	if l.stopped() {
		return ErrStopped
	}
	k, err := l.prepare(ack)
	if err != nil {
		return fmt.Errorf("send ACK: %w", err)
	}
	data := []byte(ack.String())
	err = tx.shard.locked(func(e *effects) {
		if tx.ack == nil {
			tx.ack, tx.ackTag = data, ack.To().Params.GetOr("tag", "")
		}
		e.write(k, data)
	})
	if err != nil {
		return fmt.Errorf("send ACK: %w", err)
	}
	return nil
}

// Cancel asks the peer to give up an INVITE (RFC 3261 §9.1). CANCEL goes out at once if a provisional response has
// come, else with the first one; after a final response it does nothing. The headers (Reason) go into it. The
// INVITE then ends in on as always: 487, a 2xx that was faster (acknowledge it and send BYE), or ErrTimeout when
// nothing comes within 64·T1.
func (tx *Client) Cancel(headers ...sip.Header) error {
	if !tx.req.IsInvite() {
		return fmt.Errorf("cancel %s: only INVITE can be cancelled", tx.req.Method)
	}
	err := tx.shard.locked(func(e *effects) {
		if tx.cancelWish || tx.phase > proceeding {
			return
		}
		tx.cancelWish, tx.cancelWith = true, headers
		if tx.phase == proceeding {
			tx.sendCancel(time.Now(), e)
		}
	})
	if err != nil {
		return fmt.Errorf("cancel INVITE: %w", err)
	}
	return nil
}

// sendCancel starts the CANCEL's own transaction, whose outcome nobody needs. The lock is held.
func (tx *Client) sendCancel(now time.Time, e *effects) {
	tx.cancelSent = true
	tx.end = now.Add(tx.shard.layer.timers.limit())
	tx.shard.schedule(&tx.timing)
	cancel := NewCancel(tx.req, tx.cancelWith...)
	newClient(tx.shard, cancel, tx.link, func(*sip.Response, error) {}).start(now, e)
}

// tick acts on a due timer. The lock is held.
func (tx *Client) tick(now time.Time, e *effects) {
	if !tx.repeat.IsZero() && !tx.repeat.After(now) && (tx.end.IsZero() || tx.end.After(now)) {
		e.write(tx.link, tx.data)
		tx.shard.layer.stats.repeatedOut.Add(1)
		limit := tx.shard.layer.timers.T2
		if tx.req.IsInvite() {
			limit = 0 // Timer A doubles without limit
		}
		tx.backOff(now, limit)
		tx.shard.schedule(&tx.timing)
		return
	}
	if tx.phase <= proceeding {
		tx.shard.layer.stats.timeouts.Add(1)
		tx.fail(ErrTimeout, e)
		return
	}
	tx.terminate()
}

// fail ends a transaction without final response. The lock is held.
func (tx *Client) fail(err error, e *effects) {
	if tx.phase > proceeding {
		return
	}
	tx.terminate()
	e.call(func() { tx.on(nil, fmt.Errorf("%s: %w", tx.req.Method, err)) })
}

// terminate forgets the transaction. The lock is held.
func (tx *Client) terminate() {
	if tx.phase == terminated {
		return
	}
	tx.phase = terminated
	tx.shard.unschedule(&tx.timing)
	if tx.shard.clients[tx.key] == tx {
		delete(tx.shard.clients, tx.key)
	}
	tx.shard.layer.stats.clients.Add(-1)
}
