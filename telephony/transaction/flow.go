package transaction

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrFlowGone says that no connection to the peer exists (any more). The request was not sent.
	ErrFlowGone = errors.New("the connection to the peer is gone")
	// ErrNoAddress says that the destination is not ip:port. Names are resolved by the caller.
	ErrNoAddress = errors.New("the destination is not an address")
	// ErrNoListener says that the layer has no socket of that transport (and address family).
	ErrNoListener = errors.New("no listener for this transport")
	// ErrTimeout says that a request got no (final) response in time (RFC 3261 Timer B, F; CANCEL without 487).
	ErrTimeout = errors.New("no response in time")
	// ErrCancelled says that a CANCEL came before the response; 487 has been sent instead.
	ErrCancelled = errors.New("the request was cancelled")
	// ErrAnswered says that a final response was sent before.
	ErrAnswered = errors.New("the request was answered before")
	// ErrStopped says that the layer has been stopped.
	ErrStopped = errors.New("the transaction layer is stopped")
	// ErrSlowPeer says that a stream peer does not read: its write queue is full and the connection was closed.
	ErrSlowPeer = errors.New("the peer does not read")
)

// Flow is the way to a peer. It is comparable and survives JSON; for UDP it stays valid over a restart, for a
// connection only as long as that connection.
type Flow struct {
	// Transport is UDP, TCP, TLS, WS or WSS.
	Transport string `json:"transport"`
	// Local is our address, ip:port of the socket.
	Local string `json:"local"`
	// Remote is the peer's address, ip:port as seen on the socket.
	Remote string `json:"remote"`
}

// IsZero reports whether the flow says nothing.
func (f Flow) IsZero() bool { return f == Flow{} }

// Reliable reports whether the transport delivers by itself, so that requests are not repeated.
func (f Flow) Reliable() bool { return f.Transport != "UDP" }

// String is the form for logs and for ParseFlow: "UDP 127.0.0.1:5060 127.0.0.1:4000".
func (f Flow) String() string { return f.Transport + " " + f.Local + " " + f.Remote }

// ParseFlow reads what String wrote.
func ParseFlow(s string) (Flow, error) {
	p := strings.Split(s, " ")
	if len(p) != 3 || p[0] == "" || p[2] == "" {
		return Flow{}, fmt.Errorf("parse flow %q: want transport, local and remote address", s)
	}
	return Flow{Transport: p[0], Local: p[1], Remote: p[2]}, nil
}

// link carries bytes to one peer. send never blocks for longer than a system call: streams queue.
type link interface {
	send(data []byte) error
	flow() Flow
	// sentBy is the host:port that we write into Via on this link.
	sentBy() string
}
