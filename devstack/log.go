package devstack

import (
	"fmt"
	"io"
	"os"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger returns the server's logger: one line per entry at the level or
// above, and fatal ends as one sentence and exit code 1, both written to out.
func newLogger(level string, out io.Writer) log.Logger {
	least, err := zapcore.ParseLevel(level)
	if err != nil {
		least = zapcore.InfoLevel // Validate has refused other words
	}
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.ISO8601TimeEncoder
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(zapcore.AddSync(out)), least)
	return &logger{Logger: log.NewZapLogger(zap.New(core)), out: out, exit: os.Exit, all: least <= zapcore.InfoLevel}
}

// logger ends the process in its own way: the server calls Fatal when it
// cannot start or go on, and a person reads what is left on the screen.
type logger struct {
	log.Logger
	out  io.Writer
	exit func(code int)
	all  bool // also what is no fault of anybody's
}

// With keeps tagged loggers ending the process in the same way.
func (l *logger) With(tags ...tag.Tag) log.Logger {
	tagged := *l
	tagged.Logger = log.With(l.Logger, tags...)
	return &tagged
}

// Error leaves out what each start and stop brings: shards whose queues are
// read a moment before they are acquired, or after they are given up.
func (l *logger) Error(msg string, tags ...tag.Tag) {
	if !l.all {
		switch fmt.Sprint(errorOf(tags)) {
		case "shard status unknown", "shard closed":
			return
		}
	}
	l.Logger.Error(msg, tags...)
}

// Fatal prints the message with its error and ends the process.
func (l *logger) Fatal(msg string, tags ...tag.Tag) {
	sentence := "Temporal stopped: " + msg
	if cause := errorOf(tags); cause != nil {
		sentence += fmt.Sprintf(": %v", cause)
	}
	_, _ = fmt.Fprintln(l.out, sentence) // there is nobody else to tell
	l.exit(1)
}

func errorOf(tags []tag.Tag) any {
	for _, t := range tags {
		if t.Key() == "error" {
			return t.Value()
		}
	}
	return nil
}
