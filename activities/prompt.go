package activities

import (
	"context"

	"holdfast/domain/call"
	"holdfast/domain/id"
)

// Prompter tells a node to begin a ring that the call's workflow is about to ask of
// it; *db.DB satisfies it.
type Prompter interface {
	// PromptRing returns when the prompt is on its way. It may be lost.
	PromptRing(ctx context.Context, n id.Node, ref call.Ref, r call.Ring) error
}

// prompt has the node ring for a match at once, beside the workflows: the match is
// committed, so the ring will be asked for by the call's workflow a few milliseconds
// from now, and attaches then to the one that has begun (same offer). A prompt that is
// lost, or comes to a call that is over, changes nothing. wait returns when it is sent.
func (r *Records) prompt(ctx context.Context, ref call.Ref, m call.Matched) (wait func()) {
	if r.Prompter == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, ring, ok := r.ringFor(ctx, ref, m)
		if !ok {
			return
		}
		_ = r.Prompter.PromptRing(ctx, n, ref, ring) // lost: the workflow's own ring comes all the same
	}()
	return func() { <-done }
}

// ringFor is the ring that the call's own machine asks for after the match.
func (r *Records) ringFor(ctx context.Context, ref call.Ref, m call.Matched) (id.Node, call.Ring, bool) {
	s, err := r.Journal.CallState(ctx, ref)
	if err != nil || s.Phase == call.Ended {
		return "", call.Ring{}, false
	}
	// The stored state is that of the opening, or later; what matters is that it waits.
	s.Phase, s.Offer, s.Offers = call.Queued, nil, m.Offer.N()-1
	_, effects, err := s.Step(r.now(), m)
	if err != nil {
		return "", call.Ring{}, false
	}
	for _, e := range effects {
		if e.Ring != nil {
			return s.Node, *e.Ring, true
		}
	}
	return "", call.Ring{}, false
}
