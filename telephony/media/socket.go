package media

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sockaddr is a struct sockaddr_in or sockaddr_in6 as the kernel reads and
// writes it, comparable with ==. The zero value is no address.
type sockaddr [unix.SizeofSockaddrInet6]byte

func toSockaddr(ap netip.AddrPort) (a sockaddr) {
	ip := ap.Addr().Unmap()
	if !ip.IsValid() || ip.IsUnspecified() || ap.Port() == 0 {
		return a
	}
	binary.BigEndian.PutUint16(a[2:], ap.Port())
	if ip.Is4() {
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET)
		v4 := ip.As4()
		copy(a[4:], v4[:])
		return a
	}
	binary.NativeEndian.PutUint16(a[:], unix.AF_INET6)
	v6 := ip.As16()
	copy(a[8:], v6[:])
	return a
}

func (a *sockaddr) valid() bool { return a[0]|a[1] != 0 }

func (a *sockaddr) ip() netip.Addr {
	switch binary.NativeEndian.Uint16(a[:]) {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(a[4:8]))
	case unix.AF_INET6:
		return netip.AddrFrom16([16]byte(a[8:24]))
	}
	return netip.Addr{}
}

func (a *sockaddr) port() uint16 { return binary.BigEndian.Uint16(a[2:]) }

func (a *sockaddr) addrPort() netip.AddrPort { return netip.AddrPortFrom(a.ip(), a.port()) }

// withPort returns the same host with another port.
func (a sockaddr) withPort(port uint16) sockaddr {
	if a.valid() {
		binary.BigEndian.PutUint16(a[2:], port)
	}
	return a
}

func (a *sockaddr) size() uintptr {
	if binary.NativeEndian.Uint16(a[:]) == unix.AF_INET6 {
		return unix.SizeofSockaddrInet6
	}
	return unix.SizeofSockaddrInet4
}

// receiveBuffer holds 0.5 s and more of a leg's packets while a shard is busy.
const receiveBuffer = 128 << 10

// dscpEF is expedited forwarding (RFC 3246) in the byte of IP_TOS.
const dscpEF = 0xB8

// openSocket makes a non-blocking UDP socket bound to ip and port (0: any).
func openSocket(ip netip.Addr, port int) (fd int, err error) {
	family := unix.AF_INET6
	if ip.Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return -1, err
	}
	// Both are wishes: audio flows without them.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	if family == unix.AF_INET {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, dscpEF)
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: ip.As4()})
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, dscpEF)
		err = unix.Bind(fd, &unix.SockaddrInet6{Port: port, Addr: ip.As16()})
	}
	if err != nil {
		_ = unix.Close(fd) // never bound: nothing to lose
		return -1, err
	}
	return fd, nil
}

// localPort returns the port that fd is bound to.
func localPort(fd int) (int, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return a.Port, nil
	case *unix.SockaddrInet6:
		return a.Port, nil
	}
	return 0, unix.EAFNOSUPPORT
}

// deafen makes the kernel drop whatever comes to fd, before it wakes anybody.
// That is the drain of a port in quarantine.
func deafen(fd int) error {
	drop := [1]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: 1, Filter: &drop[0]})
}

// connect makes the kernel drop what does not come from the given address.
func connect(fd int32, to *sockaddr) syscall.Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(to)), to.size())
	return e
}

// disconnect undoes connect.
func disconnect(fd int32) syscall.Errno {
	var unspec sockaddr // AF_UNSPEC is 0
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspec)), unix.SizeofSockaddrInet4)
	return e
}

// receive reads a datagram without waiting; it returns -1 if there is none. The
// raw system call keeps the goroutine's processor: it never blocks.
func receive(fd int32, b []byte, from *sockaddr) int {
	size := uint32(len(from))
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(&size)))
	if e != 0 {
		return -1
	}
	return int(n)
}

// send writes a datagram without waiting, to the address, or, if it is nil, to
// the one that fd is connected to.
func send(fd int32, b []byte, to *sockaddr) bool {
	var size uintptr
	if to != nil {
		size = to.size()
	}
	for range 2 {
		_, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(to)), size)
		if e == 0 {
			return true
		}
		// A connected socket reports the ICMP error of an earlier packet in place
		// of sending this one; the second try sends.
		if e != unix.ECONNREFUSED {
			return false
		}
	}
	return false
}
