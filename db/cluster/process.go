package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/domain/fault"
)

const (
	// look is the pause between two looks at something that is about to happen.
	look = 10 * time.Millisecond
	// orphanWithin is how long a server without an owner may take to stop in
	// order. It got the signal when its owner died, so it is under way.
	orphanWithin = 15 * time.Second
	// atOnceWithin is how long an immediate stop may take before SIGKILL.
	atOnceWithin = 5 * time.Second
)

// process is the server's first process. One goroutine owns it: it starts it,
// waits for it and keeps its operating system thread all the while, because the
// kernel sends the signal at a parent's death when the *thread* that forked
// ends (prctl(2), PR_SET_PDEATHSIG).
type process struct {
	cmd     *exec.Cmd
	dataDir string
	done    chan struct{} // closed when the process has ended
}

// spawn starts cmd as the account, with dataDir as inherited file number 3. If
// we die, the server gets SIGINT and stops in order. Its own process group keeps
// the terminal's Ctrl-C away from it, which would stop it before those who use
// it.
func spawn(cmd *exec.Cmd, dataDir string, as *account) (*process, error) {
	folder, err := os.Open(dataDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = folder.Close() }() // the server has its own handle
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{folder}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: as.credential(),
		Pdeathsig:  syscall.SIGINT,
		Setpgid:    true,
	}
	p := &process{cmd: cmd, dataDir: dataDir, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // how it ended stands in its log
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process in order, or at once when that takes too long.
func (p *process) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	p.signal(syscall.SIGINT) // "fast": ends connections, writes a checkpoint
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	p.signal(syscall.SIGQUIT) // "immediate": as after a crash
	select {
	case <-p.done:
	case <-time.After(atOnceWithin):
		p.kill()
	}
	return fmt.Errorf("it did not stop in order and was stopped at once: %w", ctx.Err())
}

// kill ends the process and all its children without a chance to do anything.
func (p *process) kill() {
	children := serversIn(p.dataDir)
	p.signal(syscall.SIGKILL)
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	}
	<-p.done
	for len(serversIn(p.dataDir)) > 0 { // a child that was born meanwhile ends when it sees its parent gone
		time.Sleep(look)
	}
}

func (p *process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // the only failure is that it has ended
}

// endSurvivors stops a server in dataDir that outlived its owner, and removes
// the note by which a dead one would still claim the data. The caller owns the
// folder's lock, so nobody else can be running a server there.
func endSurvivors(ctx context.Context, dataDir string, log *slog.Logger) error {
	deadline := time.Now().Add(orphanWithin)
	for said := false; ; said = true {
		pids := serversIn(dataDir)
		if len(pids) == 0 {
			break
		}
		if !said {
			log.Info("Stopping a Postgres that outlived its owner", "processes", len(pids))
			signalOrphan(dataDir, pids)
		}
		if time.Now().After(deadline) {
			for _, pid := range pids {
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
			}
		}
		select {
		case <-ctx.Done():
			return fault.E(fault.Unavailable, "wait for the previous postgres to end", ctx.Err())
		case <-time.After(look):
		}
	}
	err := os.Remove(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fault.E(fault.Unavailable, "remove the note of a dead postgres", err)
	}
	return nil
}

// signalOrphan asks the first process for an orderly stop. Without it the
// others end by themselves.
func signalOrphan(dataDir string, pids []int) {
	note, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return
	}
	first, _, _ := strings.Cut(string(note), "\n")
	if pid, err := strconv.Atoi(first); err == nil && slices.Contains(pids, pid) {
		_ = syscall.Kill(pid, syscall.SIGINT) // it may have ended by itself
	}
}

// serversIn lists the Postgres processes that work in dataDir. The name is
// checked too: somebody's shell may stand there.
func serversIn(dataDir string) []int {
	real, err := filepath.EvalSymlinks(dataDir)
	if err != nil {
		return nil
	}
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil // only a malformed pattern fails
	}
	var pids []int
	for _, link := range links {
		if at, err := os.Readlink(link); err != nil || at != real {
			continue
		}
		dir := filepath.Dir(link)
		if comm, err := os.ReadFile(filepath.Join(dir, "comm")); err != nil || strings.TrimSpace(string(comm)) != "postgres" {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
