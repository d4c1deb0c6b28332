package wav

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/sound/g711"
	"holdfast/telephony/media/tone"
)

func sine(n int) []int16 {
	pcm := make([]int16, n)
	tone.New(440).PCM(pcm)
	return pcm
}

func TestFile_WrittenAndRead_IsTheSame(t *testing.T) {
	t.Parallel()
	pcm := sine(801) // odd, so that µ-law needs padding
	for _, format := range []Format{PCM16, Ulaw} {
		path := filepath.Join(t.TempDir(), "a.wav")
		require.NoError(t, WriteFile(path, pcm, format))
		got, err := ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, quantised(pcm, format), got)
	}
}

func quantised(pcm []int16, format Format) []int16 {
	if format == PCM16 {
		return pcm
	}
	code, out := make([]byte, len(pcm)), make([]int16, len(pcm))
	g711.EncodeUlaw(code, pcm)
	g711.DecodeUlaw(out, code)
	return out
}

func TestWriter_Streamed_EqualsWhole(t *testing.T) {
	t.Parallel()
	pcm := sine(801)
	for _, format := range []Format{PCM16, Ulaw} {
		f, err := os.Create(filepath.Join(t.TempDir(), "a.wav"))
		require.NoError(t, err)
		w, err := NewWriter(f, format)
		require.NoError(t, err)
		require.NoError(t, w.PCM(pcm[:160]))
		require.NoError(t, w.PCM(pcm[160:]))

		crashed, err := ReadFile(f.Name())
		require.NoError(t, err, "a file that was never closed is readable")
		require.Equal(t, quantised(pcm, format), crashed)

		require.NoError(t, w.Close())
		require.NoError(t, w.Close())
		got, err := os.ReadFile(f.Name())
		require.NoError(t, err)
		require.Equal(t, Bytes(pcm, format), got)
		require.NoError(t, f.Close())
	}
}

func TestRead_AlawFile_IsDecoded(t *testing.T) {
	t.Parallel()
	b := Bytes(sine(160), Ulaw)
	b[20] = byte(Alaw)
	code := b[len(b)-160:]
	want := make([]int16, 160)
	g711.DecodeAlaw(want, code)
	got, err := Read(bytes.NewReader(b))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestRead_UnknownChunks_AreSkipped(t *testing.T) {
	t.Parallel()
	b := Bytes(sine(160), PCM16)
	list := []byte("LIST\x03\x00\x00\x00abc\x00")
	withList := append(append(append([]byte{}, b[:12]...), list...), b[12:]...)
	got, err := Read(bytes.NewReader(withList))
	require.NoError(t, err)
	require.Equal(t, sine(160), got)
}

func TestRead_OtherFiles_AreRefused(t *testing.T) {
	t.Parallel()
	good := Bytes(sine(16), PCM16)
	change := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for name, b := range map[string][]byte{
		"empty":        nil,
		"text":         []byte("hello, this is not audio"),
		"stereo":       change(22, 2),
		"44100 Hz":     change(25, 0xAC),
		"8 bits":       change(34, 8),
		"float":        change(20, 3),
		"no data":      good[:36],
		"short fmt":    append(bytes.Clone(good[:16]), 4, 0, 0, 0, 1, 0, 1, 0),
		"data, no fmt": append(bytes.Clone(good[:12]), good[36:]...),
	} {
		_, err := Read(bytes.NewReader(b))
		require.ErrorIs(t, err, ErrFormat, name)
	}
	_, err := NewWriter(nil, Alaw)
	require.ErrorIs(t, err, ErrFormat)
}
