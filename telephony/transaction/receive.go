package transaction

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
)

// pushBack is how long the reader of a stream waits for room in a queue before it gives up like UDP does: the
// peer's send window closes meanwhile.
const pushBack = 500 * time.Millisecond

// input takes one datagram or framed message from a link: filter, parse, check, and on to the shard.
func (l *Layer) input(data []byte, source netip.AddrPort, k link) {
	f := k.flow()
	if !l.pass(f.Transport, source, data) {
		return
	}
	if l.conf.Trace != nil {
		l.conf.Trace(false, f, data)
	}
	msg, err := l.read(data)
	if err != nil {
		l.stats.malformed.Add(1)
		l.answerRaw(data, refusalOf(err), k)
		return
	}
	l.stats.received.Add(1)
	msg.SetTransport(f.Transport)
	msg.SetSource(f.Remote)
	if req, ok := msg.(*sip.Request); ok {
		markSource(req, f.Remote)
	}
	if l.conf.Relay != nil && l.conf.Relay(msg, f) {
		return
	}
	l.queue(msg, k)
}

// pass asks the filter, for a datagram, a message or (data nil) a connection.
func (l *Layer) pass(transport string, source netip.AddrPort, data []byte) bool {
	if l.conf.Filter == nil || l.conf.Filter(transport, source, data) {
		return true
	}
	l.stats.filtered.Add(1)
	return false
}

// read parses and checks a message, a refused one once more after tidying its white space.
func (l *Layer) read(data []byte) (sip.Message, error) {
	msg, err := l.parseAndCheck(data)
	if err == nil {
		return msg, nil
	}
	if tidy, ok := tidy(data); ok {
		if msg, again := l.parseAndCheck(tidy); again == nil {
			return msg, nil
		}
	}
	return nil, err
}

func (l *Layer) parseAndCheck(data []byte) (sip.Message, error) {
	msg, err := l.parse(data)
	if err != nil {
		return nil, err
	}
	return msg, check(msg)
}

// parse shields the process from the parser: whatever bytes may do to it, they cost one message and no more.
func (l *Layer) parse(data []byte) (msg sip.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			l.log.Error("the SIP parser failed on a message", "err", fmt.Sprint(p), "bytes", len(data))
			err = fmt.Errorf("parser: %v", p)
		}
	}()
	msg, err = l.parser.ParseSIP(data)
	if err != nil {
		return nil, err
	}
	expandCompact(msg)
	return msg, nil
}

// queue hands a checked message to its shard, or sheds it.
func (l *Layer) queue(msg sip.Message, k link) {
	s := l.shardOf(string(*msg.CallID()))
	in := inbound{msg: msg, link: k}
	select {
	case s.queue <- in:
		return
	default:
	}
	if k.flow().Reliable() {
		wait := time.NewTimer(pushBack)
		defer wait.Stop()
		select {
		case s.queue <- in:
			return
		case <-l.done:
			return
		case <-wait.C:
		}
	}
	req, ok := msg.(*sip.Request)
	if !ok || req.IsAck() || req.IsCancel() {
		l.stats.dropped.Add(1)
		return
	}
	l.overload(req, k)
}

// overload answers 503 without keeping anything (RFC 3261 §21.5.4).
func (l *Layer) overload(req *sip.Request, k link) {
	l.stats.overloaded.Add(1)
	res := newResponse(req, sip.StatusServiceUnavailable, "", statelessTag(req))
	seconds := int((l.conf.RetryAfter + time.Second - 1) / time.Second)
	res.AppendHeader(sip.NewHeader("Retry-After", fmt.Sprint(seconds)))
	l.answer(res, k)
}

// answer sends a response of no transaction.
func (l *Layer) answer(res *sip.Response, k link) {
	if err := k.send([]byte(res.String())); err != nil {
		l.stats.writeErrors.Add(1)
	}
}

// receive runs on the shard's goroutine: it finds the transaction of a message or begins one.
func (s *shard) receive(in inbound) {
	now := time.Now()
	var err error
	switch m := in.msg.(type) {
	case nil:
		err = s.locked(func(e *effects) { s.linkClosed(in.link, e) })
	case *sip.Response:
		err = s.locked(func(e *effects) { s.response(m, in.link, now, e) })
	case *sip.Request:
		switch m.Method {
		case sip.ACK:
			err = s.locked(func(e *effects) { s.ackRequest(m, in.link, now, e) })
		case sip.CANCEL:
			err = s.locked(func(e *effects) { s.cancelRequest(m, in.link, now, e) })
		default:
			err = s.locked(func(e *effects) { s.request(m, in.link, now, e) })
		}
	}
	if err != nil {
		s.layer.stats.writeErrors.Add(1)
	}
}

// The rest runs with the lock held.

func (s *shard) response(res *sip.Response, k link, now time.Time, e *effects) {
	if tx := s.clients[clientKey(res.Via(), res.CSeq().MethodName)]; tx != nil {
		tx.receive(res, now, e)
		return
	}
	s.layer.stats.strays.Add(1)
	e.call(func() { s.layer.user.Stray(res, k.flow()) })
}

func (s *shard) ackRequest(ack *sip.Request, k link, now time.Time, e *effects) {
	tx := s.servers[serverKey(ack, sip.INVITE)]
	if tx == nil {
		tx = s.acks[ackKey(ack)]
	}
	if tx != nil {
		tx.receive(ack, now, e)
		return
	}
	e.call(func() { s.layer.user.Ack(ack, k.flow()) })
}

func (s *shard) cancelRequest(cancel *sip.Request, k link, now time.Time, e *effects) {
	tx := s.servers[serverKey(cancel, sip.INVITE)]
	if tx == nil {
		res := newResponse(cancel, sip.StatusCallTransactionDoesNotExists, "", statelessTag(cancel))
		e.write(k, []byte(res.String()))
		return
	}
	e.write(k, []byte(newResponse(cancel, sip.StatusOK, "", tx.tag).String()))
	tx.cancel(cancel, now, e)
}

func (s *shard) request(req *sip.Request, k link, now time.Time, e *effects) {
	tx := newServer(s, req, k)
	if old := s.servers[tx.key]; old != nil {
		old.receive(req, now, e)
		return
	}
	outside := !req.To().Params.Has("tag")
	if old := s.merged[tx.merge]; old != nil && outside && !old.challenged() {
		s.layer.stats.merged.Add(1)
		res := newResponse(req, sip.StatusLoopDetected, "", statelessTag(req))
		e.write(k, []byte(res.String()))
		return
	}
	if outside && s.layer.stats.servers.Load() >= int64(s.layer.conf.MaxServers) {
		e.call(func() { s.layer.overload(req, k) })
		return
	}
	s.servers[tx.key] = tx
	if outside {
		s.merged[tx.merge] = tx
	}
	s.layer.stats.servers.Add(1)
	if !req.IsInvite() {
		tx.end = now.Add(s.layer.timers.limit()) // the client has given up by then (RFC 4320)
		s.schedule(&tx.timing)
	}
	e.call(func() { s.layer.user.Request(tx) })
	if req.IsInvite() {
		e.list = append(e.list, tx.try)
	}
}

// challenged reports that the request was answered with a challenge: some phones send their credentials with the
// same CSeq, which then looks like a merged request. The lock is held.
func (tx *Server) challenged() bool {
	return tx.code == sip.StatusUnauthorized || tx.code == sip.StatusProxyAuthRequired
}

// try sends 100 if nothing was answered yet (RFC 3261 §17.2.1).
func (tx *Server) try() error {
	return tx.shard.locked(func(e *effects) {
		if tx.code == 0 && tx.phase == proceeding {
			e.err = tx.respond(newResponse(tx.req, sip.StatusTrying, "", ""), time.Now(), e)
		}
	})
}

func (s *shard) linkClosed(k link, e *effects) {
	for _, tx := range s.clients {
		if tx.link == k {
			tx.fail(ErrFlowGone, e)
		}
	}
}
