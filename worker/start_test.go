package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"holdfast/db/cluster"
	"holdfast/worker"
)

// nowhere is a client of a Temporal that is not there.
func nowhere(t *testing.T) client.Client {
	t.Helper()
	port, err := cluster.ReservePort("127.0.0.1", 0) // nobody listens there, nor can
	require.NoError(t, err)
	t.Cleanup(port.Release)
	c, err := client.NewLazyClient(client.Options{HostPort: fmt.Sprintf("127.0.0.1:%d", port.Port), Logger: sdklog.NewStructuredLogger(quiet())})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestWorker_StopTwiceAndBeforeStart_IsSafe(t *testing.T) {
	t.Parallel()
	w := worker.Shared(nowhere(t), journal{}, quiet())
	w.Stop()
	w.Stop()
	w.Start() // after Stop: stays stopped
	w.Stop()
}

func TestWorker_TemporalAway_WaitsForItAndStopsAtOnce(t *testing.T) {
	t.Parallel()
	w := worker.Shared(nowhere(t), journal{}, quiet())
	w.Start()
	w.Start()
	select {
	case <-w.Ready():
		t.Fatal("it can't be ready")
	case <-time.After(300 * time.Millisecond):
	}
	stopped := make(chan struct{})
	go func() {
		w.Stop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("it does not stop")
	}
}
