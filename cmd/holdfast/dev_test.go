package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/cmd/engines"
)

// runningDev is a `holdfast dev` in this process.
type runningDev struct {
	t     *testing.T
	where map[string]any // its ready line
	text  string         // what it printed before
	later *keptText      // what it printed since
	end   context.CancelFunc
	ended chan error
}

// devs counts them: each has audio ports of its own.
var devs atomic.Int32

// startDev starts dev on a folder, on free ports, and waits until it is ready.
func startDev(t *testing.T, data string) *runningDev {
	t.Helper()
	first := 12000 + 500*int(devs.Add(1)%4)
	e, err := parseEnvironment(map[string]string{
		"HOLDFAST_HTTP_ADDR": "127.0.0.1:0", "HOLDFAST_SIP_ADDR": "127.0.0.1:0", "HOLDFAST_RTP_PORTS": fmt.Sprintf("%d-%d", first, first+499),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	out, printed := io.Pipe()
	d := &runningDev{t: t, end: cancel, ended: make(chan error, 1), later: &keptText{}}
	go func() {
		err := runDev(ctx, e, devOptions{data: data}, printed, io.Discard)
		d.ended <- err
		_ = printed.CloseWithError(io.EOF) // the reader is the test
	}()
	t.Cleanup(d.stop)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if json.Unmarshal(lines.Bytes(), &d.where) == nil && d.where["ready"] == true {
			go func() { _, _ = io.Copy(d.later, out) }()
			return d
		}
		d.text += lines.Text() + "\n"
	}
	t.Fatalf("dev is not ready: %v\n%s", <-d.ended, d.text)
	return nil
}

func (d *runningDev) stop() {
	if d.end != nil {
		d.end()
		d.end = nil
		require.NoError(d.t, <-d.ended)
	}
}

func (d *runningDev) at(name string) string { return d.where[name].(string) }

// SEED-69, SEED-73: from an empty folder to the first call, with what the user types.
func TestDev_FromAnEmptyFolderToTheFirstCall_AndAgainOnTheSameFolder(t *testing.T) {
	data := devFolder(t)
	t.Parallel()
	d := startDev(t, data)
	for _, line := range []string{"✓ Postgres", "✓ Temporal", "✓ Demo tenant", "✓ HTTP API", "http://" + d.at("http") + "/docs", "phone --as 1001@demo.localhost"} {
		require.Contains(t, d.text, line)
	}
	variables, err := os.ReadFile(filepath.Join(data, devVariables))
	require.NoError(t, err)
	for _, name := range []string{"HOLDFAST_DATABASE_URL='", "HOLDFAST_TOKEN_KEY='", "TEMPORAL_ADDRESS='", "TEMPORAL_NAMESPACE='"} {
		require.Contains(t, string(variables), name)
	}
	_, err = openFolder(data)
	require.ErrorContains(t, err, "is in use by another holdfast dev")
	firstCall(t, d)
	res, err := http.Get("http://" + d.at("http") + "/readyz")
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(t, http.StatusOK, res.StatusCode)
	d.stop()

	again := startDev(t, data)
	s, err := signIn(t.Context(), "http://"+again.at("http"), "demo.localhost", "supervisor", "holdfast-demo")
	require.Error(t, err, "the supervisor of the demo has no phone")
	require.Nil(t, s)
	c := &signedIn{api: "http://" + again.at("http")}
	var login struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, c.do(t.Context(), "POST", "/v1/auth/login", map[string]string{"tenant": "demo.localhost", "username": "admin", "password": "holdfast-demo"}, &login))
	c.token = login.Token
	var calls struct {
		Items []struct {
			Phase, Agent, Cause string
		} `json:"items"`
	}
	require.NoError(t, c.do(t.Context(), "GET", "/v1/calls", nil, &calls))
	require.Len(t, calls.Items, 1, "the record outlived the restart")
	require.Equal(t, "1001", calls.Items[0].Agent)
}

// devFolder is a folder for startDev: not t.TempDir, since Postgres runs as another user,
// who must get there.
func devFolder(t *testing.T) string {
	t.Helper()
	_, err := engines.FindBinary()
	require.NoError(t, err, "this test starts holdfast-devstack: run make build, as make test does")
	data, err := os.MkdirTemp("", "holdfast-dev-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	require.NoError(t, os.Chmod(data, 0o711))
	return data
}

// What SIGKILL takes away comes back by itself, and the next call goes through.
func TestDev_PostgresAndTemporalAreKilled_BothComeBackAndTheNextCallGoesThrough(t *testing.T) {
	data := devFolder(t)
	t.Parallel()
	d := startDev(t, data)
	note, err := os.ReadFile(filepath.Join(data, "postgres", "data", "postmaster.pid"))
	require.NoError(t, err)
	server, err := strconv.Atoi(strings.SplitN(string(note), "\n", 2)[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(server, syscall.SIGKILL))
	require.NoError(t, syscall.Kill(listener(t, d.at("temporal")), syscall.SIGKILL))
	for _, line := range []string{
		"Postgres ended by itself and is started again.", "Postgres runs again after ",
		"Temporal ended by itself and is started again.", "Temporal runs again after ",
	} {
		require.Eventually(t, func() bool { return strings.Contains(d.later.text(), line) }, 90*time.Second, 20*time.Millisecond, line)
	}
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + d.at("http") + "/readyz")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	}, 30*time.Second, 50*time.Millisecond)
	firstCall(t, d)
}

// listener is the id of the Temporal that was told to listen on an address.
func listener(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	flags, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, file := range flags {
		line, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(line), "\x00-frontend-port\x00"+port+"\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			require.NoError(t, err)
			return pid
		}
	}
	t.Fatalf("nobody was told to listen on %s", addr)
	return 0
}

// firstCall is what the welcome text proposes.
func firstCall(t *testing.T, d *runningDev) {
	t.Helper()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	waits, heard, hears := newHearing("waits for calls"), newHearing("hears 1000 Hz"), newHearing("hears 440 Hz")
	taken := make(chan error, 1)
	go func() {
		taken <- runPhone(ctx, &narrator{out: io.MultiWriter(waits, heard)}, phoneOptions{
			line: lineOptions{server: d.at("sip_udp"), transport: "udp"}, as: "1001@demo.localhost", password: "holdfast-demo",
			answer: 300e6, calls: 1, ready: true, api: "http://" + d.at("http"), sounds: sounds{tone: 440},
		})
	}()
	select {
	case <-waits.seen:
	case err := <-taken:
		t.Fatalf("the phone ended: %v", err)
	}
	o := callOptions{line: lineOptions{server: d.at("sip_udp"), domain: "demo.localhost", transport: "udp"}, from: "4930123456", last: 60e9, sounds: sounds{tone: 1000}}
	talks, end := context.WithCancel(t.Context())
	defer end()
	go func() { // they hang up as soon as they have heard each other
		for _, h := range []*hearing{heard, hears} {
			select {
			case <-h.seen:
			case <-talks.Done():
			}
		}
		end()
	}()
	require.NoError(t, placeCall(talks, &narrator{out: hears}, "8000", o))
	require.NoError(t, <-taken)
	require.Contains(t, hears.String(), "hears 440 Hz")
	require.Contains(t, waits.String(), "hears 1000 Hz")
	require.Contains(t, waits.String(), "agent 1001 is Ready")
}

// hearing is a writer that tells when a text was written.
type hearing struct {
	narrated bytes.Buffer
	text     string
	seen     chan struct{}
	told     bool
}

func newHearing(text string) *hearing { return &hearing{text: text, seen: make(chan struct{})} }

// Write implements io.Writer; the narrator calls it one at a time.
func (s *hearing) Write(b []byte) (int, error) {
	if !s.told && strings.Contains(string(b), s.text) {
		s.told = true
		close(s.seen)
	}
	return s.narrated.Write(b)
}

func (s *hearing) String() string { return s.narrated.String() }
