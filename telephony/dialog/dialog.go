// Package dialog is the SIP dialog (RFC 3261 §12) as plain data: every field of Dialog survives JSON, so that a leg goes
// on in another process with nothing but its stored dialog. It builds requests and judges those that come in; it sends
// nothing, starts nothing and reads no clock. One goroutine owns a Dialog.
package dialog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

// Role says who sent the INVITE.
type Role string

const (
	// UAC sent it: we are calling.
	UAC Role = "uac"
	// UAS received it: we are being called.
	UAS Role = "uas"
)

// State is where the dialog is in its life.
type State string

const (
	// Calling: our INVITE is out, no response with a To tag yet.
	Calling State = "calling"
	// Early: a provisional response made the dialog.
	Early State = "early"
	// Confirmed: a 2xx was sent or received.
	Confirmed State = "confirmed"
	// Ended: by BYE, by rejection, or because the peer knows it no more.
	Ended State = "ended"
)

// TombstoneLife is how long a repeated BYE for an ended dialog is answered 200: 64·T1, the life of the peer's
// transaction (RFC 3261 §17.1.2.2).
const TombstoneLife = 32 * time.Second

// ErrOtherFork says that a response belongs to another dialog of the same INVITE: use Fork for a provisional one,
// Refuse for a 2xx.
var ErrOtherFork = errors.New("the response is of another fork")

// Dialog is one leg's SIP state. The exported fields are what has to be stored, at each change and before the message
// that it leads to is sent.
type Dialog struct {
	CallID    string `json:"call_id"`
	LocalTag  string `json:"local_tag"`
	RemoteTag string `json:"remote_tag,omitempty"`
	// LocalURI and RemoteURI are From and To without tag, LocalName and RemoteName their display names, escaped.
	LocalURI   string `json:"local_uri"`
	RemoteURI  string `json:"remote_uri"`
	LocalName  string `json:"local_name,omitempty"`
	RemoteName string `json:"remote_name,omitempty"`
	// RemoteTarget is the peer's Contact, or where the INVITE goes as long as there is none.
	RemoteTarget string `json:"remote_target"`
	// RouteSet are the URIs for Route, nearest first.
	RouteSet []string `json:"route_set,omitempty"`
	// LocalCSeq is the number of our latest request, RemoteCSeq of theirs; 0: none yet.
	LocalCSeq  uint32 `json:"local_cseq"`
	RemoteCSeq uint32 `json:"remote_cseq"`
	// InviteCSeq is the number of our latest INVITE, which its ACK repeats.
	InviteCSeq uint32 `json:"invite_cseq,omitempty"`
	Role       Role   `json:"role"`
	State      State  `json:"state"`
	// Flow is how the peer is reached, whatever RemoteTarget says (NAT, WebSocket).
	Flow transaction.Flow `json:"flow"`
	// Follow says that requests go where Route or RemoteTarget point, if that is an IP address, and not to the Flow:
	// for a trunk whose proxies leave the path. Over a stream the caller connects to NextHop first.
	Follow bool `json:"follow,omitempty"`
	// LocalContact is our Contact URI.
	LocalContact string  `json:"local_contact"`
	Timer        Session `json:"timer"`
	// Hops is the Max-Forwards of the INVITE that ours goes on from, which gets one less (RFC 7332 §4); 0: ours begins
	// something new, with the usual 70.
	Hops int `json:"hops,omitempty"`
	// EndedAt is when the dialog ended, for the tombstone.
	EndedAt time.Time `json:"ended_at,omitzero"`

	// What is under way is lost with the process, as the transactions are.
	offers offers
}

// Call describes an outgoing INVITE.
type Call struct {
	// Target is the Request-URI.
	Target string
	// From and To are URIs; FromName and ToName display names.
	From, FromName string
	To, ToName     string
	// Contact is our Contact URI.
	Contact string
	// Flow is how the INVITE travels. Transport and Remote are needed.
	Flow transaction.Flow
	// Follow is Dialog.Follow.
	Follow bool
	// Route are URIs of proxies to pass, nearest first.
	Route []string
	// Hops is Dialog.Hops.
	Hops int
	// CallID, LocalTag are made up when empty.
	CallID, LocalTag string
}

// New begins a dialog as caller. Invite then builds the INVITE. It fails if a URI cannot be parsed.
func New(c Call) (*Dialog, error) {
	for _, uri := range slices.Concat([]string{c.Target, c.From, c.To, c.Contact}, c.Route) {
		if _, err := parseURI(uri); err != nil {
			return nil, fmt.Errorf("new dialog: %w", err)
		}
	}
	d := &Dialog{
		CallID: c.CallID, LocalTag: c.LocalTag, LocalURI: c.From, LocalName: headers.DisplayName(c.FromName),
		RemoteURI: c.To, RemoteName: headers.DisplayName(c.ToName), RemoteTarget: c.Target, RouteSet: slices.Clone(c.Route), Role: UAC, State: Calling,
		Flow: c.Flow, Follow: c.Follow, LocalContact: c.Contact, Hops: c.Hops,
	}
	if d.CallID == "" {
		d.CallID = transaction.NewCallID()
	}
	if d.LocalTag == "" {
		d.LocalTag = transaction.NewTag()
	}
	return d, nil
}

// FromInvite begins a dialog as callee: localTag is the server transaction's tag, contact our Contact URI. A *Reply 400
// says that the INVITE cannot make a dialog.
func FromInvite(invite *sip.Request, from transaction.Flow, localTag, contact string) (*Dialog, error) {
	target, err := target(invite)
	if err != nil {
		return nil, &Reply{Code: sip.StatusBadRequest, Reason: "Bad Contact"}
	}
	local, remote := invite.To().Address.String(), invite.From().Address.String()
	if !storable(local) || !storable(remote) {
		return nil, &Reply{Code: sip.StatusBadRequest, Reason: "Bad Address"}
	}
	if _, ok := invite.To().Params.Get("tag"); ok {
		return nil, &Reply{Code: sip.StatusCallTransactionDoesNotExists}
	}
	return &Dialog{
		CallID: string(*invite.CallID()), LocalTag: localTag, RemoteTag: invite.From().Params.GetOr("tag", ""),
		LocalURI: local, RemoteURI: remote, RemoteName: headers.EchoName(invite.From().DisplayName), RemoteTarget: target, RouteSet: recordRoute(invite),
		RemoteCSeq: invite.CSeq().SeqNo, Role: UAS, State: Early, Flow: from, LocalContact: contact,
		offers: offers{remoteInvite: true},
	}, nil
}

// ID names the dialog on this side: Call-ID, our tag, their tag.
func (d *Dialog) ID() string { return id(d.CallID, d.LocalTag, d.RemoteTag) }

// IDOf is the ID of the dialog that a request of the peer belongs to; false if it has no To tag.
func IDOf(req *sip.Request) (string, bool) {
	local, ok := req.To().Params.Get("tag")
	return id(string(*req.CallID()), local, req.From().Params.GetOr("tag", "")), ok
}

// IDOfResponse is the ID of the dialog that a response to our request belongs to; false if it has no To tag.
func IDOfResponse(res *sip.Response) (string, bool) {
	remote, ok := res.To().Params.Get("tag")
	return id(string(*res.CallID()), res.From().Params.GetOr("tag", ""), remote), ok
}

func id(callID, local, remote string) string { return callID + "|" + local + "|" + remote }

// Answered takes a response to our INVITE or UPDATE, first or in-dialog: it makes, confirms, refreshes or ends the
// dialog. In Calling and Early a 2xx of any fork confirms (the first wins); ErrOtherFork means that the response is of
// another fork and nothing changed. Other methods' responses go here too: 481 and 408 end the dialog (RFC 3261
// §12.2.1.2).
func (d *Dialog) Answered(res *sip.Response, now time.Time) error {
	tag := res.To().Params.GetOr("tag", "")
	method, final := res.CSeq().MethodName, res.StatusCode >= 200
	if method == sip.INVITE && res.CSeq().SeqNo == d.InviteCSeq && (d.State == Calling || d.State == Early) {
		return d.initialResponse(res, tag, now)
	}
	if d.RemoteTag != "" && tag != "" && tag != d.RemoteTag {
		return ErrOtherFork
	}
	if !final {
		return nil
	}
	d.offers.ours(method, false)
	switch {
	case res.StatusCode < 300 && (method == sip.INVITE || method == sip.UPDATE):
		d.refreshTarget(res)
		d.Timer.agreed(res, now)
	case res.StatusCode == sip.StatusCallTransactionDoesNotExists, res.StatusCode == sip.StatusRequestTimeout:
		d.End(now)
	}
	return nil
}

func (d *Dialog) initialResponse(res *sip.Response, tag string, now time.Time) error {
	switch {
	case res.StatusCode >= 300:
		d.offers.ours(sip.INVITE, false)
		minSE := d.Timer.MinSE
		d.End(now)
		d.Timer.MinSE = minSE
		return nil
	case res.StatusCode < 200:
		if tag == "" || res.StatusCode == sip.StatusTrying {
			return nil
		}
		if d.RemoteTag != "" && tag != d.RemoteTag {
			return ErrOtherFork
		}
		d.State = Early
	default:
		d.offers.ours(sip.INVITE, false)
		d.State = Confirmed
		d.Timer.agreed(res, now)
	}
	d.RemoteTag = tag
	if routes := recordRoute(res); len(routes) > 0 || d.State == Confirmed {
		slices.Reverse(routes)
		d.RouteSet = routes
	}
	d.refreshTarget(res)
	return nil
}

// Retry builds the INVITE again after a challenge (401, 407), a 422, or a redirection (set RemoteTarget before): same
// Call-ID and From tag, next CSeq number.
func (d *Dialog) Retry(sdp []byte, extra ...sip.Header) *sip.Request {
	if d.Role == UAC && d.State != Confirmed {
		d.State, d.EndedAt, d.RemoteTag = Calling, time.Time{}, ""
	}
	return d.Invite(sdp, extra...)
}

// Fork makes the early dialog of a provisional response that Answered refused with ErrOtherFork.
func (d *Dialog) Fork(res *sip.Response, now time.Time) (*Dialog, error) {
	f := *d
	f.RemoteTag, f.State, f.RouteSet = "", Calling, slices.Clone(d.RouteSet)
	if err := f.Answered(res, now); err != nil {
		return nil, err
	}
	return &f, nil
}

// Refuse ends the dialog of a second 2xx, from another fork than the first: an ACK and a BYE, to be sent in this order
// (RFC 3261 §13.2.2.4).
func (d *Dialog) Refuse(res *sip.Response, now time.Time, why headers.Reason) (ack, bye *sip.Request, err error) {
	f := *d
	f.RemoteTag, f.State, f.InviteCSeq, f.LocalCSeq = "", Calling, res.CSeq().SeqNo, res.CSeq().SeqNo
	if err := f.Answered(res, now); err != nil {
		return nil, nil, err
	}
	return f.Ack(), f.Bye(why), nil
}

// Accept notes that we answer the peer's INVITE or UPDATE with 2xx: it confirms the dialog and refreshes the target.
func (d *Dialog) Accept(req *sip.Request) {
	if req.Method == sip.INVITE {
		d.State = Confirmed
		d.offers.awaitACK = true
	}
	d.offers.theirs(req.Method, false)
	d.refreshTarget(req)
}

// Rejected notes that we answered the peer's request with another final response. An initial INVITE ends the dialog.
func (d *Dialog) Rejected(req *sip.Request, now time.Time) {
	d.offers.theirs(req.Method, false)
	if req.Method == sip.INVITE && d.State == Early && d.Role == UAS {
		d.End(now)
	}
}

// End ends the dialog, once; the tombstone's time counts from the first call.
func (d *Dialog) End(now time.Time) {
	if d.State != Ended {
		d.State, d.EndedAt = Ended, now
		d.Timer = Session{}
	}
}

// Moved takes the source of a message from the peer as the new way to it: a phone that came back on another connection.
func (d *Dialog) Moved(to transaction.Flow) { d.Flow = to }

// SkipCSeq leaves out n numbers. After a restart it makes up for requests that may have been sent after the dialog was
// stored last: a gap is legal, a number used twice is not.
func (d *Dialog) SkipCSeq(n uint32) { d.LocalCSeq += n }

// refreshTarget takes a Contact as the remote target, if it is fit for it.
func (d *Dialog) refreshTarget(m sip.Message) {
	if t, err := target(m); err == nil {
		d.RemoteTarget = t
	}
}

// target is the URI of the one Contact of a message.
func target(m sip.Message) (string, error) {
	contacts := m.GetHeaders("Contact")
	if len(contacts) != 1 {
		return "", fmt.Errorf("%d Contacts", len(contacts))
	}
	c, ok := contacts[0].(*sip.ContactHeader)
	if !ok || c.Address.Wildcard || c.Address.Host == "" || c.Address.Scheme != "sip" && c.Address.Scheme != "sips" {
		return "", errors.New("the Contact is no SIP URI")
	}
	if uri := c.Address.String(); storable(uri) {
		return uri, nil
	}
	return "", errors.New("the Contact has characters that no URI has")
}

func recordRoute(m sip.Message) []string {
	var out []string
	for _, h := range m.GetHeaders("Record-Route") {
		if r, ok := h.(*sip.RecordRouteHeader); ok && storable(r.Address.String()) {
			out = append(out, r.Address.String())
		}
	}
	return out
}

// storable reports that a URI comes back from JSON as it was and breaks no message.
func storable(uri string) bool {
	return utf8.ValidString(uri) && !strings.ContainsFunc(uri, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '<' || r == '>'
	})
}

func parseURI(s string) (sip.Uri, error) {
	var uri sip.Uri
	if !storable(s) {
		return uri, fmt.Errorf("bad URI %q", s)
	}
	if err := sip.ParseUri(s, &uri); err != nil {
		return uri, fmt.Errorf("bad URI %q: %w", s, err)
	}
	return uri, nil
}
