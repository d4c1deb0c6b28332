package mainjob

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// promptly is what a loaded machine may make of what takes milliseconds, by the phones' own
// clocks; what was forgotten would be found by a sweep, which looks at nothing younger. How fast
// it is on an idle machine the bench says.
const promptly = 5 * time.Second

// RONA: the offer runs out, the agent becomes NotReady(RONA), and the caller is offered
// to the next agent at once.
func TestRONA_AgentBecomesNotReady_CallerIsReofferedAtOnce(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Ring: 5 * time.Second})
	deaf := ten.ReadyAgent(1)
	next := ten.ReadyAgent(2)
	customer := ten.Call("4930100", "8000")
	missed := ten.WaitEnded(deaf.Offered())
	require.True(t, missed.Remote, "the phone was told to stop")
	rung := next.Offered()
	require.Less(t, rung.Status().Times.Invited.Sub(missed.Times.Ended), promptly, "no dead time between two offers")
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	deaf.Wait("NotReady(RONA)")
}

// RONA: the caller returns to the old place, before those who came later.
func TestRONA_CallerKeepsTheOldPlaceInLine(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Ring: 5 * time.Second}) // while it rings, another one calls
	deaf := ten.ReadyAgent(1)
	first := ten.Call("491111", "8000")
	rung := deaf.Offered()
	placed := ten.WaitCall("be offered", func(c stage.CallView) bool { return c.Phase == "Offering" })
	second := ten.Call("492222", "8000")
	ten.WaitUp(second) // waits with music
	ten.WaitEnded(rung)
	deaf.Wait("NotReady(RONA)")
	ten.WaitUp(first) // waits with music now

	next := ten.ReadyAgent(2)
	again := next.Answered()
	require.Equal(t, "491111", again.From)
	ten.Talk(first, again)
	talking := ten.WaitCall("talk", func(c stage.CallView) bool { return c.ID == placed.ID && c.Phase == "Talking" })
	require.Equal(t, placed.QueuedAt, talking.QueuedAt, "the original time of arrival is kept")
}

// The queue may leave a RONA agent Ready; alone, the agent is asked again.
func TestRONA_PolicyStay_AgentStaysReadyAndIsAskedAgain(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Ring: 5 * time.Second, OnRONA: "stay"})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4930100", "8000")
	ten.WaitEnded(a.Offered())
	rung := a.Answered()
	ten.Talk(customer, rung)
}

// The agent declines: NotReady(REJECTED); the caller goes to the next agent at once.
func TestAgentRejects_CallGoesToTheNextAgent(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	unwilling := ten.ReadyAgent(1)
	willing := ten.ReadyAgent(2)
	customer := ten.Call("4930300", "8000")
	require.NoError(t, unwilling.Offered().Reject(603))
	rung := willing.Answered()
	ten.Talk(customer, rung)
	unwilling.Wait("NotReady(REJECTED)")
}

// The caller hangs up while waiting: the place is gone, nobody is rung.
func TestCallerHangsUpWhileQueued_IsAbandonedAndNobodyIsRung(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	customer := ten.Call("4930400", "8000")
	ten.WaitUp(customer)
	require.NoError(t, customer.HangUp())
	gone := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, "abandoned", gone.Cause)
	a.Ready()
	require.Equal(t, "Ready", a.View().State)
	require.Zero(t, a.Phone.Invites())
}

// The caller hangs up while a phone rings: the phone stops at once, the agent is Ready again.
func TestCallerHangsUpWhileRinging_PhoneStopsAndAgentIsReadyAgain(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4930500", "8000")
	rung := a.Offered()
	require.NoError(t, customer.Wait(ten.Context(), softphone.Ringing))
	a.Wait("Reserved")
	require.NoError(t, customer.HangUp())
	left := ten.WaitEnded(customer)
	stopped := ten.WaitEnded(rung)
	require.True(t, stopped.Remote)
	require.Less(t, stopped.Times.Ended.Sub(left.Times.Ended), promptly, "the ringing stops by reflex")
	require.Equal(t, "Ready", a.Wait("Ready").State)
	gone := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, "abandoned", gone.Cause)
}

// The caller hangs up in the same instant as the agent answers, swept over 0–300 ms
// around it: there is never a ghost leg, the agent is always free again, and each call is
// recorded once, as answered or as abandoned, as both phones saw it.
func TestCallerHangsUpInTheInstantOfTheAnswer_NeverLeavesAGhost(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	const answerAt = 150 * time.Millisecond
	var delays []time.Duration
	for at := time.Duration(0); at <= 300*time.Millisecond; at += 20 * time.Millisecond {
		delays = append(delays, at)
	}
	for at := -4 * time.Millisecond; at <= 4*time.Millisecond; at += time.Millisecond { // where every instant counts
		delays = append(delays, answerAt+at)
	}
	connected := map[string]bool{} // by the caller's number: the agent's phone had the caller's ACK, or the caller the answer
	for step, delay := range delays {
		t.Run(fmt.Sprint(step, " ", delay), func(t *testing.T) {
			ten.In(t)
			from := fmt.Sprintf("49306%02d", step)
			customer := ten.Call(from, "8000")
			rung := a.Offered()
			require.NoError(t, customer.Wait(ten.Context(), softphone.Ringing))
			answer, leave := time.NewTimer(answerAt), time.NewTimer(delay)
			for range 2 {
				select {
				case <-answer.C:
					_ = rung.Answer() // refused if the ringing has stopped already: that is the point
				case <-leave.C:
					require.NoError(t, customer.HangUp())
				}
			}
			connected[from] = !ten.WaitEnded(customer).Times.Answered.IsZero()
			ten.WaitEnded(rung)
			a.WaitFree()
		})
	}
	ten.In(t)
	require.Equal(t, len(delays), a.Phone.Invites(), "rung once for each call")
	ends := map[string]int{}
	for step, line := range ten.Books(len(delays)) {
		require.Equal(t, fmt.Sprintf("49306%02d", step), line.From)
		require.Equal(t, "customer", line.EndedBy)
		end := line.Outcome + " " + line.Cause
		require.Contains(t, []string{"answered hangup", "abandoned abandoned"}, end)
		ends[end]++
		if connected[line.From] {
			require.Equal(t, "answered", line.Outcome, "the caller had the answer: %s, hung up at %s", line.From, delays[step])
		}
	}
	require.Len(t, ends, 2, "both ends were seen: %v", ends)
	require.Equal(t, "Ready", a.View().State)
}

// "Not ready" while an offer is out is held as pending; the offer goes on.
func TestAgentGoesNotReadyWhileAnOfferIsOut_IsPendingUntilTheCallIsOver(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4930700", "8000")
	rung := a.Offered()
	a.Wait("Reserved")
	s := a.NotReady("LUNCH")
	require.Equal(t, "Reserved", s.State)
	require.NotNil(t, s.Pending)
	require.Equal(t, "NotReady", s.Pending.State)
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	a.Wait("NotReady(LUNCH)")
}

// SEED-106, SEED-107, SEED-108: every address rings at once, the first answer wins, the
// others are told that the call was completed elsewhere.
func TestSEED107_EveryAddressRings_FirstAnswerWins_OthersAreCancelledWithAReason(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Devices: 3})
	a := ten.Agent(1)
	var phones []*softphone.Phone
	for _, device := range []string{"1001-2", "1001-3"} {
		p := ten.NewPhone(device, softphone.Config{})
		require.NoError(t, p.Register(ten.Context(), 5*time.Minute))
		phones = append(phones, p)
	}
	a.SignIn()
	a.Ready()
	customer := ten.Call("4930800", "8000")
	first := a.Offered()
	second := ten.Offered(phones[0], "1001-2")
	third := ten.Offered(phones[1], "1001-3")
	require.NoError(t, second.Answer())
	ten.Talk(customer, second)
	for _, loser := range []*softphone.Call{first, third} {
		st := ten.WaitEnded(loser)
		require.True(t, st.Remote)
		require.Contains(t, st.Reason, "Call completed elsewhere")
	}
	require.Equal(t, softphone.Up, second.Status().State, "exactly one connection exists")
}

// Two phones answer in the same instant: one is connected, the other is told so.
func TestSEED108_TwoPhonesAnswerAtOnce_ExactlyOneIsConnected(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Devices: 2})
	a := ten.Agent(1)
	other := ten.NewPhone("1001-2", softphone.Config{Transport: "TCP"})
	require.NoError(t, other.Register(ten.Context(), 5*time.Minute))
	a.SignIn()
	a.Ready()
	for range 5 {
		customer := ten.Call("4930900", "8000")
		one, two := a.Offered(), ten.Offered(other, "1001-2")
		both := make(chan error, 2)
		go func() { both <- one.Answer() }()
		go func() { both <- two.Answer() }()
		<-both
		<-both
		ten.WaitUp(customer)
		require.NoError(t, customer.Audio.WaitTone(ten.Context(), stage.AgentTone))
		winner, loser := one, two
		select {
		case <-ended(ten, one):
			winner, loser = two, one
		case <-ended(ten, two):
		}
		require.NotEmpty(t, ten.WaitEnded(loser).Reason)
		require.Equal(t, softphone.Up, winner.Status().State)
		require.NoError(t, customer.HangUp())
		ten.WaitEnded(winner)
		a.Wait("Ready")
	}
}

// ended is closed when a call is over.
func ended(ten *stage.Tenant, c *softphone.Call) <-chan struct{} {
	over := make(chan struct{})
	go func() {
		if c.Wait(ten.Context(), softphone.Ended) == nil {
			close(over)
		}
	}()
	return over
}

// The phone unregisters while the agent is Ready: the device is lost, no call is offered to it.
func TestPhoneUnregistersWhileReady_AgentBecomesNotReadyDeviceLost(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	a := ten.ReadyAgent(1)
	require.NoError(t, a.Phone.Register(ten.Context(), 0))
	a.Wait("NotReady(DEVICE_LOST)")
	ans := a.Try(http.MethodPost, "/v1/agent-session/ready", nil)
	require.Equal(t, http.StatusConflict, ans.Status)
	require.Contains(t, string(ans.Body), "registered", "the refusal says what to do")

	require.NoError(t, a.Phone.Register(ten.Context(), time.Minute))
	_, err := ten.Watch.WaitSession(ten.Context(), a.Number, "see its phone again", func(s stage.Session) bool { return len(s.Devices) == 1 })
	require.NoError(t, err)
	require.Equal(t, "Ready", a.Ready().State)
}

// The agent's phone is dead though registered: nobody answers the INVITE, the caller
// goes on to the next agent.
func TestPhoneIsDead_CallerGoesToTheNextAgent(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Ring: 5 * time.Second})
	dead := ten.ReadyAgent(1)
	alive := ten.ReadyAgent(2)
	dead.Phone.Vanish()
	customer := ten.Call("4931000", "8000")
	rung := alive.Answered()
	ten.Talk(customer, rung)
	s := dead.Wait("NotReady")
	require.Contains(t, []string{"RONA", "DEVICE_LOST"}, s.Reason)
}
