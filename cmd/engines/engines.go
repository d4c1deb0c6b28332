// Package engines starts the Temporal service that `holdfast dev` and the tests
// of the running system stand on: the program holdfast-devstack, beside a
// private Postgres of db/cluster.
package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"holdfast/db/cluster"
	"holdfast/domain/fault"
)

const (
	// loopback is where Temporal listens unless told otherwise.
	loopback = "127.0.0.1"
	// readyWithin is how long a start may take, the recovery of Postgres included.
	readyWithin = 2 * time.Minute
	// portGrace is how long a port may be in use before we say so: a Temporal
	// whose owner was killed a moment ago is still ending.
	portGrace = 3 * time.Second
	// portRetry is the pause between two tries to get a port.
	portRetry = 20 * time.Millisecond
	// stopWithin is how long an orderly stop may take; it usually takes one second.
	stopWithin = 20 * time.Second
)

// Config says on which Postgres Temporal runs and where it listens.
type Config struct {
	// Cluster keeps Temporal's data, in two databases of its own. It must outlive Temporal.
	Cluster *cluster.Cluster
	// Binary is the path of holdfast-devstack; FindBinary looks for it when empty.
	Binary string
	// IP is the address on which frontend and Web UI listen; 127.0.0.1 when empty.
	IP string
	// FrontendPort is the gRPC port, 0 for a free one.
	FrontendPort int
	// UIPort is the port of the Web UI, 0 for a free one.
	UIPort int
	// Headless leaves the Web UI out.
	Headless bool
	// Namespace is registered when missing; "default" when empty.
	Namespace string
	// Output gets the log lines of Temporal; nil drops them.
	Output io.Writer
	// Log gets what an operator wants to know; nil is silent.
	Log *slog.Logger
}

// Temporal is a running Temporal service. Its methods may be called from any
// goroutine.
type Temporal struct {
	config   Config
	frontend *cluster.Reservation
	ui       *cluster.Reservation

	mu      sync.Mutex // held by Stop, Kill and Restart for their whole time
	process *process
	stopped bool
}

// Start starts Temporal and returns when it takes requests in its namespace.
// If this process dies in any way, Temporal ends at once.
//
// What the user can change comes back as a *fault.Error with one sentence: the
// program is missing, a port is in use.
func Start(ctx context.Context, c Config) (*Temporal, error) {
	if c.Cluster == nil {
		return nil, fault.E(fault.Invalid, "start temporal", errors.New("no cluster for its data is given"))
	}
	if c.Binary == "" {
		found, err := FindBinary()
		if err != nil {
			return nil, err
		}
		c.Binary = found
	}
	if c.IP == "" {
		c.IP = loopback
	}
	if c.Namespace == "" {
		c.Namespace = "default"
	}
	if c.Output == nil {
		c.Output = io.Discard
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Temporal{config: c}
	if err := t.open(ctx); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *Temporal) open(ctx context.Context) (err error) {
	if t.frontend, err = t.reserve(ctx, t.config.FrontendPort, "Temporal"); err != nil {
		return err
	}
	if !t.config.Headless {
		if t.ui, err = t.reserve(ctx, t.config.UIPort, "the Temporal Web UI"); err != nil {
			return err
		}
	}
	return t.run(ctx)
}

func (t *Temporal) reserve(ctx context.Context, port int, whose string) (*cluster.Reservation, error) {
	patience := time.After(portGrace)
	for {
		r, err := cluster.ReservePort(t.config.IP, port)
		if !errors.Is(err, cluster.ErrPortTaken) {
			return r, err
		}
		select {
		case <-time.After(portRetry):
			continue
		case <-patience:
		case <-ctx.Done():
		}
		return nil, &fault.Error{Kind: fault.Unavailable, Op: "start temporal", Code: "port_taken", Err: err, Sentence: fmt.Sprintf(
			"port %d of %s is in use by another program; stop it or choose another port for %s", port, t.config.IP, whose)}
	}
}

func (t *Temporal) close() {
	t.frontend.Release()
	t.ui.Release()
	t.stopped = true
}

// Frontend is host:port for clients. It stays the same across Restart.
func (t *Temporal) Frontend() string { return t.address(t.frontend) }

// UI is the URL of the Web UI, empty when headless.
func (t *Temporal) UI() string {
	if t.ui == nil {
		return ""
	}
	return "http://" + t.address(t.ui)
}

func (t *Temporal) address(r *cluster.Reservation) string {
	ip := t.config.IP
	if net.ParseIP(ip).IsUnspecified() {
		ip = loopback // a wildcard is no address to call
	}
	return net.JoinHostPort(ip, strconv.Itoa(r.Port))
}

// Namespace is where workflows belong.
func (t *Temporal) Namespace() string { return t.config.Namespace }

// PID is the process id, 0 while it doesn't run.
func (t *Temporal) PID() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.process == nil {
		return 0
	}
	return t.process.pid()
}

// Done is closed when the process that runs now has ended, asked or not. After
// Kill or Stop it is closed already.
func (t *Temporal) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.process == nil {
		ended := make(chan struct{})
		close(ended)
		return ended
	}
	return t.process.done
}

// Stop ends Temporal in order, or at once when ctx ends first; nothing that it
// confirmed is lost either way. Stop may be repeated.
func (t *Temporal) Stop(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return nil
	}
	var err error
	if t.process != nil {
		err = t.process.stop(ctx)
		t.process = nil
	}
	t.close()
	return fault.E(fault.Internal, "stop temporal", err)
}

// Kill ends Temporal by SIGKILL, as tests do that prove what survives. The
// ports stay reserved for Restart.
func (t *Temporal) Kill() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.process != nil {
		t.process.kill()
		t.process = nil
	}
}

// Restart starts a killed Temporal again on the same ports, or stops a running
// one in order and starts it. It fails after Stop.
func (t *Temporal) Restart(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return fault.E(fault.Conflict, "restart temporal", errors.New("it was stopped; start it anew"))
	}
	if t.process != nil {
		if err := t.process.stop(ctx); err != nil {
			return fault.E(fault.Internal, "restart temporal", err)
		}
		t.process = nil
	}
	return t.run(ctx)
}
