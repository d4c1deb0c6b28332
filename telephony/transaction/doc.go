// Package transaction is the ordered SIP transaction layer: sockets, message framing and checking, and the
// client and server transactions of RFC 3261 §17 as changed by RFC 6026.
//
// # Order
//
// Every message belongs to a shard chosen by its Call-ID, and one goroutine per shard handles them in the order
// of arrival. Responses, requests, ACKs and timeouts of one call therefore reach the [User] one after the other:
// a 180 never overtakes the 200 that was sent after it, nor a BYE the 200 before it. Callbacks run on the shard's
// goroutine and must not block: they post to the mailbox of a call and return. They may call any method of this
// package except [Layer.Stop].
//
// # Flows
//
// A peer is reached by a [Flow]: transport, our address, its address. Responses go to the flow that the request
// came from, whatever Via and Contact say (NAT, RFC 3581 taken as always asked for). Requests go to
// Destination(), which must be ip:port; over a stream transport they use the connection that exists, accepted or
// made by [Layer.Connect], and fail with [ErrFlowGone] when there is none: nothing here ever dials by itself.
//
// # Bounds
//
// Shard queues, connections, write queues and server transactions are bounded, with counters in [Stats]. A full
// queue answers new requests with 503 and Retry-After, drops what a UDP peer repeats by itself, and pushes back
// on a stream. Unknown UDP sources cost no memory.
//
// The transactions are our own and not those of sipgo: theirs hand responses over on a second goroutine (so that
// a 200 and the BYE after it may swap), wait T2 under a lock for a repeated final response, and let a response
// that came too late replace the one to be retransmitted.
package transaction
