package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	sourceFile = regexp.MustCompile(`^[a-z0-9_/.-]+\.(go|txt)$`)
	step       = regexp.MustCompile(`^ \d+ $`)
	identifier = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
)

// docs/walk.md is true as far as a program can tell: each file that it names exists, and
// where it says in which file something stands, it stands there.
func TestWalk_NamesFilesAndFunctionsThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "walk.md"))
	require.NoError(t, err)
	files, names := 0, 0
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, "|")
		where := len(cells) == 5 && step.MatchString(cells[1]) // step | where | what
		dir := ""
		for i, cell := range cells {
			source, end := "", 0
			for _, at := range codeSpan.FindAllStringSubmatchIndex(cell, -1) {
				word, between := cell[at[2]:at[3]], cell[end:at[0]]
				end = at[1]
				if between != " " && !(where && i == 2) {
					source = "" // the sentence goes on: only what stands right behind a file stands in it
				}
				switch {
				case sourceFile.MatchString(word):
					if !strings.Contains(word, "/") {
						word = dir + word // stands beside the one named before
					}
					source = word
					dir = word[:strings.LastIndex(word, "/")+1]
					files++
					require.FileExists(t, filepath.Join("..", source), line)
				case strings.HasSuffix(word, "/"):
					source = ""
				case source != "":
					word = word[strings.LastIndex(word, ".")+1:] // (*Layer).input
					require.Regexp(t, identifier, word, line)
					names++
					requireDeclared(t, source, word, line)
				}
			}
		}
	}
	require.Greater(t, files, 50)
	require.Greater(t, names, 50)
}

// requireDeclared fails unless source declares a function, type, constant or variable of that name.
func requireDeclared(t *testing.T, source, name, line string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", source))
	require.NoError(t, err)
	declared := regexp.MustCompile(`(?m)^(func (\([^)]*\) )?` + name + `[\[(]|type ` + name + `\b|(const |var |\t)` + name + `( [^=(]*)? +=)`)
	require.True(t, declared.Match(text), "%s declares no %s: %s", source, name, line)
}
