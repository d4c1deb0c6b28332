// Package softphone is a scripted SIP phone: it registers, rings, answers, dials,
// holds and hangs up on command, speaks tones and says what it heard. `holdfast phone`
// and `holdfast call` are made of it, and the tests play agents and customers with it.
// It shares the packet code with the node (transactions, dialogs, G.711), and nothing
// above that: it judges the node from outside.
package softphone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"holdfast/telephony/dialog"
	"holdfast/telephony/transaction"
)

// Config configures a phone. The zero value is a phone on 127.0.0.1 over UDP.
type Config struct {
	IP        netip.Addr // our address; default 127.0.0.1
	Port      int        // SIP port, 0 takes a free one
	Transport string     // UDP (default) or TCP
	Server    string     // ip:port of the node: registrar and outbound proxy
	User      string     // user part of our address
	Domain    string     // domain of our address, the tenant
	Password  string
	Codecs    []uint8 // payload types in order of preference; default PCMU, PCMA
	NoDigits  bool    // it does not know telephone-event: digits come by INFO
	// RefuseInfo is the status by which it refuses INFO; 0: it takes it; less: it does not answer.
	RefuseInfo int
	Timers     transaction.Timers
	Log        *slog.Logger // default: silent
}

// Phone is one scripted phone. Make it with New and end it with Close.
type Phone struct {
	conf     Config
	ip       netip.Addr
	codecs   []uint8
	layer    *transaction.Layer
	flow     transaction.Flow
	addr     string // our SIP ip:port
	incoming chan *Call
	closing  sync.WaitGroup
	frozen   atomic.Bool

	mu      sync.Mutex
	calls   []*Call
	regID   string // Call-ID of our registrations
	regTag  string
	regCSeq uint32
	closed  bool
	invites int
}

// incomingCalls is how many calls may wait for the phone's owner; more get 486.
const incomingCalls = 64

// New opens the phone's sockets.
func New(ctx context.Context, conf Config) (*Phone, error) {
	if !conf.IP.IsValid() {
		conf.IP = netip.MustParseAddr("127.0.0.1")
	}
	if conf.Transport == "" {
		conf.Transport = "UDP"
	}
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	if len(conf.Codecs) == 0 {
		conf.Codecs = []uint8{0, 8}
	}
	p := &Phone{conf: conf, ip: conf.IP, codecs: conf.Codecs, incoming: make(chan *Call, incomingCalls), regID: transaction.NewCallID(), regTag: transaction.NewTag()}
	layer, err := transaction.New(transaction.Config{User: user{p}, Log: conf.Log, Shards: 1, Timers: conf.Timers})
	if err != nil {
		return nil, err
	}
	p.layer = layer
	local := netip.AddrPortFrom(conf.IP, uint16(conf.Port)).String()
	addr, err := layer.Listen(ctx, transaction.Endpoint{Transport: conf.Transport, Addr: local})
	if err != nil {
		layer.Stop()
		return nil, fmt.Errorf("open the phone's SIP socket on %s: %w", local, err)
	}
	p.addr = addr.String()
	p.flow = transaction.Flow{Transport: conf.Transport, Local: p.addr, Remote: conf.Server}
	return p, nil
}

// Addr is the phone's SIP address, ip:port.
func (p *Phone) Addr() string { return p.addr }

// Incoming delivers the calls that come in, in order. An INVITE is answered with
// nothing but 100 until its Call is told what to do.
func (p *Phone) Incoming() <-chan *Call { return p.incoming }

// Invites is how many new INVITEs came in so far.
func (p *Phone) Invites() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.invites
}

// Close hangs up what is left and closes the sockets. It may be called twice.
func (p *Phone) Close() {
	p.mu.Lock()
	calls, closed := p.calls, p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return
	}
	for _, c := range calls {
		_ = c.HangUp() // the peer may be gone: nothing else to do
		c.mu.Lock()
		c.end(false, "the phone was closed")
		c.mu.Unlock()
	}
	p.layer.Stop()
	p.closing.Wait()
}

// Vanish closes the sockets without a word, as a phone does that loses its power.
func (p *Phone) Vanish() {
	p.layer.Stop()
	p.Close()
}

// Freeze lets the phone answer nothing from now on, with its connection open, as one does whose program hangs or whose
// network lets nothing through.
func (p *Phone) Freeze() { p.frozen.Store(true) }

// contact is our Contact URI.
func (p *Phone) contact() string {
	uri := "sip:" + p.conf.User + "@" + p.layer.SentBy(p.conf.Transport)
	if p.conf.Transport != "UDP" {
		uri += ";transport=" + map[string]string{"TCP": "tcp", "TLS": "tls"}[p.conf.Transport]
	}
	return uri
}

// connect makes the way to the server: a connection for TCP.
func (p *Phone) connect(ctx context.Context) (transaction.Flow, error) {
	if p.conf.Transport == "UDP" {
		return p.flow, nil
	}
	return p.layer.Connect(ctx, p.conf.Transport, p.conf.Server, nil)
}

// Register registers our address for the given time; 0 unregisters.
func (p *Phone) Register(ctx context.Context, expires time.Duration) error {
	flow, err := p.connect(ctx)
	if err != nil {
		return fmt.Errorf("reach the registrar %s: %w", p.conf.Server, err)
	}
	var authorization sip.Header
	for range 3 { // a challenge, and one more for a stale nonce (RFC 7616 §3.3)
		res, err := p.do(ctx, p.registration(flow, expires, authorization))
		if err != nil {
			return fmt.Errorf("register %s@%s: %w", p.conf.User, p.conf.Domain, err)
		}
		if res.StatusCode != 401 && res.StatusCode != 407 {
			if res.StatusCode >= 300 {
				return fmt.Errorf("register %s@%s: %d %s", p.conf.User, p.conf.Domain, res.StatusCode, res.Reason)
			}
			return nil
		}
		if authorization, err = p.authorize(res, sip.REGISTER, "sip:"+p.conf.Domain); err != nil {
			return fmt.Errorf("register %s@%s: %w", p.conf.User, p.conf.Domain, err)
		}
	}
	return fmt.Errorf("register %s@%s: the password was not accepted", p.conf.User, p.conf.Domain)
}

func (p *Phone) registration(flow transaction.Flow, expires time.Duration, authorization sip.Header) *sip.Request {
	p.mu.Lock()
	p.regCSeq++
	cseq := p.regCSeq
	p.mu.Unlock()
	req := sip.NewRequest(sip.REGISTER, sip.Uri{Scheme: "sip", Host: p.conf.Domain})
	aor := fmt.Sprintf("<sip:%s@%s>", p.conf.User, p.conf.Domain)
	for _, h := range []sip.Header{
		sip.NewHeader("From", aor+";tag="+p.regTag), sip.NewHeader("To", aor), sip.NewHeader("Call-ID", p.regID),
		sip.NewHeader("CSeq", fmt.Sprintf("%d REGISTER", cseq)), sip.NewHeader("Max-Forwards", "70"),
		sip.NewHeader("Contact", "<"+p.contact()+">"), sip.NewHeader("Expires", fmt.Sprint(int(expires/time.Second))),
		sip.NewHeader("User-Agent", "holdfast phone"),
	} {
		req.AppendHeader(h)
	}
	if authorization != nil {
		req.AppendHeader(authorization)
	}
	req.SetBody(nil)
	req.SetTransport(flow.Transport)
	req.SetDestination(flow.Remote)
	return typed(req)
}

// typed reads the request as a peer would, so that its headers are sipgo's own types.
func typed(req *sip.Request) *sip.Request {
	via := "Via: SIP/2.0/UDP typed.invalid;branch=z9hG4bKtyped\r\n"
	text := req.String()
	line := len(req.StartLine()) + 2
	m, err := sip.ParseMessage([]byte(text[:line] + via + text[line:]))
	if err != nil {
		panic(fmt.Sprintf("softphone: built a message that can't be parsed: %v\n%s", err, text))
	}
	parsed := m.(*sip.Request)
	parsed.RemoveHeader("Via")
	parsed.SetTransport(req.Transport())
	parsed.SetDestination(req.Destination())
	return parsed
}

// authorize answers a challenge of the registrar or of the node. The first challenge
// that we understand is taken (RFC 8760: the server lists its favourite first).
func (p *Phone) authorize(res *sip.Response, method sip.RequestMethod, uri string) (sip.Header, error) {
	name, answer := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		name, answer = "Proxy-Authenticate", "Proxy-Authorization"
	}
	var problems error
	for _, h := range res.GetHeaders(name) {
		challenge, err := digest.ParseChallenge(h.Value())
		if err == nil {
			var cred *digest.Credentials
			cred, err = digest.Digest(challenge, digest.Options{Method: string(method), URI: uri, Count: 1, Username: p.conf.User, Password: p.conf.Password})
			if err == nil {
				return sip.NewHeader(answer, cred.String()), nil
			}
		}
		problems = errors.Join(problems, err)
	}
	return nil, fmt.Errorf("no usable challenge in the %d: %w", res.StatusCode, problems)
}

// do sends a request and waits for its final response.
func (p *Phone) do(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	type result struct {
		res *sip.Response
		err error
	}
	done := make(chan result, 1)
	_, err := p.layer.Request(req, func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			select {
			case done <- result{res, err}:
			default: // a further 2xx
			}
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case r := <-done:
		return r.res, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Options asks the server whether it lives, outside of any call, and returns its code.
func (p *Phone) Options(ctx context.Context) (int, error) {
	d, err := dialog.New(dialog.Call{Target: "sip:" + p.conf.Server, From: "sip:" + p.conf.User + "@" + p.addr, To: "sip:" + p.conf.Server, Contact: p.contact(), Flow: p.flow})
	if err != nil {
		return 0, err
	}
	res, err := p.do(ctx, d.Request(sip.OPTIONS))
	if err != nil {
		return 0, err
	}
	return res.StatusCode, nil
}

func (p *Phone) remember(c *Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.incoming {
		p.invites++
	}
	p.calls = append(p.calls, c)
}

func (p *Phone) all() []*Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Call(nil), p.calls...)
}

func (p *Phone) byDialog(id string) *Call {
	for _, c := range p.all() {
		c.mu.Lock()
		match := c.dialog != nil && c.dialog.ID() == id
		c.mu.Unlock()
		if match {
			return c
		}
	}
	return nil
}

// hostOf is the ip of an ip:port.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
