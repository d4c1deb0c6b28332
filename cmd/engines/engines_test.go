package engines_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"holdfast/cmd/engines"
	"holdfast/db/cluster"
	"holdfast/domain/fault"
)

// ownerVariable makes this test binary start both engines in the folder that it
// names, for the test of an owner's sudden death.
const ownerVariable = "HOLDFAST_TEST_OWNS_ENGINES"

const queue = "counters"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		own(dir)
		return
	}
	os.Exit(m.Run())
}

func own(dir string) {
	t, err := both(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(t.PID())
	select {}
}

func both(dir string) (*engines.Temporal, error) {
	c, err := cluster.Start(context.Background(), cluster.Config{Dir: dir, LoseDataOnPowerFailure: true})
	if err != nil {
		return nil, err
	}
	return engines.Start(context.Background(), engines.Config{Cluster: c, Headless: true})
}

// postgres starts a cluster for one test.
func postgres(t testing.TB) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), cluster.Config{Dir: t.TempDir(), LoseDataOnPowerFailure: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	return c
}

func start(t testing.TB, c engines.Config) *engines.Temporal {
	t.Helper()
	started, err := engines.Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, started.Stop(context.Background())) })
	return started
}

func dial(t testing.TB, at *engines.Temporal) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{
		HostPort: at.Frontend(), Namespace: at.Namespace(),
		Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// Counter counts until it is told to end, and is found by its queue.
func Counter(ctx workflow.Context) (int, error) {
	count := 0
	err := workflow.SetUpdateHandler(ctx, "add", func(_ workflow.Context, n int) (int, error) {
		count += n
		return count, nil
	})
	if err != nil {
		return 0, err
	}
	keyword := temporal.NewSearchAttributeKeyKeyword("CCQueue")
	if err := workflow.UpsertTypedSearchAttributes(ctx, keyword.ValueSet("support")); err != nil {
		return 0, err
	}
	workflow.GetSignalChannel(ctx, "end").Receive(ctx, nil)
	return count, nil
}

// Nap measures how late a timer fires on the server, by the workflow's own clock.
func Nap(ctx workflow.Context, d time.Duration) (time.Duration, error) {
	since := workflow.Now(ctx)
	if err := workflow.Sleep(ctx, d); err != nil {
		return 0, err
	}
	return workflow.Now(ctx).Sub(since) - d, nil
}

func work(t testing.TB, c client.Client) {
	t.Helper()
	w := worker.New(c, queue, worker.Options{WorkerStopTimeout: time.Second})
	w.RegisterWorkflow(Counter)
	w.RegisterWorkflow(Nap)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

func run(t testing.TB, c client.Client, id string) client.WorkflowRun {
	t.Helper()
	r, err := c.ExecuteWorkflow(context.Background(), client.StartWorkflowOptions{ID: id, TaskQueue: queue}, Counter)
	require.NoError(t, err)
	return r
}

func add(ctx context.Context, c client.Client, id string) (int, error) {
	handle, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: "add", Args: []any{1}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return 0, err
	}
	var count int
	return count, handle.Get(ctx, &count)
}

func TestTemporal_Started_WorkflowsRunAndAreFoundByOurSearchAttributes(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t, engines.Config{Cluster: postgres(t), Headless: true}))
	work(t, c)
	run(t, c, "one")
	count, err := add(t.Context(), c, "one")
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.Eventually(t, func() bool {
		found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: "CCQueue = 'support' AND CCTenant IS NULL AND CCAgent IS NULL AND CCAgentState IS NULL AND CCCallPhase IS NULL AND CCDirection IS NULL",
		})
		return err == nil && found.Count == 1
	}, 20*time.Second, 20*time.Millisecond)
}

func TestTemporal_WorkflowEnded_SameIDStartsAgainAtOnce(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t, engines.Config{Cluster: postgres(t), Headless: true}))
	work(t, c)
	for range 5 { // an agent who signs out and in again; the server's default refuses that for a second
		r := run(t, c, "agent")
		require.NoError(t, c.SignalWorkflow(t.Context(), "agent", "", "end", nil))
		require.NoError(t, r.Get(t.Context(), nil))
	}
}

func TestTemporal_ShortTimer_FiresOnTimeOnABusyShard(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t, engines.Config{Cluster: postgres(t), Headless: true}))
	work(t, c)
	least := time.Hour // what a busy machine adds is not the server's: with the default each is late by 900 ms or more
	for range 10 {     // each firing makes the server read timers, after which the default delays the next by up to 1 s
		r, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "nap", TaskQueue: queue}, Nap, 100*time.Millisecond)
		require.NoError(t, err)
		var late time.Duration
		require.NoError(t, r.Get(t.Context(), &late))
		least = min(least, late)
	}
	require.Less(t, least, 500*time.Millisecond)
}

func TestTemporal_Killed_RestartsOnItsPortsAndWorkflowsGoOn(t *testing.T) {
	t.Parallel()
	at := start(t, engines.Config{Cluster: postgres(t), Headless: true})
	c := dial(t, at)
	work(t, c)
	run(t, c, "one")
	_, err := add(t.Context(), c, "one")
	require.NoError(t, err)

	address, before := at.Frontend(), at.PID()
	ended := at.Done()
	at.Kill()
	<-ended
	<-at.Done()
	require.Zero(t, at.PID())
	require.NoError(t, at.Restart(t.Context()))
	require.Equal(t, address, at.Frontend())
	require.NotEqual(t, before, at.PID())
	require.Equal(t, 2, eventually(t, c, "second"))
	require.NoError(t, at.Restart(t.Context()), "a running Temporal restarts too")
	require.Equal(t, 3, eventually(t, c, "third"))
}

func TestTemporal_PostgresKilledUnderIt_GoesOnWhenPostgresIsBack(t *testing.T) {
	t.Parallel()
	db := postgres(t)
	at := start(t, engines.Config{Cluster: db, Headless: true})
	c := dial(t, at)
	work(t, c)
	run(t, c, "one")
	_, err := add(t.Context(), c, "one")
	require.NoError(t, err)

	pid := at.PID()
	db.Kill()
	require.NoError(t, db.Restart(t.Context()))
	require.Equal(t, 2, eventually(t, c, "second"))
	require.Equal(t, pid, at.PID(), "it is the same Temporal")
}

// eventually adds one as soon as Temporal takes it; a repetition of the same
// update counts once.
func eventually(t *testing.T, c client.Client, update string) int {
	t.Helper()
	var count int
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		handle, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: "one", UpdateID: update, UpdateName: "add", Args: []any{1},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		return err == nil && handle.Get(ctx, &count) == nil
	}, time.Minute, 50*time.Millisecond)
	return count
}

func TestTemporal_OwnerKilled_TemporalEndsAndTheNextOwnerResumes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"="+dir)
	out, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	t.Cleanup(func() { _ = owner.Process.Kill() }) // it may be dead already
	var pid int
	_, err = fmt.Fscanln(out, &pid)
	require.NoError(t, err)
	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait() // "signal: killed" is what we did

	require.Eventually(t, func() bool {
		_, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
		return err != nil // gone, or a zombie where nobody buries orphans
	}, 20*time.Second, 10*time.Millisecond)
	c, err := cluster.Start(t.Context(), cluster.Config{Dir: dir, LoseDataOnPowerFailure: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	start(t, engines.Config{Cluster: c, Headless: true})
}

func TestTemporal_WithUI_ServesPagesThatKnowTheNamespace(t *testing.T) {
	t.Parallel()
	at := start(t, engines.Config{Cluster: postgres(t), Namespace: "support-desk"})
	require.Equal(t, "support-desk", at.Namespace())
	require.Contains(t, get(t, at.UI()+"/"), "<!doctype html>")
	require.Contains(t, get(t, at.UI()+"/api/v1/namespaces/support-desk"), `"support-desk"`)
	require.NoError(t, at.Stop(t.Context()))
	require.NoError(t, at.Stop(t.Context()), "a second stop does nothing")
	require.Equal(t, fault.Conflict, fault.KindOf(at.Restart(t.Context())))
}

func get(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
	return string(body)
}

func TestTemporal_PortInUse_SaysWhichAndWhatToDo(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	port := listener.Addr().(*net.TCPAddr).Port
	db := postgres(t)
	_, err = engines.Start(t.Context(), engines.Config{Cluster: db, UIPort: port})
	require.Equal(t, fmt.Sprintf("port %d of 127.0.0.1 is in use by another program; stop it or choose another port for the Temporal Web UI", port),
		fault.Sentence(err))
	_, err = engines.Start(t.Context(), engines.Config{Cluster: db, FrontendPort: port, Headless: true})
	require.Equal(t, fmt.Sprintf("port %d of 127.0.0.1 is in use by another program; stop it or choose another port for Temporal", port),
		fault.Sentence(err))
}

func TestTemporal_PortFreedMeanwhile_Starts(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	freed := time.AfterFunc(300*time.Millisecond, func() { _ = listener.Close() }) // as a Temporal that is just ending
	defer freed.Stop()
	at := start(t, engines.Config{Cluster: postgres(t), FrontendPort: port, Headless: true})
	require.Equal(t, fmt.Sprintf("127.0.0.1:%d", port), at.Frontend())
}

func TestTemporal_ProgramRefusesItsSettings_ItsSentenceComesThrough(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "refuses")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\necho 'holdfast-devstack: the moon is full' >&2\nexit 2\n"), 0o755))
	_, err := engines.Start(t.Context(), engines.Config{Cluster: postgres(t), Binary: script})
	require.Equal(t, "the moon is full", fault.Sentence(err))
}

func TestFindBinary_NothingBuilt_SaysHowToBuildIt(t *testing.T) {
	t.Setenv("HOLDFAST_DEVSTACK", filepath.Join(t.TempDir(), "none"))
	_, err := engines.FindBinary()
	require.Contains(t, fault.Sentence(err), `is not a program; build it with "make devstack"`)
	t.Setenv("HOLDFAST_DEVSTACK", "")
	t.Setenv("PATH", "")
	t.Chdir(t.TempDir())
	_, err = engines.FindBinary()
	require.Contains(t, fault.Sentence(err), `build it with "make devstack"`)
}
