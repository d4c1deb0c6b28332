package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBencode_ThereAndBack_IsTheSame(t *testing.T) {
	t.Parallel()
	in := map[string]any{"command": "offer", "n": -7, "sdp": "v=0\r\n:", "sub": map[string]any{"a": ""}}
	b := bencode(in)
	require.Equal(t, "d7:command5:offer1:ni-7e3:sdp6:v=0\r\n:3:subd1:a0:ee", string(b))
	out, rest, err := bdecode(append(b, "more"...))
	require.NoError(t, err)
	require.Equal(t, any(in), out)
	require.Equal(t, "more", string(rest))
	list, _, err := bdecode([]byte("l1:ai5ee"))
	require.NoError(t, err)
	require.Equal(t, []any{"a", 5}, list)
}

func TestBdecode_BrokenInput_IsAnError(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "i5", "5:abc", "-1:", "d1:ae", "di1e1:ae", "l1:a", "x"} {
		_, _, err := bdecode([]byte(s))
		require.Error(t, err, s)
	}
}
