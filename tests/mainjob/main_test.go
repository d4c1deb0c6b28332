// Package mainjob proves the main job on the running system: real SIP phones, the API,
// Postgres and Temporal, each role a process of its own. Every test has its own tenant.
package mainjob

import (
	"os"
	"testing"

	"holdfast/tests/stage"
)

// hall is the running Holdfast of this package.
var hall *stage.Stage

func TestMain(m *testing.M) { os.Exit(stage.Run(m, &hall, stage.Options{Env: stage.Webhooks})) }
