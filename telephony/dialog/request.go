package dialog

import (
	"net"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/headers"
)

// MaxForwards is the usual hop limit of a request (RFC 3261 §8.1.1.6).
const MaxForwards = 70

// Request builds a request in the dialog (or the first INVITE) with the next CSeq number, From, To, Call-ID,
// Max-Forwards, Route and, where the method needs one, Contact; transport and destination are those of the Flow. Via is
// put on by the transaction layer. The headers given are appended. Not for ACK and CANCEL: see Ack, and
// transaction.Client.Cancel.
func (d *Dialog) Request(method sip.RequestMethod, extra ...sip.Header) *sip.Request {
	d.LocalCSeq++
	if method == sip.INVITE {
		d.InviteCSeq = d.LocalCSeq
		d.offers.ours(sip.INVITE, true)
	}
	return d.build(method, d.LocalCSeq, extra)
}

// Invite builds an INVITE, the first or a further one, with an SDP body; none makes it a late offer.
func (d *Dialog) Invite(sdp []byte, extra ...sip.Header) *sip.Request {
	return WithSDP(d.Request(sip.INVITE, extra...), sdp)
}

// Update builds an UPDATE (RFC 3311); without SDP it only refreshes the session timer and the target.
func (d *Dialog) Update(sdp []byte, extra ...sip.Header) *sip.Request {
	req := d.Request(sip.UPDATE, extra...)
	if sdp != nil {
		d.offers.ours(sip.UPDATE, true)
	}
	return WithSDP(req, sdp)
}

// Ack builds the ACK of a 2xx, with the INVITE's CSeq number (RFC 3261 §13.2.2.4); AckSDP carries the answer to an
// offer that came in the 2xx.
func (d *Dialog) Ack(extra ...sip.Header) *sip.Request { return d.build(sip.ACK, d.InviteCSeq, extra) }

// AckSDP is Ack with a body.
func (d *Dialog) AckSDP(sdp []byte, extra ...sip.Header) *sip.Request {
	return WithSDP(d.Ack(extra...), sdp)
}

// Bye builds the BYE with its reason. The dialog is not ended by it: call End when the BYE is sent.
func (d *Dialog) Bye(why headers.Reason) *sip.Request { return d.Request(sip.BYE, why.Header()) }

// WithSDP sets an SDP body; nil leaves the request as it is.
func WithSDP(req *sip.Request, sdp []byte) *sip.Request {
	if sdp == nil {
		return req
	}
	return WithBody(req, "application/sdp", sdp)
}

// WithBody sets a body and its type.
func WithBody(req *sip.Request, contentType string, body []byte) *sip.Request {
	headers.Remove(req, "Content-Type")
	t := sip.ContentTypeHeader(contentType)
	req.AppendHeader(&t)
	req.SetBody(body)
	return req
}

// build makes the message of RFC 3261 §12.2.1.1.
func (d *Dialog) build(method sip.RequestMethod, cseq uint32, extra []sip.Header) *sip.Request {
	uri, routes := d.route()
	req := sip.NewRequest(method, uri)
	for _, r := range routes {
		req.AppendHeader(&sip.RouteHeader{Address: r})
	}
	hops := sip.MaxForwardsHeader(MaxForwards)
	if method == sip.INVITE && d.RemoteTag == "" && d.Hops > 0 {
		hops = sip.MaxForwardsHeader(d.Hops - 1)
	}
	req.AppendHeader(&hops)
	from := &sip.FromHeader{DisplayName: d.LocalName, Address: uriOf(d.LocalURI)}
	from.Params.Add("tag", d.LocalTag)
	req.AppendHeader(from)
	to := &sip.ToHeader{DisplayName: d.RemoteName, Address: uriOf(d.RemoteURI)}
	if d.RemoteTag != "" {
		to.Params.Add("tag", d.RemoteTag)
	}
	req.AppendHeader(to)
	id := sip.CallIDHeader(d.CallID)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: cseq, MethodName: method})
	if carriesContact(method) && d.LocalContact != "" {
		req.AppendHeader(&sip.ContactHeader{Address: uriOf(d.LocalContact)})
	}
	for _, h := range extra {
		req.AppendHeader(h)
	}
	req.SetBody(nil)
	d.address(req)
	return req
}

// carriesContact tells for which methods a peer needs our Contact: those that make or refresh a dialog.
func carriesContact(m sip.RequestMethod) bool {
	switch m {
	case sip.INVITE, sip.UPDATE, sip.REFER, sip.SUBSCRIBE, sip.NOTIFY, sip.OPTIONS:
		return true
	}
	return false
}

// route is the Request-URI and the Route headers: loose routing, or strict if the first proxy has no lr (RFC 3261
// §12.2.1.1).
func (d *Dialog) route() (sip.Uri, []sip.Uri) {
	target := uriOf(d.RemoteTarget)
	target.Headers = nil // not allowed in a Request-URI
	target.UriParams = target.UriParams.Clone()
	target.UriParams.Remove("method")
	var routes []sip.Uri
	for _, r := range d.RouteSet {
		routes = append(routes, uriOf(r))
	}
	if len(routes) == 0 || routes[0].UriParams.Has("lr") {
		return target, routes
	}
	first := routes[0]
	first.Headers = nil
	return first, append(routes[1:], target)
}

// address gives the request the way to the peer.
func (d *Dialog) address(req *sip.Request) {
	req.SetTransport(d.Flow.Transport)
	req.SetDestination(d.NextHop())
	if local, err := netip.ParseAddrPort(d.Flow.Local); err == nil && !d.Flow.Reliable() {
		req.Laddr = sip.Addr{IP: net.IP(local.Addr().AsSlice()), Port: int(local.Port())}
	}
}

// NextHop is the ip:port (or the name of an attached connection) that requests go to.
func (d *Dialog) NextHop() string {
	if !d.Follow {
		return d.Flow.Remote
	}
	uri, routes := d.route()
	if len(routes) > 0 && routes[0].UriParams.Has("lr") {
		uri = routes[0]
	}
	ip, err := netip.ParseAddr(strings.Trim(uri.Host, "[]"))
	if err != nil {
		return d.Flow.Remote
	}
	port := uri.Port
	if port == 0 {
		port = sip.DefaultPort(d.Flow.Transport)
	}
	return netip.AddrPortFrom(ip, uint16(port)).String()
}

// uriOf parses a URI that was checked when it came in; one that a store has spoiled gives an empty URI.
func uriOf(s string) sip.Uri {
	uri, err := parseURI(s)
	if err != nil {
		return sip.Uri{Scheme: "sip", Host: "invalid"}
	}
	return uri
}
