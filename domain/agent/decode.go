package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"holdfast/domain/fault"
)

var decoders = map[Kind]func([]byte) (Event, error){
	KindSignIn: as[SignIn], KindReady: as[GoReady], KindNotReady: as[GoNotReady],
	KindCheckIn: as[CheckIn], KindCheckOut: as[CheckOut], KindBind: as[Bind],
	KindWrapUp: as[WrapUp], KindSignOut: as[SignOut], KindTouch: as[Touch],
	KindOffered: as[Offered], KindOfferEnded: as[OfferEnded], KindEstablished: as[Established],
	KindCallStarted: as[CallStarted], KindCallEnded: as[CallEnded], KindDeviceChanged: as[DeviceChanged],
	KindProfileChanged: as[ProfileChanged], KindLeaseExpired: as[LeaseExpired], KindWrapUpElapsed: as[WrapUpElapsed],
	KindCheckDue: as[CheckDue], KindIdleElapsed: as[IdleElapsed], KindTerminalsGone: as[TerminalsGone],
	KindLimitElapsed: as[LimitElapsed], KindShiftEnded: as[ShiftEnded], KindDeviceTaken: as[DeviceTaken],
	KindStuck: as[Stuck], KindDone: as[Done], KindFailed: as[Failed],
}

// Decode reads the event of the given kind from JSON; no data is the event without
// particulars. fault.Invalid: no such kind, or not such JSON.
func Decode(k Kind, data []byte) (Event, error) {
	decode, ok := decoders[k]
	if !ok {
		return nil, fault.E(fault.Invalid, "decode agent event", fmt.Errorf("no event is called %q", k))
	}
	e, err := decode(data)
	if err != nil {
		return nil, fault.E(fault.Invalid, "decode agent event "+string(k), err)
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
