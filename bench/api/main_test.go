// Package api measures the HTTP API of the running system with a full directory: 200
// tenants, 10,000 users, 2,000 agents.
package api

import (
	"os"
	"testing"

	"holdfast/tests/stage"
)

// hall is the running Holdfast of this package.
var hall *stage.Stage

func TestMain(m *testing.M) { os.Exit(stage.Run(m, &hall, stage.Options{})) }
