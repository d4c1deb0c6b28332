package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress shows the steps of a start, one line each. On a terminal a step shows
// already while it runs.
type progress struct {
	out      io.Writer
	terminal bool
}

func newProgress(out io.Writer) *progress {
	f, ok := out.(*os.File)
	if !ok {
		return &progress{out: out}
	}
	info, err := f.Stat()
	return &progress{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// step runs do and says how long it took.
func (p *progress) step(name string, do func() error) error {
	if p.terminal {
		fmt.Fprintf(p.out, "… %s", name)
	}
	since := time.Now()
	err := do()
	mark := "✓"
	if err != nil {
		mark = "✗"
	}
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
	fmt.Fprintf(p.out, "%s %-34s %5.1f s\n", mark, name, time.Since(since).Seconds())
	return err
}
