// Package sound proves by ear, with phones of other houses (baresip, sipp) in a network
// of their own, that the right people hear each other, and music while they wait.
package sound

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"holdfast/tests/stage"
)

var (
	// hall is the running Holdfast of this package.
	hall *stage.Stage
	// network is where the phones of other houses live.
	network *stage.Network
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	for _, program := range []string{"baresip", "sipp", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			fmt.Fprintf(os.Stderr, "%s is missing: run make test, which installs it\n", program)
			return 1
		}
	}
	var err error
	network, err = stage.NewNetwork(3)
	if errors.Is(err, stage.ErrNoNetwork) {
		fmt.Fprintln(os.Stderr, "skipped:", err)
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer network.Close()
	return stage.Run(m, &hall, stage.Options{IP: network.Host.String()})
}
