package transaction

import (
	"fmt"
	"net/netip"

	"github.com/emiago/sipgo/sip"
)

// Relay takes messages that are only to be passed on: true, and the layer does nothing more with the message, which is
// the relay's then. It is called by the reader goroutines, for each message that was checked, in the order of its
// connection; it must not block.
type Relay func(msg sip.Message, from Flow) bool

// Forward passes a request on as a stateless proxy does (RFC 3261 §16.11), with our Via and the branch given in front of
// those that it has: no transaction, no repetition. ErrFlowGone when there is no connection.
func (l *Layer) Forward(req *sip.Request, to Flow, branch string) error {
	k, err := l.link(to)
	if err != nil {
		return fmt.Errorf("forward %s: %w", req.Method, err)
	}
	putVia(req, k, branch)
	if req.ContentLength() == nil {
		req.SetBody(req.Body()) // a stream needs it
	}
	if err := k.send([]byte(req.String())); err != nil {
		return fmt.Errorf("forward %s: %w", req.Method, err)
	}
	return nil
}

// PassOn sends a response on, as it is. Errors as Forward's.
func (l *Layer) PassOn(res *sip.Response, to Flow) error {
	k, err := l.link(to)
	if err != nil {
		return fmt.Errorf("pass on %d: %w", res.StatusCode, err)
	}
	if res.ContentLength() == nil {
		res.SetBody(res.Body())
	}
	if err := k.send([]byte(res.String())); err != nil {
		return fmt.Errorf("pass on %d: %w", res.StatusCode, err)
	}
	return nil
}

// Answer answers a request without a transaction: a repetition gets the same answer anew.
func (l *Layer) Answer(req *sip.Request, code int, from Flow) {
	if k, err := l.link(from); err == nil {
		l.answer(newResponse(req, code, "", statelessTag(req)), k)
	}
}

// Ping keeps a connection alive (RFC 5626 §3.5.1); on UDP it keeps what lies between open.
func (l *Layer) Ping(f Flow) error {
	k, err := l.link(f)
	if err == nil {
		err = k.send([]byte("\r\n\r\n"))
	}
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// link finds the way of a flow.
func (l *Layer) link(f Flow) (link, error) {
	if l.stopped() {
		return nil, ErrStopped
	}
	if f.Reliable() {
		if c := l.lookup(f.Transport, f.Remote); c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("%s: %w", f, ErrFlowGone)
	}
	to, err := netip.ParseAddrPort(f.Remote)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", f.Remote, ErrNoAddress)
	}
	if s := l.socketFor(localOf(f), to); s != nil {
		return udpLink{socket: s, to: to}, nil
	}
	return nil, fmt.Errorf("udp to %s: %w", f.Remote, ErrNoListener)
}

// localOf is the socket that a flow names.
func localOf(f Flow) (a sip.Addr) {
	if local, err := netip.ParseAddrPort(f.Local); err == nil {
		a.IP, a.Port = local.Addr().AsSlice(), int(local.Port())
	}
	return a
}
