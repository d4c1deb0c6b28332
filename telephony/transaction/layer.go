package transaction

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Filter decides about bytes before anything is parsed or remembered: true lets them pass, false drops them
// silently. data is one datagram or one framed message; for a new connection it is nil, and false closes it. It is
// called by several reader goroutines at once and must be quick.
type Filter func(transport string, source netip.AddrPort, data []byte) bool

// Config configures a Layer. The zero value of each field but User works.
type Config struct {
	// User receives requests and stray responses. Required.
	User User
	// Log receives what an operator should know. Default: slog.Default.
	Log *slog.Logger
	// Shards is the number of ordered lanes. Default: twice the processors, 4 at least.
	Shards int
	// Queue is the number of messages that may wait in each lane. Default 1024.
	Queue int
	// Timers are T1, T2, T4. Default: those of RFC 3261.
	Timers Timers
	// Filter is asked before parsing. Default: all pass. See Guard.
	Filter Filter
	// Relay is shown each checked message before anything else happens with it. Default: none.
	Relay Relay
	// MaxServers bounds the server transactions alive; beyond it, requests outside a dialog get 503. Default
	// 50,000 (about 150 MB).
	MaxServers int
	// RetryAfter is what a 503 for overload asks for. Default 5 s; rounded up to seconds.
	RetryAfter time.Duration
	// MaxMessage bounds a message, headers and body, in bytes. Default and maximum 65,535.
	MaxMessage int
	// MaxConns bounds the accepted connections. Default 10,000.
	MaxConns int
	// MaxConnsPerAddress bounds those from one address. Default 1,000: an office, or a proxy in front.
	MaxConnsPerAddress int
	// IdleTimeout closes a connection on which nothing came for so long. Default 10 min. Keep-alives count.
	IdleTimeout time.Duration
	// MessageTimeout closes a connection whose peer needs longer for one message, or for the first byte.
	// Default 30 s.
	MessageTimeout time.Duration
	// WriteTimeout closes a connection whose peer does not read for so long. Default 10 s.
	WriteTimeout time.Duration
	// Trace sees each message sent or received, if set. It must be quick and must not keep data.
	Trace func(sent bool, f Flow, data []byte)
}

func (c Config) orDefault() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.Shards = positive(c.Shards, max(4, 2*runtime.GOMAXPROCS(0)))
	c.Queue = positive(c.Queue, 1024)
	c.Timers = c.Timers.orDefault()
	c.MaxServers = positive(c.MaxServers, 50_000)
	c.RetryAfter = positive(c.RetryAfter, 5*time.Second)
	c.MaxMessage = min(positive(c.MaxMessage, maxMessage), maxMessage)
	c.MaxConns = positive(c.MaxConns, 10_000)
	c.MaxConnsPerAddress = positive(c.MaxConnsPerAddress, 1000)
	c.IdleTimeout = positive(c.IdleTimeout, 10*time.Minute)
	c.MessageTimeout = positive(c.MessageTimeout, 30*time.Second)
	c.WriteTimeout = positive(c.WriteTimeout, 10*time.Second)
	return c
}

// maxMessage is the largest UDP datagram; streams get no more (RFC 3261 §18.1.1).
const maxMessage = 65_535

func positive[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Layer is the transaction layer. Make one with New, then Listen; Stop ends it.
type Layer struct {
	conf   Config
	user   User
	log    *slog.Logger
	timers Timers
	parser *sip.Parser
	seed   maphash.Seed
	shards []*shard
	stats  counters
	refuse bucket // bounds the answers to malformed messages

	done chan struct{}
	work sync.WaitGroup

	mu        sync.Mutex
	ended     bool
	sockets   []*udpSocket
	listeners []*streamListener
	conns     map[connKey]*conn
	accepted  int
	perAddr   map[netip.Addr]int // accepted connections
}

// connKey finds a connection by transport and the peer's address.
type connKey struct{ transport, remote string }

// New makes a layer without sockets. Its goroutines run until Stop.
func New(conf Config) (*Layer, error) {
	l, err := newLayer(conf)
	if err != nil {
		return nil, err
	}
	for _, s := range l.shards {
		l.work.Go(s.run)
	}
	return l, nil
}

// newLayer is a layer whose lanes are not served yet.
func newLayer(conf Config) (*Layer, error) {
	if conf.User == nil {
		return nil, errors.New("new transaction layer: no User")
	}
	conf = conf.orDefault()
	l := &Layer{
		conf: conf, user: conf.User, log: conf.Log, timers: conf.Timers, seed: maphash.MakeSeed(),
		done: make(chan struct{}), conns: map[connKey]*conn{}, perAddr: map[netip.Addr]int{},
		parser: sip.NewParser(),
		refuse: bucket{rate: 100, burst: 200},
	}
	l.parser.MaxMessageLength = conf.MaxMessage
	for range conf.Shards {
		l.shards = append(l.shards, newShard(l, conf.Queue))
	}
	return l, nil
}

// Stop closes all sockets and connections and waits for all goroutines. Transactions end without a word: no
// callback comes after Stop has returned. It may be called twice, but not from a callback.
func (l *Layer) Stop() {
	l.mu.Lock()
	if !l.ended {
		l.ended = true
		close(l.done)
		for _, s := range l.sockets {
			_ = s.pc.Close() // the reader ends with it
		}
		for _, s := range l.listeners {
			_ = s.ln.Close() // the accepter ends with it
		}
		for _, c := range l.conns {
			c.close()
		}
	}
	l.mu.Unlock()
	l.work.Wait()
}

func (l *Layer) stopped() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// start runs f as one of the goroutines that Stop waits for; it reports false when the layer is stopping. The
// lock is held.
func (l *Layer) start(f func()) bool {
	if l.ended {
		return false
	}
	l.work.Go(f)
	return true
}

func (l *Layer) shardOf(callID string) *shard {
	return l.shards[maphash.String(l.seed, callID)%uint64(len(l.shards))]
}

// Send sends a request outside of a transaction, once: the ACK of a 2xx whose INVITE transaction is gone. It puts
// a Via in front as Request does. Errors as Request's.
func (l *Layer) Send(req *sip.Request) error {
	if l.stopped() {
		return ErrStopped
	}
	k, err := l.prepare(req)
	if err == nil {
		err = k.send([]byte(req.String()))
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", req.Method, err)
	}
	return nil
}

// prepare finds the way for req and gives it our Via and a Content-Length.
func (l *Layer) prepare(req *sip.Request) (link, error) {
	if req.CallID() == nil || req.CSeq() == nil || req.From() == nil || req.To() == nil {
		return nil, errors.New("the request lacks Call-ID, CSeq, From or To")
	}
	k, err := l.linkTo(req)
	if err != nil {
		return nil, err
	}
	addVia(req, k)
	if req.ContentLength() == nil {
		req.SetBody(req.Body())
	}
	return k, nil
}

func (l *Layer) linkTo(req *sip.Request) (link, error) {
	transport := strings.ToUpper(req.Transport())
	dest := req.Destination()
	if transport != "UDP" {
		if c := l.lookup(transport, dest); c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("%s %s: %w", transport, dest, ErrFlowGone)
	}
	to, err := netip.ParseAddrPort(dest)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", dest, ErrNoAddress)
	}
	if s := l.socketFor(req.Laddr, to); s != nil {
		return udpLink{socket: s, to: to}, nil
	}
	return nil, fmt.Errorf("udp to %s: %w", dest, ErrNoListener)
}

func (l *Layer) lookup(transport, remote string) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[connKey{transport, remote}]
}

// Alive reports whether a request can be sent on f: for UDP that we have a socket, else that the connection is
// open.
func (l *Layer) Alive(f Flow) bool {
	if f.Reliable() {
		return l.lookup(f.Transport, f.Remote) != nil
	}
	to, err := netip.ParseAddrPort(f.Remote)
	return err == nil && l.socketFor(sip.Addr{}, to) != nil
}

// Disconnect closes the connection of f, if there is one (a device that was removed, a flow that misbehaves).
func (l *Layer) Disconnect(f Flow) {
	if c := l.lookup(f.Transport, f.Remote); c != nil {
		c.close()
	}
}
