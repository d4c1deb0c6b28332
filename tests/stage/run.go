package stage

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// startUp is how long building and starting may take on a loaded machine.
const startUp = 8 * time.Minute

// Run builds a stage, puts it into *hall, runs a package's tests on it, replays every
// history that they made, and returns the exit code: for TestMain. The logs of a failure
// are kept, and their place is printed.
func Run(m *testing.M, hall **Stage, o Options) int {
	dir, err := os.MkdirTemp("", "holdfast-stage-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), startUp)
	defer cancel()
	*hall, err = New(ctx, dir, o)
	code := 1
	if err == nil {
		code = m.Run()
		if code == 0 {
			err = replayAll(*hall)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := (*hall).Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if code == 0 {
		_ = os.RemoveAll(dir)
	} else {
		fmt.Fprintln(os.Stderr, "logs:", dir)
	}
	return code
}

// replayAll gives the replay of everything a time of its own.
func replayAll(s *Stage) error {
	ctx, cancel := context.WithTimeout(context.Background(), startUp)
	defer cancel()
	return s.replayed(ctx)
}
