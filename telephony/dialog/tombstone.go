package dialog

import (
	"time"

	"github.com/emiago/sipgo/sip"
)

// Tombstones remember dialogs whose owners are gone, for as long as a peer may repeat its BYE. Use from one goroutine.
type Tombstones struct {
	ended map[string]time.Time
	order []tomb // by time
}

type tomb struct {
	id string
	at time.Time
}

// Bury remembers an ended dialog.
func (t *Tombstones) Bury(id string, now time.Time) {
	if t.ended == nil {
		t.ended = map[string]time.Time{}
	}
	t.sweep(now)
	if _, known := t.ended[id]; known {
		return
	}
	t.ended[id] = now
	t.order = append(t.order, tomb{id, now})
}

// Answer is the response for an in-dialog request that nobody owns: 200 for a BYE to a dialog that has just ended, else
// 481.
func (t *Tombstones) Answer(req *sip.Request, now time.Time) int {
	t.sweep(now)
	id, _ := IDOf(req)
	if _, known := t.ended[id]; known && req.Method == sip.BYE {
		return sip.StatusOK
	}
	return sip.StatusCallTransactionDoesNotExists
}

// Len is how many are remembered.
func (t *Tombstones) Len() int { return len(t.ended) }

func (t *Tombstones) sweep(now time.Time) {
	n := 0
	for n < len(t.order) && now.Sub(t.order[n].at) > TombstoneLife {
		delete(t.ended, t.order[n].id)
		n++
	}
	t.order = t.order[n:]
}
