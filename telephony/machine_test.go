package telephony

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
	"holdfast/telephony/headers"
)

// update rewrites the golden files; understand the difference before you commit it.
var update = flag.Bool("update", false, "rewrite golden files")

func TestLegs_EveryPhaseAndEventIsInTheGoldenMatrix(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for p := range phases {
		for h := range happenings {
			tr, ok := after(p, h)
			if !ok {
				fmt.Fprintf(&b, "%-9s %-12s -\n", p, h)
				continue
			}
			var does []string
			for _, a := range tr.do {
				does = append(does, a.String())
			}
			fmt.Fprintf(&b, "%-9s %-12s → %s: %s\n", p, h, tr.next, strings.Join(does, ", "))
		}
	}
	golden := filepath.Join("testdata", "legs.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

// walk follows every path of n events from p and calls visit with the acts of each, in order.
func walk(p phase, n int, done []act, visit func(end phase, done []act)) {
	if n == 0 {
		visit(p, done)
		return
	}
	for h := range happenings {
		tr, ok := after(p, h)
		if !ok {
			continue
		}
		walk(tr.next, n-1, append(slices.Clone(done), tr.do...), visit)
	}
	visit(p, done)
}

func count(done []act, a act) (n int) {
	for _, d := range done {
		if d == a {
			n++
		}
	}
	return n
}

func TestLegs_OnEveryPathTheEndIsToldAtMostOnceAndAlwaysWhenGone(t *testing.T) {
	t.Parallel()
	for _, start := range []phase{calling, arriving} {
		walk(start, 6, nil, func(end phase, done []act) {
			told := count(done, tellEnded)
			require.LessOrEqual(t, told, 1, "%v", done)
			require.LessOrEqual(t, count(done, tellOutcome)+count(done, tryToWin), 1, "%v", done)
			if start == arriving && end == gone {
				require.Equal(t, 1, told, "%v", done)
			}
		})
	}
}

func TestLegs_ByeIsNeverSentBeforeTheDialogIsConfirmed(t *testing.T) {
	t.Parallel()
	walk(calling, 6, nil, func(_ phase, done []act) { // RFC 3261 §15: a caller's BYE needs the 2xx, and its ACK first
		bye := slices.Index(done, sendBye)
		require.True(t, bye < 0 || slices.Index(done, sendAck) >= 0 && slices.Index(done, sendAck) < bye, "%v", done)
	})
	for h := range happenings { // the called side waits for the ACK or for its absence
		for _, p := range []phase{arriving, accepted, parting} {
			tr, _ := after(p, h)
			if slices.Contains(tr.do, sendBye) {
				require.Contains(t, []happening{sawAck, sawNoAck}, h, "%s", p)
			}
		}
	}
}

func TestLegs_ALateAnswerIsAcknowledgedAndEnded(t *testing.T) {
	t.Parallel()
	tr, ok := after(leaving, sawSuccess)
	require.True(t, ok)
	require.Equal(t, transition{gone, []act{sendAck, sendBye}}, tr)
}

func TestLegs_EveryPhaseHasAWayOut(t *testing.T) {
	t.Parallel()
	for p := range gone {
		ends := false
		walk(p, 2, nil, func(end phase, _ []act) { ends = ends || end == gone })
		require.True(t, ends, "%s never ends", p)
	}
}

func TestCauses_EachHasAResponseAndAReason(t *testing.T) {
	t.Parallel()
	causes := []leg.Cause{leg.Hangup, leg.Abandoned, leg.NoAnswer, leg.Rejected, leg.Busy, leg.Unreachable, leg.ElsewhereWon,
		leg.Rescinded, leg.NoCommonCodec, leg.MediaTimeout, leg.NodeLost, leg.SessionExpiry, leg.AckMissing, leg.Forced,
		leg.MaxWait, leg.MaxDuration, leg.NoRoute, leg.NotReady, leg.AgentReady, leg.Looped, leg.Barred, leg.TrunkBusy, leg.Overload, leg.Failed}
	require.Len(t, whys, len(causes))
	for _, c := range causes {
		require.True(t, c.Valid())
		w := whyOf(c)
		require.True(t, w.code >= 400 && w.code < 700, "%s", c)
		require.NotEmpty(t, w.reason.Text)
	}
	require.Equal(t, `SIP;cause=200;text="Call completed elsewhere"`, whyOf(leg.ElsewhereWon).reason.String()) // interfaces.md
	require.Equal(t, whyOf(leg.Failed), whyOf("no such cause"))
}

func TestOutcomes_FollowThePhonesResponse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code         int
		rang, person bool
		want         call.Outcome
	}{
		{486, true, true, call.RingBusy}, {600, false, true, call.RingBusy},
		{603, true, true, call.RingRejected}, {403, false, true, call.RingRejected}, {608, true, true, call.RingRejected},
		{480, true, true, call.RingRejected}, {480, false, true, call.RingRejected},
		{480, true, false, call.RingRejected}, {480, false, false, call.RingUnreachable},
		{404, false, true, call.RingUnreachable}, {408, true, true, call.RingUnreachable}, {503, false, true, call.RingUnreachable},
		{503, false, false, call.RingTrunkBusy}, {503, true, false, call.RingTrunkBusy},
		{488, false, true, call.RingFailed}, {500, false, true, call.RingFailed}, {302, false, true, call.RingFailed},
	} {
		require.Equal(t, c.want, outcomeOf(c.code, c.rang, c.person), "%+v", c)
	}
}

// A busy line in the network is not a busy phone: the cause tells them apart, whatever the code (Q.850 table 1).
func TestOutcomes_ACarrierThatHasNoLine_SaysSoByItsReason(t *testing.T) {
	t.Parallel()
	q850 := func(cause int) headers.Reason { return headers.Reason{Protocol: "q.850", Cause: cause} }
	for _, code := range []int{480, 486, 500, 503, 603} {
		require.Equal(t, call.RingTrunkBusy, outcomeOf(code, false, false, q850(34)), code)
		require.Equal(t, call.RingTrunkBusy, outcomeOf(code, false, false, headers.Reason{Protocol: "SIP", Cause: code}, q850(42)), code)
		require.Equal(t, call.RingTrunkBusy, outcomeOf(code, true, false, q850(34)), "180 came too early: %d", code)
		require.NotEqual(t, call.RingTrunkBusy, outcomeOf(code, false, true, q850(34)), "a phone says much: %d", code)
	}
	require.Equal(t, call.RingBusy, outcomeOf(486, false, false, q850(17)))
	require.Equal(t, call.RingBusy, outcomeOf(486, false, false, headers.Reason{Protocol: "SIP", Cause: 42}))
	require.Equal(t, call.RingUnreachable, outcomeOf(480, false, false, q850(20)))
}

func TestOutcomes_APersonsDecisionOutranksTheNetworks(t *testing.T) {
	t.Parallel()
	order := []call.Outcome{call.RingAnswered, call.RingRescinded, call.RingRejected, call.RingBusy, call.RingNoAnswer, call.RingTrunkBusy, call.RingFailed, call.RingUnreachable}
	for i := 1; i < len(order); i++ {
		require.Greater(t, rank(order[i-1]), rank(order[i]))
	}
}

func TestRefusals_OfTheHandlerBecomeResponses(t *testing.T) {
	t.Parallel()
	for kind, want := range map[fault.Kind]int{fault.NotFound: 404, fault.Forbidden: 403, fault.Unavailable: 503,
		fault.TooMany: 486, fault.Invalid: 400, fault.Conflict: 480, fault.Internal: 500} {
		require.Equal(t, want, codeOf(&fault.Error{Kind: kind}), "%s", kind)
	}
}
