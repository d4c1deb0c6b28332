package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// clock is how a time shows at a line for a person.
const clock = "15:04:05"

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

// note says what happens by itself, also while a step runs, with the time: "!" is worth a
// look, "✓" is good news.
func (p *progress) note(mark, sentence string) {
	p.line(fmt.Sprintf("%s %s %s\n", mark, time.Now().Format(clock), sentence))
}

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

func (p *progress) line(text string) { p.lineTo(p.out, text) }

// lineTo writes one line to w, above what the terminal shows of a running step.
func (p *progress) lineTo(w io.Writer, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
	fmt.Fprint(w, text)
	if p.terminal {
		fmt.Fprint(p.out, p.running)
	}
}
