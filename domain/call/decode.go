package call

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"holdfast/domain/fault"
)

var decoders = map[Kind]func([]byte) (Event, error){
	KindHangUp: as[HangUp], KindArrived: as[Arrived], KindMatched: as[Matched], KindWaiting: as[Waiting],
	KindRinging: as[Ringing], KindRingEnded: as[RingEnded], KindOfferRefused: as[OfferRefused],
	KindLegEnded: as[LegEnded], KindLegHeld: as[LegHeld], KindNodeLost: as[NodeLost],
	KindOfferOverdue: as[OfferOverdue], KindWaitedOut: as[WaitedOut], KindTalkedOut: as[TalkedOut],
	KindStuck: as[Stuck], KindDone: as[Done], KindFailed: as[Failed],
}

// Decode reads the event of the given kind from JSON; no data is the event without
// particulars. fault.Invalid: no such kind, or not such JSON.
func Decode(k Kind, data []byte) (Event, error) {
	decode, ok := decoders[k]
	if !ok {
		return nil, fault.E(fault.Invalid, "decode call event", fmt.Errorf("no event is called %q", k))
	}
	e, err := decode(data)
	if err != nil {
		return nil, fault.E(fault.Invalid, "decode call event "+string(k), err)
	}
	return e, nil
}

func as[E Event](data []byte) (Event, error) {
	var e E
	if len(data) == 0 {
		return e, nil
	}
	err := json.Unmarshal(data, &e)
	return e, err
}

// Kinds lists the kinds of all events, sorted.
func Kinds() []Kind { return slices.Sorted(maps.Keys(decoders)) }
