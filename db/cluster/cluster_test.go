package cluster_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"holdfast/db/cluster"
	"holdfast/domain/fault"
)

// ownerVariable makes this test binary the owner of a cluster in the folder
// that it names, for the tests of an owner's sudden death.
const ownerVariable = "HOLDFAST_TEST_OWNS_CLUSTER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		own(dir)
		return
	}
	os.Exit(m.Run())
}

// own starts a cluster, says its process id, and waits to be killed.
func own(dir string) {
	c, err := cluster.Start(context.Background(), cluster.Config{Dir: dir, LoseDataOnPowerFailure: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.PID())
	select {}
}

func start(t *testing.T, c cluster.Config) *cluster.Cluster {
	t.Helper()
	c.LoseDataOnPowerFailure = true
	started, err := cluster.Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, started.Stop(context.Background())) })
	return started
}

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	var answer string
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&answer))
	return answer
}

func exec1(t *testing.T, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func TestCluster_NewFolder_DurableServerWithThePromisedSettings(t *testing.T) {
	t.Parallel()
	c, err := cluster.Start(t.Context(), cluster.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop(context.Background())) })
	for setting, want := range map[string]string{
		"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on", "data_checksums": "on",
		"server_encoding": "UTF8", "max_connections": "300", "listen_addresses": "127.0.0.1",
		"unix_socket_directories": "", "TimeZone": "UTC",
	} {
		require.Equal(t, want, query(t, c.DSN(), fmt.Sprintf("SELECT current_setting('%s')", setting)), setting)
	}
	require.Equal(t, "holdfast", query(t, c.DSN(), "SELECT current_database()"))
}

func TestCluster_WithoutThePassword_NobodyLogsIn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, cluster.Config{Dir: dir})
	for _, password := range []string{"", ":", ":wrong"} {
		_, err := pgx.Connect(t.Context(), fmt.Sprintf("postgres://%s%s@%s/postgres?sslmode=disable", c.User(), password, c.Addr()))
		require.ErrorContains(t, err, "password", "password %q", password)
	}
	info, err := os.Stat(filepath.Join(dir, "password"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	leftovers, err := filepath.Glob(filepath.Join(dir, "secret-*"))
	require.NoError(t, err)
	require.Empty(t, leftovers)
}

func TestCluster_StoppedAndStartedAgain_SameDataPortAndPassword(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a folder", "that is new")
	first := start(t, cluster.Config{Dir: dir})
	exec1(t, first.DSN(), "CREATE TABLE kept AS SELECT 'still here' AS what")
	require.NoError(t, first.Stop(t.Context()))
	require.NoError(t, first.Stop(t.Context()), "a second stop does nothing")

	second := start(t, cluster.Config{Dir: dir})
	require.Equal(t, first.DSN(), second.DSN())
	require.Equal(t, "still here", query(t, second.DSN(), "SELECT what FROM kept"))
}

func TestCluster_Killed_RestartsOnItsPortWithEverythingCommitted(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Config{Dir: t.TempDir()})
	exec1(t, c.DSN(), "CREATE TABLE kept AS SELECT 'still here' AS what")
	dsn, ended := c.DSN(), c.Done()
	c.Kill()
	<-ended
	<-c.Done()
	require.Zero(t, c.PID())
	_, err := pgx.Connect(t.Context(), dsn)
	require.Error(t, err, "nobody answers")

	require.NoError(t, c.Restart(t.Context()))
	require.Equal(t, dsn, c.DSN())
	require.Equal(t, "still here", query(t, dsn, "SELECT what FROM kept"))
	before := c.PID()
	require.NoError(t, c.Restart(t.Context()), "a running server restarts too")
	require.NotEqual(t, before, c.PID())
	require.Equal(t, "still here", query(t, dsn, "SELECT what FROM kept"))
}

func TestCluster_AfterStop_RestartIsRefused(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Config{Dir: t.TempDir()})
	require.NoError(t, c.Stop(t.Context()))
	require.Equal(t, fault.Conflict, fault.KindOf(c.Restart(t.Context())))
	c.Kill()
}

func TestCluster_OwnerKilled_ServerEndsAndTheNextOwnerResumes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, pid := startOwner(t, dir)
	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait() // "signal: killed" is what we did

	c := start(t, cluster.Config{Dir: dir})
	require.Equal(t, "1", query(t, c.DSN(), "SELECT 1::text"))
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	require.Error(t, err, "the first server is gone, or a zombie where nobody buries orphans")
}

func TestCluster_OwnerAndServerKilled_NextOwnerRecovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, pid := startOwner(t, dir)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait() // "signal: killed" is what we did

	c := start(t, cluster.Config{Dir: dir})
	require.Equal(t, "1", query(t, c.DSN(), "SELECT 1::text"))
}

// startOwner runs a cluster in dir under another process.
func startOwner(t *testing.T, dir string) (*exec.Cmd, int) {
	t.Helper()
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"="+dir)
	out, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	t.Cleanup(func() { _ = owner.Process.Kill() }) // it may be dead already
	var line string
	_, err = fmt.Fscanln(out, &line)
	require.NoError(t, err)
	pid, err := strconv.Atoi(line)
	require.NoError(t, err, line)
	return owner, pid
}

func TestCluster_FolderInUse_SecondOwnerIsToldInOneSentence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, cluster.Config{Dir: dir})
	_, err := cluster.Start(t.Context(), cluster.Config{Dir: dir})
	require.Equal(t, dir+" is in use by another running Holdfast; stop that one or choose another folder", fault.Sentence(err))
}

func TestCluster_PortInUse_SaysWhichAndWhatToDo(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	port := listener.Addr().(*net.TCPAddr).Port
	_, err = cluster.Start(t.Context(), cluster.Config{Dir: t.TempDir(), Port: port, LoseDataOnPowerFailure: true})
	require.Equal(t, fmt.Sprintf("port %d of 127.0.0.1 is in use by another program; stop it or choose another port for Postgres", port),
		fault.Sentence(err))
}

func TestCluster_PasswordLost_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, cluster.Config{Dir: dir})
	require.NoError(t, c.Stop(t.Context()))
	require.NoError(t, os.Remove(filepath.Join(dir, "password")))
	_, err := cluster.Start(t.Context(), cluster.Config{Dir: dir})
	require.Contains(t, fault.Sentence(err), filepath.Join(dir, "password")+" is missing")
}

func TestCluster_DataOfAVersionThatIsNotInstalled_SaysWhichToInstall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err := cluster.Start(t.Context(), cluster.Config{Dir: dir})
	require.Contains(t, fault.Sentence(err), "the data was made by PostgreSQL 9, but only ")
}

func TestCluster_DeathWhileTheDataWasMade_NextStartMakesThemAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	half := filepath.Join(dir, "data.new")
	require.NoError(t, os.Mkdir(half, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600))
	c := start(t, cluster.Config{Dir: dir})
	require.Equal(t, "1", query(t, c.DSN(), "SELECT 1::text"))
}

func TestCluster_ParentFolderClosedToOthers_StartsAllTheSame(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	dir := filepath.Join(closed, "own")
	require.NoError(t, os.Mkdir(dir, 0o700))
	c := start(t, cluster.Config{Dir: dir})
	require.Equal(t, "1", query(t, c.DSN(), "SELECT 1::text"))
}

func TestCluster_CreateDatabase_OnceMoreGivesTheSame(t *testing.T) {
	t.Parallel()
	c := start(t, cluster.Config{Dir: t.TempDir()})
	first, err := c.CreateDatabase(t.Context(), `a "strange" name`)
	require.NoError(t, err)
	require.Equal(t, `a "strange" name`, query(t, first, "SELECT current_database()"))
	again, err := c.CreateDatabase(t.Context(), `a "strange" name`)
	require.NoError(t, err)
	require.Equal(t, first, again)
}

func TestCluster_StopWithoutPatience_ServerEndsAndNothingIsLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := start(t, cluster.Config{Dir: dir})
	exec1(t, c.DSN(), "CREATE TABLE kept AS SELECT 'still here' AS what")
	pid := c.PID()
	impatient, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	require.ErrorIs(t, c.Stop(impatient), context.DeadlineExceeded)
	require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	require.Equal(t, "still here", query(t, start(t, cluster.Config{Dir: dir}).DSN(), "SELECT what FROM kept"))
}

func TestReservation_PortReserved_ListenedOnByItsOwnerAndRefusedWhenTaken(t *testing.T) {
	t.Parallel()
	r, err := cluster.ReservePort("127.0.0.1", 0)
	require.NoError(t, err)
	defer r.Release()
	// A child that another test starts now would hold the listener until it runs its own program.
	syscall.ForkLock.RLock()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", r.Port))
	if err != nil {
		syscall.ForkLock.RUnlock()
	}
	require.NoError(t, err)
	_, taken := cluster.ReservePort("127.0.0.1", r.Port)
	err = listener.Close()
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	require.ErrorIs(t, taken, cluster.ErrPortTaken)
	again, err := cluster.ReservePort("127.0.0.1", r.Port)
	require.NoError(t, err, "two reservations of one owner stand beside each other")
	again.Release()
	again.Release()
	var none *cluster.Reservation
	none.Release()
}
