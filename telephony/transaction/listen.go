package transaction

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Endpoint is a socket to listen on.
type Endpoint struct {
	// Transport is UDP, TCP or TLS.
	Transport string
	// Addr is ip:port or name:port; port 0 takes a free one.
	Addr string
	// SentBy is host:port for Via, and what Contacts should say: the address that peers see. Port 0 takes the
	// socket's. Empty takes the socket's address, which must then not be a wildcard.
	SentBy string
	// TLS is the server's configuration, for TLS only.
	TLS *tls.Config
}

// Listen opens a socket and serves it until Stop. It returns the real address.
func (l *Layer) Listen(ctx context.Context, e Endpoint) (net.Addr, error) {
	addr, err := l.listen(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("listen on %s %s: %w", e.Transport, e.Addr, err)
	}
	return addr, nil
}

func (l *Layer) listen(ctx context.Context, e Endpoint) (net.Addr, error) {
	var lc net.ListenConfig
	switch transport := strings.ToUpper(e.Transport); transport {
	case "UDP":
		pc, err := lc.ListenPacket(ctx, network("udp", e.Addr), e.Addr)
		if err != nil {
			return nil, err
		}
		return l.serveUDP(pc.(*net.UDPConn), e)
	case "TCP", "TLS":
		if transport == "TLS" && e.TLS == nil {
			return nil, errors.New("no TLS configuration")
		}
		ln, err := lc.Listen(ctx, network("tcp", e.Addr), e.Addr)
		if err != nil {
			return nil, err
		}
		return l.serveStream(ln, transport, e)
	default:
		return nil, errors.New("unknown transport: want UDP, TCP or TLS")
	}
}

// network keeps an IPv4 address on an IPv4 socket; Go would take a dual-stack one for 0.0.0.0.
func network(proto, addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return proto
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is4() {
		return proto + "4"
	}
	return proto
}

// sentByOf is the endpoint's SentBy, completed from the socket's address.
func sentByOf(e Endpoint, local netip.AddrPort) (string, error) {
	if e.SentBy == "" {
		if local.Addr().IsUnspecified() {
			return "", errors.New("a wildcard address needs SentBy: the address that peers see")
		}
		return local.String(), nil
	}
	host, port, err := net.SplitHostPort(e.SentBy)
	if err != nil {
		return "", fmt.Errorf("SentBy %q: %w", e.SentBy, err)
	}
	if port == "0" {
		port = fmt.Sprint(local.Port())
	}
	return net.JoinHostPort(host, port), nil
}

// SentBy is the host:port under which peers reach us over a transport (the first socket of it), for Contact. Empty
// when there is none.
func (l *Layer) SentBy(transport string) string {
	transport = strings.ToUpper(transport)
	l.mu.Lock()
	defer l.mu.Unlock()
	if transport == "UDP" {
		if len(l.sockets) > 0 {
			return l.sockets[0].by
		}
		return ""
	}
	for _, s := range l.listeners {
		if s.transport == transport {
			return s.by
		}
	}
	return ""
}

// udpSocket is one UDP port. Its single reader parses and dispatches: nothing is kept per source.
type udpSocket struct {
	layer *Layer
	pc    *net.UDPConn
	local netip.AddrPort
	by    string
}

// udpLink is a socket and a peer.
type udpLink struct {
	socket *udpSocket
	to     netip.AddrPort
}

func (u udpLink) sentBy() string { return u.socket.by }

func (u udpLink) flow() Flow {
	return Flow{Transport: "UDP", Local: u.socket.local.String(), Remote: u.to.String()}
}

func (u udpLink) send(data []byte) error {
	if trace := u.socket.layer.conf.Trace; trace != nil {
		trace(true, u.flow(), data)
	}
	_, err := u.socket.pc.WriteToUDPAddrPort(data, u.to)
	if err != nil {
		return fmt.Errorf("write to %s: %w", u.to, err)
	}
	return nil
}

// udpReadBuffer is asked of the kernel for bursts; it may give less.
const udpReadBuffer = 4 << 20

func (l *Layer) serveUDP(pc *net.UDPConn, e Endpoint) (net.Addr, error) {
	local := unmap(pc.LocalAddr().(*net.UDPAddr).AddrPort())
	by, err := sentByOf(e, local)
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	_ = pc.SetReadBuffer(udpReadBuffer) // best effort
	s := &udpSocket{layer: l, pc: pc, local: local, by: by}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.start(s.read) {
		return nil, errors.Join(ErrStopped, pc.Close())
	}
	l.sockets = append(l.sockets, s)
	return pc.LocalAddr(), nil
}

func (s *udpSocket) read() {
	buf := make([]byte, maxMessage)
	for failures := 0; ; {
		n, from, err := s.pc.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			failures = 0
		case s.layer.stopped() || errors.Is(err, net.ErrClosed):
			return
		default:
			if failures++; failures > 100 { // not one datagram in between: the socket is broken
				s.layer.log.Error("the UDP socket cannot be read", "local", s.local.String(), "err", err)
				return
			}
			continue
		}
		if data := buf[:n]; !isKeepAlive(data) {
			from = unmap(from)
			s.layer.input(data, from, udpLink{socket: s, to: from})
		}
	}
}

// isKeepAlive reports that a datagram has no content but line ends and zeros.
func isKeepAlive(data []byte) bool {
	for _, b := range data {
		if b != '\r' && b != '\n' && b != 0 && b != ' ' {
			return false
		}
	}
	return true
}

func unmap(ap netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()) }

// socketFor picks the socket for a destination: the one with the local address asked for, else the first of the same
// family. Nil if none.
func (l *Layer) socketFor(local sip.Addr, to netip.AddrPort) *udpSocket {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found *udpSocket
	for _, s := range l.sockets {
		addr := s.local.Addr()
		if addr.Is4() != to.Addr().Unmap().Is4() && (addr.Is4() || !addr.IsUnspecified()) {
			continue
		}
		ip, given := netip.AddrFromSlice(local.IP)
		if int(s.local.Port()) == local.Port && (!given || ip.IsUnspecified() || ip.Unmap() == addr) {
			return s
		}
		if found == nil {
			found = s
		}
	}
	return found
}
