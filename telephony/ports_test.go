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

// ports are those that were given away, to no two tests of this process.
var ports struct {
	sync.Mutex
	next int
}

// freePort is an even port of 127.0.0.1 that nobody uses now, neither on UDP nor on TCP, nor the one after it.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = lowPort + 2*rand.IntN((highPort-lowPort)/2)
	}
	for range (highPort - lowPort) / 2 {
		port := ports.next
		if ports.next += 2; ports.next >= highPort {
			ports.next = lowPort
		}
		if unused(port) && unused(port+1) {
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
