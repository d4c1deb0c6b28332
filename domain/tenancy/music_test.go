package tenancy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/sound/wav"
	"holdfast/domain/tenancy"
)

func TestAudio_WhatCanNotBePlayed_IsRefusedInWords(t *testing.T) {
	t.Parallel()
	long, err := tenancy.Audio(wav.Bytes(make([]int16, 12_000), wav.PCM16)).Duration()
	require.NoError(t, err)
	require.Equal(t, 1500*time.Millisecond, long)
	hifi := wav.Bytes(make([]int16, 12_000), wav.PCM16)
	hifi[24], hifi[25] = 0x44, 0xac // 44,100 Hz
	for want, a := range map[string]tenancy.Audio{
		"-ar 8000 -ac 1": hifi, "no RIFF/WAVE header": []byte("ID3 and so on"), "lasts 500ms": wav.Bytes(make([]int16, 4000), wav.Ulaw),
		"at most 2097152 are allowed": wav.Bytes(make([]int16, tenancy.MostAudio/2), wav.PCM16),
	} {
		_, err := a.Duration()
		require.ErrorContains(t, err, want)
	}
}

func TestAudio_AsText_IsBase64_BrokenLinesAllowed(t *testing.T) {
	t.Parallel()
	text, err := tenancy.Audio("RIFF").MarshalText()
	require.NoError(t, err)
	require.Equal(t, "UklGRg==", string(text))
	var a tenancy.Audio
	require.NoError(t, a.UnmarshalText([]byte("Ukl\n GRg==\n")))
	require.Equal(t, "RIFF", string(a))
	require.Error(t, a.UnmarshalText([]byte("Ukl")))
}
