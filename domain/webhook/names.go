// Package webhook holds the rules by which an outside system is told of events: how
// events are called, which addresses may be called, how a message is signed, and when
// it is tried again.
package webhook

import (
	"slices"
	"strings"
	"unicode"

	"holdfast/domain/event"
)

// Type is what receivers know an event by: what it is about, a dot, and a past
// participle or state: "call.established", "agent.ready".
type Type string

// Ping is the type of the message that a test sends. It is no event.
const Ping Type = "ping"

// Entry is a type with what it says.
type Entry struct {
	Type Type
	Says string
}

// catalogue is every type that can be subscribed to.
var catalogue = []Entry{
	{"call.initiated", "A call came that leads to no queue, or an agent dials."},
	{"call.queued", "A call waits in a queue."},
	{"call.offered", "A call rings at an agent."},
	{"call.established", "Agent and customer talk."},
	{"call.held", "A party was put on hold."},
	{"call.retrieved", "A party was taken back from hold."},
	{"call.cleared", "A call that was answered is over."},
	{"call.abandoned", "The caller left before anybody answered."},
	{"call.diverted", "A call left the queue unanswered, by the queue's own rules."},
	{"agent.not_ready", "An agent takes no calls of queues, or something of its session changed meanwhile."},
	{"agent.ready", "An agent asks for calls, or something of its session changed meanwhile."},
	{"agent.reserved", "A call is offered to the agent."},
	{"agent.busy", "The agent talks."},
	{"agent.working_after_call", "The agent works off a call."},
	{"agent.logged_off", "The agent's session is over."},
	{"contact.created", "A contact was made."},
	{"contact.updated", "A contact was changed."},
	{"contact.merged", "Another contact went into this one."},
	{"contact.deleted", "A contact was deleted, or went into another one."},
	{"contact.restored", "A contact that was deleted, or went into another one, is back."},
	{"contact.erased", "A person asked to be forgotten: forget it, too."},
	{"device.registered", "A phone registered."},
	{"device.moved", "A registered phone is at another address, or comes by another transport."},
	{"device.unregistered", "A phone's registration ended: it left, ran out, made room for another one, or can't be reached any more (`change` says how: [devices.md](devices.md))."},
	{"webhook.disabled", "Another webhook of the tenant was disabled, because it failed for too long or its receiver is gone."},
}

// Catalogue lists every type that can be subscribed to, with what it says.
func Catalogue() []Entry { return slices.Clone(catalogue) }

// Selects reports whether a word can stand in a webhook's list of events: a type, all
// of one subject ("call.*"), or all ("*").
func Selects(word string) bool {
	return word == "*" || slices.ContainsFunc(catalogue, func(e Entry) bool {
		subject, _, _ := strings.Cut(string(e.Type), ".")
		return string(e.Type) == word || subject+".*" == word
	})
}

// TypeOf names an event by its stream and kind. The database does the same by
// holdfast_event_type; a test holds the two together.
func TypeOf(stream event.Stream, kind string) Type {
	subject, _, _ := strings.Cut(string(stream), ":")
	if strings.ContainsRune(kind, '.') {
		return Type(kind) // it is named in full already
	}
	var b strings.Builder
	for i, r := range kind {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return Type(subject + "." + strings.TrimPrefix(b.String(), subject+"_"))
}
