package cluster

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"holdfast/domain/fault"
)

// ErrPortTaken says that another program listens on the port.
var ErrPortTaken = errors.New("the port is in use by another program")

// Reservation holds a TCP port without listening on it. The kernel gives a
// bound port to nobody who asks for any free port, yet lets a listener that
// sets SO_REUSEADDR (Postgres and Go do) bind it as long as nobody listens. So
// a port that was chosen is still ours when the server opens it, and stays ours
// while the server is restarted.
type Reservation struct {
	// Port is the number of the port.
	Port int

	once sync.Once
	fd   int
}

// ReservePort reserves port on the IPv4 address ip, or a free port when port is
// 0. The error wraps ErrPortTaken when somebody listens there.
func ReservePort(ip string, port int) (*Reservation, error) {
	v4 := net.ParseIP(ip).To4()
	if v4 == nil {
		return nil, fault.E(fault.Invalid, "reserve a port", fmt.Errorf("%q is not an IPv4 address", ip))
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "reserve a port", err)
	}
	r := &Reservation{fd: fd}
	if err := r.bind([4]byte(v4), port); err != nil {
		r.Release()
		if errors.Is(err, unix.EADDRINUSE) {
			err = fmt.Errorf("%w: %s", ErrPortTaken, net.JoinHostPort(ip, strconv.Itoa(port)))
		}
		return nil, fault.E(fault.Unavailable, "reserve a port", err)
	}
	return r, nil
}

func (r *Reservation) bind(ip [4]byte, port int) error {
	if err := unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(r.fd, &unix.SockaddrInet4{Port: port, Addr: ip}); err != nil {
		return err
	}
	bound, err := unix.Getsockname(r.fd)
	if err != nil {
		return err
	}
	v4, ok := bound.(*unix.SockaddrInet4)
	if !ok {
		return fmt.Errorf("bound to an address of an unexpected kind: %T", bound)
	}
	r.Port = v4.Port
	return nil
}

// Release gives the port back. It is safe on nil and may be repeated.
func (r *Reservation) Release() {
	if r == nil {
		return
	}
	r.once.Do(func() { _ = unix.Close(r.fd) }) // an unconnected socket has nothing left to lose
}
