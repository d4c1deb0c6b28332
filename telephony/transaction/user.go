package transaction

import "github.com/emiago/sipgo/sip"

// User is what stands above the layer (RFC 3261 calls it the TU). All methods but FlowClosed are called on the
// shard goroutine of the call, in order; none may block. Embed [Unhandled] to implement only some.
type User interface {
	// Request tells of a new request, with the transaction that takes its answer. Never ACK or CANCEL. If an
	// INVITE has no response when Request returns, 100 is sent.
	Request(tx *Server)
	// Ack tells of the ACK of a 2xx: once per 2xx that this layer sent, and each time for one that it does not
	// know (the process was restarted in between).
	Ack(ack *sip.Request, from Flow)
	// Cancelled tells that the INVITE of tx was cancelled before a final response. 200 to the CANCEL and 487 to
	// the INVITE have been sent; the CANCEL may carry a Reason.
	Cancelled(tx *Server, cancel *sip.Request)
	// Unacknowledged tells that our 2xx to an INVITE was repeated for 64·T1 without any ACK: the session has to
	// be ended by BYE (RFC 3261 §13.3.1.4).
	Unacknowledged(tx *Server)
	// Stray tells of a response without transaction: a 2xx after its transaction ended (it must be
	// acknowledged), or any response to a request of a former process.
	Stray(res *sip.Response, from Flow)
	// FlowClosed tells that a connection ended. It is called from the connection's goroutine, at any time,
	// and must not block either; client transactions waiting on it end with ErrFlowGone by themselves.
	FlowClosed(f Flow)
}

// Unhandled implements User: it answers 501 to each request and ignores the rest.
type Unhandled struct{}

// Request answers 501.
func (Unhandled) Request(tx *Server) { _ = tx.Reject(sip.StatusNotImplemented) } // nobody to tell

// Ack does nothing.
func (Unhandled) Ack(*sip.Request, Flow) {}

// Cancelled does nothing.
func (Unhandled) Cancelled(*Server, *sip.Request) {}

// Unacknowledged does nothing.
func (Unhandled) Unacknowledged(*Server) {}

// Stray does nothing.
func (Unhandled) Stray(*sip.Response, Flow) {}

// FlowClosed does nothing.
func (Unhandled) FlowClosed(Flow) {}
