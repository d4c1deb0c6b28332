package telephony

import (
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/telephony/dialog"
	"holdfast/telephony/media"
	"holdfast/telephony/transaction"
)

// dialogKey finds the leg of an in-dialog message: Call-ID and our tag, which is random and ours alone. Whether the
// peer's tag fits is for the leg to see (RFC 3261 §12.2.2).
type dialogKey struct{ callID, tag string }

func keyOf(d *dialog.Dialog) dialogKey { return dialogKey{d.CallID, d.LocalTag} }

// keyOfRequest is the key of the dialog that a request of the peer names.
func keyOfRequest(req *sip.Request) dialogKey {
	return dialogKey{string(*req.CallID()), req.To().Params.GetOr("tag", "")}
}

// keyOfResponse is the key of the dialog that a response to our request belongs to.
func keyOfResponse(res *sip.Response) dialogKey {
	return dialogKey{string(*res.CallID()), res.From().Params.GetOr("tag", "")}
}

// owner is a leg and the actor that owns it.
type owner struct {
	actor *actor
	leg   *sipLeg
}

// offerKey names a ring.
type offerKey struct {
	tenant id.Tenant
	offer  id.Offer
}

// opening is an INVITE between its arrival and its call: its sender is being looked up.
type opening struct{ cancelled bool }

// index finds who owns what arrives. Its lock is held for a map access only.
type index struct {
	mu       sync.Mutex
	calls    map[call.Ref]*actor
	legs     map[dialogKey]owner
	streams  map[*media.Stream]owner
	rings    map[offerKey]*ring
	tombs    dialog.Tombstones
	openings map[*transaction.Server]*opening
	trunks   map[string]int // live calls by tenant and trunk, for the limit
}

func newIndex() *index {
	return &index{
		calls: map[call.Ref]*actor{}, legs: map[dialogKey]owner{}, streams: map[*media.Stream]owner{},
		rings: map[offerKey]*ring{}, openings: map[*transaction.Server]*opening{},
		trunks: map[string]int{},
	}
}

// call finds a live call; nil if there is none.
func (x *index) call(ref call.Ref) *actor {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.calls[ref]
}

// live lists all calls.
func (x *index) live() []*actor {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := make([]*actor, 0, len(x.calls))
	for _, a := range x.calls {
		list = append(list, a)
	}
	return list
}

func (x *index) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.calls)
}

// addCall makes a call known; false if it is already.
func (x *index) addCall(a *actor) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.calls[a.ref] != nil {
		return false
	}
	x.calls[a.ref] = a
	return true
}

func (x *index) dropCall(a *actor) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.calls[a.ref] == a {
		delete(x.calls, a.ref)
	}
}

func (x *index) addLeg(k dialogKey, o owner) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.legs[k] = o
}

// hops are the addresses of the nodes by which legs go.
func (x *index) hops() map[string]bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	found := map[string]bool{}
	for _, o := range x.legs {
		if o.leg.hop {
			found[o.leg.way.Remote] = true
		}
	}
	return found
}

func (x *index) dropLeg(k dialogKey) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.legs, k)
}

// bury replaces a leg by its tombstone.
func (x *index) bury(d *dialog.Dialog, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.legs, keyOf(d))
	x.tombs.Bury(d.ID(), now)
}

// leg finds the owner of a dialog.
func (x *index) leg(k dialogKey) (owner, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o, ok := x.legs[k]
	return o, ok
}

// orphan is the response to an in-dialog request that nobody owns: 200 for a BYE that crossed ours, else 481.
func (x *index) orphan(req *sip.Request, now time.Time) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.tombs.Answer(req, now)
}

func (x *index) addStream(s *media.Stream, o owner) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.streams[s] = o
}

func (x *index) dropStream(s *media.Stream) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.streams, s)
}

func (x *index) stream(s *media.Stream) (owner, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o, ok := x.streams[s]
	return o, ok
}

// takeRing returns the ring of that name, or makes r it.
func (x *index) takeRing(k offerKey, r *ring) (_ *ring, fresh bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if old := x.rings[k]; old != nil {
		return old, false
	}
	x.rings[k] = r
	return r, true
}

func (x *index) dropRing(k offerKey, r *ring) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.rings[k] == r {
		delete(x.rings, k)
	}
}

// open notes that an INVITE is being looked at.
func (x *index) open(tx *transaction.Server) *opening {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := &opening{}
	x.openings[tx] = o
	return o
}

// opened ends that; it reports whether the caller gave up meanwhile.
func (x *index) opened(tx *transaction.Server) (cancelled bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := x.openings[tx]
	delete(x.openings, tx)
	return o != nil && o.cancelled
}

// cancelled notes the CANCEL of an INVITE that is being looked at; false if it is not.
func (x *index) cancelled(tx *transaction.Server) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := x.openings[tx]
	if o == nil {
		return false
	}
	o.cancelled = true
	return true
}

// enter counts a call of a trunk; false if it has limit of them already. A limit of 0 is none.
func (x *index) enter(trunk string, limit int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if limit > 0 && x.trunks[trunk] >= limit {
		return false
	}
	x.trunks[trunk]++
	return true
}

// busy is how many calls a trunk has.
func (x *index) busy(trunk string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.trunks[trunk]
}

func (x *index) leave(trunk string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.trunks[trunk]--; x.trunks[trunk] <= 0 {
		delete(x.trunks, trunk)
	}
}

// sweep forgets rings whose time is over.
func (x *index) sweep(now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for k, r := range x.rings {
		if r.stale(now) {
			delete(x.rings, k)
		}
	}
}
