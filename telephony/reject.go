package telephony

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/device"
	"holdfast/domain/id"
	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

const (
	// rejectEvery is how often a rejection for one reason of one device is told, however
	// often it happens: who guesses passwords must not write to the database as fast.
	rejectEvery = 10 * time.Second
	// rejectMost bounds the devices and reasons that are remembered; beyond it what was told
	// longest ago is forgotten with all others that may be told again.
	rejectMost = 4096
	// longestAgent is how much of a User-Agent is kept.
	longestAgent = 128
)

// rejected is whose REGISTER was rejected, and why; reason "" is nothing to tell.
type rejected struct {
	tenant id.Tenant
	user   string
	reason device.Reason
}

// rejections counts what was rejected and not told yet.
type rejections struct {
	mu    sync.Mutex
	known map[rejected]*rejection
}

type rejection struct {
	told  time.Time
	times int // since it was told
}

// count counts one and returns how many are to be told now; 0: none yet.
func (r *rejections) count(what rejected, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[rejected]*rejection{}
	}
	k := r.known[what]
	if k == nil {
		r.makeRoom(now)
		k = &rejection{}
		r.known[what] = k
	}
	k.times++
	if now.Sub(k.told) < rejectEvery {
		return 0
	}
	times := k.times
	k.told, k.times = now, 0
	return times
}

// makeRoom forgets what may be told again. If that is not enough, all: a line more is told
// then. The lock is held.
func (r *rejections) makeRoom(now time.Time) {
	if len(r.known) < rejectMost {
		return
	}
	for what, k := range r.known {
		if now.Sub(k.told) >= rejectEvery {
			delete(r.known, what)
		}
	}
	if len(r.known) >= rejectMost {
		clear(r.known)
	}
}

// reject tells the Handler that a REGISTER of a device that is known here was rejected; of
// those who name no device nobody is told.
func (p *phones) reject(ctx context.Context, tx *transaction.Server, what rejected) {
	if what.reason == "" {
		return
	}
	cred, known := p.n.secrets.peek(what.tenant, what.user)
	if !known || cred.Device == "" {
		return
	}
	what.user = string(cred.Device)
	now := p.n.now()
	times := p.rejections.count(what, now)
	h := p.n.handler()
	if times == 0 || h == nil {
		return
	}
	agent := headers.Value(tx.Request(), "User-Agent")
	if len(agent) > longestAgent || headers.Clean(agent) != nil {
		agent = ""
	}
	err := h.Rejected(ctx, device.Rejection{
		Tenant: what.tenant, Device: cred.Device, At: now, Reason: what.reason, Times: times, Address: tx.Flow().Remote,
		Transport: strings.ToLower(tx.Flow().Transport), UserAgent: agent, Node: p.n.conf.Name,
	})
	if err != nil {
		p.n.log.Info("a rejected registration could not be noted", "device", what.user, "err", err)
	}
}

// reasonOf is why the registrar did not take a REGISTER; none if it did, or the phone only
// has to ask in another way.
func reasonOf(code int) device.Reason {
	switch code {
	case sip.StatusForbidden:
		return device.TooManyContacts
	case sip.StatusBadRequest, sip.StatusBadExtension:
		return device.BadRequest
	}
	return ""
}
