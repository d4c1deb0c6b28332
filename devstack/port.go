package devstack

import (
	"errors"
	"fmt"
	"net"
	"strconv"

	"golang.org/x/sys/unix"
)

// PortTakenError says that somebody else listens on an address that we want.
type PortTakenError struct {
	Addr string
	Flag string
}

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("%s is in use by another program; stop it or choose another port with --%s", e.Addr, e.Flag)
}

// reservation holds a TCP port without listening on it. The kernel gives a
// bound port to nobody who asks for "any free port", yet lets a listener with
// SO_REUSEADDR (Go sets it) bind it as long as nobody listens. So a port that we
// chose is still ours when the server opens it a second later.
type reservation struct {
	fd   int
	Port int
}

// reserve binds port on ip, or a free port when port is 0. The error is a
// *PortTakenError, with flag to name the remedy, when somebody listens there.
func reserve(ip string, port int, flag string) (*reservation, error) {
	addr := net.ParseIP(ip)
	family := unix.AF_INET
	var sa unix.Sockaddr
	if v4 := addr.To4(); v4 != nil {
		sa = &unix.SockaddrInet4{Port: port, Addr: [4]byte(v4)}
	} else {
		family = unix.AF_INET6
		sa = &unix.SockaddrInet6{Port: port, Addr: [16]byte(addr.To16())}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	r := &reservation{fd: fd}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		r.release()
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		r.release()
		at := net.JoinHostPort(ip, strconv.Itoa(port))
		if errors.Is(err, unix.EADDRINUSE) {
			return nil, &PortTakenError{Addr: at, Flag: flag}
		}
		return nil, fmt.Errorf("bind %s: %w", at, err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		r.release()
		return nil, fmt.Errorf("reserve a port: %w", err)
	}
	switch a := bound.(type) {
	case *unix.SockaddrInet4:
		r.Port = a.Port
	case *unix.SockaddrInet6:
		r.Port = a.Port
	}
	return r, nil
}

// release gives the port back. It is safe on nil and twice.
func (r *reservation) release() {
	if r == nil || r.fd < 0 {
		return
	}
	_ = unix.Close(r.fd) // closing an unconnected socket has no outcome to act on
	r.fd = -1
}
