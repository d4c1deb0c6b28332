package tests

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tests of each behaviour into docs/behaviours.md")

// behaviours is the table of what is promised and which test proves it.
var behaviours = filepath.Join("..", "docs", "behaviours.md")

// lastSeed is the number of the last promise.
const lastSeed = 129

var (
	seedWord = regexp.MustCompile(`SEED-?(\d+)`)
	seedRow  = regexp.MustCompile(`^\| SEED-(\d+) \| (.*) \| (.*) \|$`)
)

// notYet begins the last column of a promise that is not built yet, and follows the tests
// of one that is built in part; the reason follows.
const notYet = "not yet: "

// Every promise has a test that names it, or says why it is not built yet; and the
// table says which. Run with -update after adding tests, and read the difference.
func TestBehaviours_EveryPromiseHasATestOrAReason(t *testing.T) {
	t.Parallel()
	named := testsBySeed(t)
	data, err := os.ReadFile(behaviours)
	require.NoError(t, err)
	lines := strings.Split(string(data), "\n")
	seen := 0
	for i, line := range lines {
		m := seedRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		seen++
		n, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		require.Equal(t, seen, n, "the rows stand in order")
		proof := strings.Join(named[n], "<br>")
		if proof == "" {
			require.True(t, strings.HasPrefix(m[3], notYet) && len(m[3]) > len(notYet)+10, "SEED-%d has no test and no reason: %s", n, m[3])
			continue
		}
		if _, missing, inPart := strings.Cut(m[3], "<br>"+notYet); inPart {
			require.Greater(t, len(missing), 10, "SEED-%d: what is missing?", n)
			proof += "<br>" + notYet + missing
		}
		want := fmt.Sprintf("| SEED-%d | %s | %s |", n, m[2], proof)
		if *update {
			lines[i] = want
			continue
		}
		require.Equal(t, want, line, "docs/behaviours.md is not up to date: go test ./tests -run Behaviours -update")
	}
	require.Equal(t, lastSeed, seen)
	if *update {
		require.NoError(t, os.WriteFile(behaviours, []byte(strings.Join(lines, "\n")), 0o644))
	}
}

// testsBySeed finds the tests that name a promise in their name, comment or body.
func testsBySeed(t *testing.T) map[int][]string {
	t.Helper()
	found := map[int][]string{}
	for dir, files := range packages(t) {
		for _, f := range files {
			if !strings.HasSuffix(f.name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(filepath.Join("..", f.name))
			require.NoError(t, err)
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || !strings.HasPrefix(fn.Name.Name, "Test") || fn.Recv != nil {
					continue
				}
				text := fn.Doc.Text() + string(source[f.set.Position(fn.Pos()).Offset:f.set.Position(fn.End()).Offset])
				for _, m := range seedWord.FindAllStringSubmatch(text, -1) {
					n, err := strconv.Atoi(m[1])
					require.NoError(t, err)
					found[n] = append(found[n], "`"+dir+"` "+fn.Name.Name)
				}
			}
		}
	}
	for n := range found {
		slices.Sort(found[n])
		found[n] = slices.Compact(found[n])
	}
	return found
}
