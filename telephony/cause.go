package telephony

import (
	"slices"
	"strings"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/leg"
	"holdfast/telephony/headers"
)

// why is a cause as SIP says it: the final response of an INVITE that was not answered, and the Reason header
// (RFC 3326) of the BYE or CANCEL.
type why struct {
	code   int // final response to an unanswered INVITE
	reason headers.Reason
}

const (
	bySIP  = "SIP"
	byQ850 = "Q.850"
)

// whys is the table cause → SIP. Q.850 numbers are those of ITU-T Q.850 table 1.
var whys = map[leg.Cause]why{
	leg.Hangup:        {480, headers.Reason{Protocol: byQ850, Cause: 16, Text: "Normal call clearing"}},
	leg.Abandoned:     {487, headers.Reason{Protocol: byQ850, Cause: 16, Text: "The caller hung up"}},
	leg.NoAnswer:      {480, headers.Reason{Protocol: byQ850, Cause: 19, Text: "No answer"}},
	leg.Rejected:      {603, headers.Reason{Protocol: byQ850, Cause: 21, Text: "Call rejected"}},
	leg.Busy:          {486, headers.Reason{Protocol: byQ850, Cause: 17, Text: "User busy"}},
	leg.Unreachable:   {480, headers.Reason{Protocol: byQ850, Cause: 20, Text: "Subscriber absent"}},
	leg.ElsewhereWon:  {480, headers.AnsweredElsewhere},
	leg.Rescinded:     {480, headers.Reason{Protocol: bySIP, Cause: 487, Text: "Offer taken back"}},
	leg.NoCommonCodec: {488, headers.Reason{Protocol: bySIP, Cause: 488, Text: "Not Acceptable Here"}},
	leg.MediaTimeout:  {480, headers.Reason{Protocol: byQ850, Cause: 27, Text: "Media timeout"}},
	leg.NodeLost:      {503, headers.Reason{Protocol: byQ850, Cause: 41, Text: "Temporary failure"}},
	leg.SessionExpiry: {480, headers.Reason{Protocol: bySIP, Cause: 408, Text: "Session expired"}},
	leg.AckMissing:    {480, headers.Reason{Protocol: bySIP, Cause: 408, Text: "ACK missing"}},
	leg.Forced:        {480, headers.Reason{Protocol: byQ850, Cause: 16, Text: "Ended by the platform"}},
	leg.MaxWait:       {480, headers.Reason{Protocol: byQ850, Cause: 19, Text: "Waited too long"}},
	leg.MaxDuration:   {480, headers.Reason{Protocol: byQ850, Cause: 16, Text: "Longest duration reached"}},
	leg.NoRoute:       {404, headers.Reason{Protocol: byQ850, Cause: 1, Text: "Unallocated number"}},
	leg.NotReady:      {480, headers.Reason{Protocol: byQ850, Cause: 31, Text: "Agent is not ready"}},
	leg.AgentReady:    {403, headers.Reason{Protocol: byQ850, Cause: 21, Text: "Go Not Ready before you dial"}},
	leg.Looped:        {483, headers.Reason{Protocol: byQ850, Cause: 25, Text: "Too many hops"}},
	leg.Barred:        {403, headers.Reason{Protocol: byQ850, Cause: 21, Text: "This number may not be dialled"}},
	leg.TrunkBusy:     {480, headers.Reason{Protocol: byQ850, Cause: 34, Text: "No line is free"}}, // 503 would be of us as a whole (RFC 3261 §16.7)
	leg.Overload:      {503, headers.Reason{Protocol: byQ850, Cause: 42, Text: "Congestion"}},
	leg.Failed:        {500, headers.Reason{Protocol: byQ850, Cause: 41, Text: "Temporary failure"}},
}

// whyOf is the SIP side of a cause; an unknown one counts as failed.
func whyOf(c leg.Cause) why {
	if w, ok := whys[c]; ok {
		return w
	}
	return whys[leg.Failed]
}

// outcomeOf says how a rung phone's final response counts. rang tells that it had rung before; person, that a
// person's device was rung and not a carrier: then 480 means "do not disturb" or "decline". A carrier that gives the
// call no line says so by 503 (RFC 3398 §8.2.6.1), or by any code with a cause of the class "resource unavailable"; some have said 180 before.
func outcomeOf(code int, rang, person bool, reasons ...headers.Reason) call.Outcome {
	if !person && (code == 503 || slices.ContainsFunc(reasons, noLine)) {
		return call.RingTrunkBusy
	}
	switch code {
	case 486, 600:
		return call.RingBusy
	case 403, 603, 607, 608:
		return call.RingRejected
	case 480:
		if rang || person {
			return call.RingRejected
		}
		return call.RingUnreachable
	case 404, 408, 410, 430, 503, 504, 604:
		return call.RingUnreachable
	case 482, 483:
		return call.RingLooped
	}
	return call.RingFailed
}

// noLine reports a cause of the class "resource unavailable" (ITU-T Q.850 table 1: 32 to 47, among them 34, no circuit,
// and 42, congestion): the network had no way to the phone, which was not asked.
func noLine(r headers.Reason) bool {
	return strings.EqualFold(r.Protocol, byQ850) && r.Cause >= 32 && r.Cause <= 47
}

// causeOf is the cause of a leg whose ring ended with o.
func causeOf(o call.Outcome) leg.Cause {
	switch o {
	case call.RingNoAnswer:
		return leg.NoAnswer
	case call.RingRejected:
		return leg.Rejected
	case call.RingBusy:
		return leg.Busy
	case call.RingUnreachable:
		return leg.Unreachable
	case call.RingRescinded:
		return leg.Rescinded
	case call.RingLooped:
		return leg.Looped
	case call.RingTrunkBusy:
		return leg.TrunkBusy
	case call.RingOverload:
		return leg.Overload
	}
	return leg.Failed
}

// rank orders the outcomes of several phones: the highest is the ring's. What a person did counts more than what a
// network said (RFC 3261 §16.7 step 6 chooses alike).
func rank(o call.Outcome) int {
	switch o {
	case call.RingAnswered:
		return 8
	case call.RingRescinded:
		return 7
	case call.RingRejected:
		return 6
	case call.RingBusy:
		return 5
	case call.RingNoAnswer:
		return 4
	case call.RingTrunkBusy, call.RingOverload: // whoever was not asked is not to blame
		return 3
	case call.RingFailed, call.RingLooped:
		return 2
	case call.RingUnreachable:
		return 1
	}
	return 0
}

// codeOf is the final response for a call that the Handler refused.
func codeOf(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid:
		return 400
	case fault.Unauthenticated, fault.Forbidden:
		return 403
	case fault.NotFound:
		return 404
	case fault.Conflict:
		return 480
	case fault.TooMany:
		return 486
	case fault.Unavailable:
		return 503
	}
	return 500
}
