package dialog

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/transaction"
)

// Reply is an error that says which response a request must get at once. 200 is for a BYE repeated after the end.
type Reply struct {
	Code int
	// Reason is the phrase, empty: the standard one.
	Reason string
	// RetryAfter goes into Retry-After if set, whole seconds.
	RetryAfter time.Duration
	// MinSE goes into Min-SE if set (422), whole seconds.
	MinSE time.Duration
}

// Error implements error.
func (r *Reply) Error() string { return fmt.Sprintf("answer %d %s", r.Code, r.phrase()) }

func (r *Reply) phrase() string {
	if r.Reason != "" {
		return r.Reason
	}
	return transaction.Phrase(r.Code)
}

// Headers are the headers that go with the code.
func (r *Reply) Headers() []sip.Header {
	var out []sip.Header
	if r.RetryAfter > 0 {
		out = append(out, sip.NewHeader("Retry-After", strconv.Itoa(int(r.RetryAfter/time.Second))))
	}
	if r.MinSE > 0 {
		out = append(out, sip.NewHeader("Min-SE", strconv.Itoa(int(r.MinSE/time.Second))))
	}
	return out
}

// Send answers with the reply.
func (r *Reply) Send(tx *transaction.Server) error {
	res := tx.NewResponse(r.Code, r.Reason)
	for _, h := range r.Headers() {
		res.AppendHeader(h)
	}
	return tx.Respond(res)
}

// Receive judges a request of the peer within the dialog, and takes its CSeq number. A *Reply error names the response
// to be sent instead of handling it:
//
//   - 481: not of this dialog, or the dialog has ended; 200 for a BYE up to TombstoneLife after the end
//   - 500: the CSeq number is not higher than the last (RFC 3261 §12.2.2); or, with Retry-After, an INVITE or offer while
//     the peer's former one is not finished (§14.2, RFC 5407)
//   - 491: an INVITE or offer while ours is not answered
//
// Then Accept or Rejected ends an INVITE or UPDATE. BYE does not end the dialog by itself: call End. ACK never gives an
// error but for another dialog.
func (d *Dialog) Receive(req *sip.Request, now time.Time) error {
	if got, ok := IDOf(req); !ok || got != d.ID() {
		return &Reply{Code: sip.StatusCallTransactionDoesNotExists}
	}
	if req.IsAck() {
		d.offers.awaitACK = false
		return nil
	}
	if d.State == Ended {
		if req.Method == sip.BYE && now.Sub(d.EndedAt) <= TombstoneLife {
			return &Reply{Code: sip.StatusOK}
		}
		return &Reply{Code: sip.StatusCallTransactionDoesNotExists}
	}
	if req.CSeq().SeqNo <= d.RemoteCSeq && d.RemoteCSeq != 0 {
		return &Reply{Code: sip.StatusInternalServerError, Reason: "Out of Order"}
	}
	d.RemoteCSeq = req.CSeq().SeqNo
	return d.offers.receive(req)
}

// offers are the offers and INVITEs under way.
type offers struct {
	localInvite, remoteInvite bool // between INVITE and its final response
	localOffer, remoteOffer   bool // in UPDATE
	awaitACK                  bool // between our 2xx and its ACK
}

func (o *offers) ours(m sip.RequestMethod, pending bool) {
	switch m {
	case sip.INVITE:
		o.localInvite = pending
	case sip.UPDATE:
		o.localOffer = pending
	}
}

func (o *offers) theirs(m sip.RequestMethod, pending bool) {
	switch m {
	case sip.INVITE:
		o.remoteInvite = pending
	case sip.UPDATE:
		o.remoteOffer = pending
	}
}

// maxRetryAfter is the bound of RFC 3261 §14.2 for a request that came too early: 0 to 10 s.
const maxRetryAfter = 10

// receive is the glare rule: RFC 3261 §14.2 for INVITE, RFC 3311 §5.2 for UPDATE with an offer.
func (o *offers) receive(req *sip.Request) error {
	offer := req.Method == sip.INVITE || req.Method == sip.UPDATE && len(req.Body()) > 0
	switch {
	case !offer:
		return nil
	case o.localInvite || o.localOffer:
		return &Reply{Code: sip.StatusRequestPending}
	case o.remoteInvite || o.remoteOffer || o.awaitACK && req.Method == sip.INVITE:
		after := time.Duration(1+rand.IntN(maxRetryAfter)) * time.Second
		return &Reply{Code: sip.StatusInternalServerError, RetryAfter: after}
	}
	o.theirs(req.Method, true)
	return nil
}

// MayOffer reports whether we may send a re-INVITE or an offer now: none is under way from either side and the dialog is
// confirmed. Otherwise the caller waits for the end of what is under way.
func (d *Dialog) MayOffer() bool { return d.State == Confirmed && d.offers == offers{} }

// GlareDelay is how long to wait before trying again after a 491 (RFC 3261 §14.1): 2.1–4 s for the side that chose the
// Call-ID, 0–2 s for the other, in steps of 10 ms.
func (d *Dialog) GlareDelay() time.Duration {
	const step = 10 * time.Millisecond
	if d.Role == UAC {
		return 2100*time.Millisecond + time.Duration(rand.IntN(191))*step
	}
	return time.Duration(rand.IntN(201)) * step
}
