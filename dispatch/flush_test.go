package dispatch

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
)

func TestFlush_WaitsUntilEverythingIsDelivered(t *testing.T) {
	t.Parallel()
	d := &Dispatcher{openings: map[call.Ref]*opening{}}
	d.courier = newCourier(d)
	require.NoError(t, d.Flush(t.Context()), "there is nothing to deliver")

	b := &box{workflow: "call:demo.localhost:abc"}
	d.courier.boxes[b.workflow] = b
	ctx, cancel := context.WithTimeout(t.Context(), 5*flushLook)
	defer cancel()
	require.ErrorIs(t, d.Flush(ctx), context.DeadlineExceeded)

	flushed := make(chan error, 1)
	go func() { flushed <- d.Flush(t.Context()) }()
	d.courier.forget(b)
	select {
	case err := <-flushed:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("not flushed")
	}
}
