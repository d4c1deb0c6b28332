package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Process is one role of Holdfast as a process.
type Process struct {
	Name   string
	binary string
	env    []string
	dir    string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	log  *os.File
}

// ready is the line that a role prints when it serves.
type ready struct {
	Ready bool `json:"ready"`
}

// Start runs the role and returns when it says that it is ready.
func (p *Process) Start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(p.dir, p.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.binary, p.Name)
	cmd.Env, cmd.Stderr = p.env, log
	// The role must not outlive the test, whatever ends it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	done := make(chan struct{})
	go func() { // Pdeathsig follows the thread that forked: keep it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		<-done
	}()
	if err := <-started; err != nil {
		close(done)
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	serving := make(chan struct{})
	go func() {
		watch(out, log, serving)
		_ = cmd.Wait() // how it ended stands in its log
		_ = log.Close()
		close(done)
	}()
	p.cmd, p.done, p.log = cmd, done, log
	select {
	case <-serving:
		return nil
	case <-done:
		return fmt.Errorf("%s ended instead of serving:\n%s", p.Name, p.tail())
	case <-ctx.Done():
		return fmt.Errorf("%s is not ready: %w\n%s", p.Name, ctx.Err(), p.tail())
	}
}

// watch copies the role's output to its log and closes serving at its ready line.
func watch(out io.Reader, log io.Writer, serving chan struct{}) {
	lines := bufio.NewScanner(out)
	told := false
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		var r ready
		if !told && json.Unmarshal(lines.Bytes(), &r) == nil && r.Ready {
			told = true
			close(serving)
		}
	}
}

// Kill ends the role by SIGKILL and waits until it is gone.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

// Stop ends the role in order.
func (p *Process) Stop(ctx context.Context) error {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("%s did not stop in order: %w\n%s", p.Name, ctx.Err(), p.tail())
	}
}

func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Signal(s) // it may have ended by itself
		<-done
	}
}

// pause stops a process in the middle of what it does until goOn, which may be called
// twice, or the end of the test.
func (s *Stage) pause(t testing.TB, pid int) (goOn func()) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	goOn = func() { _ = syscall.Kill(pid, syscall.SIGCONT) } // killed meanwhile, perhaps
	t.Cleanup(goOn)
	return goOn
}

// Restart kills the role and starts it again on its ports.
func (p *Process) Restart(ctx context.Context) error {
	p.Kill()
	return p.Start(ctx)
}

// PID is the process id.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// CPU is how long the role has computed so far, in all its threads, to 10 ms: what else
// the machine does is not in it (proc(5), USER_HZ).
func (p *Process) CPU(t testing.TB) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	require.NoError(t, err)
	system, err := strconv.Atoi(fields[12])
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// tail is the end of the role's log.
func (p *Process) tail() string {
	b, err := os.ReadFile(filepath.Join(p.dir, p.Name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

func (s *Stage) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = env
	return cmd
}

// Holdfast runs a command of the binary against this stage.
func (s *Stage) Holdfast(ctx context.Context, args ...string) (string, error) {
	out, err := s.command(ctx, s.Worker.env, args...).CombinedOutput()
	return string(out), err
}

var built struct {
	sync.Once
	path string
	err  error
}

// build compiles cmd/holdfast once per test process, with the race detector if the
// tests have it.
func build(ctx context.Context) (string, error) {
	built.Do(func() {
		dir, err := os.MkdirTemp("", "holdfast-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "holdfast")
		args := []string{"build", "-o", built.path}
		if raceEnabled {
			args = append(args, "-race")
		}
		out, err := exec.CommandContext(ctx, "go", append(args, "holdfast/cmd/holdfast")...).CombinedOutput()
		if err != nil {
			built.err = errors.Join(fmt.Errorf("build holdfast: %w", err), errors.New(string(out)))
		}
	})
	return built.path, built.err
}

// Logged returns when the role has written the words since its log had the size of
// from, or ctx ends.
func (p *Process) Logged(ctx context.Context, from int64, words string) error {
	for {
		err := p.Said(from, words)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w\n%s", err, ctx.Err(), p.tail())
		case <-time.After(Soon):
		}
	}
}

// Said is nil if the role has written the words since its log had the size of from.
func (p *Process) Said(from int64, words string) error { return p.SaidTimes(from, words, 1) }

// SaidTimes is nil if the role has written the words so often since its log had the
// size of from.
func (p *Process) SaidTimes(from int64, words string, times int) error {
	b, err := os.ReadFile(filepath.Join(p.dir, p.Name+".log"))
	if err != nil {
		return err
	}
	if int64(len(b)) < from || strings.Count(string(b[from:]), words) < times {
		return fmt.Errorf("%s does not say %q", p.Name, words)
	}
	return nil
}

// LogSize is the present size of the role's log.
func (p *Process) LogSize() int64 {
	info, err := os.Stat(filepath.Join(p.dir, p.Name+".log"))
	if err != nil {
		return 0
	}
	return info.Size()
}
