package telephony

// phase is where a leg stands: the states of a SIP dialog as far as the node acts differently in them.
type phase uint8

// The first four are legs that we rang, the next three legs that rang us.
const (
	calling  phase = iota // our INVITE is out, nothing came back
	alerting              // our INVITE got a provisional response
	leaving               // we want our INVITE gone; its final response is outstanding
	arriving              // an INVITE came and has no final response
	accepted              // we sent 2xx and wait for the ACK
	parting               // as accepted, but the leg is to end: BYE waits for the ACK (RFC 3261 §15)
	up                    // the dialog is confirmed on both sides
	gone                  // over; a BYE that crosses ours is answered from the tombstone
	phases
)

var phaseNames = [phases]string{"calling", "alerting", "leaving", "arriving", "accepted", "parting", "up", "gone"}

func (p phase) String() string { return phaseNames[p] }

// happening is what moves a leg from phase to phase.
type happening uint8

const (
	sawProvisional happening = iota // a provisional response came
	sawSuccess                      // a 2xx to our INVITE came
	sawFailure                      // another final response, or none in time, or the way is gone
	sawCancel                       // the caller's CANCEL came before our final response
	sawBye                          // a BYE came
	sawAck                          // the ACK of our 2xx came
	sawNoAck                        // our 2xx was repeated for 64·T1 without an ACK
	wantAnswer                      // we answer the caller
	wantEnd                         // we end the leg, for whatever cause
	happenings
)

var happeningNames = [happenings]string{"provisional", "2xx", "failure", "CANCEL", "BYE", "ACK", "no ACK", "answer it", "end it"}

func (h happening) String() string { return happeningNames[h] }

// act is what a transition asks of the actor.
type act uint8

const (
	noteRinging act = iota // the phone rings: tell
	tryToWin               // the phone answered: the ring decides whether it is the first
	sendAck                // acknowledge the 2xx
	sendBye                // end the dialog, with a Reason
	sendCancel             // take the INVITE back, with a Reason
	sendFinal              // refuse the INVITE
	sendOK                 // answer the INVITE with 2xx
	sendOKBye              // 200 to the BYE
	confirm                // the dialog is confirmed: an answer in the ACK is taken
	tellOutcome            // the phone's answer counts for the ring
	tellEnded              // the leg is over: media ends, the leg's end is told
	acts
)

var actNames = [acts]string{"note ringing", "try to win", "send ACK", "send BYE", "send CANCEL", "send final response",
	"send 2xx", "send 200 to BYE", "confirm", "tell outcome", "tell ended"}

func (a act) String() string { return actNames[a] }

// transition is what a happening does in a phase.
type transition struct {
	next phase
	do   []act
}

// transitions has a row per phase; what is not in it changes nothing. A leg's end is told once: no row leads out of
// gone, and each way into it from a phase in which the leg counts has tellEnded or tellOutcome.
var transitions = [phases]map[happening]transition{
	calling: {
		sawProvisional: {alerting, []act{noteRinging}},
		sawSuccess:     {up, []act{sendAck, tryToWin}},
		sawFailure:     {gone, []act{tellOutcome}},
		sawBye:         {leaving, []act{sendOKBye, tellOutcome}}, // the 2xx is still on its way (RFC 5407 §3.1.2)
		wantEnd:        {leaving, []act{sendCancel}},
	},
	alerting: {
		sawProvisional: {alerting, []act{noteRinging}},
		sawSuccess:     {up, []act{sendAck, tryToWin}},
		sawFailure:     {gone, []act{tellOutcome}},
		sawBye:         {leaving, []act{sendOKBye, tellOutcome}},
		wantEnd:        {leaving, []act{sendCancel}},
	},
	leaving: {
		sawSuccess: {gone, []act{sendAck, sendBye}}, // the answer crossed our CANCEL: never a ghost leg
		sawFailure: {gone, nil},
		sawBye:     {leaving, []act{sendOKBye}},
	},
	arriving: {
		sawCancel:  {gone, []act{tellEnded}}, // 487 has been sent by the transaction
		sawBye:     {gone, []act{sendOKBye, sendFinal, tellEnded}},
		wantAnswer: {accepted, []act{sendOK}},
		wantEnd:    {gone, []act{sendFinal, tellEnded}},
	},
	accepted: {
		sawAck:   {up, []act{confirm}},
		sawNoAck: {gone, []act{sendBye, tellEnded}},
		sawBye:   {gone, []act{sendOKBye, tellEnded}}, // RFC 5407 §3.1.4: the ACK was lost or overtaken
		wantEnd:  {parting, []act{tellEnded}},
	},
	parting: {
		sawAck:   {gone, []act{sendBye}},
		sawNoAck: {gone, []act{sendBye}},
		sawBye:   {gone, []act{sendOKBye}},
	},
	up: {
		sawBye:  {gone, []act{sendOKBye, tellEnded}},
		wantEnd: {gone, []act{sendBye, tellEnded}},
	},
	gone: {
		sawBye: {gone, []act{sendOKBye}},
	},
}

// after is the transition of h in p; ok is false when nothing changes.
func after(p phase, h happening) (t transition, ok bool) {
	t, ok = transitions[p][h]
	return t, ok
}

// lives reports that the leg takes part in the call: not over, nor waiting for its end.
func (p phase) lives() bool { return p != leaving && p != parting && p != gone }
