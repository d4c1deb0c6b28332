package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress shows the steps of a start, one line each. On a terminal a step shows
// already while it runs.
type progress struct {
	out      io.Writer
	terminal bool

	mu      sync.Mutex // guards out and running
	running string     // the step that shows on the terminal
}

func newProgress(out io.Writer) *progress {
	f, ok := out.(*os.File)
	if !ok {
		return &progress{out: out}
	}
	info, err := f.Stat()
	return &progress{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// step runs do and says how long it took. Steps run one at a time.
func (p *progress) step(name string, do func() error) error {
	p.begin(name)
	since := time.Now()
	err := do()
	mark := "✓"
	if err != nil {
		mark = "✗"
	}
	p.end(mark, name, time.Since(since))
	return err
}

// done says that something is done which no step waited for.
func (p *progress) done(name string, took time.Duration) {
	p.line(fmt.Sprintf("✓ %-34s %5.1f s\n", name, took.Seconds()))
}

// note says something worth a look, also while a step runs.
func (p *progress) note(sentence string) { p.line("! " + sentence + "\n") }

func (p *progress) begin(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		p.running = "… " + name
		fmt.Fprint(p.out, p.running)
	}
}

func (p *progress) end(mark, name string, took time.Duration) {
	p.mu.Lock()
	p.running = ""
	p.mu.Unlock()
	p.line(fmt.Sprintf("%s %-34s %5.1f s\n", mark, name, took.Seconds()))
}

// line writes one line above what the terminal shows of a running step.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		text = "\r\033[K" + text + p.running
	}
	fmt.Fprint(p.out, text)
}
