package transaction

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
)

// Wire carries whole messages to the peer of an attached connection. WriteMessage is called from one goroutine; it
// may block for a bounded time. Close makes a blocked WriteMessage return; it does not block, nor call
// Attached.Close itself.
type Wire interface {
	WriteMessage(data []byte) error
	Close() error
}

// writeQueue is how many messages may wait for a slow stream before the connection is closed.
const writeQueue = 256

// conn is a connection: TCP, TLS, or one that somebody attached. A goroutine writes; reading is done by another
// one, or by who attached it.
type conn struct {
	layer   *Layer
	f       Flow
	by      string
	wire    Wire
	source  netip.AddrPort
	nc      net.Conn // TCP and TLS only
	ours    bool     // we dialled
	counted bool     // counts as accepted

	out   chan []byte
	ended chan struct{}
	once  sync.Once
}

func newConn(l *Layer, f Flow, by string, w Wire) *conn {
	return &conn{layer: l, f: f, by: by, wire: w, out: make(chan []byte, writeQueue), ended: make(chan struct{})}
}

func (c *conn) flow() Flow     { return c.f }
func (c *conn) sentBy() string { return c.by }
func (c *conn) key() connKey   { return connKey{c.f.Transport, c.f.Remote} }

// begin registers c, in place of an older one of the same address, and starts its writer. The layer's lock is held.
func (l *Layer) begin(c *conn) {
	if old := l.conns[c.key()]; old != nil {
		old.close()
	}
	l.conns[c.key()] = c
	l.work.Go(c.writeLoop)
}

func (c *conn) send(data []byte) error {
	select {
	case <-c.ended:
		return fmt.Errorf("%s: %w", c.f, ErrFlowGone)
	default:
	}
	select {
	case c.out <- data:
		return nil
	default:
		c.close()
		return fmt.Errorf("%s: %w", c.f, ErrSlowPeer)
	}
}

// close ends the connection; its writer then cleans up. It blocks for no lock.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.ended)
		_ = c.wire.Close() // nothing to be done about it
	})
}

// finish closes the connection after what is queued has been written.
func (c *conn) finish() {
	select {
	case c.out <- nil:
	default:
		c.close()
	}
}

func (c *conn) writeLoop() {
	defer c.forget()
	defer c.close()
	for {
		select {
		case <-c.ended:
			return
		case data := <-c.out:
			if data == nil {
				return
			}
			if trace := c.layer.conf.Trace; trace != nil {
				trace(true, c.f, data)
			}
			if err := c.wire.WriteMessage(data); err != nil {
				return
			}
		}
	}
}

// forget takes the connection out and tells those who wait on it.
func (c *conn) forget() {
	l := c.layer
	l.mu.Lock()
	if l.conns[c.key()] == c {
		delete(l.conns, c.key())
	}
	if c.counted {
		l.accepted--
		if l.perAddr[c.source.Addr()]--; l.perAddr[c.source.Addr()] == 0 {
			delete(l.perAddr, c.source.Addr())
		}
	}
	l.mu.Unlock()
	for _, s := range l.shards {
		select {
		case s.queue <- inbound{link: c}:
		case <-l.done:
			return
		}
	}
	l.user.FlowClosed(c.f)
}

// Attached is a connection that somebody else reads, such as a WebSocket.
type Attached struct{ c *conn }

// Attach makes a connection known, so that requests can be sent on f and responses find their way. f.Transport is WS
// or WSS (any stream will do), f.Remote must be unique for the transport; a connection of the same name is closed.
// sentBy is the host:port (or host) for our Via. The owner of the wire passes each message to Receive and calls
// Close when the peer has gone; the layer closes the wire on Stop, Disconnect and when the peer does not read.
func (l *Layer) Attach(f Flow, sentBy string, w Wire) (*Attached, error) {
	f.Transport = strings.ToUpper(f.Transport)
	if !f.Reliable() || f.Remote == "" || sentBy == "" {
		return nil, fmt.Errorf("attach %s: want a stream transport, a remote address and sent-by", f)
	}
	c := newConn(l, f, sentBy, w)
	if ap, err := netip.ParseAddrPort(f.Remote); err == nil {
		c.source = unmap(ap)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, ErrStopped
	}
	l.begin(c)
	return &Attached{c}, nil
}

// Receive takes one whole message. It returns when the message is in its lane; data may be reused then.
func (a *Attached) Receive(data []byte) {
	if string(data) == "\r\n\r\n" {
		_ = a.c.send([]byte("\r\n")) // keep-alive; a full queue closes the connection by itself
		return
	}
	if !isKeepAlive(data) {
		a.c.layer.input(data, a.c.source, a.c)
	}
}

// Flow is the connection's flow.
func (a *Attached) Flow() Flow { return a.c.f }

// Close ends the connection and closes the wire. It may be called twice.
func (a *Attached) Close() { a.c.close() }

// Done is closed when the connection has ended, from whichever side.
func (a *Attached) Done() <-chan struct{} { return a.c.ended }
