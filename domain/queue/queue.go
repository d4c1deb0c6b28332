// Package queue decides which waiting call and which ready agent belong together.
// Pick is a pure function of what it is shown, so that every decision can be
// explained and replayed.
package queue

import (
	"time"

	"holdfast/domain/id"
)

// Strategy is how a queue chooses among eligible agents.
type Strategy string

// The strategies, by the field's names.
const (
	LongestIdle Strategy = "longest_idle" // default
	FewestCalls Strategy = "fewest_calls"
	Linear      Strategy = "linear" // fixed order: position, then number
	Random      Strategy = "random" // by a hash of offer and agent: reproducible
)

// Valid reports whether s is one of the strategies above.
func (s Strategy) Valid() bool {
	switch s {
	case LongestIdle, FewestCalls, Linear, Random:
		return true
	}
	return false
}

// Caller is a call that waits in a queue.
type Caller struct {
	Call     id.Call    `json:"call"`
	Queue    id.Queue   `json:"queue"`
	QueuedAt time.Time  `json:"queued_at"` // original enqueue time: earlier is served first
	Priority int        `json:"priority"`  // higher is served first
	Offer    id.Offer   `json:"offer"`     // name of its next offer
	Tried    []id.Agent `json:"tried,omitempty"`
}

// Candidate is an agent who might take a call.
type Candidate struct {
	Agent    id.Agent  `json:"agent"`
	Queue    id.Queue  `json:"queue"`
	ReadyAt  time.Time `json:"ready_at"`
	Calls    int       `json:"calls,omitempty"`   // taken since sign-in
	Penalty  int       `json:"penalty,omitempty"` // lower is asked first
	Position int       `json:"position,omitempty"`
	Excluded string    `json:"excluded,omitempty"` // why it is not eligible; empty = eligible
}

// Ask is one question to Pick: who takes Caller (Callers has one element), or which
// of Callers does the agent of Candidates (one agent, a candidate per queue) take.
type Ask struct {
	Strategies map[id.Queue]Strategy `json:"strategies"`
	Callers    []Caller              `json:"callers"`
	Candidates []Candidate           `json:"candidates"`
}

// Decision is Pick's answer with its reasons, kept for "why did this caller get this agent?".
type Decision struct {
	Call     id.Call     `json:"call,omitempty"` // empty: nobody fits
	Queue    id.Queue    `json:"queue,omitempty"`
	Agent    id.Agent    `json:"agent,omitempty"`
	Offer    id.Offer    `json:"offer,omitempty"`
	Strategy Strategy    `json:"strategy,omitempty"`
	Ranked   []Candidate `json:"ranked,omitempty"` // eligible first, best first, then the excluded with their reason
	Passed   []id.Call   `json:"passed,omitempty"` // callers that were looked at before and could not be served, with none eligible
	Reason   string      `json:"reason"`           // one sentence
}
