package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was heard last is not heard for ever: when the packets stop, the ear says so, and
// the sum counts no second of a sound that did not come.
func TestEar_PacketsStop_TheSoundIsNotCountedOn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	e := &ear{tell: &narrator{out: &out}, length: map[string]time.Duration{}}
	packets := 0
	listen := func(looks, each int) {
		for range looks {
			packets += each
			e.hear(look{440, -12, true}, packets)
		}
	}
	listen(10, 5)
	before := e.length["440 Hz"]
	require.Positive(t, before)
	require.Contains(t, out.String(), "hears 440 Hz")
	listen(2, 0)
	require.NotContains(t, out.String(), "hears nothing", "two packets late are a hiccup")
	listen(50, 0)
	require.Equal(t, before, e.length["440 Hz"], "the window that came last is heard only once")
	require.Contains(t, out.String(), "hears nothing any more: no packets come")
	out.Reset()
	listen(4, 5)
	require.Contains(t, out.String(), "hears 440 Hz", "the same sound again is told again")
	require.Greater(t, e.length["440 Hz"], before)
}
