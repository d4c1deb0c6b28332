// Package golden is what the proofs of the machines stand on: files that a test
// compares its output with and, with -update, writes; and scenario files, one
// conversation each, that a supervisor of a contact center can read.
//
// A changed golden file is a changed promise: read the difference before you
// commit it, and name it in the commit.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Compare fails the test unless the file at path holds got. With -update it writes
// the file.
func Compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update and read what it writes")
	require.Equal(t, string(want), got, "%s: if the new text is right, run the test with -update", path)
}
