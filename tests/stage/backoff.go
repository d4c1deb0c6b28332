package stage

import (
	"context"
	"time"
)

// reconnectEvery is how long a watch waits between attempts while the API is away.
const reconnectEvery = 50 * time.Millisecond

// Soon is how often a test looks at what nobody tells it.
const Soon = 20 * time.Millisecond

func backoff(ctx context.Context) {
	t := time.NewTimer(reconnectEvery)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
