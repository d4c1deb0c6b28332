// Package cluster runs a private Postgres server from the installed binaries,
// for `holdfast dev` and for tests: one folder, one server, one owner. What the
// server stores is durable; how it is reached is written down in the folder, so
// that the next start resumes it with the same port and password.
//
// Linux only: it relies on /proc and on the signal at a parent's death.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"holdfast/domain/fault"
)

const (
	// superuser is the role that owns a private cluster.
	superuser = "holdfast"
	// loopback is the only address on which the server listens.
	loopback = "127.0.0.1"
	// maxConnections serves the embedded Temporal (4 services with up to 24
	// connections for each of its two databases) and the roles of Holdfast.
	maxConnections = 300
	// stopWithin is how long an orderly stop may take before the server is
	// stopped as if the power had failed.
	stopWithin = 30 * time.Second
	// readyWithin is how long recovery after a crash may take.
	readyWithin = 5 * time.Minute
)

// Config says where the server keeps its data and how it listens.
type Config struct {
	// Dir holds data, password, port and log; it is created when missing.
	Dir string
	// Port is the TCP port on 127.0.0.1; 0 is the port of the last time if it
	// is free, else any free port.
	Port int
	// Database is created when missing and is what DSN names; "holdfast" when
	// empty.
	Database string
	// Log gets what an operator wants to know; nil is silent.
	Log *slog.Logger
	// LoseDataOnPowerFailure turns fsync off, for tests that make and drop many
	// clusters. A killed process still loses nothing.
	LoseDataOnPowerFailure bool
}

// Cluster is a running server. Its methods may be called from any goroutine.
type Cluster struct {
	config   Config
	binaries binaries
	account  *account
	password string
	port     *Reservation
	lock     *os.File

	mu      sync.Mutex // guards server; held by Start, Stop, Kill and Restart for their whole time
	server  *process
	stopped bool
}

// Start starts the server in c.Dir, making it when it is new, and returns when
// it accepts connections and c.Database exists. A server that survived its
// owner is stopped first; one that died is recovered. If the process that
// called Start dies in any way, the server stops in order by itself.
//
// What the user can change comes back as a *fault.Error with one sentence: no
// server binaries, binaries of another version, the port in use, the folder in
// use by another process.
func Start(ctx context.Context, c Config) (_ *Cluster, err error) {
	if c.Dir == "" {
		return nil, fault.E(fault.Invalid, "start postgres", errors.New("no folder for its data is given"))
	}
	if c.Database == "" {
		c.Database = superuser
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, fault.E(fault.Internal, "start postgres", err)
	}
	cluster := &Cluster{config: c}
	cluster.mu.Lock()
	defer cluster.mu.Unlock()
	if err := cluster.open(ctx); err != nil {
		cluster.close()
		return nil, err
	}
	return cluster, nil
}

// open makes or resumes the folder and starts the server.
func (c *Cluster) open(ctx context.Context) (err error) {
	dir := c.config.Dir
	if c.binaries, err = findBinaries(dataVersion(dir)); err != nil {
		return err
	}
	if c.account, err = serverAccount(); err != nil {
		return err
	}
	// Others may pass through to the data, whose own mode keeps them out.
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fault.E(fault.Unavailable, "make the folder of postgres", err)
	}
	if c.lock, err = lockFolder(dir); err != nil {
		return err
	}
	if err := endSurvivors(ctx, c.dataDir(), c.config.Log); err != nil {
		return err
	}
	if c.password, err = loadPassword(dir); err != nil {
		return err
	}
	if err := c.initialise(ctx); err != nil {
		return err
	}
	if c.port, err = c.choosePort(); err != nil {
		return err
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	_, err = c.createDatabase(ctx, c.config.Database)
	return err
}

// close gives back what a running cluster holds.
func (c *Cluster) close() {
	if c.server != nil {
		c.server.kill()
		c.server = nil
	}
	c.port.Release()
	if c.lock != nil {
		_ = c.lock.Close() // releases the lock; there is nothing to flush
		c.lock = nil
	}
	c.stopped = true
}

// DSN is the URL of Config.Database for the superuser. It stays the same across
// Restart, and across Start in the same folder while the port stays free.
//
// The superuser is not bound by row-level security; what serves tenants must
// log in as another role.
func (c *Cluster) DSN() string { return c.dsn(c.config.Database) }

func (c *Cluster) dsn(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, c.password),
		Host:     c.Addr(),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Addr is host:port of the server.
func (c *Cluster) Addr() string { return net.JoinHostPort(loopback, strconv.Itoa(c.port.Port)) }

// User is the name of the superuser.
func (c *Cluster) User() string { return superuser }

// Password is the superuser's password.
func (c *Cluster) Password() string { return c.password }

// PID is the process id of the server's first process, 0 while it doesn't run.
func (c *Cluster) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return 0
	}
	return c.server.pid()
}

// Done is closed when the server that runs now has ended, asked or not. After Kill
// or Stop it is closed already.
func (c *Cluster) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		ended := make(chan struct{})
		close(ended)
		return ended
	}
	return c.server.done
}

// Stop ends all connections, writes everything down and stops the server. When
// ctx ends first the server is stopped at once, to be recovered by the next
// start; nothing that was committed is lost. Stop may be repeated.
func (c *Cluster) Stop(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return nil
	}
	var err error
	if c.server != nil {
		err = c.server.stop(ctx)
		c.server = nil
	}
	c.close()
	return fault.E(fault.Internal, "stop postgres", err)
}

// Kill ends every process of the server by SIGKILL, as tests do that prove what
// survives. The port stays reserved for Restart.
func (c *Cluster) Kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		c.server.kill()
		c.server = nil
	}
}

// Restart starts a killed server again on the same port, or stops a running one
// in order and starts it. It fails after Stop.
func (c *Cluster) Restart(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return fault.E(fault.Conflict, "restart postgres", errors.New("it was stopped; start it anew"))
	}
	if c.server != nil {
		if err := c.server.stop(ctx); err != nil {
			return fault.E(fault.Internal, "restart postgres", err)
		}
		c.server = nil
	}
	if err := endSurvivors(ctx, c.dataDir(), c.config.Log); err != nil {
		return err
	}
	return c.run(ctx)
}

// CreateDatabase makes a database when it is missing and returns its DSN. A
// test package uses it to give each test a database of its own.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) (string, error) {
	return c.createDatabase(ctx, name)
}

func (c *Cluster) dataDir() string { return filepath.Join(c.config.Dir, "data") }

// portFile remembers the port for the next start.
func (c *Cluster) portFile() string { return filepath.Join(c.config.Dir, "port") }

// choosePort reserves the port that was asked for, or that of the last time if
// it is free, or a free one.
func (c *Cluster) choosePort() (*Reservation, error) {
	if c.config.Port != 0 {
		r, err := ReservePort(loopback, c.config.Port)
		if errors.Is(err, ErrPortTaken) {
			return nil, &fault.Error{Kind: fault.Unavailable, Op: "start postgres", Code: "port_taken", Err: err, Sentence: fmt.Sprintf(
				"port %d of %s is in use by another program; stop it or choose another port for Postgres", c.config.Port, loopback)}
		}
		return r, err
	}
	if written, err := os.ReadFile(c.portFile()); err == nil {
		if last, err := strconv.Atoi(string(written)); err == nil && last > 0 {
			if r, err := ReservePort(loopback, last); err == nil {
				return r, nil
			}
		}
	}
	r, err := ReservePort(loopback, 0)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.portFile(), []byte(strconv.Itoa(r.Port)), 0o644); err != nil {
		r.Release()
		return nil, fault.E(fault.Unavailable, "note the port of postgres", err)
	}
	return r, nil
}
