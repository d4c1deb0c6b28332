package hop

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/transaction"
)

// Layer is the transport that a Relay uses; *transaction.Layer satisfies it.
type Layer interface {
	Forward(req *sip.Request, to transaction.Flow, branch string) error
	PassOn(res *sip.Response, to transaction.Flow) error
	Answer(req *sip.Request, code int, from transaction.Flow)
	SentBy(transport string) string
	Connect(ctx context.Context, transport, addr string) (transaction.Flow, error)
}

// Relay passes on what other nodes send to phones that are connected here, and what these send back.
type Relay struct {
	layer Layer
	log   *slog.Logger
	start func(func()) bool
	key   atomic.Pointer[Key]
}

// New makes a relay that does nothing before SetKey. start runs what may block; it returns false when all ends.
func New(layer Layer, start func(func()) bool, log *slog.Logger) *Relay {
	return &Relay{layer: layer, start: start, log: log}
}

// SetKey sets the secret.
func (r *Relay) SetKey(k Key) { r.key.Store(&k) }

// Key is the secret; nil as long as it is not known.
func (r *Relay) Key() Key {
	if k := r.key.Load(); k != nil {
		return *k
	}
	return nil
}

// Take passes a message on if it is for somebody behind this node; false if it is for this node. It is a
// transaction.Relay.
func (r *Relay) Take(msg sip.Message, from transaction.Flow) bool {
	k := r.Key()
	if k == nil {
		return false
	}
	switch m := msg.(type) {
	case *sip.Request:
		return r.request(k, m, from)
	case *sip.Response:
		return r.response(k, m)
	}
	return false
}

// passage is a request on its way through.
type passage struct {
	req    *sip.Request
	from   transaction.Flow
	way    Way
	branch string // of our Via
}

func (r *Relay) request(k Key, req *sip.Request, from transaction.Flow) bool {
	d, way, ours := topRoute(k, req)
	if !ours {
		return false
	}
	p := passage{req: req, from: from, way: way}
	if hops := req.MaxForwards(); hops != nil {
		if *hops == 0 {
			r.refuse(p, sip.StatusTooManyHops)
			return true
		}
		*hops--
	}
	p.branch = k.branch(forcePort(req, from), from.Transport)
	for more := true; more; _, _, more = topRoute(k, req) { // both of ours, the first decides
		req.RemoveHeader("Route")
	}
	if d == toPhone {
		r.toPhone(k, p)
	} else {
		r.toCall(p)
	}
	return true
}

// topRoute reads the first Route, if it is one of ours.
func topRoute(k Key, req *sip.Request) (direction, Way, bool) {
	list := req.GetHeaders("Route")
	if len(list) == 0 {
		return 0, Way{}, false
	}
	h, ok := list[0].(*sip.RouteHeader)
	if !ok {
		return 0, Way{}, false
	}
	return k.read(h.Address.User)
}

// forcePort notes in the top Via where the request came from, also if its sender did not ask for it: the response goes
// there (RFC 3581 §4).
func forcePort(req *sip.Request, from transaction.Flow) *sip.ViaHeader {
	via := req.Via()
	if ap, err := netip.ParseAddrPort(from.Remote); err == nil {
		via.Params.Add("received", ap.Addr().String())
		via.Params.Add("rport", strconv.Itoa(int(ap.Port())))
	}
	return via
}

// toPhone passes a request of the node with the call on to the phone. An INVITE that begins a dialog gets a
// Record-Route for each side (RFC 5658), so that the dialog's requests come this way.
func (r *Relay) toPhone(k Key, p passage) {
	out := p.req.Clone()
	if out.IsInvite() && !out.To().Params.Has("tag") {
		r.record(out, k.tokenFor(toPhone, p.way), Between(p.way.Phone.Transport))
		r.record(out, k.tokenFor(toCall, p.way), p.way.Phone.Transport)
	}
	if err := r.layer.Forward(out, p.way.Phone, p.branch); err != nil {
		if !errors.Is(err, transaction.ErrFlowGone) {
			r.log.Info("a request could not be passed on to a phone", "flow", p.way.Phone.String(), "err", err)
		}
		r.refuse(p, statusFlowFailed)
	}
}

// statusFlowFailed is 430 (RFC 5626 §11.5).
const statusFlowFailed = 430

// record puts a Record-Route on top by which one side's requests come here over its transport.
func (r *Relay) record(req *sip.Request, token, transport string) {
	by := r.layer.SentBy(transport)
	if by == "" {
		by = r.layer.SentBy("UDP") // a WebSocket: its messages come by the connection, whatever stands here
	}
	address := "sip:" + token + "@" + by + ";lr"
	if transport != "UDP" {
		address += ";transport=" + strings.ToLower(transport)
	}
	var uri sip.Uri
	if err := sip.ParseUri(address, &uri); err != nil {
		r.log.Error("a Record-Route could not be built", "err", err)
		return
	}
	req.PrependHeader(&sip.RecordRouteHeader{Address: uri})
}

// dialTime bounds the dialling of the node with the call.
const dialTime = 5 * time.Second

// toCall passes a phone's request on to the node with the call, only within a dialog: nobody begins one in our name.
func (r *Relay) toCall(p passage) {
	if !p.req.To().Params.Has("tag") || p.req.Method == sip.REGISTER {
		r.refuse(p, sip.StatusForbidden)
		return
	}
	err := r.layer.Forward(p.req.Clone(), p.way.node(), p.branch)
	if errors.Is(err, transaction.ErrFlowGone) && r.start(func() { r.dial(p) }) {
		return
	}
	r.failed(p, err)
}

// dial makes the connection to the node with the call, and then passes the request on.
func (r *Relay) dial(p passage) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	to := p.way.node()
	_, err := r.layer.Connect(ctx, to.Transport, to.Remote)
	if err == nil {
		err = r.layer.Forward(p.req.Clone(), to, p.branch)
	}
	r.failed(p, err)
}

func (r *Relay) failed(p passage, err error) {
	if err != nil {
		r.log.Info("a phone's request could not be passed on", "from", p.from.String(), "err", err)
		r.refuse(p, sip.StatusServiceUnavailable)
	}
}

func (r *Relay) refuse(p passage, code int) {
	if !p.req.IsAck() {
		r.layer.Answer(p.req, code, p.from)
	}
}

// response passes a response back to where its request came from. Whether it passed here, our branch says.
func (r *Relay) response(k Key, res *sip.Response) bool {
	list := res.GetHeaders("Via")
	if len(list) < 2 {
		return false
	}
	top, ok := list[0].(*sip.ViaHeader)
	next, ok2 := list[1].(*sip.ViaHeader)
	if !ok || !ok2 {
		return false
	}
	branch := top.Params.GetOr("branch", "")
	transport, ours := cameOver(branch)
	if !ours || subtle.ConstantTimeCompare([]byte(branch), []byte(k.branch(next, transport))) != 1 {
		return false
	}
	res.RemoveHeader("Via")
	to := transaction.Flow{
		Transport: transport,
		Remote:    joinHostPort(next.Params.GetOr("received", ""), next.Params.GetOr("rport", "")),
	}
	if err := r.layer.PassOn(res, to); err != nil {
		r.log.Info("a response could not be passed back", "to", to.String(), "err", err)
	}
	return true
}

// joinHostPort writes what forcePort has noted as ip:port.
func joinHostPort(ip, port string) string {
	if strings.Contains(ip, ":") {
		return "[" + ip + "]:" + port
	}
	return ip + ":" + port
}
