// Package fault holds the few kinds of failure that cross a border between
// packages. Users see one sentence, operators see the chain.
package fault

import (
	"errors"
	"fmt"
)

// Kind says whose turn it is after a failure. httpapi maps each to one status
// code, telephony to one SIP response.
type Kind string

// The kinds of failure.
const (
	Invalid         Kind = "invalid"         // the request is malformed; correct it (HTTP 422, SIP 400)
	Unauthenticated Kind = "unauthenticated" // no or wrong credentials (401)
	Forbidden       Kind = "forbidden"       // known, but not allowed (403)
	NotFound        Kind = "not_found"       // does not exist, or belongs to another tenant (404)
	Conflict        Kind = "conflict"        // refused by the present state (409)
	TooMany         Kind = "too_many"        // slow down (429)
	Unavailable     Kind = "unavailable"     // something we stand on is away; try again (503)
	Internal        Kind = "internal"        // our own defect (500)
)

// Valid reports whether k is one of the kinds above.
func (k Kind) Valid() bool {
	switch k {
	case Invalid, Unauthenticated, Forbidden, NotFound, Conflict, TooMany, Unavailable, Internal:
		return true
	}
	return false
}

// Error is a failure of a known kind. It is always used as a pointer.
type Error struct {
	Kind     Kind    `json:"kind"`
	Op       string  `json:"op,omitempty"`     // what we were doing: "match call"
	Code     string  `json:"code,omitempty"`   // stable word for programs: "wrap_up_running"
	Sentence string  `json:"detail,omitempty"` // one sentence for people: what happened and what to do
	Fields   []Field `json:"fields,omitempty"` // what is wrong with which field
	Err      error   `json:"-"`
}

// Field names one wrong field of a request.
type Field struct {
	Name     string `json:"name"`   // path of the field: "queues[0].name"
	Sentence string `json:"detail"` // what is wrong with it
}

// Error returns the chain for operators.
func (e *Error) Error() string {
	s := e.Sentence
	if e.Err != nil {
		if s != "" {
			s += ": "
		}
		s += e.Err.Error()
	}
	if s == "" {
		s = string(e.Kind)
	}
	if e.Op != "" {
		return e.Op + ": " + s
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// E wraps err as a failure of kind k while doing op. A nil err gives nil.
func E(k Kind, op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: k, Op: op, Err: err}
}

// Refuse is a refusal by a state machine: kind Conflict, a stable code and one
// sentence that says why and what to do.
func Refuse(code, sentence string, args ...any) *Error {
	return &Error{Kind: Conflict, Code: code, Sentence: fmt.Sprintf(sentence, args...)}
}

// KindOf returns the kind of err, Internal when it carries none, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Sentence returns what a user may see of err: its sentence, or "" if it has none.
func Sentence(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Sentence != "" {
			return e.Sentence
		}
		err = e.Err
	}
	return ""
}
