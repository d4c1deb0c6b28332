package media

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// portPair is a bound RTP socket on an even port and its RTCP socket on the next
// (RFC 3550 §11).
type portPair struct {
	port      int
	rtp, rtcp int // descriptors
}

// ports hands out pairs at random, so that a stranger cannot guess the next one,
// and keeps closed ones bound but deaf for a while, so that the last packets of
// one call don't reach another.
type ports struct {
	bind       netip.Addr
	quarantine time.Duration
	min, max   int

	mu     sync.Mutex
	free   []uint16 // even ports that nobody has; empty if any is true
	any    bool     // no range: the system chooses
	total  int
	used   int
	idle   []resting // oldest first
	closed bool

	now func() int64
}

// leastRest is the part of the quarantine that every pair gets, however few are left: a call more is worth more than the
// rest of it, for stray packets come within moments and are told apart by their source as well.
const leastRest = 10

// resting is a pair in quarantine.
type resting struct {
	pair  portPair
	until int64
}

func newPorts(cfg Config, now func() int64) *ports {
	p := &ports{bind: cfg.Bind, quarantine: cfg.Quarantine, min: cfg.PortMin, max: cfg.PortMax, now: now}
	p.any = p.min == 0 && p.max == 0
	if p.any {
		return p
	}
	for port := cfg.PortMin + cfg.PortMin&1; port+1 <= cfg.PortMax; port += 2 {
		p.free = append(p.free, uint16(port))
	}
	p.total = len(p.free)
	return p
}

// open returns a bound pair, or ErrNoPorts. When none is free, the one that rested longest is used early.
func (p *ports) open() (portPair, error) {
	if p.any {
		return p.openAny()
	}
	// Ports that a stranger to this process holds go back when the search ends.
	var foreign []uint16
	defer func() { p.giveBack(foreign...) }()
	for {
		port, ok := p.take()
		if !ok && p.wake() {
			continue
		}
		if !ok {
			return portPair{}, p.allTaken(len(foreign))
		}
		pair, err := bindPair(p.bind, int(port))
		if err == nil {
			return pair, p.use(pair)
		}
		foreign = append(foreign, port)
		if !errors.Is(err, unix.EADDRINUSE) {
			return portPair{}, outOf(err)
		}
	}
}

// allTaken is ErrNoPorts that says by whom, for the one who reads the log.
func (p *ports) allTaken(foreign int) error {
	st := p.stats()
	return fmt.Errorf("%w: of %d pairs %d carry a call, %d rest, %d are held by other programs", ErrNoPorts, st.Total, st.Used, st.Quarantined, foreign)
}

// anyTries bounds the search for two neighbouring ports where the system
// chooses; half of all tries find an odd port.
const anyTries = 200

// openAny lets the system propose a port and then asks for it by number: a port
// that the system chose is lost when its socket is disconnected from a peer.
func (p *ports) openAny() (portPair, error) {
	for range anyTries {
		fd, err := openSocket(p.bind, 0)
		if err != nil {
			return portPair{}, outOf(err)
		}
		port, err := localPort(fd)
		_ = unix.Close(fd) // never used: nothing to lose
		if err != nil || port&1 == 1 {
			continue
		}
		pair, err := bindPair(p.bind, port)
		if err == nil {
			return pair, p.use(pair)
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return portPair{}, outOf(err)
		}
	}
	return portPair{}, ErrNoPorts
}

// reopen returns the pair of a given even port, or ErrPortTaken.
func (p *ports) reopen(port int) (portPair, error) {
	if port <= 0 || port > 65534 || port&1 == 1 {
		return portPair{}, fmt.Errorf("%w: RTP port %d", ErrParams, port)
	}
	inRange := p.remove(uint16(port))
	pair, err := bindPair(p.bind, port)
	if err == nil {
		return pair, p.use(pair)
	}
	if inRange {
		p.giveBack(uint16(port))
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return portPair{}, ErrPortTaken
	}
	return portPair{}, outOf(err)
}

func bindPair(ip netip.Addr, port int) (portPair, error) {
	rtp, err := openSocket(ip, port)
	if err != nil {
		return portPair{}, err
	}
	rtcp, err := openSocket(ip, port+1)
	if err != nil {
		_ = unix.Close(rtp) // never used: nothing to lose
		return portPair{}, err
	}
	return portPair{port, rtp, rtcp}, nil
}

// outOf turns the lack of descriptors or memory into ErrNoPorts.
func outOf(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		switch errno {
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			return fmt.Errorf("%w: %w", ErrNoPorts, err)
		}
	}
	return err
}

// take removes a random port from the free ones.
func (p *ports) take() (uint16, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free)
	if n == 0 || p.closed {
		return 0, false
	}
	i := rand.IntN(n) // ChaCha8, seeded by the system
	port := p.free[i]
	p.free[i] = p.free[n-1]
	p.free = p.free[:n-1]
	return port, true
}

// remove takes a given port from the free ones and says whether it was there.
func (p *ports) remove(port uint16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.free {
		if f == port {
			p.free[i] = p.free[len(p.free)-1]
			p.free = p.free[:len(p.free)-1]
			return true
		}
	}
	return false
}

func (p *ports) giveBack(list ...uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, list...)
}

// use counts a pair as used, or closes it again if the engine was closed.
func (p *ports) use(pair portPair) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		pair.close()
		return ErrClosed
	}
	p.used++
	return nil
}

func (pair portPair) close() {
	// UDP sockets have nothing unsent that closing could lose.
	_ = unix.Close(pair.rtp)
	_ = unix.Close(pair.rtcp)
}

// rest puts a used pair into quarantine.
func (p *ports) rest(pair portPair) error {
	err := errors.Join(deafen(pair.rtp), deafen(pair.rtcp))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	if p.closed {
		pair.close()
		return nil
	}
	p.idle = append(p.idle, resting{pair, p.now() + int64(p.quarantine)})
	return err
}

// abandon frees a used pair that never carried anything.
func (p *ports) abandon(pair portPair) {
	pair.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	p.release(pair.port)
}

// release makes the port free if it belongs to the range. The lock is held.
func (p *ports) release(port int) {
	if !p.any && port >= p.min && port < p.max {
		p.free = append(p.free, uint16(port))
	}
}

// reap frees the pairs whose quarantine is over.
func (p *ports) reap() {
	now := p.now()
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && p.idle[n].until <= now {
		n++
	}
	if n == 0 {
		p.mu.Unlock()
		return
	}
	over := append([]resting(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	p.mu.Unlock()

	for _, r := range over {
		r.pair.close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range over {
		p.release(r.pair.port)
	}
}

// wake frees the pair that rested longest, if it had the least of rest.
func (p *ports) wake() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 || p.idle[0].until-int64(p.quarantine)+int64(p.quarantine)/leastRest > p.now() {
		return false
	}
	pair := p.idle[0].pair
	p.idle = append(p.idle[:0], p.idle[1:]...)
	pair.close()
	p.release(pair.port)
	return true
}

// closeAll closes the pairs in quarantine; those in use belong to their shards.
func (p *ports) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, r := range p.idle {
		r.pair.close()
	}
	p.idle = nil
}

// PortStats counts pairs of ports.
type PortStats struct {
	// Total is the size of the range; 0 without one.
	Total int
	// Used carry a stream, Quarantined drain after one.
	Used, Quarantined int
}

func (p *ports) stats() PortStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PortStats{Total: p.total, Used: p.used, Quarantined: len(p.idle)}
}
