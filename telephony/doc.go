// Package telephony is the node: SIP signalling and media of the calls it owns. It
// rings phones, answers, bridges, plays and hangs up; what happens is told to its
// Handler. It knows the domain's words, but neither Temporal nor the database.
//
// # Shape
//
// Each call is an actor: one goroutine with a mailbox that owns the call's legs (actor.go). Everything that concerns
// a call is posted to it: requests and responses by the transaction layer (receive.go), commands by the methods of
// Node (phone.go), news of the media engine. A leg moves by the table in machine.go, drawn in testdata/legs.txt.
//
// # Reflexes
//
// What must happen within milliseconds happens here and is reported afterwards: the first phone that answers is
// connected and the others are cancelled; a caller who hangs up stops all ringing; when one of two parties hangs up,
// the other's leg is ended; a party on hold hears music. Whoever is first is decided by the order of the mailbox, so
// that there is one outcome, and an answer that came too late is acknowledged and ended: no leg is left alone.
//
// # Who calls
//
// A caller is known by the address of a trunk, or shows credentials (inbound.go). Strangers get the same 401 whatever
// they ask for.
package telephony
