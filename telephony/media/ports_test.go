package media

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lent are the first ports of the pairs that running tests of this process were given.
var lent struct {
	sync.Mutex
	pairs map[int]bool
}

// freeRange finds pairs of ports that nobody has now, outside the range that the
// system hands out, and that no other test is given.
func freeRange(t *testing.T, pairs int) (first, last int) {
	t.Helper()
	lent.Lock()
	defer lent.Unlock()
	if lent.pairs == nil {
		lent.pairs = map[int]bool{}
	}
	for range 1000 {
		first = 1024 + 2*rand.IntN((30000-1024)/2)
		last = first + 2*pairs - 1
		var taken error
		for port := first; port <= last && taken == nil; port += 2 {
			if lent.pairs[port] {
				taken = ErrPortTaken
			}
		}
		for port := first; port <= last && taken == nil; port += 2 {
			pair, err := bindPair(Config{}.withDefaults().Bind, port)
			if taken = err; err == nil {
				pair.close()
			}
		}
		if taken == nil {
			for port := first; port <= last; port += 2 {
				lent.pairs[port] = true
			}
			t.Cleanup(func() {
				lent.Lock()
				defer lent.Unlock()
				for port := first; port <= last; port += 2 {
					delete(lent.pairs, port)
				}
			})
			return first, last
		}
	}
	require.FailNow(t, "no free ports")
	return 0, 0
}

func TestPorts_AllUsed_IsErrNoPorts(t *testing.T) {
	t.Parallel()
	first, last := freeRange(t, 3)
	r := newRig(t, func(c *Config) { c.PortMin, c.PortMax = first-1, last+1 }) // ragged edges are left out
	seen := map[int]bool{}
	for range 3 {
		s := r.open("call")
		require.Zero(t, s.Port()&1)
		require.GreaterOrEqual(t, s.Port(), first)
		require.Less(t, s.Port(), last)
		seen[s.Port()] = true
	}
	require.Len(t, seen, 3)
	_, err := r.Open("call")
	require.ErrorIs(t, err, ErrNoPorts)
	require.ErrorContains(t, err, "of 3 pairs 3 carry a call, 0 rest, 0 are held by other programs")
	st, err := r.Stats()
	require.NoError(t, err)
	require.Equal(t, PortStats{Total: 3, Used: 3}, st.Ports)
}

func TestPorts_Closed_RestBeforeTheyAreUsedAgain(t *testing.T) {
	t.Parallel()
	const quarantine = time.Second
	first, last := freeRange(t, 1)
	r := newRig(t, func(c *Config) { c.PortMin, c.PortMax, c.Quarantine = first, last, leastRest*quarantine })
	a := newPhone(t, PCMU, 440)
	s := r.joined("call", a)
	require.Equal(t, first, s.Port())
	closed := time.Now()
	require.NoError(t, s.Close())
	_, err := r.Open("next")
	require.ErrorIs(t, err, ErrNoPorts)
	st, err := r.Stats()
	require.NoError(t, err)
	require.Equal(t, PortStats{Total: 1, Quarantined: 1}, st.Ports)

	a.say(s) // the old call's phone goes on for a while
	a.say(s)
	var next *Stream
	require.Eventually(t, func() bool {
		next, err = r.Open("next")
		return err == nil
	}, patience, time.Millisecond)
	require.GreaterOrEqual(t, time.Since(closed), quarantine)
	require.Less(t, time.Since(closed), leastRest*quarantine, "it is not refused for a rest that matters little")
	require.Equal(t, first, next.Port())
	require.Zero(t, r.stats(next).Rejected.Early, "nothing of the old call is left")
}

func TestPorts_OthersAreFree_RestTheWholeQuarantine(t *testing.T) {
	t.Parallel()
	const quarantine = int64(30 * time.Second)
	first, last := freeRange(t, 2)
	now := int64(1)
	p := newPorts(Config{Bind: netip.MustParseAddr("127.0.0.1"), PortMin: first, PortMax: last, Quarantine: time.Duration(quarantine)}, func() int64 { return now })
	defer p.closeAll()
	used, err := p.open()
	require.NoError(t, err)
	require.NoError(t, p.rest(used))
	for _, passed := range []int64{0, quarantine / leastRest, quarantine - 1} {
		now = 1 + passed
		p.reap()
		other, err := p.open()
		require.NoError(t, err)
		require.NotEqual(t, used.port, other.port)
		p.abandon(other)
	}
	now = 1 + quarantine
	p.reap()
	require.Equal(t, PortStats{Total: 2}, p.stats())
}

func TestPorts_HeldByOthers_AreLeftOut(t *testing.T) {
	t.Parallel()
	first, last := freeRange(t, 2)
	other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: first + 1})
	require.NoError(t, err)
	r := newRig(t, func(c *Config) { c.PortMin, c.PortMax = first, last })
	require.Equal(t, first+2, r.open("call").Port())
	_, err = r.Open("call")
	require.ErrorIs(t, err, ErrNoPorts)
	require.NoError(t, other.Close())
	require.Equal(t, first, r.open("call").Port())
}

func TestPorts_OfARange_ComeInNoOrder(t *testing.T) {
	t.Parallel()
	first, last := freeRange(t, 24)
	var orders [2][]int
	for i := range orders {
		r := newRig(t, func(c *Config) { c.PortMin, c.PortMax = first, last })
		for range 24 {
			orders[i] = append(orders[i], r.open("call").Port())
		}
		require.NoError(t, r.Close())
	}
	require.ElementsMatch(t, orders[0], orders[1])
	require.NotEqual(t, orders[0], orders[1]) // by chance once in 24! runs
}

func TestPorts_Reopen_TakesThePortOutOfTheRange(t *testing.T) {
	t.Parallel()
	first, last := freeRange(t, 2)
	r := newRig(t, func(c *Config) { c.PortMin, c.PortMax = first, last })
	s, err := r.Reopen("call", Saved{Port: first + 2, SSRC: 77, At: time.Now()})
	require.NoError(t, err)
	require.Equal(t, first+2, s.Port())
	require.EqualValues(t, 77, s.SSRC())
	require.Equal(t, first, r.open("call").Port())
	_, err = r.Open("call")
	require.ErrorIs(t, err, ErrNoPorts)
	_, err = r.Reopen("call", Saved{Port: first})
	require.ErrorIs(t, err, ErrPortTaken)
	for _, port := range []int{0, -2, 5, 65536} {
		_, err = r.Reopen("call", Saved{Port: port})
		require.ErrorIs(t, err, ErrParams)
	}
}

func TestSaved_ResumedLater_IsAheadOfWhatWasSent(t *testing.T) {
	t.Parallel()
	at := time.Now()
	saved := Saved{Port: 4000, SSRC: 5, Seq: 65000, TS: 100, At: at, Frame: 20 * time.Millisecond}
	o := saved.resume(at.Add(time.Minute))
	ahead := o.seq - saved.Seq - 3000 // a minute is 3000 packets
	require.GreaterOrEqual(t, ahead, uint16(safety))
	require.Less(t, ahead, uint16(safety+64))
	require.EqualValues(t, 60*8000, o.ts-saved.TS)
	require.EqualValues(t, 5, o.ssrc)

	o = saved.resume(at.Add(-time.Hour)) // a clock that went back
	require.GreaterOrEqual(t, o.seq-saved.Seq, uint16(safety))
	require.Equal(t, saved.TS, o.ts)
}

func TestConfig_Nonsense_IsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Shards: -1}, {PortMin: 100, PortMax: 200}, {PortMin: 20000, PortMax: 20000}, {PortMin: 20001, PortMax: 20002},
		{PortMin: 20000, PortMax: 70000}, {PortMin: 20000}, {Timeout: -1},
	} {
		_, err := New(c)
		require.ErrorIs(t, err, ErrParams, "%+v", c)
	}
	require.NoError(t, Config{PortMin: 20000, PortMax: 29999}.Validate())
	require.True(t, errors.Is(Config{Quarantine: -1}.Validate(), ErrParams))
}
