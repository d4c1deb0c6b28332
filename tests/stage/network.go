package stage

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
)

// Network is a network namespace with a wire to this machine: baresip refuses the
// loopback interface, so it gets a host of its own.
type Network struct {
	Name  string
	Host  netip.Addr   // our end of the wire
	Guest []netip.Addr // addresses inside
}

// ErrNoNetwork says that a namespace can't be made here, and why.
var ErrNoNetwork = errors.New("a network namespace needs root and iproute2")

// NewNetwork makes a namespace with n addresses. Close removes it.
func NewNetwork(n int) (*Network, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNoNetwork
	}
	pid := os.Getpid()
	net := &Network{Name: fmt.Sprintf("holdfast-%d", pid), Host: netip.AddrFrom4([4]byte{10, 200, byte(pid % 250), 1})}
	outer, inner := fmt.Sprintf("hfo%d", pid%1000000), fmt.Sprintf("hfi%d", pid%1000000)
	commands := []string{
		"ip netns add " + net.Name,
		fmt.Sprintf("ip link add %s type veth peer name %s netns %s", outer, inner, net.Name),
		fmt.Sprintf("ip addr add %s/24 dev %s", net.Host, outer),
		fmt.Sprintf("ip link set %s up", outer),
		fmt.Sprintf("ip netns exec %s ip link set lo up", net.Name),
		fmt.Sprintf("ip netns exec %s ip link set %s up", net.Name, inner),
	}
	for i := range n {
		guest := netip.AddrFrom4([4]byte{10, 200, byte(pid % 250), byte(2 + i)})
		net.Guest = append(net.Guest, guest)
		commands = append(commands, fmt.Sprintf("ip netns exec %s ip addr add %s/24 dev %s", net.Name, guest, inner))
	}
	for _, c := range commands {
		words := strings.Fields(c)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			net.Close()
			return nil, fmt.Errorf("%s: %w: %s", c, err, out)
		}
	}
	return net, nil
}

// Command runs a program inside.
func (n *Network) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Close removes the namespace, and with it the wire.
func (n *Network) Close() {
	_ = exec.Command("ip", "netns", "del", n.Name).Run() // gone already: as wanted
}
