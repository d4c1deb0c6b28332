// Package leg holds the words about legs (SIP dialogs of a call) that the call
// and the telephony node share.
package leg

import (
	"time"

	"holdfast/domain/id"
)

// Role says whose leg it is.
type Role string

// The roles of a leg.
const (
	Customer   Role = "customer"
	Agent      Role = "agent"
	External   Role = "external"
	Supervisor Role = "supervisor"
)

// State is the state of a leg.
type State string

// The states of a leg.
const (
	Ringing State = "ringing" // INVITE sent or received, not answered
	Up      State = "up"      // answered
	Ended   State = "ended"
)

// Cause says why a leg or a call ended. The words are ours; telephony maps SIP
// responses and Reason headers to them and back.
type Cause string

// The causes.
const (
	Hangup        Cause = "hangup"         // a party hung up after answer
	Abandoned     Cause = "abandoned"      // the caller left before an agent answered
	NoAnswer      Cause = "no_answer"      // rang until the timeout
	Rejected      Cause = "rejected"       // declined (603, 403, 480 by a person …)
	Busy          Cause = "busy"           // 486, 600
	Unreachable   Cause = "unreachable"    // no registration, no response, transport failure
	ElsewhereWon  Cause = "elsewhere"      // another address answered first (SEED-108)
	Rescinded     Cause = "rescinded"      // we took the offer back
	NoCommonCodec Cause = "no_codec"       // 488
	MediaTimeout  Cause = "media_timeout"  // no RTP or RTCP for too long
	NodeLost      Cause = "node_lost"      // the telephony process died
	SessionExpiry Cause = "session_expiry" // RFC 4028: the peer did not refresh
	AckMissing    Cause = "ack_missing"    // our 200 was never acknowledged
	Forced        Cause = "forced"         // ended by command: supervisor or API
	MaxWait       Cause = "max_wait"       // waited longer than the queue allows
	MaxDuration   Cause = "max_duration"   // talked longer than the platform allows
	NoRoute       Cause = "no_route"       // the number leads nowhere
	NotReady      Cause = "not_ready"      // the agent is not Ready, and the tenant wants that for a direct call (SEED-81)
	AgentReady    Cause = "agent_ready"    // the agent who dials out is Ready, and the tenant wants Not Ready for that (SEED-80)
	Looped        Cause = "looped"         // sent on too often: its Max-Forwards was used up (483)
	Barred        Cause = "barred"         // the tenant lets nobody dial this number (policy dial_allowed)
	TrunkBusy     Cause = "trunk_busy"     // no line out was free: the trunk's limit, or the carrier's (CSTA trunksBusy, Q.850 34)
	Overload      Cause = "overload"       // 503: no ports, no capacity, nothing to stand on
	Failed        Cause = "failed"         // any other failure
)

// Valid reports whether c is one of the causes above.
func (c Cause) Valid() bool {
	switch c {
	case Hangup, Abandoned, NoAnswer, Rejected, Busy, Unreachable, ElsewhereWon, Rescinded, NoCommonCodec,
		MediaTimeout, NodeLost, SessionExpiry, AckMissing, Forced, MaxWait, MaxDuration, NoRoute, NotReady, AgentReady,
		Looped, Barred, TrunkBusy, Overload, Failed:
		return true
	}
	return false
}

// Address is one device as one agent may be reached on it (SEED-106).
type Address struct {
	Device id.Device `json:"device"`
	Kind   Kind      `json:"kind"`
	URI    string    `json:"uri,omitempty"` // external: the number to dial; sip: empty, the node resolves the registration
}

// Kind is the kind of a device.
type Kind string

// The kinds of device.
const (
	SIP    Kind = "sip"
	WebRTC Kind = "webrtc"
	PSTN   Kind = "external"
)

// Leg is one SIP dialog of a call as the call knows it.
type Leg struct {
	ID         id.Leg    `json:"id"`
	Role       Role      `json:"role"`
	State      State     `json:"state"`
	Party      string    `json:"party"`            // number or agent number on the other end
	Agent      id.Agent  `json:"agent,omitempty"`  // for role agent
	Device     id.Device `json:"device,omitempty"` // for role agent: the address that answered
	Node       id.Node   `json:"node"`
	Held       bool      `json:"held,omitempty"`
	Muted      bool      `json:"muted,omitempty"`
	StartedAt  time.Time `json:"started_at"`
	RangAt     time.Time `json:"rang_at,omitzero"`
	AnsweredAt time.Time `json:"answered_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	Cause      Cause     `json:"cause,omitempty"`
}

// CallClass is what kind of call a leg belongs to; it decides wrap-up (SEED-93, SEED-94).
type CallClass string

// The classes of call.
const (
	InboundQueue     CallClass = "inbound_queue"
	InboundDirect    CallClass = "inbound_direct"
	Internal         CallClass = "internal"
	OutboundManual   CallClass = "outbound_manual"
	OutboundCampaign CallClass = "outbound_campaign"
	Consult          CallClass = "consult"
)
