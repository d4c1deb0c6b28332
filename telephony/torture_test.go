package telephony

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/telephony/softphone"
	"holdfast/telephony/torture"
)

// quiet reads all responses until the node has answered a probe that was sent after the message.
// The probe is repeated like any request over UDP, which may lose it: RFC 3261 section 17.1.2.
func (r *raw) quiet(i int) (codes []int) {
	r.t.Helper()
	probe := fmt.Sprintf("OPTIONS sip:%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKprobe%d;rport\r\nMax-Forwards: 70\r\nFrom: <sip:p@x>;tag=p\r\n"+
		"To: <sip:p@x>\r\nCall-ID: probe%d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", r.node, r.me, i, i)
	buf := make([]byte, 65535)
	again := 500 * time.Millisecond // T1
	for end := time.Now().Add(32 * time.Second); time.Now().Before(end); again = min(2*again, 4*time.Second) {
		r.send(probe)
		require.NoError(r.t, r.conn.SetReadDeadline(time.Now().Add(again)))
		for {
			n, err := r.conn.Read(buf)
			if err != nil {
				require.ErrorIs(r.t, err, os.ErrDeadlineExceeded)
				break
			}
			f := strings.Fields(string(buf[:n]))
			if f[0] == "ACK" || f[0] == "BYE" {
				continue // a 2xx of nobody's INVITE is ended
			}
			require.Equal(r.t, "SIP/2.0", f[0], "%s", buf[:n])
			if strings.Contains(string(buf[:n]), fmt.Sprintf("Call-ID: probe%d\r\n", i)) {
				return codes
			}
			if strings.Contains(string(buf[:n]), "Call-ID: probe") {
				continue // the second answer to a repeated probe
			}
			code, err := strconv.Atoi(f[1])
			require.NoError(r.t, err)
			codes = append(codes, code)
		}
	}
	require.Fail(r.t, "the node does not answer any more")
	return nil
}

func TestTorture_EveryMessageIsAnsweredOrIgnored_TheNodeGoesOn(t *testing.T) { // RFC 4475
	t.Parallel()
	for name, change := range map[string]func(*Config, *world){"behind the trunk": func(*Config, *world) {}, "as strangers": strangers} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := play(t, change)
			s.direct()
			r := s.raw()
			i := 0
			for _, m := range torture.Messages() {
				r.send(string(m.Data))
				for _, code := range r.quiet(i) {
					require.True(t, code == 100 || code >= 180 && code < 700, "%s: %d", m.Name, code)
				}
				i++
			}
			for _, a := range s.index.live() { // those of its INVITEs that were good enough
				require.NoError(t, s.Drop(t.Context(), a.ref, call.Drop{Leg: call.CallerLeg}))
			}
		})
	}
}

// Descriptions and messages with random faults: a proper answer or silence, never a crash, and nothing is left behind.
func TestTorture_RandomFaults_TheNodeGoesOn(t *testing.T) {
	t.Parallel()
	s := play(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := s.raw()
	for i := range 600 {
		r.id = fmt.Sprintf("fault-%d", i)
		m := []byte(r.text([]string{"INVITE", "REGISTER", "OPTIONS", "BYE", "UPDATE"}[rnd.IntN(5)], fmt.Sprintf("f%d", i), "<sip:8000@"+r.node+">", 1, offerPCMU))
		for range 1 + rnd.IntN(4) {
			at := rnd.IntN(len(m))
			switch rnd.IntN(4) {
			case 0:
				m[at] = byte(rnd.IntN(256))
			case 1:
				m = append(m[:at], m[min(len(m), at+1+rnd.IntN(20)):]...)
			case 2:
				m = append(m[:at], append([]byte(strings.Repeat(string(m[at]), 1+rnd.IntN(50))), m[at:]...)...)
			case 3:
				m = append(m[:at], append([]byte{'\r', '\n', 0, ';', '"', '<'}[rnd.IntN(5):][:1], m[at:]...)...)
			}
			if len(m) == 0 {
				break
			}
		}
		r.send(string(m))
	}
	r.quiet(10000)
	emptyTwice := 0 // what came in last may still be on its way to its lane
	for range 20 {
		s.emptied(func() {
			for _, a := range s.index.live() {
				_ = s.Drop(t.Context(), a.ref, call.Drop{Leg: call.CallerLeg}) // never fails
			}
		})
		r.quiet(20000 + emptyTwice)
		emptyTwice++
	}
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	require.NoError(t, s.Treat(t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: call.TreatMusic}))
	require.NoError(t, customer.Wait(s.soon(), softphone.Up))
}
