package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/domain/agent"
	"holdfast/domain/golden"
)

// Whatever happens in whatever order, the state stays one that makes sense, the
// receiver of Step is not touched, and the same step gives the same again.
func TestStep_AnyEventsInAnyOrder_KeepTheStateSound(t *testing.T) {
	t.Parallel()
	m := machine()
	rapid.Check(t, func(rt *rapid.T) {
		s, at := m.Reach(t, rapid.SampledFrom(m.Variants).Draw(rt, "start"))
		for range rapid.IntRange(1, 40).Draw(rt, "length") {
			e := rapid.SampledFrom(m.Columns).Draw(rt, "event").Make(s)
			if due, d := s.Deadline(); e == nil || rapid.IntRange(0, 3).Draw(rt, "wait") == 0 && d != nil {
				if d == nil {
					continue
				}
				e, at = d, golden.Later(at, due)
			}
			at = at.Add(time.Duration(rapid.IntRange(0, 5000).Draw(rt, "ms")) * time.Millisecond)
			s = soundStep(t, m, s, at, e)
			for _, o := range s.Outstanding() {
				if rapid.IntRange(0, 2).Draw(rt, "answer") == 0 {
					s = soundStep(t, m, s, at, agent.Done{Seq: o.Seq})
				}
			}
		}
	})
}

func soundStep(t *testing.T, m *proof, s agent.State, at time.Time, e agent.Event) agent.State {
	next, effects := m.SoundStep(t, s, at, e)
	sound(t, s, next, effects)
	return next
}

// sound holds in every state.
func sound(t *testing.T, before, s agent.State, effects []agent.Effect) {
	require.Equal(t, s.Status == agent.Reserved, s.Offer != nil, "an offer is held exactly while Reserved")
	require.Equal(t, s.Status == agent.Busy || s.Status == agent.WorkingAfterCall, s.Call != "", "a call is held exactly while Busy or in wrap-up")
	if s.Status != agent.Busy {
		require.Empty(t, s.Also)
		require.Nil(t, s.Wrap)
	}
	require.True(t, s.Delay == nil || s.Status == agent.Ready, "only who is Ready is delayed, not %s", s.Status)
	switch s.Status {
	case agent.Reserved, agent.Busy, agent.WorkingAfterCall:
		_, due := s.Deadline()
		require.NotNil(t, due, "%s has no end", s.Status)
	case agent.Ready, agent.NotReady, agent.LoggedOff:
		require.Nil(t, s.Pending, "nothing is pending in %s", s.Status)
	}
	saves := 0
	for _, o := range s.Owed {
		if o.Save != nil {
			saves++
			require.LessOrEqual(t, o.Save.Presence.Version, s.Version)
			require.Equal(t, o.Save.Presence.Available, o.Save.View.State == agent.Ready && o.Save.View.Delay == nil && len(o.Save.Presence.Addresses) > 0)
		}
	}
	require.LessOrEqual(t, saves, 1, "a Save supersedes those before it")
	for _, e := range effects {
		require.Contains(t, s.Owed, e, "what is emitted is owed")
		require.Greater(t, e.Seq, before.Seq)
	}
}

// From every state, with every further fact lost, the deadlines alone lead to a
// state in which an agent may stay.
func TestDeadlines_AllFactsLost_EveryStateIsLeft(t *testing.T) {
	t.Parallel()
	m := machine()
	for _, s := range append(m.Reached(t), m.OneStepOn(t)...) {
		s.Profile.IdleLogout = 0
		end := followDeadlines(t, s)
		require.Contains(t, []agent.Status{agent.NotReady, agent.Ready, agent.LoggedOff}, end.Status)
		if end.Status == agent.LoggedOff {
			require.True(t, end.Left)
		}
	}
}

// followDeadlines lets only time pass.
func followDeadlines(t *testing.T, s agent.State) agent.State {
	for range 100 {
		at, e := s.Deadline()
		if e == nil {
			return s
		}
		next, _, err := s.Step(at, e)
		require.NoError(t, err)
		require.Equal(t, s.Late, next.Late, "%s is not late at its own time", e.Kind())
		s = next
	}
	require.Fail(t, "the deadlines do not come to an end", "%s", s.Describe())
	return s
}

// SEED-57: with idle_logout set, every state ends in LoggedOff; with a terminal that
// somebody watches, when that is gone.
func TestDeadlines_IdleLogout_EndsEverySession(t *testing.T) {
	t.Parallel()
	for _, v := range variants() {
		s, _ := reach(t, v)
		s.Profile.IdleLogout = 8 * time.Hour
		for _, w := range s.Terminals {
			if w.Leased {
				s = followDeadlines(t, s)
				require.Equal(t, agent.Ready, s.Status, v.Name)
				var err error
				s, _, err = s.Step(golden.Day.Add(12*time.Hour), agent.Touch{Actor: agent.Actor{User: "system", Forced: true}, Terminal: w.ID, Gone: true})
				require.NoError(t, err)
			}
		}
		require.Equal(t, agent.LoggedOff, followDeadlines(t, s).Status, v.Name)
	}
}

func TestDecode_ReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	m := machine()
	s, _ := m.Reach(t, m.Variants[0])
	m.ReadsWhatWasWritten(t, s)
	_, err := agent.Decode(agent.KindReady, []byte("{"))
	require.Error(t, err)
}

// A session remembers 32 keys; the 33rd drops the oldest.
func TestCommands_KeysAreForgottenOldestFirst(t *testing.T) {
	t.Parallel()
	s, at := reach(t, variants()[2])
	touch := func(key string) {
		next, _, err := s.Step(at, agent.Touch{Actor: agent.Actor{User: "ada", Key: key}, Terminal: "tab-1"})
		require.NoError(t, err)
		s = next
	}
	for i := range 40 {
		touch(time.Duration(i).String())
	}
	require.Len(t, s.Commands, 32)
	require.Equal(t, time.Duration(39).String(), s.Commands[31])
}

func TestWords_MaskNumbersAndNameEverything(t *testing.T) {
	t.Parallel()
	for _, v := range variants() {
		s, _ := reach(t, v)
		require.NotContains(t, s.Describe(), "1234567")
		for _, c := range columns() {
			if e := c.Make(s); e != nil {
				words := agent.Words(e)
				require.NotContains(t, words, "1234567")
				require.NotEqual(t, string(e.Kind()), words, "%s has no sentence", e.Kind())
			}
		}
	}
}

// The views of an agent's next session count on from above the last one's.
func TestVersions_NextSession_CountsOn(t *testing.T) {
	t.Parallel()
	s, at := reach(t, variants()[4])
	for range 50 {
		s, _, _ = s.Step(at, agent.GoNotReady{Actor: me})
		s, _, _ = s.Step(at, agent.GoReady{Actor: me})
	}
	s, _, _ = s.Step(at, agent.SignOut{Actor: me})
	next := agent.New(s.Ref(), s.User, s.Profile, at.Add(time.Minute))
	next, _, err := next.Step(at.Add(time.Minute), agent.SignIn{Actor: me})
	require.NoError(t, err)
	require.Greater(t, next.View().Version, s.View().Version)
}

// A session is over when it was left and the world owes it nothing: not before its
// last Save is answered.
func TestOver_SignedOut_OnlyWhenSaved(t *testing.T) {
	t.Parallel()
	s, at := reach(t, variants()[4])
	s, _, _ = s.Step(at, agent.SignOut{Actor: me})
	require.False(t, s.Over())
	require.Len(t, s.Outstanding(), 1)
	require.True(t, s.Outstanding()[0].Save.Presence.Gone)
	s, _, _ = s.Step(at, agent.Done{Seq: s.Outstanding()[0].Seq})
	require.True(t, s.Over())
}

// An offer without a lease gets one, so that it is never a state without an end.
func TestOffered_WithoutDeadline_GetsALease(t *testing.T) {
	t.Parallel()
	s, at := reach(t, variants()[4])
	s, _, _ = s.Step(at, agent.Offered{Offer: agent.Offer{ID: "c9/1", Call: "c9"}})
	due, e := s.Deadline()
	require.Equal(t, agent.LeaseExpired{Offer: "c9/1"}, e)
	require.Equal(t, at.Add(75*time.Second), due)
}

// Wrap-up that ran out during a call of the agent's own is over.
func TestCallEnded_WrapUpRanOutMeanwhile_Ready(t *testing.T) {
	t.Parallel()
	s, _ := reach(t, golden.Variant{Acts: toWrap})
	end, _ := s.Deadline()
	s, _, _ = s.Step(end.Add(time.Millisecond), agent.CallStarted{Call: "c2", Class: "outbound_manual"})
	s, _, _ = s.Step(end.Add(time.Second), agent.CallEnded{Call: "c2", Class: "outbound_manual"})
	require.Equal(t, agent.Ready, s.Status)
}

// Choosing a device also says by which interface and in which mode.
func TestBind_InterfaceAndMode_AreTakenOver(t *testing.T) {
	t.Parallel()
	s, at := reach(t, variants()[4])
	s, effects, err := s.Step(at, agent.Bind{Actor: me, Interface: "mobile", Mode: "hot_desk", Addresses: addresses("home")})
	require.NoError(t, err)
	require.Equal(t, agent.Binding{Interface: "mobile", Mode: "hot_desk", Addresses: addresses("home"), Reachable: devices("home")}, s.Binding)
	require.Equal(t, agent.Ready, s.Status, "an external number needs no registration")
	require.Len(t, effects, 1)
}

// What an agent can't take is told again if telling fails, and given up in the end:
// the call's own deadline makes up for it.
func TestRefuse_FailsForGood_IsGivenUp(t *testing.T) {
	t.Parallel()
	s, at := reach(t, golden.Variant{Acts: toTalk})
	s, _, _ = s.Step(at, agent.Done{Seq: 999, Reserved: &agent.Offer{ID: "c9/1", Call: "c9"}})
	refusals := 0
	for range 20 {
		for _, o := range s.Outstanding() {
			if o.Refuse != nil && o.Tries == refusals {
				refusals++
				s, _, _ = s.Step(at, agent.Failed{Seq: o.Seq, Error: "away"})
			} else if o.Save != nil {
				s, _, _ = s.Step(at, agent.Done{Seq: o.Seq})
			}
		}
		if due, e := s.Deadline(); e == (agent.Stuck{}) {
			at = due
			s, _, _ = s.Step(at, e)
		}
	}
	require.Equal(t, 5, refusals)
	require.Empty(t, s.Owed)
}
