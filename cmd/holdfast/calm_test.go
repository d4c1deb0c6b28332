package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// keptText is a writer that may be read at any time.
type keptText struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (k *keptText) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.Write(b)
}

func (k *keptText) text() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.String()
}

// keptLog keeps what is logged, one line for each.
type keptLog struct{ kept keptText }

// Enabled implements slog.Handler.
func (k *keptLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (k *keptLog) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	_, err := k.kept.Write([]byte(line + "\n"))
	return err
}

// WithAttrs implements slog.Handler.
func (k *keptLog) WithAttrs([]slog.Attr) slog.Handler { return k }

// WithGroup implements slog.Handler.
func (k *keptLog) WithGroup(string) slog.Handler { return k }

func (k *keptLog) lines() []string {
	return strings.Split(strings.TrimSuffix(k.kept.text(), "\n"), "\n")
}

// While the database is away, something is tried twice a second. The person at the
// terminal is told the first time, and then now and then with the count.
func TestCalm_SameMessageAgainAndAgain_FirstAndThenOnePerTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := &keptLog{}
		log := slog.New(newCalm(kept)).With("node", "dev")
		for range 45 { // 22 s
			log.Warn("The event log can't be read.", "err", "refused")
			time.Sleep(500 * time.Millisecond)
		}
		log.Warn("Something else.")
		require.Equal(t, []string{
			"WARN The event log can't be read. err=refused",
			"WARN The event log can't be read. err=refused repeated=19",
			"WARN The event log can't be read. err=refused repeated=19",
			"WARN Something else.",
		}, kept.lines())

		time.Sleep(time.Minute)
		log.Warn("The event log can't be read.", "err", "refused")
		require.Equal(t, "WARN The event log can't be read. err=refused repeated=4", kept.lines()[4], "what was held back is counted")
		time.Sleep(time.Minute)
		log.Warn("The event log can't be read.", "err", "refused")
		require.Equal(t, "WARN The event log can't be read. err=refused", kept.lines()[5])
	})
}

func TestCalm_ManyDifferentMessages_AreNotRememberedForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCalm(&keptLog{})
		log := slog.New(c)
		for n := range 3 * calmMost {
			log.Info(strings.Repeat("x", n%(2*calmMost)+1))
		}
		require.LessOrEqual(t, len(c.said.by), calmMost)
	})
}

func TestConsole_ShowsOneLineWithTimeMessageAndWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	out := &keptText{}
	log := slog.New(&console{progress: newProgress(out), out: out, least: slog.LevelWarn})
	log.Info("Too quiet for a person.")
	log.With("node", "dev").WithGroup("call").Warn("Live calls were ended.", "err", "two\nlines", "count", 2)
	log.Error("It is over.")
	require.Regexp(t, `^! \d\d:\d\d:\d\d Live calls were ended\.  node=dev  call\.err="two lines"  call\.count=2`+
		`\n✗ \d\d:\d\d:\d\d It is over\.\n$`, out.text())
}
