package telephony

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/telephony/digest"
	"holdfast/telephony/hop"
	"holdfast/telephony/media"
	"holdfast/telephony/transaction"
)

// Node is one telephony process: it owns SIP sockets, RTP ports and the calls on them. Make it with New; Start opens
// the sockets, Stop ends in order.
type Node struct {
	conf     Config
	log      *slog.Logger
	now      func() time.Time
	dir      Directory
	told     atomic.Pointer[Handler]
	layer    *transaction.Layer
	engine   *media.Engine
	digest   *digest.Server
	fragile  fragile
	secrets  *secrets
	settings *settings
	music    *jukebox
	carriers *carriers
	guard    *transaction.Guard
	phones   *phones
	peers    *peers
	index    *index
	metrics  *metrics

	slots    chan struct{} // INVITEs that may be looked at at one time
	draining atomic.Bool
	strays   atomic.Int32    // answers of nobody's INVITE in this second
	life     context.Context // ends with Stop
	end      context.CancelFunc
	beatNow  chan struct{}
	run      run           // by which name calls are carried
	force    chan struct{} // closed when live calls have to end at once
	started  time.Time
	addrs    []net.Addr

	carriersAway, peersAway, beatAway trouble       // each of one goroutine
	stale                             chan struct{} // the directory has changed since the trunks were read; one place

	mu    sync.Mutex // of Start and Stop
	state nodeState

	starting sync.Mutex
	ending   bool
	work     sync.WaitGroup
}

type nodeState uint8

const (
	made nodeState = iota
	running
	stopped
)

// New makes a node that does nothing yet. h may be nil if SetHandler follows before the first call; a call that comes
// earlier is refused with 503.
func New(conf Config, h Handler, dir Directory) (*Node, error) {
	if err := conf.Validate(); err != nil {
		return nil, fmt.Errorf("new telephony node: %w", err)
	}
	conf = conf.orDefault()
	n := &Node{
		conf: conf, log: conf.Log.With("node", string(conf.Name)), now: conf.Now, dir: dir, index: newIndex(),
		metrics: newMetrics(), slots: make(chan struct{}, conf.Openings), force: make(chan struct{}), beatNow: make(chan struct{}, 1),
		stale:    make(chan struct{}, 1),
		carriers: &carriers{dir: dir, now: conf.Now}, secrets: newSecrets(dir, conf.Now),
	}
	n.life, n.end = context.WithCancel(context.Background())
	n.run.boot.Store(&conf.Boot)
	if h != nil {
		n.SetHandler(h)
	}
	var err error
	key := []byte(rand.Text()) // nonces of another boot are answered with a fresh challenge
	if n.digest, err = digest.NewServer(digest.Config{Store: n.secrets, Key: key, Algorithms: conf.Algorithms, Now: conf.Now}); err != nil {
		return nil, fmt.Errorf("new telephony node: %w", err)
	}
	conf.Guard.Trusted = append(slices.Clone(conf.Guard.Trusted), loopback...)
	n.guard = transaction.NewGuard(conf.Guard)
	if n.phones, err = newPhones(n); err != nil {
		return nil, fmt.Errorf("new telephony node: %w", err)
	}
	n.peers = newPeers(n)
	n.settings = newSettings(n)
	n.music = newJukebox(n)
	return n, nil
}

// loopback are the addresses of this machine.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// pass decides about bytes before they are parsed: carriers and other nodes may send as much as they like, others what the guard allows.
func (n *Node) pass(transport string, source netip.AddrPort, data []byte) bool {
	return n.carriers.knows(source.Addr()) || n.peers.knows(source.Addr()) || n.guard.Allow(transport, source, data)
}

// SetHandler sets who is told what happens: it and the node need each other, so that one comes later.
func (n *Node) SetHandler(h Handler) { n.told.Store(&h) }

func (n *Node) handler() Handler {
	if h := n.told.Load(); h != nil {
		return *h
	}
	return nil
}

// Start opens the sockets and serves them until Stop. It may be called once.
func (n *Node) Start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != made {
		return fmt.Errorf("start telephony node %s: it was started or stopped before", n.conf.Name)
	}
	if err := n.open(ctx); err != nil {
		n.close()
		n.state = stopped
		return fmt.Errorf("start telephony node %s: %w", n.conf.Name, err)
	}
	n.state = running
	n.started = n.now()
	media.Music() // composed once, before a caller waits for it
	if err := n.carriers.refresh(ctx, 0); err != nil {
		n.log.Warn("the trunks could not be read yet", "err", err)
	}
	if err := n.peers.refresh(ctx); err != nil {
		n.log.Warn("the other nodes could not be read yet", "err", err)
	}
	n.work.Go(n.keepHouse)
	n.work.Go(func() { n.phones.reg.Run(n.life) })
	n.work.Go(func() { newPulses(n).run(n.life) })
	n.work.Go(n.beatOn)
	return nil
}

// open makes engine, transaction layer and sockets.
func (n *Node) open(ctx context.Context) (err error) {
	mc := n.conf.Media
	mc.Events = n.heard
	if mc.Log == nil {
		mc.Log = n.log
	}
	if n.engine, err = media.New(mc); err != nil {
		return err
	}
	n.layer, err = transaction.New(transaction.Config{
		User: user{n}, Log: n.log, Timers: n.conf.Timers, RetryAfter: n.conf.RetryAfter, Trace: n.conf.Trace,
		Filter: n.pass, Relay: n.peers.take,
	})
	if err != nil {
		return err
	}
	n.peers.relay.Store(hop.New(hopLayer{n.layer}, n.start, n.log))
	for _, e := range n.conf.Listen {
		addr, err := n.layer.Listen(ctx, e)
		if err != nil {
			return err
		}
		n.addrs = append(n.addrs, addr)
		n.log.Info("SIP socket is open", "transport", e.Transport, "addr", addr.String())
	}
	return nil
}

// Stop ends the node in order: new callers get 503, the registry says that the node drains, and live calls go on until
// they end or ctx does; then they are ended with BYE. It is safe twice and before Start. It returns ctx's error if it
// had to end calls.
func (n *Node) Stop(ctx context.Context) error {
	n.draining.Store(true)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state != running {
		n.state = stopped
		return nil
	}
	n.state = stopped
	err := n.drain(ctx)
	n.starting.Lock()
	n.ending = true
	n.starting.Unlock()
	close(n.force)
	n.end()
	n.work.Wait()
	if err != nil {
		n.linger()
	}
	n.close()
	if err != nil {
		return fmt.Errorf("stop telephony node %s: %w", n.conf.Name, err)
	}
	return nil
}

// drain waits for the end of the live calls.
func (n *Node) drain(ctx context.Context) error {
	select {
	case n.beatNow <- struct{}{}:
	default: // one is coming
	}
	const look = 50 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for n.index.count() > 0 {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("calls that had to be ended: %d: %w", n.index.count(), ctx.Err())
		}
	}
	return nil
}

// linger gives the BYEs of a hurried stop a moment to be sent and answered.
func (n *Node) linger() {
	const moment, look = 100 * time.Millisecond, 10 * time.Millisecond
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for end := time.Now().Add(moment); n.layer.Stats().ClientsAlive > 0 && time.Now().Before(end); {
		<-ticker.C
	}
}

// close frees what open made.
func (n *Node) close() {
	if n.layer != nil {
		n.layer.Stop()
	}
	if n.engine != nil {
		_ = n.engine.Close() // never fails
	}
}

// Addrs are the SIP sockets, in the order of Config.Listen. They are known after Start.
func (n *Node) Addrs() []net.Addr { return n.addrs }

// Addr is host:port under which peers reach the node over a transport ("UDP", "TCP"), after Start.
func (n *Node) Addr(transport string) string {
	if n.layer == nil {
		return ""
	}
	return n.layer.SentBy(transport)
}

// Calls is the number of live calls.
func (n *Node) Calls() int { return n.index.count() }

// start runs f as one of the goroutines that Stop waits for; false when the node is stopping.
func (n *Node) start(f func()) bool {
	n.starting.Lock()
	defer n.starting.Unlock()
	if n.ending {
		return false
	}
	n.work.Go(f)
	return true
}

// forget takes a call that is over out of the index.
func (n *Node) forget(a *actor) {
	n.index.dropCall(a)
	n.leaveTrunk(a)
}

// heard takes an event of the media engine.
func (n *Node) heard(e media.Event) {
	if e.Kind != media.Timeout {
		return
	}
	o, found := n.index.stream(e.Stream)
	if found {
		o.actor.box.post(func() { o.actor.silent(o.leg) })
	}
}

// Prompted begins a ring that a call's workflow is about to ask for, so that the phone need not wait for it; the
// workflow's own Ring attaches to it. It returns at once.
func (n *Node) Prompted(ref call.Ref, r call.Ring) {
	n.start(func() {
		switch e, err := n.Ring(n.life, ref, r); {
		case err == nil:
			n.log.Debug("a prompted ring ended", "call", string(ref.Call), "outcome", string(e.Outcome))
		case n.life.Err() == nil:
			n.log.Debug("a prompted ring was not begun", "call", string(ref.Call), "err", err)
		}
	})
}

// DirectoryChanged has the node look anew at what it remembers of a tenant's trunks, devices and credentials, of all tenants' if t
// is empty. It returns at once. Without it, changes are seen after a while.
func (n *Node) DirectoryChanged(t id.Tenant) {
	n.secrets.doubt(t)
	n.settings.doubt(t)
	n.music.doubt(t)
	select {
	case n.stale <- struct{}{}:
	default: // a look is due already
	}
}

// keepHouse does what comes round: the view of the trunks, ended rings, expired registrations.
func (n *Node) keepHouse() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-n.life.Done():
			return
		case <-n.stale:
			n.carriersAway.note(n, "the trunks can't be read", n.carriers.refresh(n.life, 0))
			continue
		case <-ticker.C:
		}
		n.strays.Store(0)
		n.index.sweep(n.now())
		n.phones.settle()
		n.peers.keep()
		ctx, cancel := context.WithTimeout(n.life, n.conf.Refresh)
		n.carriersAway.note(n, "the trunks can't be read", n.carriers.refresh(ctx, n.conf.Refresh))
		cancel()
	}
}

// trouble is something that fails again and again: its beginning and its end are told, not each time.
type trouble struct{ on bool }

func (t *trouble) note(n *Node, what string, err error) {
	switch {
	case n.life.Err() != nil:
	case err != nil && !t.on:
		n.log.Warn(what, "err", err)
	case err == nil && t.on:
		n.log.Info("it works again", "after", what)
	}
	t.on = err != nil
}

// beatOn writes the node's row of the registry, at once and then at each beat.
func (n *Node) beatOn() {
	ticker := time.NewTicker(n.conf.Beat)
	defer ticker.Stop()
	for {
		n.beat(n.life)
		select {
		case <-n.life.Done():
			return
		case <-ticker.C:
		case <-n.beatNow:
		}
	}
}

func (n *Node) beat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.conf.Beat)
	defer cancel()
	address := ""
	if len(n.conf.Listen) > 0 {
		address = n.Addr(n.conf.Listen[0].Transport)
	}
	boot := n.Boot()
	lost, err := n.dir.Beat(ctx, device.Node{
		Name: n.conf.Name, Boot: boot, Address: address, Started: n.started, Seen: n.now(), Calls: n.Calls(),
		Drain: n.draining.Load(),
	})
	n.beatAway.note(n, "the heartbeat can't be written", err)
	if err == nil {
		n.registered(boot, lost)
	}
}

// contact is our Contact URI for a peer on that transport.
func (n *Node) contact(transport string) string {
	by := n.layer.SentBy(transport)
	if by == "" {
		return "sip:holdfast@" + n.layer.SentBy("UDP")
	}
	if strings.EqualFold(transport, "UDP") {
		return "sip:holdfast@" + by
	}
	return "sip:holdfast@" + by + ";transport=" + strings.ToLower(transport)
}

// allow are the methods that the node takes in a dialog.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"

// product is what we call ourselves.
const product = "Holdfast"

// abilities are the headers of our INVITE and UPDATE that say what we can.
func (n *Node) abilities() []sip.Header {
	return []sip.Header{sip.NewHeader("Allow", allow), sip.NewHeader("Supported", "timer"), sip.NewHeader("User-Agent", product)}
}

// dress puts on a response what makes and refreshes a dialog.
func (n *Node) dress(res *sip.Response, transport string) {
	res.AppendHeader(sip.NewHeader("Contact", "<"+n.contact(transport)+">"))
	res.AppendHeader(sip.NewHeader("Allow", allow))
	res.AppendHeader(sip.NewHeader("Supported", "timer"))
	res.AppendHeader(sip.NewHeader("Server", product))
}

// accepting is the 200 to an INVITE or UPDATE with a description, if body is not nil.
func (n *Node) accepting(tx *transaction.Server, timer []sip.Header, body []byte) *sip.Response {
	res := tx.NewResponse(sip.StatusOK, "")
	n.dress(res, tx.Flow().Transport)
	for _, h := range timer {
		res.AppendHeader(h)
	}
	if body != nil {
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	res.SetBody(body)
	return res
}

// capabilities is the 200 to an OPTIONS.
func (n *Node) capabilities(tx *transaction.Server) *sip.Response {
	res := tx.NewResponse(sip.StatusOK, "")
	n.dress(res, tx.Flow().Transport)
	res.AppendHeader(sip.NewHeader("Accept", "application/sdp, application/dtmf-relay"))
	return res
}

func (n *Node) retryAfter() sip.Header { return retryAfter(n.conf.RetryAfter) }

func retryAfter(d time.Duration) sip.Header {
	return sip.NewHeader("Retry-After", fmt.Sprint(int((d+time.Second-1)/time.Second)))
}
