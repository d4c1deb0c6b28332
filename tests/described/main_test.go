// Package described proves the HTTP API against its own description: whatever is asked of
// an endpoint of the served OpenAPI document, it answers as the document says.
package described

import (
	"flag"
	"os"
	"testing"

	"holdfast/tests/stage"
)

// hall is the running Holdfast of this package.
var hall *stage.Stage

func TestMain(m *testing.M) {
	// So many requests for each endpoint; more with -rapid.checks.
	for name, value := range map[string]string{"rapid.checks": "40", "rapid.shrinktime": "5s", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(stage.Run(m, &hall, stage.Options{}))
}
