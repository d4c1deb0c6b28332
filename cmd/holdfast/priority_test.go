package main

import (
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Lower priority needs no right; whether a higher one is granted is the machine's affair.
func TestHurry_EveryThreadAndEachNewOneHasTheNiceness(t *testing.T) {
	t.Parallel()
	if os.Getenv("HOLDFAST_TEST_HURRY") != "" {
		hurry(5, slog.New(slog.DiscardHandler))
		threads, err := os.ReadDir("/proc/self/task")
		require.NoError(t, err)
		for _, thread := range threads {
			stat, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/stat")
			require.NoError(t, err)
			fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
			require.Equal(t, "5", fields[16], "proc(5): nice")
		}
		return
	}
	before, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	require.NoError(t, err)
	own := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	own.Env = append(os.Environ(), "HOLDFAST_TEST_HURRY=1")
	out, err := own.CombinedOutput()
	require.NoError(t, err, string(out))
	after, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	require.NoError(t, err)
	require.Equal(t, before, after)
}
