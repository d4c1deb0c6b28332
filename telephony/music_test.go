package telephony

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/sound/wav"
	"holdfast/domain/tenancy"
	"holdfast/telephony/media"
)

// cabinet is where sounds are; it may be away, or slow.
type cabinet struct {
	mu    sync.Mutex
	files map[string]tenancy.Audio
	away  error
	slow  bool
	asked int
	busy  sync.WaitGroup // what happens behind a caller's back
}

func (c *cabinet) Music(ctx context.Context, _ id.Tenant, name, have string) (tenancy.Audio, string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	switch a, found := c.files[name]; {
	case c.slow:
		<-ctx.Done()
		return nil, "", ctx.Err()
	case c.away != nil:
		return nil, "", c.away
	case !found:
		return nil, "", fault.E(fault.NotFound, "read music", errors.New("none"))
	case a.Sum() == have:
		return nil, have, nil
	default:
		return a, a.Sum(), nil
	}
}

// noise is a file of n bytes of sound.
func noise(n int) tenancy.Audio { return wav.Bytes(make([]int16, n), wav.Ulaw) }

func (c *cabinet) jukebox(now *time.Time) *jukebox {
	return &jukebox{
		sounds: c, now: func() time.Time { return *now }, life: context.Background(), log: slog.New(slog.DiscardHandler),
		start: func(f func()) bool { c.busy.Go(f); return true }, known: map[musicKey]*record{},
	}
}

// A caller always hears something: what was chosen, what was at hand when it can't be asked for, else the music of ours.
func TestJukebox_PlaysWhatIsThere_AndOursElse(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &cabinet{files: map[string]tenancy.Audio{"waltz": noise(8000)}}
	j := c.jukebox(&now)
	require.Same(t, media.Music(), j.of(t.Context(), "a", ""))
	require.Zero(t, c.asked)
	waltz := j.of(t.Context(), "a", "waltz")
	require.NotSame(t, media.Music(), waltz)
	require.Same(t, waltz, j.of(t.Context(), "a", "waltz"))
	require.Equal(t, 1, c.asked, "it is at hand")
	require.Same(t, media.Music(), j.of(t.Context(), "a", "tango"))
	require.Same(t, media.Music(), j.of(t.Context(), "a", "tango"))
	require.Equal(t, 2, c.asked, "that there is none is known, too")

	now = now.Add(musicFresh)
	require.Same(t, waltz, j.of(t.Context(), "a", "waltz"))
	c.busy.Wait()
	require.Same(t, waltz, j.of(t.Context(), "a", "waltz"), "the same file is not read again")
	require.Equal(t, 3, c.asked)
	c.away = errors.New("the database is away")
	j.doubt("b")
	require.Same(t, waltz, j.of(t.Context(), "a", "waltz"))
	require.Equal(t, 3, c.asked)
	j.doubt("a")
	require.Same(t, waltz, j.of(t.Context(), "a", "waltz"))
	require.Same(t, media.Music(), j.of(t.Context(), "a", "polka"))
	c.away, c.files["waltz"], c.files["polka"] = nil, noise(9000), noise(10_000)
	require.NotSame(t, waltz, j.of(t.Context(), "a", "waltz"), "another file under the same name")
	require.NotSame(t, media.Music(), j.of(t.Context(), "a", "polka"))
	delete(c.files, "waltz")
	j.doubt("")
	require.Same(t, media.Music(), j.of(t.Context(), "a", "waltz"))
	c.slow = true
	require.Same(t, media.Music(), j.of(t.Context(), "a", "fado"), "nobody waits longer than the patience")
}

func TestJukebox_HasSoMuchAtHand_WhatWasPlayedLastStays(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &cabinet{files: map[string]tenancy.Audio{}}
	j := c.jukebox(&now)
	size := musicMemory / 4
	for _, name := range []string{"1", "2", "3", "4", "5"} {
		c.files[name] = noise(size)
		now = now.Add(time.Second)
		j.of(t.Context(), "a", name)
		j.of(t.Context(), "a", "1")
	}
	require.LessOrEqual(t, j.size, musicMemory)
	require.Contains(t, j.known, musicKey{"a", "1"})
	require.NotContains(t, j.known, musicKey{"a", "2"})
}
