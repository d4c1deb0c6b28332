package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/domain/fault"
)

// here is the data folder as the server names it: an open file that it
// inherits. The name leads there without passing through the folders above,
// which the server's account may not be allowed to enter (/root, a test's
// temporary folder).
const here = "/proc/self/fd/3"

// maxLog is the size at which the server's log is put aside at start.
const maxLog = 16 << 20

// initialise makes the data of a new cluster. A death half way leaves nothing
// that the next start would take for data.
func (c *Cluster) initialise(ctx context.Context) error {
	if dataVersion(c.config.Dir) != "" {
		return c.adoptOwner()
	}
	fresh := c.dataDir() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fault.E(fault.Unavailable, "remove half-made data of postgres", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fault.E(fault.Unavailable, "make the data folder of postgres", err)
	}
	if err := c.account.own(fresh); err != nil {
		return fault.E(fault.Unavailable, "give the data folder to "+c.account.name, err)
	}
	if err := c.initdb(ctx, fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, c.dataDir()); err != nil {
		return fault.E(fault.Unavailable, "put the new data of postgres in its place", err)
	}
	return nil
}

func (c *Cluster) initdb(ctx context.Context, dir string) error {
	secret, err := c.secretFile()
	if err != nil {
		return fault.E(fault.Unavailable, "hand over the password of postgres", err)
	}
	defer func() { _ = secret.Close() }() // only read from
	args := []string{
		"-D", here, "-U", superuser, "--encoding=UTF8", "--data-checksums",
		"--auth-local=reject", "--auth-host=scram-sha-256", "--pwfile=/proc/self/fd/4",
		// Bytes decide the order, which is fast and the same everywhere.
		"--locale=C",
	}
	if _, err := os.Stat("/usr/lib/locale/C.utf8"); err == nil {
		args = append(args, "--lc-ctype=C.UTF-8") // upper and lower case beyond ASCII
	}
	if c.config.LoseDataOnPowerFailure {
		args = append(args, "--no-sync")
	}
	folder, err := os.Open(dir)
	if err != nil {
		return fault.E(fault.Unavailable, "enter the data folder of postgres", err)
	}
	defer func() { _ = folder.Close() }() // only a way in
	cmd := exec.CommandContext(ctx, c.binaries.path("initdb"), args...)
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.ExtraFiles = []*os.File{folder, secret}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.account.credential(), Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fault.E(fault.Unavailable, "make a new postgres cluster", fmt.Errorf("%w: %s", err, lastLine(string(out))))
	}
	return nil
}

// secretFile holds the password for initdb to read, without a name.
func (c *Cluster) secretFile() (*os.File, error) {
	f, err := os.CreateTemp(c.config.Dir, "secret-")
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.Remove(f.Name()), writeSecret(f, c.password))
	if err == nil && c.account != nil {
		err = f.Chown(int(c.account.uid), int(c.account.gid))
	}
	if err != nil {
		_ = f.Close() // the first error says it all
		return nil, err
	}
	return f, nil
}

func writeSecret(f *os.File, secret string) error {
	_, err := io.WriteString(f, secret+"\n")
	return err
}

// adoptOwner makes the server run as the owner of data that exists: as root,
// somebody else may have been chosen when they were made.
func (c *Cluster) adoptOwner() error {
	info, err := os.Stat(c.dataDir())
	if err != nil {
		return fault.E(fault.Unavailable, "look at the data of postgres", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	switch {
	case c.account != nil && stat.Uid != 0:
		c.account.uid, c.account.gid = stat.Uid, stat.Gid
	case c.account == nil && int(stat.Uid) != os.Geteuid():
		return &fault.Error{Kind: fault.Forbidden, Op: "start postgres", Code: "data_of_another_user", Sentence: fmt.Sprintf(
			"%s belongs to another user; run Holdfast as root or as that user, or choose another folder", c.dataDir())}
	}
	return nil
}

// run starts the server and waits until it accepts connections.
func (c *Cluster) run(ctx context.Context) error {
	log, err := c.openLog()
	if err != nil {
		return fault.E(fault.Unavailable, "open the log of postgres", err)
	}
	defer func() { _ = log.Close() }() // the server has its own handle
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fault.E(fault.Unavailable, "open the log of postgres", err)
	}
	cmd := exec.Command(c.binaries.path("postgres"), c.settings()...)
	cmd.Env = environment()
	cmd.Stdout, cmd.Stderr = log, log
	since := time.Now()
	server, err := spawn(cmd, c.dataDir(), c.account)
	if err != nil {
		return fault.E(fault.Unavailable, "start postgres", err)
	}
	if err := c.waitUntilReady(ctx, server); err != nil {
		server.kill()
		if said := c.logSince(begin); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return fault.E(fault.Unavailable, "start postgres", err)
	}
	c.server = server
	c.config.Log.Info("Postgres is ready", "addr", c.Addr(), "version", c.binaries.version,
		"start_ms", time.Since(since).Milliseconds())
	return nil
}

// settings are the server's, given at each start so that they follow this build
// and not the day on which the data was made.
func (c *Cluster) settings() []string {
	sync := "on"
	if c.config.LoseDataOnPowerFailure {
		sync = "off"
	}
	settings := []string{
		"listen_addresses=" + loopback, "port=" + strconv.Itoa(c.port.Port), "unix_socket_directories=",
		"max_connections=" + strconv.Itoa(maxConnections),
		// A commit that we told somebody about is on disk.
		"synchronous_commit=on", "fsync=" + sync, "full_page_writes=" + sync,
		// No replica reads this log, so it need not serve one.
		"wal_level=minimal", "max_wal_senders=0",
		// Checkpoints are felt as slow commits: few, and spread out.
		"checkpoint_timeout=15min", "max_wal_size=4GB",
		"shared_buffers=256MB", "random_page_cost=1.1",
		// Short statements: compiling or spreading them costs more than they do.
		"jit=off", "max_parallel_workers_per_gather=0",
		// Queues turn over all their rows again and again.
		"autovacuum_naptime=15s", "autovacuum_vacuum_scale_factor=0.05",
		"timezone=UTC", "log_timezone=UTC", "log_min_messages=warning", "log_line_prefix=%m [%p] %u@%d ",
		"cluster_name=holdfast",
	}
	args := []string{"-D", here}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// environment keeps the user's PG… variables and language away from the server.
func environment() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=/"}
}

func (c *Cluster) waitUntilReady(ctx context.Context, server *process) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var last error
	for {
		conn, err := pgx.Connect(ctx, c.dsn("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-server.done:
			return errors.New("it ended while starting")
		case <-ctx.Done():
			return errors.Join(ctx.Err(), last)
		case <-time.After(look):
		}
	}
}

// createDatabase makes a database when it is missing and returns its DSN.
func (c *Cluster) createDatabase(ctx context.Context, name string) (string, error) {
	const op = "create a database"
	conn, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		return "", fault.E(fault.Unavailable, op, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the server forgets us either way
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name).Scan(&exists); err != nil {
		return "", fault.E(fault.Unavailable, op, err)
	}
	if !exists {
		if _, err := conn.Exec(ctx, `CREATE DATABASE `+pgx.Identifier{name}.Sanitize()); err != nil {
			return "", fault.E(fault.Unavailable, op, err)
		}
	}
	return c.dsn(name), nil
}

func (c *Cluster) logFile() string { return filepath.Join(c.config.Dir, "postgres.log") }

func (c *Cluster) openLog() (*os.File, error) {
	if info, err := os.Stat(c.logFile()); err == nil && info.Size() > maxLog {
		if err := os.Rename(c.logFile(), c.logFile()+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(c.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
}

// logSince is the last thing that the server said since the log had begin bytes.
func (c *Cluster) logSince(begin int64) string {
	written, err := os.ReadFile(c.logFile())
	if err != nil || int64(len(written)) < begin {
		return ""
	}
	return lastLine(string(written[begin:]))
}

// lastLine prefers the line that says why.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for _, line := range lines {
		if strings.Contains(line, "FATAL:") || strings.Contains(line, "error:") {
			return strings.TrimSpace(line)
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
