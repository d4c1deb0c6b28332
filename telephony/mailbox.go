package telephony

import "sync"

// mailboxSize bounds what may wait for one call. An actor never blocks, so that only a peer that floods a dialog can
// fill it; requests get half of it (see room), the rest is kept for what cannot be asked again.
const mailboxSize = 128

// mailbox carries what concerns one call to the one goroutine that owns its legs. What is posted is done, in order, or
// post returns false: nothing is lost in between.
type mailbox struct {
	mu     sync.Mutex
	queue  chan func()
	closed bool
}

func newMailbox() *mailbox { return &mailbox{queue: make(chan func(), mailboxSize)} }

// post never blocks. False: the call is over, or its mailbox is full.
func (m *mailbox) post(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	select {
	case m.queue <- f:
		return true
	default:
		return false
	}
}

// room reports whether another request may be posted.
func (m *mailbox) room() bool { return len(m.queue) < mailboxSize/2 }

// close ends the mailbox if it is empty; false means that something came in between.
func (m *mailbox) close() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.queue) > 0 {
		return false
	}
	m.closed = true
	return true
}
