package httpapi

import (
	"slices"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// callView is a call as clients see it.
type callView struct {
	ID          id.Call           `json:"id" doc:"The call's name."`
	Class       leg.CallClass     `json:"class" enum:"inbound_queue,inbound_direct,internal,outbound_manual,outbound_campaign,consult" doc:"What kind of call it is; it decides whether wrap-up follows."`
	Direction   call.Direction    `json:"direction" enum:"inbound,outbound,internal" doc:"As the tenant sees it."`
	Phase       call.Phase        `json:"phase" enum:"Arriving,InFlow,Queued,Offering,Talking,Ended" doc:"Where it stands."`
	Queue       id.Queue          `json:"queue,omitempty" doc:"The queue that it came to."`
	From        string            `json:"from" doc:"The number that calls; an agent's own number, if an agent does."`
	To          string            `json:"to" doc:"The number that was dialled."`
	Agent       id.Agent          `json:"agent,omitempty" doc:"To whom it is offered, or who talks, or talked last."`
	Legs        []legView         `json:"legs" doc:"The connections of the call, the caller's first; those that nobody answered are not among them."`
	Data        map[string]string `json:"attached_data" doc:"What travels with the call."`
	Recording   string            `json:"recording" doc:"Empty: it is not recorded."`
	Since       time.Time         `json:"since" doc:"When the phase began: of an ended call, its end."`
	ArrivedAt   *time.Time        `json:"arrived_at,omitempty" doc:"When the call began."`
	QueuedAt    *time.Time        `json:"queued_at,omitempty" doc:"When it came to its queue."`
	AnsweredAt  *time.Time        `json:"answered_at,omitempty" doc:"When an agent, or the called party, answered."`
	EndedAt     *time.Time        `json:"ended_at,omitempty" doc:"When it ended."`
	Outcome     string            `json:"outcome,omitempty" enum:"answered,abandoned,diverted,failed" doc:"Of an ended call: somebody answered, the caller left before, the system or a command took it away before, or it could not be served."`
	Cause       leg.Cause         `json:"cause,omitempty" doc:"Why it ended."`
	EndedBy     string            `json:"ended_by,omitempty" doc:"Who ended it: customer, agent:<number>, user:<name>, or system." example:"agent:1001"`
	WaitMS      *int64            `json:"wait_ms,omitempty" doc:"Of an ended call: how long it waited for the answer, or until its end, with the time in which phones rang. wait_ms + talk_ms + hold_ms is its whole time."`
	RingMS      *int64            `json:"ring_ms,omitempty" doc:"The part of wait_ms in which it was presented to somebody."`
	TalkMS      *int64            `json:"talk_ms,omitempty" doc:"Of an ended call: how long was talked, without hold_ms."`
	HoldMS      *int64            `json:"hold_ms,omitempty" doc:"Of an ended call: how long a party was on hold."`
	Version     int64             `json:"version" doc:"Counts the accepted events: a higher version is newer."`
	TemporalURL string            `json:"temporal_url,omitempty" doc:"The call's workflow, for those with ops:temporal."`
	ContactID   id.Contact        `json:"contact_id,omitempty" doc:"The customer's contact, if the tenant knows the number."`
}

// callRecord is a call with all that is kept of it.
type callRecord struct {
	callView
	WrapUpMS *int64        `json:"wrap_up_ms,omitempty" doc:"How long agents worked after the call, if they did and have finished."`
	Offers   []offerRecord `json:"offers" doc:"To whom it was presented, in order."`
	Segments []segmentView `json:"segments" doc:"Its time in order, from its arrival to its end, or up to now, without gap or overlap."`
}

type legView struct {
	ID         id.Leg     `json:"id" doc:"The leg's name within its call." example:"agent-1"`
	Role       leg.Role   `json:"role" enum:"customer,agent,external,supervisor" doc:"Whose leg it is."`
	Party      string     `json:"party" doc:"The number, or the agent's number, at its other end."`
	State      leg.State  `json:"state" enum:"ringing,up,ended" doc:"Whether it rings, is answered, or is over."`
	Held       bool       `json:"held" doc:"The party has put the call on hold."`
	Muted      bool       `json:"muted" doc:"The party can't be heard."`
	Device     id.Device  `json:"device" doc:"Which of the tenant's devices it is, if it is one."`
	StartedAt  *time.Time `json:"started_at,omitempty" doc:"When it was called, or called us."`
	RingingAt  *time.Time `json:"ringing_at,omitempty" doc:"When its phone began to ring, if it said so."`
	AnsweredAt *time.Time `json:"answered_at,omitempty" doc:"When it was answered; a caller who waits with music is answered by us."`
	EndedAt    *time.Time `json:"ended_at,omitempty" doc:"When it was over."`
	Cause      leg.Cause  `json:"cause,omitempty" doc:"Why it ended."`
}

// offerRecord is one presentation of a call.
type offerRecord struct {
	ID        id.Offer     `json:"id" doc:"The call and which of its offers it is." example:"c1f0/2"`
	Agent     id.Agent     `json:"agent,omitempty" doc:"To whom; absent for a number outside."`
	Queue     id.Queue     `json:"queue,omitempty" doc:"For which queue."`
	At        time.Time    `json:"at" doc:"When it was made."`
	RingingAt *time.Time   `json:"ringing_at,omitempty" doc:"When the first phone rang."`
	EndedAt   *time.Time   `json:"ended_at,omitempty" doc:"When it was over; absent: it is out."`
	Outcome   call.Outcome `json:"outcome,omitempty" enum:"answered,no_answer,rejected,busy,unreachable,rescinded,looped,trunk_busy,overload,failed" doc:"What became of it."`
	Cause     leg.Cause    `json:"cause,omitempty" doc:"Why nothing became of it."`
	Device    id.Device    `json:"device,omitempty" doc:"The device that answered, or whose response decided."`
	SIPCode   int          `json:"sip_code,omitempty" doc:"The last status that the device gave; 180: it rang, and nobody answered." example:"486"`
}

// segmentView is a stretch of a call's time.
type segmentView struct {
	Kind       string     `json:"kind" enum:"arriving,waiting,offer,talk,hold" doc:"What the call was in; waiting without offer, talk without hold."`
	Agent      id.Agent   `json:"agent,omitempty" doc:"With which agent."`
	Queue      id.Queue   `json:"queue,omitempty" doc:"For which queue."`
	Offer      id.Offer   `json:"offer,omitempty" doc:"By which of the offers."`
	From       time.Time  `json:"from" doc:"When it began."`
	To         *time.Time `json:"to,omitempty" doc:"When it ended; absent: it goes on."`
	DurationMS *int64     `json:"duration_ms,omitempty" doc:"How long it lasted; absent: it goes on."`
	Cause      leg.Cause  `json:"cause,omitempty" doc:"Why it ended, if something happened."`
}

func callOf(v call.View) callView {
	c := callView{
		ID: v.ID, Class: v.Class, Direction: v.Direction, Phase: v.Phase, Queue: v.Queue, From: v.From, To: v.To,
		Agent: v.Agent, Legs: []legView{}, Data: v.Data, Recording: v.Recording, Since: v.Since.UTC(),
		ArrivedAt: moment(v.ArrivedAt), QueuedAt: moment(v.QueuedAt), AnsweredAt: moment(v.AnsweredAt), EndedAt: moment(v.EndedAt),
		Outcome: v.Outcome, EndedBy: v.EndedBy, Cause: v.Cause, Version: v.Version, ContactID: v.Contact,
	}
	if c.Data == nil {
		c.Data = map[string]string{}
	}
	for _, l := range v.Legs {
		c.Legs = append(c.Legs, legView{
			ID: l.ID, Role: l.Role, Party: l.Party, State: l.State, Held: l.Held, Muted: l.Muted, Device: l.Device,
			StartedAt: moment(l.StartedAt), RingingAt: moment(l.RangAt), AnsweredAt: moment(l.AnsweredAt), EndedAt: moment(l.EndedAt), Cause: l.Cause,
		})
	}
	return c
}

// listedOf is a call as lists show it.
func listedOf(c record.Call) callView {
	v := callOf(c.View)
	if s := c.Sums; s != nil {
		v.WaitMS, v.RingMS, v.TalkMS, v.HoldMS = ptr(s.Wait.Milliseconds()), ptr(s.Ring.Milliseconds()), ptr(s.Talk.Milliseconds()), ptr(s.Hold.Milliseconds())
	}
	return v
}

// toldOf is a call with all that is kept of it.
func toldOf(c record.Call, now time.Time) callRecord {
	v := callRecord{callView: listedOf(c), Offers: []offerRecord{}, Segments: []segmentView{}}
	for _, o := range c.Offers() {
		v.Offers = append(v.Offers, offerRecord{ID: o.Offer, Agent: o.Agent, Queue: o.Queue, At: o.From.UTC(), RingingAt: moment(o.RangAt),
			EndedAt: moment(o.To), Outcome: o.Outcome, Cause: o.Cause, Device: o.Device, SIPCode: o.SIPCode})
	}
	for _, s := range c.Stretches(now) {
		stretch := segmentView{Kind: s.Kind, Agent: s.Agent, Queue: s.Queue, Offer: s.Offer, From: s.From.UTC(), To: moment(s.To), Cause: s.Cause}
		if !s.To.IsZero() {
			stretch.DurationMS = ptr(s.To.Sub(s.From).Milliseconds())
		}
		v.Segments = append(v.Segments, stretch)
	}
	var worked int64
	for _, w := range c.WrapUps {
		if w.To.IsZero() {
			return v
		}
		worked += w.To.Sub(w.From).Milliseconds()
	}
	if len(c.WrapUps) > 0 {
		v.WrapUpMS = &worked
	}
	return v
}

// agentsIn are the agents who take part in a call, or to whom it is offered.
func agentsIn(v call.View) []id.Agent {
	agents := []id.Agent{}
	if v.Agent != "" {
		agents = append(agents, v.Agent)
	}
	for _, l := range v.Legs {
		if l.Agent != "" && !slices.Contains(agents, l.Agent) {
			agents = append(agents, l.Agent)
		}
	}
	return agents
}

// has reports whether a took part in the call.
func has(v call.View, a id.Agent) bool { return a != "" && slices.Contains(agentsIn(v), a) }
