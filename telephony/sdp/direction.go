package sdp

// Direction says which way media flows, seen from whoever wrote the description.
type Direction string

// The four directions of RFC 8866 §6.7.
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// Valid reports one of the four.
func (d Direction) Valid() bool {
	return d == SendRecv || d == SendOnly || d == RecvOnly || d == Inactive
}

// Send reports that its owner sends.
func (d Direction) Send() bool { return d == SendRecv || d == SendOnly }

// Recv reports that its owner receives.
func (d Direction) Recv() bool { return d == SendRecv || d == RecvOnly }

// Mirror is the same stream seen from the other side.
func (d Direction) Mirror() Direction { return direction(d.Recv(), d.Send()) }

// And is what both allow.
func (d Direction) And(o Direction) Direction {
	return direction(d.Send() && o.Send(), d.Recv() && o.Recv())
}

func direction(send, recv bool) Direction {
	switch {
	case send && recv:
		return SendRecv
	case send:
		return SendOnly
	case recv:
		return RecvOnly
	}
	return Inactive
}
