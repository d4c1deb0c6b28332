package transaction

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// guarded is a guard with a hand-moved clock.
func guarded(c GuardConfig) (*Guard, *time.Time) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	c.Now = func() time.Time { return now }
	return NewGuard(c), &now
}

func from(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 5060) }

// allowed counts how many of n messages pass.
func allowed(g *Guard, addr string, n int) (passed int) {
	for range n {
		if g.Allow("UDP", from(addr), []byte("OPTIONS")) {
			passed++
		}
	}
	return passed
}

func TestGuard_Flood_IsCutToTheRatePerAddress(t *testing.T) {
	t.Parallel()
	g, now := guarded(GuardConfig{PerAddress: 10, AddressBurst: 20})
	require.Equal(t, 20, allowed(g, "10.0.0.9", 100))
	require.Equal(t, 20, allowed(g, "10.0.0.10", 100), "others are not touched")
	*now = now.Add(time.Second)
	require.Equal(t, 10, allowed(g, "10.0.0.9", 100))
	*now = now.Add(time.Hour)
	require.Equal(t, 20, allowed(g, "10.0.0.9", 100))
}

func TestGuard_ManyAddressesOfOneNetwork_ShareALimit(t *testing.T) {
	t.Parallel()
	g, _ := guarded(GuardConfig{AddressBurst: 10, NetworkBurst: 25})
	total := 0
	for i := range 10 {
		total += allowed(g, fmt.Sprintf("10.0.0.%d", i), 10)
	}
	require.Equal(t, 25, total)
	require.Equal(t, 10, allowed(g, "10.0.1.1", 10))
	require.Equal(t, 10, allowed(g, "2001:db8::1", 10))
	require.Zero(t, allowed(g, "2001:db8::2", 10), "one /64 is one host")
}

func TestGuard_TableFull_NewcomersShareOneBucket(t *testing.T) {
	t.Parallel()
	g, now := guarded(GuardConfig{Entries: 4, AddressBurst: 100, OthersBurst: 7, Others: 1})
	for _, a := range []string{"10.0.0.1", "10.0.1.1"} {
		require.Equal(t, 50, allowed(g, a, 50))
	}
	total := 0
	for i := range 100 {
		total += allowed(g, fmt.Sprintf("10.9.%d.1", i), 1)
	}
	require.Equal(t, 3, total, "7 tokens, two for each message")
	require.Equal(t, 50, allowed(g, "10.0.0.1", 50), "the known ones go on")
	require.LessOrEqual(t, len(g.young)+len(g.old), 4)
	*now = now.Add(2 * generation)
	allowed(g, "10.0.0.1", 1)
	*now = now.Add(2 * generation)
	require.Equal(t, 20, allowed(g, "10.9.1.1", 20), "forgotten ones make room")
}

func TestGuard_Banned_UntilTheEndOrUnbanned(t *testing.T) {
	t.Parallel()
	g, now := guarded(GuardConfig{Entries: 2, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	addr := netip.MustParseAddr("10.0.0.9")
	g.Ban(addr, now.Add(time.Minute))
	g.Ban(addr, now.Add(time.Second))
	*now = now.Add(59 * time.Second)
	require.Zero(t, allowed(g, "10.0.0.9", 1))
	*now = now.Add(time.Second)
	require.Equal(t, 1, allowed(g, "10.0.0.9", 1))
	g.Ban(addr, now.Add(time.Minute))
	g.Unban(addr)
	require.Equal(t, 1, allowed(g, "10.0.0.9", 1))
	g.Ban(netip.MustParseAddr("127.0.0.1"), now.Add(time.Hour))
	require.Equal(t, 1000, allowed(g, "127.0.0.1", 1000), "trusted: no limit, no ban")
	for i := range 10 {
		g.Ban(netip.MustParseAddr(fmt.Sprintf("10.0.2.%d", i)), now.Add(time.Hour))
	}
	require.LessOrEqual(t, len(g.bans), 2)
	require.Zero(t, allowed(g, "10.0.2.9", 1), "the latest ban holds")
}

func TestGuard_KnownScanners_GetNoAnswer(t *testing.T) {
	t.Parallel()
	g, _ := guarded(GuardConfig{})
	require.False(t, g.Allow("UDP", from("10.0.0.9"), []byte("OPTIONS sip:100@1 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n")))
	require.True(t, g.Allow("TCP", from("10.0.0.9"), nil))
	require.True(t, g.Allow("WS", netip.AddrPort{}, []byte("x")))
}
