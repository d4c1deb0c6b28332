// Package mainjob proves the main job on the running system: real SIP phones, the API,
// Postgres and Temporal, each role a process of its own. Every test has its own tenant.
package mainjob

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"holdfast/tests/stage"
)

// hall is the running Holdfast of this package.
var hall *stage.Stage

// startUp is how long building and starting may take on a loaded machine.
const startUp = 8 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "holdfast-mainjob-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), startUp)
	defer cancel()
	hall, err = stage.New(ctx, dir, stage.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = hall.Close()
		return 1
	}
	code := m.Run()
	if err := hall.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if code == 0 {
		_ = os.RemoveAll(dir) // logs of a failure are kept
	} else {
		fmt.Fprintln(os.Stderr, "logs:", dir)
	}
	return code
}
