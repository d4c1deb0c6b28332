// Package faults kills what Holdfast stands on, process by process, in every phase of a
// call, and proves that nothing is lost. The tests run one after the other.
package faults

import (
	"os"
	"testing"

	"holdfast/tests/stage"
)

// hall is the running Holdfast of this package.
var hall *stage.Stage

// Phones on connections are asked often whether they live, so that one that does not is
// found within the stage's patience.
func TestMain(m *testing.M) {
	os.Exit(stage.Run(m, &hall, stage.Options{Faults: true, Env: append([]string{"HOLDFAST_SIP_KEEPALIVE=5s"}, stage.Webhooks...)}))
}
