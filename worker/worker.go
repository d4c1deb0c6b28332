// Package worker runs the Temporal workers: one for the shared task queue, one for
// each telephony node. It starts them as soon as Temporal is there, and stops them
// in order.
package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"holdfast/activities"
	"holdfast/domain/id"
	"holdfast/workflows"
)

const (
	// cached is how many workflows a process keeps in memory between their tasks.
	// One that is not costs a replay; one that is costs some 100 KB.
	cached = 4000
	// stickiness is how long a task waits for the worker that has its workflow in
	// memory: what a call waits when that worker was killed.
	stickiness = 2 * time.Second
	// pollers wait for tasks. More than tasks come at once only cost memory.
	workflowPollers, activityPollers, nodePollers, webhookPollers = 8, 4, 8, 2
	// webhooksAtOnce is how many webhooks one process sends for at one time; others wait
	// for another process, or until one of them has nothing to send.
	webhooksAtOnce = 500
	// deadlock is how long one turn of a workflow may take on a busy machine.
	deadlock = 5 * time.Second
	// stopWithin is how long a stop waits for activities under way.
	stopWithin = 5 * time.Second
	// The pauses between tries to start while Temporal is away.
	firstPause, longPause = 200 * time.Millisecond, 3 * time.Second
)

var cacheOnce sync.Once

// Worker runs a Temporal worker from Start to Stop.
type Worker struct {
	name  string
	make  func(fatal func(error)) worker.Worker
	log   *slog.Logger
	ready chan struct{}

	mu      sync.Mutex
	end     context.CancelFunc
	done    chan struct{}
	stopped bool
	// beside runs while the worker does; leaving happens when it is told to stop.
	beside  func(ctx context.Context)
	leaving func()
}

// Shared is the worker of the shared task queue: all workflows, and the activities
// that write and tell; more are receivers of further activities.
func Shared(c client.Client, journal activities.Journal, log *slog.Logger, more ...any) *Worker {
	records := &activities.Records{Journal: journal, Client: c, StartCall: workflows.StartCall}
	records.Prompter, _ = journal.(activities.Prompter) // who keeps the journal may reach the nodes as well
	return newWorker("shared", log, func(fatal func(error)) worker.Worker {
		w := worker.New(c, workflows.TaskQueue, worker.Options{
			WorkflowTaskPollerBehavior:   worker.NewPollerBehaviorSimpleMaximum(worker.PollerBehaviorSimpleMaximumOptions{MaximumNumberOfPollers: workflowPollers}),
			ActivityTaskPollerBehavior:   worker.NewPollerBehaviorSimpleMaximum(worker.PollerBehaviorSimpleMaximumOptions{MaximumNumberOfPollers: activityPollers}),
			StickyScheduleToStartTimeout: stickiness,
			DeadlockDetectionTimeout:     deadlock,
			WorkerStopTimeout:            stopWithin,
			DisableRegistrationAliasing:  true,
			OnFatalError:                 fatal,
		})
		workflows.Register(w)
		for _, receiver := range append([]any{records}, more...) {
			w.RegisterActivity(receiver)
		}
		return w
	})
}

// Webhooks is the worker of the task queue of webhooks: it sends. Each webhook that has
// something to send holds one of its slots for as long.
func Webhooks(c client.Client, w *activities.Webhooks, log *slog.Logger) *Worker {
	return newWorker("webhooks", log, func(fatal func(error)) worker.Worker {
		engine := worker.New(c, workflows.WebhookTaskQueue, worker.Options{
			ActivityTaskPollerBehavior:         worker.NewPollerBehaviorSimpleMaximum(worker.PollerBehaviorSimpleMaximumOptions{MaximumNumberOfPollers: webhookPollers}),
			MaxConcurrentActivityExecutionSize: webhooksAtOnce,
			DisableWorkflowWorker:              true,
			WorkerStopTimeout:                  stopWithin,
			DisableRegistrationAliasing:        true,
			OnFatalError:                       fatal,
		})
		engine.RegisterActivity(w)
		return engine
	})
}

// Node is the worker of a telephony node's task queue. While it runs, the node's
// guard watches it.
func Node(c client.Client, node *activities.Node, log *slog.Logger) *Worker {
	stopping := make(chan struct{})
	node.Stopping = stopping
	w := newWorker("node "+string(node.Name), log, func(fatal func(error)) worker.Worker {
		w := worker.New(c, id.NodeTaskQueue(node.Name), worker.Options{
			ActivityTaskPollerBehavior:  worker.NewPollerBehaviorSimpleMaximum(worker.PollerBehaviorSimpleMaximumOptions{MaximumNumberOfPollers: nodePollers}),
			DisableWorkflowWorker:       true,
			WorkerStopTimeout:           stopWithin,
			DisableRegistrationAliasing: true,
			OnFatalError:                fatal,
		})
		w.RegisterActivity(node)
		return w
	})
	w.beside = func(ctx context.Context) { announce(ctx, c, node, log) }
	w.leaving = sync.OnceFunc(func() { close(stopping) })
	return w
}

func newWorker(name string, log *slog.Logger, build func(fatal func(error)) worker.Worker) *Worker {
	cacheOnce.Do(func() { worker.SetStickyWorkflowCacheSize(cached) })
	return &Worker{name: name, make: build, log: log, ready: make(chan struct{}), done: make(chan struct{})}
}

// Start begins to run the worker and returns at once. While Temporal is away it
// tries again.
func (w *Worker) Start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.end != nil {
		return
	}
	ctx, end := context.WithCancel(context.Background())
	w.end = end
	go func() {
		defer close(w.done)
		w.run(ctx)
	}()
}

// Ready is closed when the worker polls for the first time.
func (w *Worker) Ready() <-chan struct{} { return w.ready }

// Stop lets the tasks under way end and stops the worker. It is safe twice and
// before Start.
func (w *Worker) Stop() {
	w.mu.Lock()
	w.stopped = true
	end := w.end
	w.mu.Unlock()
	if end != nil {
		if w.leaving != nil {
			w.leaving()
		}
		end()
		<-w.done
	}
}

// run starts the worker, again when Temporal was away or a fatal error ended it,
// until ctx ends.
func (w *Worker) run(ctx context.Context) {
	wait := firstPause
	for ctx.Err() == nil {
		fatal := make(chan error, 1)
		engine := w.make(func(err error) { fatal <- err })
		if err := engine.Start(); err != nil {
			w.log.Warn("A worker can't start yet: Temporal is away.", "worker", w.name, "err", err)
			pause(ctx, wait)
			wait = min(2*wait, longPause)
			continue
		}
		wait = firstPause
		w.serve(ctx, engine, fatal)
	}
}

func (w *Worker) serve(ctx context.Context, engine worker.Worker, fatal <-chan error) {
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
	var beside sync.WaitGroup
	inner, end := context.WithCancel(ctx)
	defer end()
	if w.beside != nil {
		beside.Go(func() { w.beside(inner) })
	}
	select {
	case <-ctx.Done():
	case err := <-fatal:
		w.log.Error("A worker failed and is started anew.", "worker", w.name, "err", err)
	}
	end()
	beside.Wait()
	engine.Stop()
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
