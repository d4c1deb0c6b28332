package httpapi

import (
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// sessionView is an agent session as clients see it. The names are fixed by the
// interface; the domain's may change without them.
type sessionView struct {
	Agent       id.Agent         `json:"agent" doc:"The agent's number." example:"1001"`
	State       agent.Status     `json:"state" enum:"LoggedOff,NotReady,Ready,Reserved,Busy,WorkingAfterCall"`
	Reason      agent.Reason     `json:"reason,omitempty" doc:"Why NotReady or LoggedOff." example:"LOGIN"`
	Since       time.Time        `json:"since" doc:"When the state began."`
	Pending     *pendingView     `json:"pending,omitempty" doc:"The state asked for while it can't be taken yet."`
	Offer       *offerView       `json:"offer,omitempty" doc:"The call that is presented now."`
	CallIDs     []id.Call        `json:"call_ids"`
	Memberships []membershipView `json:"memberships"`
	Binding     bindingView      `json:"binding"`
	Devices     []id.Device      `json:"devices" doc:"The devices of the binding that are reachable now."`
	Terminals   []id.Terminal    `json:"terminals"`
	WrapUpUntil *time.Time       `json:"wrap_up_until,omitempty"`
	Phone       id.Terminal      `json:"phone_terminal,omitempty" doc:"Which of the terminals is the agent's phone."`
	Order       *orderView       `json:"order,omitempty" doc:"What a supervisor ordered last, until the agent decides for itself again."`
	LimitAt     *time.Time       `json:"limit_at,omitempty" doc:"Until when the reason allows NotReady."`
	OverSince   *time.Time       `json:"over_since,omitempty" doc:"When that time was past."`
	ShiftEnd    *time.Time       `json:"shift_end,omitempty" doc:"When the agent is signed out, after its call."`
	Delay       *delayView       `json:"delay,omitempty" doc:"Until when a Ready agent is not offered a call: one could not reach it, and neither the agent nor its device was the cause."`
	Version     int64            `json:"version" doc:"Counts the accepted events: a higher version is newer."`
}

type orderView struct {
	Command agent.Kind `json:"command" enum:"ready,not_ready,sign_out"`
	By      string     `json:"by" doc:"The supervisor's user name."`
	Reason  string     `json:"reason"`
	At      time.Time  `json:"at"`
}

type delayView struct {
	Until time.Time `json:"until" doc:"When calls are offered again."`
	Cause leg.Cause `json:"cause" enum:"trunk_busy,overload" doc:"No line was free; the node had no capacity."`
}

type takenView struct {
	Device id.Device `json:"device"`
	By     id.Agent  `json:"by"`
}

type pendingView struct {
	State  agent.Status `json:"state" enum:"NotReady,LoggedOff,Ready"`
	Reason agent.Reason `json:"reason,omitempty"`
	By     string       `json:"by" doc:"Who asked: a user name, or system."`
}

type offerView struct {
	ID       id.Offer          `json:"id"`
	CallID   id.Call           `json:"call_id"`
	Class    leg.CallClass     `json:"class"`
	Queue    id.Queue          `json:"queue,omitempty"`
	From     string            `json:"from" doc:"The caller's number."`
	Data     map[string]string `json:"attached_data,omitempty"`
	At       time.Time         `json:"at"`
	Deadline time.Time         `json:"deadline" doc:"When the offer runs out."`
	Customer *customerView     `json:"customer,omitempty" doc:"Who calls, if the tenant knows the number; to the agent itself only."`
}

type membershipView struct {
	Queue     id.Queue `json:"queue"`
	CheckedIn bool     `json:"checked_in"`
	Static    bool     `json:"static,omitempty" doc:"Never checked out automatically."`
	Penalty   int      `json:"penalty,omitempty" doc:"Lower is asked first."`
}

type bindingView struct {
	Interface string        `json:"interface" enum:"web,phone,mobile"`
	Mode      string        `json:"mode" enum:"fixed,self_adapting,dynamic,hot_desk"`
	Addresses []addressView `json:"addresses"`
	Taken     []takenView   `json:"taken,omitempty" doc:"Devices that would belong to it, and that another agent has."`
}

type addressView struct {
	Device id.Device `json:"device"`
	Kind   leg.Kind  `json:"kind" enum:"sip,webrtc,external"`
	Number string    `json:"number,omitempty" doc:"Of an external device."`
}

// presenceView is a session as a supervisor sees it.
type presenceView struct {
	sessionView
	User id.User `json:"user"`
	Name string  `json:"name"`
	Team id.Team `json:"team,omitempty"`
}

// queueView is a queue now.
type queueView struct {
	Queue   id.Queue       `json:"queue"`
	Waiting []waitingView  `json:"waiting" doc:"First in line first."`
	Agents  []presenceView `json:"agents" doc:"The sessions that are checked in."`
}

type waitingView struct {
	CallID   id.Call   `json:"call_id"`
	From     string    `json:"from"`
	QueuedAt time.Time `json:"queued_at"`
	WaitMS   int64     `json:"wait_ms"`
	Position int       `json:"position"`
	Offering bool      `json:"offering" doc:"It rings somebody now."`
}

func sessionOf(v agent.View) sessionView {
	s := sessionView{
		Agent: v.Agent, State: v.State, Reason: v.Reason, Since: v.Since.UTC(), CallIDs: list(v.CallIDs),
		Memberships: []membershipView{}, Devices: list(v.Devices), Terminals: list(v.Terminals),
		WrapUpUntil: moment(v.WrapUpUntil), Version: v.Version, Phone: v.Phone,
		LimitAt: moment(v.LimitAt), OverSince: moment(v.OverSince), ShiftEnd: moment(v.ShiftEnd),
		Binding: bindingView{Interface: v.Binding.Interface, Mode: v.Binding.Mode, Addresses: []addressView{}},
	}
	for _, m := range v.Memberships {
		s.Memberships = append(s.Memberships, membershipView(m))
	}
	for _, a := range v.Binding.Addresses {
		s.Binding.Addresses = append(s.Binding.Addresses, addressView{Device: a.Device, Kind: a.Kind, Number: a.URI})
	}
	for _, t := range v.Binding.Taken {
		s.Binding.Taken = append(s.Binding.Taken, takenView(t))
	}
	if o := v.Order; o != nil {
		s.Order = &orderView{Command: o.Command, By: o.By, Reason: o.Why, At: o.At.UTC()}
	}
	if d := v.Delay; d != nil {
		s.Delay = &delayView{Until: d.Until.UTC(), Cause: d.Cause}
	}
	if p := v.Pending; p != nil {
		s.Pending = &pendingView{State: p.Status, Reason: p.Reason, By: p.By}
	}
	if o := v.Offer; o != nil {
		s.Offer = &offerView{
			ID: o.ID, CallID: o.Call, Class: o.Class, Queue: o.Queue, From: o.From, Data: o.Data,
			At: o.At.UTC(), Deadline: o.Deadline.UTC(),
		}
	}
	return s
}

func presenceOf(v agent.View) presenceView {
	return presenceView{sessionView: sessionOf(v), User: v.User, Name: v.Name, Team: v.Team}
}

func queueOf(q record.QueueLive, now time.Time, visible func(agent.View) bool) queueView {
	v := queueView{Queue: q.Queue, Waiting: []waitingView{}, Agents: []presenceView{}}
	for _, w := range q.Waiting {
		v.Waiting = append(v.Waiting, waitingView{
			CallID: w.Call, From: w.From, QueuedAt: w.QueuedAt.UTC(), WaitMS: max(0, now.Sub(w.QueuedAt).Milliseconds()),
			Position: w.Position, Offering: w.Offering,
		})
	}
	for _, a := range q.Agents {
		if visible(a) {
			v.Agents = append(v.Agents, presenceOf(a))
		}
	}
	return v
}

// moment is t, or nothing if t is zero.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return ptr(t.UTC())
}

// list is s, never null in JSON.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
