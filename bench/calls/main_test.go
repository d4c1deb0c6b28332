// Package calls measures whole queue calls on the running system.
package calls

import (
	"os"
	"testing"

	"holdfast/tests/stage"
)

// hall is the running Holdfast of this package.
var hall *stage.Stage

func TestMain(m *testing.M) { os.Exit(stage.Run(m, &hall, stage.Options{})) }
