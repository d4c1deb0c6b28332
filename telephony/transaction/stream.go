package transaction

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// streamListener is one TCP or TLS port.
type streamListener struct {
	layer     *Layer
	ln        net.Listener
	transport string
	by        string
}

func (l *Layer) serveStream(ln net.Listener, transport string, e Endpoint) (net.Addr, error) {
	by, err := sentByOf(e, unmap(ln.Addr().(*net.TCPAddr).AddrPort()))
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	addr := ln.Addr()
	if transport == "TLS" {
		ln = tls.NewListener(ln, e.TLS)
	}
	s := &streamListener{layer: l, ln: ln, transport: transport, by: by}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.start(s.accept) {
		return nil, errors.Join(ErrStopped, ln.Close())
	}
	l.listeners = append(l.listeners, s)
	return addr, nil
}

// acceptPause is how long we wait after a failed accept: the usual cause is a lack of file descriptors.
const acceptPause = 100 * time.Millisecond

func (s *streamListener) accept() {
	l := s.layer
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			if l.stopped() || errors.Is(err, net.ErrClosed) {
				return
			}
			l.log.Error("accepting a connection failed", "transport", s.transport, "err", err)
			pause := time.NewTimer(acceptPause)
			select {
			case <-pause.C:
			case <-l.done:
			}
			pause.Stop()
			continue
		}
		s.take(nc)
	}
}

func (s *streamListener) take(nc net.Conn) {
	l := s.layer
	source := addrPortOf(nc.RemoteAddr())
	if !l.pass(s.transport, source, nil) {
		_ = nc.Close() // dropped on purpose
		return
	}
	c := newStream(l, nc, s.transport, s.by)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.accepted >= l.conf.MaxConns || l.perAddr[source.Addr()] >= l.conf.MaxConnsPerAddress {
		l.stats.refused.Add(1)
		_ = nc.Close() // dropped on purpose
		return
	}
	l.accepted++
	l.perAddr[source.Addr()]++
	c.counted = true
	l.begin(c)
	l.work.Go(c.read)
}

// Connect makes a connection for requests to addr (ip:port), or finds the one that exists: also an accepted one,
// if the peer connected from that very address. tlsConf is for TLS only (ServerName!). The dialling ends with ctx.
func (l *Layer) Connect(ctx context.Context, transport, addr string, tlsConf *tls.Config) (Flow, error) {
	transport = strings.ToUpper(transport)
	if c := l.lookup(transport, addr); c != nil {
		return c.f, nil
	}
	nc, err := dial(ctx, transport, addr, tlsConf)
	if err != nil {
		return Flow{}, fmt.Errorf("connect to %s %s: %w", transport, addr, err)
	}
	by := l.SentBy(transport)
	if by == "" {
		by = addrPortOf(nc.LocalAddr()).String()
	}
	c := newStream(l, nc, transport, by)
	c.ours = true
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.conns[c.key()]; old != nil || l.ended {
		_ = nc.Close() // somebody else was faster
		if l.ended {
			return Flow{}, ErrStopped
		}
		return old.f, nil
	}
	l.begin(c)
	l.work.Go(c.read)
	return c.f, nil
}

func dial(ctx context.Context, transport, addr string, conf *tls.Config) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, ErrNoAddress
	}
	switch transport {
	case "TCP":
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	case "TLS":
		d := tls.Dialer{Config: conf}
		return d.DialContext(ctx, "tcp", addr)
	}
	return nil, errors.New("unknown transport: want TCP or TLS")
}

func addrPortOf(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return unmap(t.AddrPort())
	}
	return netip.AddrPort{}
}

// streamWire is a TCP or TLS connection as a Wire.
type streamWire struct {
	net.Conn
	timeout time.Duration
}

func (w streamWire) WriteMessage(data []byte) error {
	if err := w.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// Close closes without TLS's farewell, which could block.
func (w streamWire) Close() error {
	if t, ok := w.Conn.(*tls.Conn); ok {
		return t.NetConn().Close()
	}
	return w.Conn.Close()
}

func newStream(l *Layer, nc net.Conn, transport, by string) *conn {
	source := addrPortOf(nc.RemoteAddr())
	f := Flow{Transport: transport, Local: addrPortOf(nc.LocalAddr()).String(), Remote: source.String()}
	c := newConn(l, f, by, streamWire{nc, l.conf.WriteTimeout})
	c.nc, c.source = nc, source
	return c
}

// read handles the messages of a TCP or TLS connection until it ends.
func (c *conn) read() {
	if err := c.readMessages(); err != nil {
		c.finish() // let the refusal out first
		return
	}
	c.close()
}

// readMessages returns an error when the stream cannot be followed any more and the peer was told so, nil when the
// connection is broken or over.
func (c *conn) readMessages() error {
	fr := framer{max: c.layer.conf.MaxMessage}
	first := !c.ours
	var begun time.Time // when the unfinished message began
	for {
		msg, pings, err := fr.next()
		for range pings {
			_ = c.send([]byte("\r\n")) // RFC 5626 §3.5.1; a full queue closes the connection by itself
		}
		if err != nil {
			c.layer.stats.malformed.Add(1)
			c.layer.answerRaw(fr.buf, refusalOf(err), c)
			return err
		}
		if msg != nil {
			begun = time.Time{}
			c.layer.input(msg, c.source, c)
			continue
		}
		limit := c.layer.conf.IdleTimeout
		if fr.partial() || first {
			if begun.IsZero() {
				begun = time.Now()
			}
			limit = c.layer.conf.MessageTimeout - time.Since(begun)
		}
		if c.nc.SetReadDeadline(time.Now().Add(limit)) != nil || fr.fill(c.nc) != nil {
			return nil //nolint:nilerr // the connection has ended, which is how reading ends
		}
		if first {
			first, begun = false, time.Time{}
		}
	}
}
