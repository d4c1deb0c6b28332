package telephony

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/leg"
	"holdfast/telephony/dialog"
	"holdfast/telephony/headers"
	"holdfast/telephony/media"
	"holdfast/telephony/transaction"
)

// The ways to tell digits by INFO, neither of which is a standard: every phone knows them.
const (
	dtmfRelay = "application/dtmf-relay" // Signal=5, Duration=160
	dtmfPlain = "application/dtmf"       // 5
)

// pressTime is how long a digit is pressed that an INFO tells without a duration.
const pressTime = 160 * time.Millisecond

// The bounds of what is passed on to a party as INFO: a sender need not wait for the answer to the one before, and each
// is a transaction of up to 32 s with a party that may be silent. A hand presses ten keys a second at most; a phone that
// sends a whole card number at once has done so with twenty.
const (
	infoFlying = 8
	infoEvery  = 100 * time.Millisecond
	infoBurst  = 20
)

// infoGate counts the INFOs that are passed on to one party. The zero value is open.
type infoGate struct {
	flying atomic.Int32 // not answered yet
	spent  time.Time    // when those of the last seconds don't count any more
	shut   bool         // it has refused one
}

// enter reports whether one more may be passed on now; leave must follow its answer.
func (g *infoGate) enter(now time.Time) bool {
	spent := now
	if g.spent.After(now) {
		spent = g.spent
	}
	spent = spent.Add(infoEvery)
	if g.flying.Load() >= infoFlying || spent.Sub(now) > infoBurst*infoEvery {
		return false
	}
	g.spent = spent
	g.flying.Add(1)
	return true
}

func (g *infoGate) leave() { g.flying.Add(-1) }

// info takes digits that a phone sends by signalling: they are pressed to the other party as telephone-events, or passed on
// as they are if that party knows none. Other packages are unknown to us (RFC 6086 §4.2.2).
func (a *actor) info(l *sipLeg, tx *transaction.Server) {
	req := tx.Request()
	kind, _, _ := strings.Cut(headers.Value(req, "Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	body := strings.TrimSpace(string(req.Body()))
	switch {
	case kind != "" && kind != dtmfRelay && kind != dtmfPlain:
		res := tx.NewResponse(sip.StatusUnsupportedMediaType, "")
		res.AppendHeader(sip.NewHeader("Accept", dtmfRelay+", "+dtmfPlain))
		a.respond(l, tx, res)
		return
	case body == "": // only to see whether we are there
		a.respond(l, tx, tx.NewResponse(sip.StatusOK, ""))
		return
	}
	key, length, ok := keyOfInfo(kind, body)
	if !ok {
		a.reject(l, tx, sip.StatusBadRequest)
		return
	}
	other := a.partner(l)
	if l.stream == nil || other == nil {
		a.respond(l, tx, tx.NewResponse(sip.StatusOK, "")) // nobody is there to hear it
		return
	}
	switch err := l.stream.Press(key, length); {
	case errors.Is(err, media.ErrNoEvents) && other.phase == up:
		a.passInfo(l, other, tx)
	default:
		if err != nil && !errors.Is(err, media.ErrNoEvents) {
			a.log.Warn("a digit could not be pressed", "leg", string(l.id), "err", err)
		}
		a.respond(l, tx, tx.NewResponse(sip.StatusOK, ""))
	}
}

// keyOfInfo reads which key is pressed for how long.
func keyOfInfo(kind, body string) (key byte, length time.Duration, ok bool) {
	signal, length := body, pressTime
	if kind == dtmfRelay {
		signal = ""
		for line := range strings.Lines(body) {
			name, value, _ := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "signal":
				signal = value
			case "duration":
				if ms, err := strconv.ParseUint(value, 10, 16); err == nil && ms > 0 {
					length = time.Duration(ms) * time.Millisecond
				}
			}
		}
	}
	// Some send the numbers of RFC 4733 for what is no figure.
	if name, found := map[string]byte{"10": '*', "11": '#', "12": 'A', "13": 'B', "14": 'C', "15": 'D', "16": '!', "FLASH": '!'}[strings.ToUpper(signal)]; found {
		return name, length, true
	}
	if len(signal) != 1 || !strings.Contains("0123456789*#ABCD!", strings.ToUpper(signal)) {
		return 0, 0, false
	}
	return strings.ToUpper(signal)[0], length, true
}

// partner is whom a party of the call speaks with; nil if nobody.
func (a *actor) partner(l *sipLeg) *sipLeg {
	if l != a.customer {
		return a.customer
	}
	if a.talking != nil {
		return a.talking
	}
	for _, r := range a.rung {
		if r.bridged && r.phase.lives() { // a carrier's early sound: a voice menu may ask before it answers
			return r
		}
	}
	return nil
}

// passInfo sends a party's INFO to the other one, and its answer back. What is too much gets 503 without Retry-After: that
// one has failed, like by a 500, and nothing else (RFC 3261 §21.5.4); 480 would end the call (RFC 5057 §5.1).
func (a *actor) passInfo(l, other *sipLeg, tx *transaction.Server) {
	if !other.infos.enter(a.node.now()) {
		if !other.infos.shut {
			other.infos.shut = true
			a.log.Info("a party tells more by INFO than is passed on", "leg", string(l.id))
		}
		a.respond(l, tx, tx.NewResponse(sip.StatusServiceUnavailable, ""))
		return
	}
	a.sendInfo(other, tx.Request(), false, func(code int) {
		if !l.phase.lives() {
			code = sip.StatusCallTransactionDoesNotExists
		}
		a.respond(l, tx, tx.NewResponse(code, ""))
	})
}

// sendInfo sends an INFO within a leg's dialog; again says that it was challenged before. then gets what its sender is to
// be told: never a status that would end the sender's own dialog (RFC 5057 §5.1).
func (a *actor) sendInfo(l *sipLeg, from *sip.Request, again bool, then func(code int)) {
	req := dialog.WithBody(l.dialog.Request(sip.INFO), headers.Value(from, "Content-Type"), from.Body())
	plain := sign(req, l.account)
	_, err := a.node.layer.Request(req, func(res *sip.Response, err error) {
		if err == nil && res.StatusCode < 200 {
			return
		}
		l.infos.leave()
		a.box.post(func() {
			if err != nil {
				then(sip.StatusInternalServerError)
				return
			}
			if challenges(res) && l.account != nil && !again && l.phase.lives() && l.account.Learn(plain, res) == nil {
				l.infos.flying.Add(1)
				a.sendInfo(l, from, true, then)
				return
			}
			_ = l.dialog.Answered(res, a.node.now()) // what it means for the dialog is seen below
			then(passedStatus(res.StatusCode))
			if l.dialog.State == dialog.Ended {
				a.step(l, wantEnd, evidence{cause: leg.SessionExpiry})
			}
		})
	})
	if err != nil {
		l.infos.leave()
		a.wrote("INFO", l, err)
		then(sip.StatusInternalServerError)
	}
}

// passedStatus is how the other party's answer to an INFO is passed back.
func passedStatus(code int) int {
	switch {
	case code < 300:
		return sip.StatusOK
	case code == sip.StatusUnsupportedMediaType:
		return code
	case code == sip.StatusMethodNotAllowed, code == sip.StatusNotImplemented:
		return sip.StatusNotImplemented
	}
	return sip.StatusInternalServerError
}
