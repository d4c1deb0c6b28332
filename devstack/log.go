package devstack

import (
	"fmt"
	"io"
	"os"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// newLogger returns the server's logger: structured lines on standard error at
// the level, and fatal ends as one sentence and exit code 1 without a stack.
func newLogger(level string, fatal io.Writer) log.Logger {
	zap := log.NewZapLogger(log.BuildZapLogger(log.Config{Level: level, Stdout: false, Format: "console"}))
	return &logger{Logger: zap, fatal: fatal, exit: os.Exit}
}

// logger ends the process in its own way: the server calls Fatal when it
// cannot start or go on, and a person reads what is left on the screen.
type logger struct {
	log.Logger
	fatal io.Writer
	exit  func(code int)
}

// With keeps tagged loggers ending the process in the same way.
func (l *logger) With(tags ...tag.Tag) log.Logger {
	return &logger{Logger: log.With(l.Logger, tags...), fatal: l.fatal, exit: l.exit}
}

// Fatal prints the message with its error and ends the process.
func (l *logger) Fatal(msg string, tags ...tag.Tag) {
	sentence := "Temporal stopped: " + msg
	for _, t := range tags {
		if t.Key() == "error" {
			sentence += fmt.Sprintf(": %v", t.Value())
		}
	}
	_, _ = fmt.Fprintln(l.fatal, sentence) // there is nobody else to tell
	l.exit(1)
}
