package simulation

import (
	"time"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// session is one agent: its machine, its phone, and the person.
type session struct {
	w     *world
	id    id.Agent
	state agent.State
	lane  []agent.Effect // Saves, one after the other
	phone phone
	habit habit
	home  bool // the day is over
}

// phone is what the telephony node knows of an agent's phone.
type phone struct {
	gone    bool    // not registered
	ringing id.Call // rings for this call
	talking id.Call // on this call
}

// habit is how a person behaves, as chances and times.
type habit struct {
	answers, rejects float64       // the rest is not answered
	thinks           time.Duration // at most, before answering
	pause            time.Duration // at most, before asking for Ready again
	restless         float64       // of asking for something else every minute
	hasty            float64       // of taking Ready back before its answer has come
}

// begin lets a person work: sign in, ask for Ready, and now and then something else.
func (s *session) begin() {
	s.state = agent.New(agent.Ref{Tenant: "demo", Agent: s.id}, id.User(s.id), s.profile(), s.w.now)
	s.do(agent.SignIn{Actor: s.me(), Interface: "phone", Reachable: s.reachable()})
	s.w.after(s.w.between(time.Second, s.habit.pause), s.wantReady)
	s.w.after(s.w.between(time.Second, time.Minute), s.minute)
}

func (s *session) me() agent.Actor { return agent.Actor{User: string(s.id)} }

func (s *session) device() id.Device { return id.Device("phone-" + string(s.id)) }

func (s *session) reachable() []id.Device {
	if s.phone.gone {
		return []id.Device{}
	}
	return []id.Device{s.device()}
}

func (s *session) profile() agent.Profile {
	p := agent.Profile{
		Name: string(s.id), WrapUp: 10 * time.Second, RingMethod: "all",
		Queues:    []agent.Membership{{Queue: "support", CheckedIn: true}},
		Addresses: []leg.Address{{Device: s.device(), Kind: leg.SIP}},
	}
	if s.id[len(s.id)-1]%2 == 0 {
		p.Queues = append(p.Queues, agent.Membership{Queue: "sales", CheckedIn: true, Penalty: 1})
		p.OnNoAnswer, p.OnReject = agent.FollowStay, agent.FollowStay
	}
	return p
}

// wantReady asks for Ready until the day is over.
func (s *session) wantReady() {
	if s.home {
		return
	}
	if s.state.Status == agent.NotReady {
		s.do(agent.GoReady{Actor: s.me()})
		if s.w.chance(s.habit.hasty) {
			s.w.after(s.w.between(0, 40*time.Millisecond), s.thinkAgain)
		}
	}
	s.w.after(s.w.between(time.Second, s.habit.pause), s.wantReady)
}

// thinkAgain is what makes a session give back the offer that a match has just made.
func (s *session) thinkAgain() {
	if s.w.chance(0.5) {
		s.dial()
		return
	}
	s.do(agent.SignOut{Actor: s.me()})
	s.w.after(s.w.between(time.Second, time.Minute), s.signInAgain)
}

// minute is what a restless person does now and then.
func (s *session) minute() {
	if s.home {
		return
	}
	if s.w.chance(s.habit.restless) {
		s.something()
	}
	s.w.after(time.Minute, s.minute)
}

func (s *session) something() {
	switch s.w.rng.IntN(6) {
	case 0:
		s.do(agent.GoNotReady{Actor: s.me(), Reason: "BREAK"})
	case 1:
		s.do(agent.SignOut{Actor: s.me()})
		s.w.after(s.w.between(time.Second, time.Minute), s.signInAgain)
	case 2:
		s.register(false)
		s.w.after(s.w.between(time.Second, time.Minute), func() { s.register(true) })
	case 3:
		s.dial()
	case 4:
		s.do(agent.CheckOut{Actor: s.me(), Queues: []id.Queue{"support"}})
		s.w.after(time.Minute, func() { s.do(agent.CheckIn{Actor: s.me()}) })
	case 5:
		s.do(agent.WrapUp{Actor: s.me(), Action: "extend", By: 5 * time.Second})
	}
}

func (s *session) signInAgain() {
	switch {
	case s.home:
	case s.state.Over() && len(s.lane) > 0: // the old session winds up
		s.w.after(time.Second, s.signInAgain)
	case s.state.Over():
		s.state = agent.New(s.state.Ref(), s.state.User, s.profile(), s.w.now)
		fallthrough
	case s.state.Status == agent.LoggedOff:
		s.do(agent.SignIn{Actor: s.me(), Interface: "phone", Reachable: s.reachable()})
	}
}

func (s *session) register(there bool) {
	s.phone.gone = !there
	s.w.deliver(func() { s.step(agent.DeviceChanged{Device: s.device(), Reachable: !s.phone.gone}) })
}

// dial makes a call of the agent's own, which the node reports like any other.
func (s *session) dial() {
	if s.phone.talking != "" || s.phone.ringing != "" || s.phone.gone {
		return
	}
	c := id.NewCall(string(s.id), s.w.now.String(), "")
	s.phone.talking = c
	s.w.deliver(func() { s.step(agent.CallStarted{Call: c, Class: leg.OutboundManual, From: "+41443332211"}) })
	s.w.after(s.w.between(5*time.Second, time.Minute), func() {
		s.phone.talking = ""
		s.w.send(func() {
			s.step(agent.CallEnded{Call: c, Class: leg.OutboundManual, Cause: leg.Hangup, Spoke: true})
		})
	})
}

// goHome ends the day.
func (s *session) goHome() {
	s.home = true
	s.do(agent.SignOut{Actor: s.me()})
}

// do is a command, which may be refused.
func (s *session) do(e agent.Event) {
	if s.state.Check(e) == nil {
		s.step(e)
	}
}

// step applies an event to a session that lives. A fact for one that has ended
// finds nobody.
func (s *session) step(e agent.Event) bool {
	if s.state.Over() {
		return false
	}
	was := s.state.Status
	next, effects, err := s.state.Step(s.w.now, e)
	if err != nil {
		s.w.breaks("agent %s refuses %s: %v", s.id, e.Kind(), err)
	}
	s.state = next
	s.w.changed = true
	if s.w.recording {
		s.w.note("agent %s: %s → %s", s.id, agent.Words(e), next.Describe())
	}
	if was != next.Status {
		s.watchDeadline()
	}
	for _, f := range effects {
		s.carryOut(f)
	}
	s.wake()
	return true
}

// wake keeps the alarm of the state.
func (s *session) wake() {
	at, e := s.state.Deadline()
	if e == nil {
		return
	}
	s.w.at(latest(at, s.w.now), func() {
		if due, e := s.state.Deadline(); e != nil && !due.After(s.w.now) {
			s.step(e)
		}
	})
}

func (s *session) carryOut(f agent.Effect) {
	switch {
	case f.Save != nil:
		s.lane = append(s.lane, f)
		if len(s.lane) == 1 {
			s.w.fly(s.w.trip(), s.save)
		}
	case f.Verify != nil:
		s.w.fly(s.w.trip(), func() { s.verify(f) })
	case f.Refuse != nil:
		s.w.deliver(func() {
			if c := s.w.calls[f.Refuse.Offer.Call()]; c != nil {
				c.step(call.OfferRefused{Offer: f.Refuse.Offer, Agent: s.id, Cause: f.Refuse.Cause})
			}
		})
		s.w.fly(s.w.trip(), func() { s.step(agent.Done{Seq: f.Seq}) })
	}
}

// save runs the first Save of the lane.
func (s *session) save() {
	f := s.lane[0]
	if s.w.chance(s.w.faults.fail) {
		s.answer(agent.Failed{Seq: f.Seq, Error: "database away"})
		return
	}
	s.w.changed = true
	reserved, match := s.w.ledger.saveAgent(s.w.now, *f.Save)
	if s.w.chance(s.w.faults.double) { // its answer was lost, and it is repeated
		reserved, match = s.w.ledger.saveAgent(s.w.now, *f.Save)
	}
	if match != nil {
		s.w.note("match: call %s offer %s to agent %s, by the agent", match.Offer.Call(), match.Offer, match.Agent)
		c := s.w.calls[match.Offer.Call()]
		s.w.send(func() { c.prompt(*match) })
		s.w.deliver(func() { c.step(*match) })
	}
	s.answer(agent.Done{Seq: f.Seq, Reserved: reserved})
}

func (s *session) answer(e agent.Event) {
	s.w.fly(s.w.trip(), func() {
		s.lane = s.lane[1:]
		more := len(s.lane) > 0
		s.step(e)
		if more {
			s.w.fly(s.w.trip(), s.save)
		}
	})
}

// verify asks the world whether the agent is on the call.
func (s *session) verify(f agent.Effect) {
	if s.phone.talking == f.Verify.Call {
		s.step(agent.Done{Seq: f.Seq})
		return
	}
	s.step(agent.Failed{Seq: f.Seq, Error: "no such call", Gone: true})
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
