package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/cmd/engines"
)

// runningDev is a `holdfast dev` in this process.
type runningDev struct {
	t     *testing.T
	where map[string]any // its ready line
	text  string         // what it printed before
	end   context.CancelFunc
	ended chan error
}

// startDev starts dev on a folder, on free ports, and waits until it is ready.
func startDev(t *testing.T, data string) *runningDev {
	t.Helper()
	e, err := parseEnvironment(map[string]string{
		"HOLDFAST_HTTP_ADDR": "127.0.0.1:0", "HOLDFAST_SIP_ADDR": "127.0.0.1:0", "HOLDFAST_RTP_PORTS": "12000-12999",
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	out, printed := io.Pipe()
	d := &runningDev{t: t, end: cancel, ended: make(chan error, 1)}
	go func() {
		err := runDev(ctx, e, devOptions{data: data}, printed, io.Discard)
		d.ended <- err
		_ = printed.CloseWithError(io.EOF) // the reader is the test
	}()
	t.Cleanup(d.stop)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if json.Unmarshal(lines.Bytes(), &d.where) == nil && d.where["ready"] == true {
			go func() { _, _ = io.Copy(io.Discard, out) }() // what it says at the stop
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
	if _, err := engines.FindBinary(); err != nil {
		t.Skipf("needs holdfast-devstack: %v", err)
	}
	t.Parallel()
	data, err := os.MkdirTemp("", "holdfast-dev-") // not t.TempDir: Postgres runs as another user, who must get there
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	require.NoError(t, os.Chmod(data, 0o711))

	d := startDev(t, data)
	for _, line := range []string{"✓ Postgres", "✓ Temporal", "✓ Demo tenant", "✓ HTTP API", "http://" + d.at("http") + "/docs", "phone --as 1001@demo.localhost"} {
		require.Contains(t, d.text, line)
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

// firstCall is what the welcome text proposes.
func firstCall(t *testing.T, d *runningDev) {
	t.Helper()
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	waits := newHearing("waits for calls")
	taken := make(chan error, 1)
	go func() {
		taken <- runPhone(ctx, &narrator{out: waits}, phoneOptions{
			line: lineOptions{server: d.at("sip_udp"), transport: "udp"}, as: "1001@demo.localhost", password: "holdfast-demo",
			answer: 300e6, calls: 1, ready: true, api: "http://" + d.at("http"), sounds: sounds{tone: 440},
		})
	}()
	select {
	case <-waits.seen:
	case err := <-taken:
		t.Fatalf("the phone ended: %v", err)
	}
	var customer bytes.Buffer
	o := callOptions{line: lineOptions{server: d.at("sip_udp"), domain: "demo.localhost", transport: "udp"}, from: "4930123456", last: 4e9, sounds: sounds{tone: 1000}}
	require.NoError(t, placeCall(t.Context(), &narrator{out: &customer}, "8000", o))
	require.NoError(t, <-taken)
	require.Contains(t, customer.String(), "hears 440 Hz")
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
