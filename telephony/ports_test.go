package telephony

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ports for who can't take whatever is free: below those that the system gives to whoever asks for any, so that nobody
// takes one between freePort and its use, and above those of the tests of package media.
const lowPort, highPort = 30_000, 32_768

// lent are the ports that running tests of this process were given.
var lent struct {
	sync.Mutex
	ports map[int]bool
}

// freePort is an even port of 127.0.0.1 that nobody uses now, neither on UDP nor on TCP, nor the three after it: sipp takes
// them for sound and picture.
func freePort(t *testing.T) int {
	t.Helper()
	lent.Lock()
	defer lent.Unlock()
	if lent.ports == nil {
		lent.ports = map[int]bool{}
	}
	for range 1000 {
		port := lowPort + 4*rand.IntN((highPort-lowPort)/4)
		if !lent.ports[port] && unused(port) && unused(port+1) && unused(port+2) && unused(port+3) {
			lent.ports[port] = true
			t.Cleanup(func() {
				lent.Lock()
				defer lent.Unlock()
				delete(lent.ports, port)
			})
			return port
		}
	}
	require.FailNow(t, "no free ports")
	return 0
}

func unused(port int) bool {
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	c, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	ln, err := net.Listen("tcp4", addr)
	if err != nil {
		return false
	}
	_ = ln.Close()
	return true
}
