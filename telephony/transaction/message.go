package transaction

import (
	"crypto/rand"
	"net/netip"
	"strconv"

	"github.com/emiago/sipgo/sip"
)

// NewTag is a random tag for From or To: 80 bits (RFC 3261 §19.3 asks for 32 at least).
func NewTag() string { return rand.Text()[:16] }

// NewBranch is a random Via branch with the cookie of RFC 3261 §8.1.1.7.
func NewBranch() string { return sip.RFC3261BranchMagicCookie + rand.Text()[:20] }

// NewCallID is a random Call-ID without host part: it tells nobody our address.
func NewCallID() string { return rand.Text() }

// newResponse makes a response with Via, From, To, Call-ID, CSeq and Record-Route of req (RFC 3261 §8.2.6) and tag
// as To tag, unless it is 100.
func newResponse(req *sip.Request, code int, reason, tag string) *sip.Response {
	if reason == "" {
		reason = Phrase(code)
	}
	res := sip.NewResponse(code, reason)
	sip.CopyHeaders("Via", req, res)
	res.AppendHeader(sip.HeaderClone(req.From()))
	to := sip.HeaderClone(req.To()).(*sip.ToHeader)
	if code > sip.StatusTrying && !to.Params.Has("tag") {
		to.Params.Add("tag", tag)
	}
	res.AppendHeader(to)
	res.AppendHeader(sip.HeaderClone(req.CallID()))
	res.AppendHeader(sip.HeaderClone(req.CSeq()))
	if code == sip.StatusTrying {
		sip.CopyHeaders("Timestamp", req, res)
	} else if code < 300 && req.Method != sip.REGISTER {
		sip.CopyHeaders("Record-Route", req, res)
	}
	res.SetBody(nil)
	res.SetTransport(req.Transport())
	res.SetDestination(req.Source())
	return res
}

// newAck makes the ACK of a non-2xx response (RFC 3261 §17.1.1.3).
func newAck(invite *sip.Request, res *sip.Response) *sip.Request {
	ack := follow(sip.ACK, invite)
	ack.RemoveHeader("To")
	ack.AppendHeader(sip.HeaderClone(res.To()))
	ack.SetBody(nil)
	return ack
}

// NewCancel makes the CANCEL of an INVITE that was sent: same Request-URI, top Via, Call-ID, From, To, CSeq number,
// Route, transport and destination (RFC 3261 §9.1), plus the headers given.
func NewCancel(invite *sip.Request, headers ...sip.Header) *sip.Request {
	c := follow(sip.CANCEL, invite)
	for _, h := range headers {
		c.AppendHeader(h)
	}
	c.SetBody(nil)
	return c
}

// follow makes a request of another method within the hop of invite.
func follow(method sip.RequestMethod, invite *sip.Request) *sip.Request {
	r := sip.NewRequest(method, invite.Recipient)
	r.AppendHeader(sip.HeaderClone(invite.Via()))
	sip.CopyHeaders("Route", invite, r)
	hops := sip.MaxForwardsHeader(70)
	r.AppendHeader(&hops)
	r.AppendHeader(sip.HeaderClone(invite.From()))
	r.AppendHeader(sip.HeaderClone(invite.To()))
	r.AppendHeader(sip.HeaderClone(invite.CallID()))
	r.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: method})
	r.SetTransport(invite.Transport())
	r.SetDestination(invite.Destination())
	r.Laddr = invite.Laddr
	return r
}

// addVia puts our Via with a new branch in front, asking for rport (RFC 3581).
func addVia(req *sip.Request, k link) { putVia(req, k, NewBranch()) }

// putVia does so with a branch of the caller's.
func putVia(req *sip.Request, k link, branch string) {
	host, port := splitSentBy(k.sentBy())
	via := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: k.flow().Transport, Host: host, Port: port}
	via.Params.Add("branch", branch)
	via.Params.Add("rport", "")
	req.PrependHeader(via)
}

// splitSentBy takes host:port apart; a host without port has port 0.
func splitSentBy(s string) (string, int) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().String(), int(ap.Port())
	}
	if host, port, err := sip.ParseAddr(s); err == nil {
		return host, port
	}
	return s, 0
}

// markSource notes in the top Via where the request really came from (RFC 3261 §18.2.1, RFC 3581 §4).
func markSource(req *sip.Request, remote string) {
	src, err := netip.ParseAddrPort(remote)
	if err != nil {
		return // an attached connection whose peer has no address
	}
	via := req.Via()
	ip := src.Addr().String()
	if via.Params.Has("rport") {
		via.Params.Add("rport", strconv.Itoa(int(src.Port())))
		via.Params.Add("received", ip)
		return
	}
	if via.Host != ip {
		via.Params.Add("received", ip)
	}
}
