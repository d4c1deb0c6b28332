package golden

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParse_TimesEventsAndArguments(t *testing.T) {
	t.Parallel()
	s, err := parse("rona.txt", "# A story.\n\n10:30:00.5 offered offer=c1/1 agent=1001\n    what it said\n+1:00:05:00 deadline\n")
	require.NoError(t, err)
	require.Equal(t, "rona", s.Name)
	require.Len(t, s.Acts, 2)
	require.Equal(t, Day.Add(10*time.Hour+30*time.Minute+500*time.Millisecond), s.Acts[0].At)
	require.Equal(t, "offered", s.Acts[0].Verb)
	require.Equal(t, map[string]string{"offer": "c1/1", "agent": "1001"}, s.Acts[0].Args)
	require.Equal(t, Day.Add(24*time.Hour+5*time.Minute), s.Acts[1].At)
}

func TestParse_BrokenLine_NamesFileAndLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"10:30:00\n", "25:00:00 deadline\n", "noon deadline\n", "10:30:00 offered c1\n"} {
		_, err := parse("x.txt", "# first\n"+text)
		require.ErrorContains(t, err, "x.txt:2:")
	}
}

func TestDiagram_DrawsChangesAndListsRefusals(t *testing.T) {
	t.Parallel()
	matrix := `## Open, fresh
push                             → Shut · Save
look                             = late
lock                             ✗ It is open: shut it first.

## Open, then Locked
push                             → Locked

## Shut
its deadline: wind               → Open
`
	got := Diagram("A door", matrix, "door.txt", "Open", "Locked")
	for _, line := range []string{
		"    [*] --> Open\n", "    Open --> Shut: push\n", "    Open --> Locked: any end of it, if pending\n",
		"    Shut --> Open: wind\n", "    Locked --> [*]\n",
		"| Open | Locked | push (then Locked) |\n", "| It is open: shut it first. | Open: lock |\n",
	} {
		require.Contains(t, got, line)
	}
	require.NotContains(t, got, "look")
}
