package engines

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/domain/fault"
)

// userFault is the exit code for what the user can change; the last line says what.
const userFault = 2

// process is one run of the program.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer     // its end tells the program that we are gone
	done  chan struct{} // closed when the process has ended
	log   *tail
}

// run starts the program and waits until it is ready.
func (t *Temporal) run(ctx context.Context) error {
	since := time.Now()
	p, ready, err := t.spawn()
	if err != nil {
		return fault.E(fault.Unavailable, "start temporal", err)
	}
	select {
	case <-ready:
	case <-p.done:
		return p.whyEnded()
	case <-ctx.Done():
		p.kill()
		return fault.E(fault.Unavailable, "start temporal", ctx.Err())
	case <-time.After(readyWithin):
		p.kill()
		return fault.E(fault.Unavailable, "start temporal", fmt.Errorf("not ready within %s: %s", readyWithin, p.log.last()))
	}
	t.process = p
	t.config.Log.Info("Temporal is ready", "addr", t.Frontend(), "ui", t.UI(), "start_ms", time.Since(since).Milliseconds())
	return nil
}

// spawn starts the program and returns a channel that is closed when it is ready.
func (t *Temporal) spawn() (*process, <-chan struct{}, error) {
	cmd := exec.Command(t.config.Binary, t.arguments()...)
	cmd.Env = append(os.Environ(), "HOLDFAST_DEVSTACK_POSTGRES_PASSWORD="+t.config.Cluster.Password())
	// A process group of its own keeps the terminal's Ctrl-C away from it,
	// which would stop it before those who use it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{cmd: cmd, done: make(chan struct{}), log: &tail{next: t.config.Output}}
	cmd.Stderr = p.log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	p.stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	ready := make(chan struct{})
	go p.watch(stdout, ready)
	return p, ready, nil
}

// watch owns the process until it has ended.
func (p *process) watch(stdout io.Reader, ready chan<- struct{}) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		var line struct {
			Ready bool `json:"ready"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err == nil && line.Ready && ready != nil {
			close(ready)
			ready = nil
		}
	}
	_ = p.cmd.Wait() // how it ended is in ProcessState
	close(p.done)
}

func (t *Temporal) arguments() []string {
	c := t.config
	args := []string{
		"-die-with-parent",
		"-postgres-addr", c.Cluster.Addr(), "-postgres-user", c.Cluster.User(),
		"-ip", c.IP, "-frontend-port", strconv.Itoa(t.frontend.Port), "-namespace", c.Namespace,
	}
	if c.Headless {
		return append(args, "-headless")
	}
	return append(args, "-ui-port", strconv.Itoa(t.ui.Port))
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// whyEnded is the failure of a process that ended before it was ready.
func (p *process) whyEnded() error {
	last := strings.TrimPrefix(p.log.last(), program+": ")
	if p.cmd.ProcessState.ExitCode() == userFault {
		return &fault.Error{Kind: fault.Unavailable, Op: "start temporal", Sentence: last}
	}
	return fault.E(fault.Unavailable, "start temporal", errors.New(p.cmd.ProcessState.String()+": "+last))
}

func (p *process) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // the only failure is that it has ended
	select {
	case <-p.done:
		_ = p.stdin.Close() // nobody reads it any more
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("it did not stop in order and was stopped at once: %w", ctx.Err())
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // the only failure is that it has ended
	<-p.done
	_ = p.stdin.Close() // nobody reads it any more
}

// tail passes everything on and remembers the last line.
type tail struct {
	next io.Writer

	mu   sync.Mutex
	line string // last whole line that is not empty
	part []byte // what came after it
}

// maxPart bounds a line without end.
const maxPart = 64 << 10

// Write passes b on. It never fails: a log that cannot be written must not stop
// the program that writes it.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.part = append(t.part, b...)
	if at := strings.LastIndexByte(string(t.part), '\n'); at >= 0 {
		whole := strings.Split(strings.TrimSpace(string(t.part[:at])), "\n")
		if last := whole[len(whole)-1]; last != "" {
			t.line = last
		}
		t.part = append([]byte(nil), t.part[at+1:]...)
	}
	if len(t.part) > maxPart {
		t.part = t.part[:0]
	}
	t.mu.Unlock()
	_, _ = t.next.Write(b) // see above
	return len(b), nil
}

func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.line
}
