package torture

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMessages_AreWhole(t *testing.T) {
	t.Parallel()
	all := Messages()
	require.Len(t, all, 49)
	names := map[string]bool{}
	for _, m := range all {
		require.False(t, names[m.Name], "%s stands twice", m.Name)
		names[m.Name] = true
		require.Regexp(t, `^\d\.`, m.Section, m.Name)
		require.Contains(t, string(m.Data), "\r\n\r\n", m.Name)
		for _, mark := range []string{"@sdp", "${", `\x0`} {
			require.NotContains(t, string(m.Data), mark, m.Name)
		}
	}
}

func TestOnTheWire_MarksBecomeBytes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "A: "+strings.Repeat("ab", 3)+"\x00\xff\r\n\r\nv=0\r\no=- 1 1 IN IP4 x\r\nc=IN IP4 x\r\nm=audio 9 RTP/AVP 0",
		string(onTheWire("A: ${3*ab}\\x00\\xff\n\n@sdp")))
	require.Equal(t, "A: b\r\n", string(onTheWire("A: b"))[:6])
}
