package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"

	"holdfast/db/cluster"
	"holdfast/dispatch"
)

// aways counts the grounds made: each has a loopback address of its own for its health, so that
// nobody else can be given a port that one of them just let go of.
var aways atomic.Int32

// away is a ground whose database and Temporal are not there.
func away(t *testing.T, log *slog.Logger) *ground {
	t.Helper()
	port, err := cluster.ReservePort("127.0.0.1", 0) // nobody listens there, nor can
	require.NoError(t, err)
	t.Cleanup(port.Release)
	nobody := fmt.Sprintf("127.0.0.1:%d", port.Port)
	e, err := parseEnvironment(map[string]string{
		"HOLDFAST_DATABASE_URL": "postgres://holdfast:x@" + nobody + "/holdfast", "HOLDFAST_SIP_ADDR": "127.0.0.1:0",
		"HOLDFAST_RTP_PORTS": "13000-13199", "HOLDFAST_NODE": "n", "HOLDFAST_HEALTH_ADDR": fmt.Sprintf("127.13.0.%d:0", aways.Add(1)), "HOLDFAST_DRAIN": "100ms",
	})
	require.NoError(t, err)
	d, err := openDatabase(e, log)
	require.NoError(t, err)
	c, err := client.NewLazyClient(client.Options{HostPort: nobody, Logger: temporallog.NewStructuredLogger(log)})
	require.NoError(t, err)
	g := &ground{env: e, log: log, db: d, temporal: c, namespace: client.DefaultNamespace}
	t.Cleanup(g.close)
	return g
}

func TestRole_AskedToStopWhileItWaitsForTemporal_EndsInOrderAndSoon(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(*ground, *dispatch.Dispatcher) (role, error){
		"worker":    func(g *ground, d *dispatch.Dispatcher) (role, error) { return newWorker(g, d) },
		"telephony": func(g *ground, d *dispatch.Dispatcher) (role, error) { return newNode(g, d, newMetrics()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept := &keptLog{}
			g := away(t, slog.New(kept))
			r, err := build(g, dispatch.New(dispatch.Config{Temporal: g.temporal, Ledger: g.db, Desks: g.db, Journal: g.db, Log: g.log}))
			require.NoError(t, err)
			ctx, ask := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.start(ctx) }()
			require.Eventually(t, func() bool {
				return strings.Contains(kept.kept.text(), "A worker can't start yet")
			}, 20*time.Second, 5*time.Millisecond)
			ask()
			select {
			case err := <-ended:
				require.ErrorIs(t, err, context.Canceled)
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
			require.Eventually(t, func() bool { // a child that another test starts holds them until it runs its own program
				l, err := net.Listen("tcp", r.addresses()["health"])
				return err == nil && l.Close() == nil
			}, 20*time.Second, 5*time.Millisecond, "its sockets are free again")
			r.stop(t.Context()) // once more does no harm
		})
	}
}

// What does not end must not keep the process from its end.
func TestFinish_WhatTakesTooLong_IsLeftBehindAndNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := &keptLog{}
		forever := make(chan struct{})
		since := time.Now()
		finish(t.Context(), slog.New(kept), 10*time.Second, func() { <-forever })
		require.Equal(t, 10*time.Second, time.Since(since))
		require.Equal(t, []string{"WARN Not everything ended in time; it is left behind."}, kept.lines())
		close(forever)

		finish(t.Context(), slog.New(kept), 10*time.Second, func() { time.Sleep(time.Second) })
		require.Equal(t, 11*time.Second, time.Since(since))
		require.Len(t, kept.lines(), 1)
	})
}

// fakeEngine ends when told and starts again as its plan says.
type fakeEngine struct {
	done  chan struct{}
	plan  []error // of the next starts
	again chan struct{}
}

func (e *fakeEngine) Done() <-chan struct{} { return e.done }

func (e *fakeEngine) Restart(context.Context) error {
	var err error
	if len(e.plan) > 0 {
		err, e.plan = e.plan[0], e.plan[1:]
	}
	if err == nil {
		e.done = make(chan struct{})
		e.again <- struct{}{}
	}
	return err
}

// Postgres or Temporal that die by themselves are started again, and the
// person at the terminal is told so in two lines.
func TestKeep_EngineDies_IsStartedAgainAndSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		out := &keptText{}
		s := &site{log: slog.New(slog.DiscardHandler), progress: newProgress(out)}
		e := &fakeEngine{done: make(chan struct{}), again: make(chan struct{})}
		ended := make(chan struct{})
		go func() { defer close(ended); s.keep(ctx, "Postgres", e) }()

		close(e.done)
		<-e.again
		synctest.Wait()
		require.Regexp(t, `^! \d\d:\d\d:\d\d Postgres ended by itself and is started again\.\n✓ \d\d:\d\d:\d\d Postgres runs again after 0\.0 s\.\n$`, out.text())

		boom := errors.New("no space left on device")
		e.plan = []error{boom, boom, boom, boom, boom, boom}
		since := time.Now()
		close(e.done)
		<-e.again
		synctest.Wait()
		require.Equal(t, 1+2+4+5+5+5, int(time.Since(since).Seconds()), "it is tried again and again, with a pause")
		require.Contains(t, out.text(), "Postgres can't be started: no space left on device. It is tried again.\n")
		require.Equal(t, 1, strings.Count(out.text(), "no space left"), "said once")
		require.Contains(t, out.text(), "Postgres runs again after 22.0 s.\n")

		end()
		<-ended
	})
}

// A port that the Temporal of a killed process still holds comes free within moments.
func TestCheckPorts_TemporalsPortComesFree_IsWaitedFor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	out := &keptText{}
	s := &site{env: environment{HTTPAddr: "127.0.0.1:0", SIPAddr: "127.0.0.1:0"}, out: out, options: devOptions{uiPort: port}}
	checked := make(chan error, 1)
	go func() { checked <- s.checkPorts(t.Context()) }()
	require.Eventually(t, func() bool { return out.text() != "" }, 20*time.Second, time.Millisecond)
	require.Equal(t, fmt.Sprintf("Port %d is still in use; waiting 3 s for it.\n", port), out.text())
	require.NoError(t, l.Close())
	require.NoError(t, <-checked)
}

func TestCheckPorts_TemporalsPortStaysTaken_IsNamedWithItsFlag(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	s := &site{env: environment{HTTPAddr: "127.0.0.1:0", SIPAddr: "127.0.0.1:0"}, out: &keptText{}, options: devOptions{temporalPort: port}}
	err = s.checkPorts(t.Context())
	require.Equal(t, fmt.Sprintf("port %d is in use by another program; stop it or choose another one by --temporal-port", port), sentence(err))
	require.Equal(t, exitUsage, exitCode(err))
}
