package agent

import "holdfast/domain/decode"

var events = decode.Of[Kind, Event]("agent event",
	SignIn{}, GoReady{}, GoNotReady{}, CheckIn{}, CheckOut{}, Bind{}, WrapUp{}, SignOut{}, Touch{},
	Offered{}, OfferEnded{}, Established{}, CallStarted{}, CallEnded{}, DeviceChanged{}, ProfileChanged{}, LeaseExpired{},
	WrapUpElapsed{}, CheckDue{}, IdleElapsed{}, TerminalsGone{}, LimitElapsed{}, ShiftEnded{}, DeviceTaken{}, DelayElapsed{},
	Stuck{}, Done{}, Failed{})

// Decode reads the event of the given kind from JSON; no data is the event without
// particulars. fault.Invalid: no such kind, or not such JSON.
func Decode(k Kind, data []byte) (Event, error) { return events.Decode(k, data) }

// Kinds lists the kinds of all events, sorted.
func Kinds() []Kind { return events.Kinds() }
