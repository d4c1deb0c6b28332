package tests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each direct dependency has a line that says what for and why this one.
func TestDependencies_EachHasItsReason(t *testing.T) {
	t.Parallel()
	reasons, err := os.ReadFile(filepath.Join("..", "docs", "dependencies.md"))
	require.NoError(t, err)
	file, err := os.ReadFile(filepath.Join("..", "go.mod"))
	require.NoError(t, err)
	direct := 0
	for line := range strings.Lines(string(file)) {
		f := strings.Fields(line)
		if len(f) != 2 || !strings.Contains(f[0], ".") || !strings.HasPrefix(f[1], "v") {
			continue // an indirect one has a comment behind it
		}
		direct++
		require.Contains(t, string(reasons), f[0], "docs/dependencies.md says nothing of %s", f[0])
	}
	require.Greater(t, direct, 10)
}
