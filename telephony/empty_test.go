package telephony

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
)

// empty waits until the node has no call left and keeps nothing of any.
func (s *stage) empty() {
	s.t.Helper()
	s.emptied(func() {})
}

// emptied does so, and calls again before each look.
func (s *stage) emptied(again func()) {
	s.t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	patience := s.soon()
	for {
		again()
		left := s.left()
		if left == "" {
			return
		}
		select {
		case <-ticker.C:
		case <-patience.Done():
			require.FailNow(s.t, "something stays", left)
		}
	}
}

// left is what the node keeps of calls; empty if nothing.
func (s *stage) left() string {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.calls)+len(x.legs)+len(x.streams)+len(x.openings)+len(x.trunks) == 0 {
		return ""
	}
	return fmt.Sprintf("%d calls, %d legs, %d streams, %d openings, trunks %v", len(x.calls), len(x.legs), len(x.streams), len(x.openings), x.trunks)
}
