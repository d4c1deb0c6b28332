package devstack

import (
	"time"

	"go.temporal.io/server/common/dynamicconfig"
)

// dynamicConfig returns the server's run-time settings for one machine. The
// same values for a cluster stand in deploy form in docker/temporal/dynamic.yaml.
func dynamicConfig() dynamicconfig.StaticClient {
	const (
		// plenty is a rate that one machine never reaches. The defaults are made
		// to protect tenants of a shared cluster from each other; here a refused
		// request would only delay somebody's call.
		plenty = 100_000
		// pollers is how many long polls may wait at once, of each kind.
		pollers = 20_000
	)
	set := dynamicconfig.StaticClient{
		// One partition: with several, a task waits for a poller that happens to
		// stand at another partition, and is forwarded.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,

		// An agent who signs out and in again starts a workflow with the same id
		// within the second; the default refuses that for one second.
		dynamicconfig.WorkflowIdReuseMinimalInterval.Key(): time.Duration(0),

		// A timer due sooner than this after its shard last read timers fires late by
		// up to as much (default 1 s, which a wrap-up of a second feels). Shorter
		// means more reads: each reads as far ahead.
		dynamicconfig.TimerProcessorMaxTimeShift.Key(): 200 * time.Millisecond,
		// Polls per second and shard; 20 delay a shard that is busy.
		dynamicconfig.TimerProcessorMaxPollRPS.Key():      500,
		dynamicconfig.TransferProcessorMaxPollRPS.Key():   500,
		dynamicconfig.VisibilityProcessorMaxPollRPS.Key(): 500,

		dynamicconfig.FrontendMaxConcurrentLongRunningRequestsPerInstance.Key(): pollers,

		// A connection that ends every five minutes makes every poller
		// reconnect at the same moment.
		dynamicconfig.KeepAliveMaxConnectionAge.Key(): 24 * time.Hour,

		// Lists in the Web UI and in tests (default 10 per second).
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 1_000,

		// A machine for calls: few, small, short-lived workflows.
		dynamicconfig.HistoryCacheHostLevelMaxSize.Key(): 16_384,
	}
	for _, rate := range []dynamicconfig.Key{
		dynamicconfig.FrontendRPS.Key(),
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key(),
		dynamicconfig.FrontendPersistenceMaxQPS.Key(),
		dynamicconfig.HistoryRPS.Key(),
		dynamicconfig.HistoryPersistenceMaxQPS.Key(),
		dynamicconfig.MatchingRPS.Key(),
		dynamicconfig.MatchingPersistenceMaxQPS.Key(),
		dynamicconfig.WorkerPersistenceMaxQPS.Key(),
		dynamicconfig.VisibilityPersistenceMaxReadQPS.Key(),
		dynamicconfig.VisibilityPersistenceMaxWriteQPS.Key(),
	} {
		set[rate] = plenty
	}
	return set
}
