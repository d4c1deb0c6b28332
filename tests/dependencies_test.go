package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each direct dependency has its line in docs/dependencies.md, in the section of its
// module, and each line there is a direct dependency.
func TestDependencies_EachIsExplained(t *testing.T) {
	t.Parallel()
	explained := explainedModules(t)
	for _, module := range []string{"go.mod", "devstack/go.mod", "tools/go.mod"} {
		require.Equal(t, directModules(t, module), explained[module], "docs/dependencies.md, section %s", module)
	}
	require.Len(t, explained, 3)
}

var (
	goModSection = regexp.MustCompile("^## .*`([a-z/]*go\\.mod)`")
	moduleRow    = regexp.MustCompile("^\\| `([^`]+)` \\| [^|]{3,} \\| [^|]{3,} \\|$") // module, what for, why
)

// explainedModules are the modules of each section of the page, sorted.
func explainedModules(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "dependencies.md"))
	require.NoError(t, err)
	found, section := map[string][]string{}, ""
	for _, line := range strings.Split(string(page), "\n") {
		if m := goModSection.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		if m := moduleRow.FindStringSubmatch(line); m != nil {
			found[section] = append(found[section], m[1])
		}
	}
	for _, modules := range found {
		slices.Sort(modules)
	}
	return found
}

// directModules are the modules that a go.mod requires directly, and its tools, sorted.
func directModules(t *testing.T, name string) []string {
	t.Helper()
	file, err := os.ReadFile(filepath.Join("..", name))
	require.NoError(t, err)
	var modules []string
	block := ""
	for _, line := range strings.Split(string(file), "\n") {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[1] == "(":
			block = words[0]
		case len(words) == 1 && words[0] == ")":
			block = ""
		case len(words) > 1 && block == "" && (words[0] == "require" || words[0] == "tool"):
			modules = append(modules, words[1])
		case len(words) > 0 && (block == "require" || block == "tool"):
			modules = append(modules, words[0])
		default:
			continue
		}
		if strings.HasSuffix(line, "// indirect") {
			modules = modules[:len(modules)-1]
		}
	}
	slices.Sort(modules)
	return modules
}
