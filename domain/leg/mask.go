package leg

import "strings"

// shortest is how many digits a number has at least that is masked: what is shorter is
// an extension, a queue's number or an emergency number, and nobody's telephone.
const shortest = 6

// Mask hides a party's number but for its last three digits ("…567"), for places
// that many may read: the Temporal Web UI, replays. What may be a number of the tenant's
// own, up to five digits and nothing else, is shown, as is anything of three characters;
// an empty number is "unknown".
func Mask(number string) string {
	r := []rune(number)
	switch {
	case len(r) == 0:
		return "unknown"
	case len(r) <= 3 || len(r) < shortest && strings.Trim(number, "0123456789*#") == "":
		return number
	}
	return "…" + string(r[len(r)-3:])
}

// Words is the cause as a sentence has it: "nobody answered", "hung up".
func (c Cause) Words() string {
	if w, ok := causeWords[c]; ok {
		return w
	}
	return string(c)
}

var causeWords = map[Cause]string{
	Hangup: "hung up", Abandoned: "the caller left", NoAnswer: "nobody answered", Rejected: "declined",
	Busy: "busy", Unreachable: "not reachable", ElsewhereWon: "answered elsewhere", Rescinded: "taken back",
	NoCommonCodec: "no common codec", MediaTimeout: "no sound came any more", NodeLost: "the telephony node was lost",
	SessionExpiry: "the session was not refreshed", AckMissing: "the answer was never confirmed",
	Forced: "ended by command", MaxWait: "waited too long", MaxDuration: "talked too long",
	NoRoute: "the number leads nowhere", NotReady: "the agent is not Ready",
	AgentReady: "a Ready agent may not dial out", Looped: "sent on too often", Barred: "the number may not be dialled",
	TrunkBusy: "no line was free", Overload: "no capacity", Failed: "failed",
}

// Words is the class as a sentence has it: "queue call".
func (c CallClass) Words() string {
	switch c {
	case InboundQueue:
		return "queue call"
	case InboundDirect:
		return "direct call"
	case Internal:
		return "internal call"
	case OutboundManual, OutboundCampaign:
		return "outbound call"
	case Consult:
		return "consultation"
	}
	return "call"
}
