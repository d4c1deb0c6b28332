// Package telephony is the node: SIP signalling and media of the calls it owns. It
// rings phones, answers, bridges, plays and hangs up; what happens is told to its
// Handler. It knows the domain's words, but neither Temporal nor the database.
package telephony
