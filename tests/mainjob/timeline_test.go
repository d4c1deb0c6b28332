package mainjob

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// entry is a line of a time line.
type entry struct {
	At       time.Time      `json:"at"`
	Kind     string         `json:"kind"`
	Sentence string         `json:"sentence"`
	Detail   map[string]any `json:"detail"`
}

// lineOf waits until the call's time line has exactly these kinds, and returns it.
func lineOf(t *testing.T, ten *stage.Tenant, call, kinds string) []entry {
	t.Helper()
	boss := ten.Login("supervisor")
	var line struct {
		Items []entry `json:"items"`
	}
	want, got := strings.Fields(kinds), []string(nil)
	asked := func() bool {
		line.Items, got = nil, nil
		require.NoError(t, boss.Into(ten.Context(), &line, http.MethodGet, "/v1/calls/"+call+"/timeline", nil))
		for _, e := range line.Items {
			got = append(got, e.Kind)
		}
		return slices.Equal(want, got)
	}
	ten.Until("the time line is told", asked)
	require.Equal(t, want, got)
	for i, e := range line.Items {
		require.NotEmpty(t, e.Sentence)
		require.NotContains(t, e.Sentence, "…", "who may see the call may see its numbers")
		require.False(t, i > 0 && e.At.Before(line.Items[i-1].At), "entries stand in order")
	}
	return line.Items
}

// ofKind is the first entry of a kind.
func ofKind(t *testing.T, line []entry, kind string) entry {
	t.Helper()
	i := slices.IndexFunc(line, func(e entry) bool { return e.Kind == kind })
	require.GreaterOrEqual(t, i, 0, kind)
	return line[i]
}

// closed waits for the end of the tenant's only call and returns its record.
func closed(t *testing.T, ten *stage.Tenant) callRecord {
	t.Helper()
	id := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" }).ID
	ten.Books(1)
	return recordOf(t, ten, id)
}

// callRecord is a call as its view tells it.
type callRecord struct {
	stage.CallView
	ArrivedAt  time.Time `json:"arrived_at"`
	AnsweredAt time.Time `json:"answered_at"`
	EndedAt    time.Time `json:"ended_at"`
	Outcome    string    `json:"outcome"`
	EndedBy    string    `json:"ended_by"`
	WaitMS     *int64    `json:"wait_ms"`
	RingMS     *int64    `json:"ring_ms"`
	TalkMS     *int64    `json:"talk_ms"`
	HoldMS     *int64    `json:"hold_ms"`
	WrapUpMS   *int64    `json:"wrap_up_ms"`
	Legs       []struct {
		ID         string     `json:"id"`
		StartedAt  *time.Time `json:"started_at"`
		RingingAt  *time.Time `json:"ringing_at"`
		AnsweredAt *time.Time `json:"answered_at"`
		EndedAt    *time.Time `json:"ended_at"`
		Cause      string     `json:"cause"`
	} `json:"legs"`
	Offers []struct {
		Agent     string     `json:"agent"`
		Outcome   string     `json:"outcome"`
		Cause     string     `json:"cause"`
		Device    string     `json:"device"`
		SIPCode   int        `json:"sip_code"`
		RingingAt *time.Time `json:"ringing_at"`
	} `json:"offers"`
	Segments []struct {
		Kind       string    `json:"kind"`
		From       time.Time `json:"from"`
		To         time.Time `json:"to"`
		DurationMS int64     `json:"duration_ms"`
	} `json:"segments"`
}

// recordOf reads a call of which the sums must agree.
func recordOf(t *testing.T, ten *stage.Tenant, id string) callRecord {
	t.Helper()
	var c callRecord
	require.NoError(t, ten.Login("supervisor").Into(ten.Context(), &c, http.MethodGet, "/v1/calls/"+id, nil))
	require.NotEmpty(t, c.Segments)
	at, sums := c.ArrivedAt.Truncate(time.Millisecond), map[string]int64{}
	for _, s := range c.Segments {
		require.True(t, s.From.Equal(at), "segments follow each other")
		require.Equal(t, s.To.Sub(s.From).Milliseconds(), s.DurationMS)
		sums[s.Kind] += s.DurationMS
		at = s.To
	}
	require.True(t, at.Equal(c.EndedAt.Truncate(time.Millisecond)), "and fill the call's time")
	require.Equal(t, sums["talk"], *c.TalkMS)
	require.Equal(t, sums["hold"], *c.HoldMS)
	require.Equal(t, sums["offer"], *c.RingMS)
	require.Equal(t, sums["arriving"]+sums["waiting"]+sums["offer"], *c.WaitMS)
	return c
}

// A queue call with wrap-up: the record has every time, the time line every event.
func TestRecord_QueueCallWithWrapUp_TellsEveryTimeAndEvent(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{WrapUp: 500 * time.Millisecond})
	a := ten.ReadyAgent(1)
	customer := ten.Call("4930123456", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	live := a.Wait("Busy").CallIDs[0]
	line := lineOf(t, ten, live, "Initiated Queued Decision Offered Delivered Established")
	require.Equal(t, "A call from 4930123456 to 8000 arrived.", line[0].Sentence)
	var talking callRecord
	require.NoError(t, ten.Login("supervisor").Into(ten.Context(), &talking, http.MethodGet, "/v1/calls/"+live, nil))
	require.Equal(t, "talk", talking.Segments[len(talking.Segments)-1].Kind, "a live call tells its time up to now")
	require.Equal(t, "offer", talking.Segments[len(talking.Segments)-2].Kind)
	require.Equal(t, "answered", talking.Offers[0].Outcome)

	require.NoError(t, customer.HangUp())
	ten.WaitEnded(rung)
	a.Wait("WorkingAfterCall")
	a.Wait("Ready")
	line = lineOf(t, ten, live, "Initiated Queued Decision Offered Delivered Established ConnectionCleared ConnectionCleared CallCleared WrapUpStarted WrapUpEnded")
	require.Equal(t, map[string]any{"queue": "support"}, ofKind(t, line, "Queued").Detail)
	require.Equal(t, map[string]any{"agent": "1001", "queue": "support", "offer": live + "/1", "device": "1001"}, ofKind(t, line, "Delivered").Detail)
	c := closed(t, ten)
	require.Equal(t, []string{"answered", "customer", "hangup"}, []string{c.Outcome, c.EndedBy, c.Cause})
	require.False(t, c.ArrivedAt.IsZero() || c.AnsweredAt.Before(c.ArrivedAt) || c.EndedAt.Before(c.AnsweredAt))
	require.Positive(t, *c.TalkMS)
	require.Zero(t, *c.HoldMS)
	worked := ofKind(t, line, "WrapUpEnded").At.Sub(ofKind(t, line, "WrapUpStarted").At)
	require.GreaterOrEqual(t, worked, 500*time.Millisecond, "wrap-up lasts what it says; a loaded machine ends it later")
	require.InDelta(t, worked.Milliseconds(), *c.WrapUpMS, 1)
	require.Len(t, c.Offers, 1)
	require.Equal(t, []string{"1001", "answered", "", "1001"}, []string{c.Offers[0].Agent, c.Offers[0].Outcome, c.Offers[0].Cause, c.Offers[0].Device})
	for _, l := range c.Legs {
		require.False(t, l.StartedAt == nil || l.AnsweredAt == nil || l.EndedAt == nil, l.ID)
	}
	require.NotNil(t, c.Legs[1].RingingAt)
	var list struct {
		Items []callRecord `json:"items"`
	}
	require.NoError(t, ten.Login("supervisor").Into(ten.Context(), &list, http.MethodGet, "/v1/calls?number=030+12+34+56&outcome=answered&sort=-talk_ms&agent=1001", nil))
	require.Len(t, list.Items, 1, "by the number as people write it")
	require.Equal(t, *c.TalkMS, *list.Items[0].TalkMS)
	require.NoError(t, ten.Login("supervisor").Into(ten.Context(), &list, http.MethodGet, "/v1/calls?number=999", nil))
	require.Empty(t, list.Items)
}

func TestTimeline_RejectedByOneAgent_AnsweredByTheNext(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2})
	unwilling, willing := ten.ReadyAgent(1), ten.ReadyAgent(2)
	customer := ten.Call("4930300", "8000")
	require.NoError(t, unwilling.Offered().Reject(603))
	rung := willing.Answered()
	ten.Talk(customer, rung)
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(customer)
	c := closed(t, ten)
	line := lineOf(t, ten, c.ID, "Initiated Queued Decision Offered Delivered OfferRejected Decision Offered Delivered Established ConnectionCleared ConnectionCleared CallCleared")
	refused := ofKind(t, line, "OfferRejected")
	require.Equal(t, "Agent 1001 did not take the call: declined (SIP 603 Decline). The caller keeps the place in line.", refused.Sentence)
	require.Equal(t, []any{"1001", "1001", 603.0, "Decline", "rejected"},
		[]any{refused.Detail["agent"], refused.Detail["device"], refused.Detail["sip_code"], refused.Detail["sip_phrase"], refused.Detail["cause"]})
	require.Equal(t, []any{"rejected", 603, "answered"}, []any{c.Offers[0].Outcome, c.Offers[0].SIPCode, c.Offers[1].Outcome})
	require.Equal(t, "agent:1002", c.EndedBy)
}

func TestTimeline_RONA(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Ring: 5 * time.Second})
	deaf, next := ten.ReadyAgent(1), ten.ReadyAgent(2)
	customer := ten.Call("4930100", "8000")
	ten.WaitEnded(deaf.Offered())
	rung := next.Answered()
	ten.Talk(customer, rung)
	require.NoError(t, customer.HangUp())
	c := closed(t, ten)
	line := lineOf(t, ten, c.ID, "Initiated Queued Decision Offered Delivered OfferExpired Decision Offered Delivered Established ConnectionCleared ConnectionCleared CallCleared")
	require.Equal(t, "Agent 1001 did not answer. The caller keeps the place in line.", ofKind(t, line, "OfferExpired").Sentence)
	require.Equal(t, "no_answer", c.Offers[0].Outcome)
	require.GreaterOrEqual(t, *c.RingMS, int64(5000))
}

func TestTimeline_Abandoned(t *testing.T) {
	t.Parallel()
	waiting := hall.Tenant(t, stage.Plan{})
	waiting.Agent(1).SignIn()
	customer := waiting.Call("4930400", "8000")
	waiting.WaitUp(customer)
	require.NoError(t, customer.HangUp())
	c := closed(t, waiting)
	lineOf(t, waiting, c.ID, "Initiated Queued Decision ConnectionCleared Abandoned")
	require.Equal(t, []any{"abandoned", "customer", int64(0), int64(0)}, []any{c.Outcome, c.EndedBy, *c.RingMS, *c.TalkMS})

	ringing := hall.Tenant(t, stage.Plan{})
	ringing.In(t)
	a := ringing.ReadyAgent(1)
	customer = ringing.Call("4930500", "8000")
	require.NoError(t, a.Offered().CaughtUp(ringing.Context()), "the node knows that the phone rings")
	require.NoError(t, customer.Wait(ringing.Context(), softphone.Ringing))
	require.NoError(t, customer.HangUp())
	c = closed(t, ringing)
	line := lineOf(t, ringing, c.ID, "Initiated Queued Decision Offered Delivered OfferRescinded ConnectionCleared Abandoned")
	require.Equal(t, "The offer to agent 1001 was taken back: the caller left.", ofKind(t, line, "OfferRescinded").Sentence)
	require.Equal(t, "rescinded", c.Offers[0].Outcome)
}

func TestTimeline_DirectOutboundAndHeldCalls(t *testing.T) {
	t.Parallel()
	ten, _ := carrier(t, stage.Plan{})
	a := ten.Agent(1)
	a.SignIn()
	customer := ten.Call("4930600", "8001")
	rung := a.Answered()
	ten.Talk(customer, rung)
	require.NoError(t, rung.Hold(ten.Context(), true))
	held := ten.WaitCall("be held", func(c stage.CallView) bool { return len(c.Legs) == 2 && c.Legs[1].Held })
	require.NoError(t, rung.Hold(ten.Context(), false))
	ten.WaitCall("be retrieved", func(c stage.CallView) bool { return c.Version > held.Version && len(c.Legs) == 2 && !c.Legs[1].Held })
	require.NoError(t, customer.HangUp())
	c := closed(t, ten)
	line := lineOf(t, ten, c.ID, "Initiated Offered Delivered Established Held Retrieved ConnectionCleared ConnectionCleared CallCleared")
	require.Equal(t, "Agent 1001 put the call on hold.", ofKind(t, line, "Held").Sentence)
	require.Equal(t, "inbound_direct", c.Class)
	require.Positive(t, *c.HoldMS)

	out, beyond := carrier(t, stage.Plan{})
	dialler := out.Agent(1)
	dialler.SignIn()
	call := dials(t, out, dialler, "0493055501")
	far := out.Offered(beyond, "the customer")
	require.NoError(t, call.Wait(out.Context(), softphone.Ringing))
	require.NoError(t, far.Answer())
	out.WaitUp(call)
	require.NoError(t, call.HangUp())
	c = closed(t, out)
	line = lineOf(t, out, c.ID, "Initiated Offered Delivered Established ConnectionCleared ConnectionCleared CallCleared")
	require.Equal(t, "Agent 1001 called 0493055501.", line[0].Sentence)
	require.Equal(t, "Connected with 0493055501.", strings.Replace(ofKind(t, line, "Established").Sentence, " on device carrier", "", 1))
	require.Equal(t, "agent:1001", c.EndedBy)
}

// calls:read:team: whoever holds it sees the calls of its teams, and ends them, and nobody
// else's calls anywhere.
func TestCallsOfATeam_AreSeenByWhoReadsTheTeam(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Agents: 2, Change: func(d *tenancy.Document) {
		d.Teams = append(d.Teams, tenancy.Team{Name: "elsewhere"})
		d.Agents[1].Team = "elsewhere"
		d.Roles = append(d.Roles, tenancy.Role{Name: "team_reader", Permissions: []account.Permission{"calls:read:team", "calls:disconnect:team", "calls:hang_up:own"}})
		d.Users = append(d.Users, tenancy.User{Name: "lead", Password: stage.Password, Roles: []account.Role{"team_reader"}, Teams: []id.Team{"service"}})
	}})
	lead := ten.Login("lead")
	watch := lead.Watch()
	t.Cleanup(watch.Close)
	a, b := ten.Agent(1), ten.Agent(2)
	calls := map[*stage.Agent]string{}
	for _, who := range []*stage.Agent{a, b} {
		who.SignIn()
		who.Ready()
		customer := ten.Call("4930700", "8000")
		ten.Talk(customer, who.Answered())
		require.Eventually(t, func() bool { return who.View().State == "Busy" }, stage.Patience, 20*time.Millisecond)
		calls[who] = who.View().CallIDs[0]
	}
	_, err := watch.WaitCall(ten.Context(), "be shown", func(c stage.CallView) bool { return c.ID == calls[a] && c.Phase == "Talking" })
	require.NoError(t, err)
	var list struct {
		Items []stage.CallView `json:"items"`
	}
	require.NoError(t, lead.Into(ten.Context(), &list, http.MethodGet, "/v1/calls", nil))
	require.Len(t, list.Items, 1)
	require.Equal(t, calls[a], list.Items[0].ID)
	for path, status := range map[string]int{"/v1/calls/" + calls[a]: 200, "/v1/calls/" + calls[a] + "/timeline": 200, "/v1/calls/" + calls[b]: 404, "/v1/calls/" + calls[b] + "/timeline": 404} {
		ans, err := lead.Do(ten.Context(), http.MethodGet, path, nil)
		require.NoError(t, err)
		require.Equal(t, status, ans.Status, path)
	}
	for _, who := range []*stage.Agent{b, a} {
		ans, err := lead.Do(ten.Context(), http.MethodPost, "/v1/calls/"+calls[who]+"/hang-up", nil)
		require.NoError(t, err)
		require.Equal(t, map[*stage.Agent]int{a: 200, b: 404}[who], ans.Status)
	}
	_, err = watch.WaitCall(ten.Context(), "end", func(c stage.CallView) bool { return c.ID == calls[a] && c.Phase == "Ended" })
	require.NoError(t, err)
	require.False(t, watch.Knows(calls[b]), "the other team's call is not in the stream, which has come beyond it")
	require.NoError(t, lead.Into(ten.Context(), &list, http.MethodGet, "/v1/calls?live=false", nil))
	require.Len(t, list.Items, 1, "also afterwards")
}
