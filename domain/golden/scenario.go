package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Scenario is one conversation with a machine, as its file tells it: lines that
// begin with a time are what happens; the indented lines below say what the machine
// makes of it, and are compared; lines that begin with # are for the reader.
type Scenario struct {
	Path string
	Name string // file name without its ending
	told []string
	Acts []Act
}

// Act is one thing that happens: "10:30:03 ring_ended offer=c1/1 outcome=no_answer".
type Act struct {
	At   time.Time
	Verb string
	Args map[string]string
	line int // in told
}

// Day is the day of all scenarios; their times are UTC.
var Day = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// Scenarios reads the scenario files of a folder.
func Scenarios(t *testing.T, dir string) []Scenario {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	require.NoError(t, err)
	require.NotEmpty(t, paths, "no scenario in %s", dir)
	var all []Scenario
	for _, p := range paths {
		text, err := os.ReadFile(p)
		require.NoError(t, err)
		s, err := parse(p, string(text))
		require.NoError(t, err)
		all = append(all, s)
	}
	return all
}

func parse(path, text string) (Scenario, error) {
	s := Scenario{Path: path, Name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	for i, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case strings.HasPrefix(l, " "):
			continue // what the machine said; compared as a whole
		case l == "" || strings.HasPrefix(l, "#"):
			s.told = append(s.told, l)
		default:
			a, err := parseAct(l)
			if err != nil {
				return s, fmt.Errorf("%s:%d: %w", path, i+1, err)
			}
			a.line = len(s.told)
			s.told = append(s.told, l)
			s.Acts = append(s.Acts, a)
		}
	}
	return s, nil
}

func parseAct(l string) (Act, error) {
	words := strings.Fields(l)
	if len(words) < 2 {
		return Act{}, fmt.Errorf("%q is not a time and an event", l)
	}
	at, err := parseTime(words[0])
	if err != nil {
		return Act{}, err
	}
	a := Act{At: at, Verb: words[1], Args: map[string]string{}}
	for _, w := range words[2:] {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			return Act{}, fmt.Errorf("%q is not name=value", w)
		}
		a.Args[k] = v
	}
	return a, nil
}

// parseTime reads "15:04:05", with thousandths if needed; "+1:15:04:05" is a day later.
func parseTime(w string) (time.Time, error) {
	day := Day
	if rest, ok := strings.CutPrefix(w, "+1:"); ok {
		day, w = day.AddDate(0, 0, 1), rest
	}
	at, err := time.Parse("15:04:05.999", w)
	if err != nil {
		return time.Time{}, err
	}
	return day.Add(at.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))), nil
}

// Compare fails the test unless the file says of each act what said has.
func (s Scenario) Compare(t *testing.T, said [][]string) {
	t.Helper()
	var b strings.Builder
	acts := map[int]int{}
	for i, a := range s.Acts {
		acts[a.line] = i
	}
	for i, l := range s.told {
		b.WriteString(l + "\n")
		if act, ok := acts[i]; ok {
			for _, w := range said[act] {
				b.WriteString("    " + w + "\n")
			}
		}
	}
	Compare(t, s.Path, b.String())
}

// Acts reads acts from text, one per line.
func Acts(t *testing.T, text string) []Act {
	t.Helper()
	s, err := parse("acts", text)
	require.NoError(t, err)
	return s.Acts
}
