package dispatch

import (
	"context"
	"time"
)

// flushLook is how often Flush looks whether everything is delivered.
const flushLook = 10 * time.Millisecond

// Flush waits until every fact that was reported is delivered and every opening has
// been taken over by its workflow; it returns ctx's error if ctx ends first. Call it
// when nothing is reported any more, before Stop, which drops what is left.
func (d *Dispatcher) Flush(ctx context.Context) error {
	for !d.idle() {
		if !pause(ctx, flushLook) {
			return ctx.Err()
		}
	}
	return nil
}

func (d *Dispatcher) idle() bool {
	d.mu.Lock()
	openings := len(d.openings)
	d.mu.Unlock()
	d.courier.mu.Lock()
	defer d.courier.mu.Unlock()
	return openings == 0 && len(d.courier.boxes) == 0
}
