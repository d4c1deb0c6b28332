package telephony

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
	"holdfast/telephony/digest"
	"holdfast/telephony/softphone"
)

// sipp runs a scenario of testdata/sipp to its end.
func (s *stage) sipp(name string, args ...string) *exec.Cmd {
	s.t.Helper()
	path, err := exec.LookPath("sipp")
	require.NoError(s.t, err, "these tests need sipp: `make test` installs it, or `apt-get install sip-tester`")
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	s.t.Cleanup(cancel)
	scenario, err := filepath.Abs(filepath.Join("testdata", "sipp", name+".xml"))
	require.NoError(s.t, err)
	cmd := exec.CommandContext(ctx, path, append([]string{s.udp, "-sf", scenario, "-p", strconv.Itoa(freePort(s.t)), "-i", "127.0.0.1", "-mi", "127.0.0.1",
		"-mp", strconv.Itoa(freePort(s.t)), "-m", "1", "-nostdin", "-trace_err", "-timeout", "25s", "-timeout_error"}, args...)...)
	cmd.Dir = s.t.TempDir()
	return cmd
}

// passes runs sipp and shows its errors if the scenario failed.
func (s *stage) passes(cmd *exec.Cmd) {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	if err == nil {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(cmd.Dir, "*errors.log"))
	for _, l := range logs {
		text, _ := exec.Command("cat", l).CombinedOutput()
		out = append(out, text...)
	}
	require.NoError(s.t, err, "%s", out)
}

// direct is a dispatcher by number: 8000 waits with music, 8001 rings, 9999 is unknown.
func (s *stage) direct() {
	s.w.change(func() {
		s.w.opening = func(_ context.Context, in call.Incoming) {
			with := call.TreatMusic
			switch in.To {
			case "9999":
				return
			case "8001":
				with = call.TreatRingback
			}
			_ = s.Treat(s.t.Context(), ref(in), call.Treat{Leg: call.CallerLeg, With: with}) // a caller may be gone already
		}
	})
}

func TestSipp_Callers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ scenario, number string }{
		{"caller_waits", "8000"},
		{"caller_cancels_trying", "9998"},
		{"caller_cancels_ringing", "8001"},
		{"caller_leaves_early", "8001"},
		{"caller_no_codec", "8000"},
		{"caller_requires_100rel", "8000"},
		{"caller_is_too_short", "8000"},
		{"caller_holds", "8000"},
		{"caller_offers_late", "8000"},
		{"caller_loses_ack", "8000"},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			t.Parallel()
			s := play(t)
			s.direct()
			if c.number == "9998" {
				s.w.change(func() {
					s.w.opening = func(ctx context.Context, _ call.Incoming) { // the dispatcher takes its time
						select {
						case <-time.After(300 * time.Millisecond):
						case <-ctx.Done():
						}
					}
				})
			}
			s.passes(s.sipp(c.scenario, "-s", c.number))
			s.empty()
		})
	}
}

func TestSipp_AnUnknownNumber(t *testing.T) {
	t.Parallel()
	s := play(t, func(_ *Config, w *world) { w.refusal = fault.E(fault.NotFound, "route", fmt.Errorf("no such number")) })
	s.passes(s.sipp("caller_unknown_number", "-s", "9999"))
	s.empty()
}

func TestSipp_ATrunkWithCredentials(t *testing.T) {
	t.Parallel()
	s := play(t, strangers, func(c *Config, _ *world) { c.Algorithms = []digest.Algorithm{digest.MD5} }) // sipp knows no other
	s.direct()
	s.passes(s.sipp("caller_authenticates", "-s", "8000", "-au", "carrier", "-ap", password))
	require.Equal(t, "carrier", s.w.waitCall(t, 0).Trunk)
	s.empty()
}

// rungSipp lets sipp play the phone of device 1001 and rings it for a customer.
func (s *stage) rungSipp(scenario string) (*softphone.Call, call.Incoming, <-chan outcome, <-chan error) {
	s.t.Helper()
	port := freePort(s.t)
	cmd := s.sipp(scenario, "-p", strconv.Itoa(port))
	passed := make(chan error, 1)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	require.NoError(s.t, s.w.Registered(s.t.Context(), registration("1001", addr)))
	go func() {
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		passed <- err
	}()
	customer, in := s.dial(s.customer("4930123"), softphone.Dial{})
	return customer, in, s.ring(in, order(in, 1, "1001")), passed // the INVITE is repeated until sipp listens
}

func TestSipp_Phones(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scenario string
		want     call.Outcome
		then     func(t *testing.T, s *stage, customer *softphone.Call, in call.Incoming)
	}{
		{"phone_answers", call.RingAnswered, func(t *testing.T, s *stage, customer *softphone.Call, _ call.Incoming) {
			require.NoError(t, customer.Wait(s.soon(), softphone.Up))
			require.NoError(t, customer.HangUp())
		}},
		{"phone_is_busy", call.RingBusy, nil},
		{"phone_declines", call.RingRejected, nil},
		{"phone_answers_a_cancel", call.RingRescinded, nil},
		{"phone_answers_too_late", call.RingRescinded, nil},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			t.Parallel()
			s := play(t)
			customer, in, done, passed := s.rungSipp(c.scenario)
			if c.want == call.RingRescinded {
				s.w.waitFact(t, in.Call, call.Ringing{Offer: order(in, 1).Offer})
				require.NoError(t, s.Cancel(t.Context(), ref(in), call.Cancel{Offer: order(in, 1).Offer, Cause: leg.ElsewhereWon}))
			}
			got := s.wait(done).Outcome
			if got != c.want {
				select {
				case err := <-passed:
					require.NoError(t, err, "sipp")
				default: // it runs
				}
			}
			require.Equal(t, c.want, got)
			if c.then != nil {
				c.then(t, s, customer, in)
			}
			select {
			case err := <-passed:
				require.NoError(t, err)
			case <-s.within(25 * time.Second).Done():
				require.FailNow(t, "sipp does not end")
			}
		})
	}
}
