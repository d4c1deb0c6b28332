package stage

import (
	"context"
	"flag"
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
		beside()
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

// sideBySide is how many tests run at one time where nobody says otherwise: they mostly
// wait for phones and timers, and one of them for the end of a ban.
const sideBySide = "4"

// beside lets more tests run at one time than there are cores.
func beside() {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		_ = flag.Set("test.parallel", sideBySide) // a flag of every test binary
	}
}
