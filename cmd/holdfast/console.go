package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// marks are how a level shows on a terminal.
var marks = map[slog.Level]string{slog.LevelInfo: "·", slog.LevelWarn: "!", slog.LevelError: "✗"}

// console is the log of `holdfast dev` for the person at the terminal: a line with the time,
// the message and what belongs to it, above the step that is going on.
type console struct {
	progress *progress
	out      io.Writer
	least    slog.Level
	before   string // attributes of the logger
	group    string
}

// Enabled implements slog.Handler.
func (c *console) Enabled(_ context.Context, l slog.Level) bool { return l >= c.least }

// Handle implements slog.Handler.
func (c *console) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	mark, ok := marks[r.Level]
	if !ok {
		mark = r.Level.String()
	}
	fmt.Fprintf(&b, "%s %s %s%s", mark, r.Time.Format(clock), r.Message, c.before)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(c.attribute(a))
		return true
	})
	c.progress.lineTo(c.out, b.String()+"\n")
	return nil
}

func (c *console) attribute(a slog.Attr) string {
	value := strings.Join(strings.Fields(a.Value.Resolve().String()), " ") // one line
	if strings.Contains(value, " ") {
		value = fmt.Sprintf("%q", value)
	}
	return fmt.Sprintf("  %s%s=%s", c.group, a.Key, value)
}

// WithAttrs implements slog.Handler.
func (c *console) WithAttrs(all []slog.Attr) slog.Handler {
	with := *c
	for _, a := range all {
		with.before += c.attribute(a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (c *console) WithGroup(name string) slog.Handler {
	with := *c
	if name != "" {
		with.group += name + "."
	}
	return &with
}
