package softphone

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/dialog"
	"holdfast/telephony/headers"
)

// Dial is how a call goes out.
type Dial struct {
	To      string            // user part, or a whole "sip:" URI
	From    string            // user part; default the phone's; or a whole "sip:" URI
	Headers map[string]string // further headers of the INVITE, e.g. X-CC-Account
	Tone    float64           // Hz, spoken from the answer on; 0 is silence
	LateSDP bool              // send no offer in the INVITE (RFC 3261 §13.2.1)
	Hops    int               // Max-Forwards; 0 is 70
}

// Dial sends an INVITE and returns at once; watch the Call for what follows.
func (p *Phone) Dial(ctx context.Context, how Dial) (*Call, error) {
	flow, err := p.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", p.conf.Server, err)
	}
	c, err := newCall(p, false)
	if err != nil {
		return nil, err
	}
	how = p.complete(how)
	c.From, c.To = how.From, how.To
	c.Audio.Say(how.Tone)
	c.dialog, err = dialog.New(dialog.Call{Target: how.To, From: p.fromURI(how.From), To: how.To, Contact: p.contact(), Flow: flow, Hops: from(how.Hops)})
	if err != nil {
		c.Audio.close()
		return nil, fmt.Errorf("dial %s: %w", how.To, err)
	}
	extra, err := extraHeaders(how.Headers)
	if err != nil {
		c.Audio.close()
		return nil, err
	}
	p.remember(c)
	var offer []byte
	if !how.LateSDP {
		offer = c.session.body(p.ip, c.Audio.Port(), p.codecs)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c, c.send(c.dialog.Invite(offer, extra...), extra)
}

// from is the Max-Forwards that ours comes of, if it is to be hops.
func from(hops int) int {
	if hops == 0 {
		return 0
	}
	return hops + 1
}

// fromURI is our address as user, or as it is given.
func (p *Phone) fromURI(user string) string {
	if strings.HasPrefix(user, "sip:") {
		return user
	}
	return fmt.Sprintf("sip:%s@%s", user, p.domain())
}

// send sends an INVITE; the transaction's answers come to answered.
func (c *Call) send(req *sip.Request, extra []sip.Header) error {
	c.Invite = req
	c.times.Invited = time.Now()
	client, err := c.phone.layer.Request(req, func(res *sip.Response, err error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answered(res, err, extra)
	})
	if err != nil {
		c.end(false, err.Error())
		return fmt.Errorf("send the INVITE: %w", err)
	}
	c.client = client
	return nil
}

// answered takes each response to our INVITE.
func (c *Call) answered(res *sip.Response, err error, extra []sip.Header) {
	if err != nil {
		c.code = 408
		c.end(true, err.Error())
		return
	}
	if c.state >= Up && res.StatusCode/100 == 2 { // another fork answered too
		c.forks++
		ack, bye, err := c.dialog.Refuse(res, time.Now(), headers.AnsweredElsewhere)
		if err == nil {
			_ = c.phone.layer.Send(ack)
			_, _ = c.phone.layer.Request(bye, func(*sip.Response, error) {})
		}
		return
	}
	if c.state == Ended {
		c.lateAnswer(res)
		return
	}
	_ = c.dialog.Answered(res, time.Now()) // another fork's provisional response changes nothing here
	switch code := res.StatusCode; {
	case code < 200:
		c.early(res)
	case code < 300:
		c.up(res)
	case (code == 401 || code == 407) && c.challenges < 2:
		c.challenges++
		c.retry(res, extra)
	default:
		c.code = code
		c.end(true, reasonOf(res, res.Reason))
	}
}

// early is a provisional response: it may carry sound.
func (c *Call) early(res *sip.Response) {
	if peer, err := parse(res.Body(), c.phone.codecs); err == nil {
		c.take(peer)
	}
	if res.StatusCode > 100 && c.state == Calling {
		c.to(Ringing)
	}
}

// up is the 2xx.
func (c *Call) up(res *sip.Response) {
	c.code = res.StatusCode
	peer, err := parse(res.Body(), c.phone.codecs)
	if err != nil {
		_ = c.client.Acknowledge(c.dialog.Ack())
		_ = c.bye(headers.Reason{Protocol: "SIP", Cause: 488, Text: err.Error()})
		return
	}
	c.take(peer)
	ack := c.dialog.Ack()
	if len(c.Invite.Body()) == 0 { // a late offer is answered in the ACK
		ack = c.dialog.AckSDP(c.session.body(c.phone.ip, c.Audio.Port(), []uint8{peer.codec.number}))
	}
	_ = c.client.Acknowledge(ack)
	if c.givenUp {
		_ = c.bye(headers.Reason{Protocol: "SIP", Cause: 487, Text: "given up"})
		return
	}
	c.to(Up)
}

// lateAnswer ends a call that was answered although we had given it up.
func (c *Call) lateAnswer(res *sip.Response) {
	if res.StatusCode/100 != 2 {
		return
	}
	if err := c.dialog.Answered(res, time.Now()); err == nil {
		_ = c.client.Acknowledge(c.dialog.Ack())
		_, _ = c.phone.layer.Request(c.dialog.Bye(headers.Reason{Protocol: "SIP", Cause: 487, Text: "given up"}), func(*sip.Response, error) {})
	}
}

// retry repeats the INVITE with credentials.
func (c *Call) retry(res *sip.Response, extra []sip.Header) {
	authorization, err := c.phone.authorize(res, sip.INVITE, c.Invite.Recipient.String())
	if err != nil {
		c.code = res.StatusCode
		c.end(true, err.Error())
		return
	}
	req := c.dialog.Retry(c.Invite.Body(), append(slices.Clone(extra), authorization)...)
	if err := c.send(req, extra); err != nil {
		c.code = res.StatusCode
	}
}

// complete fills in what was left out.
func (p *Phone) complete(how Dial) Dial {
	if how.From == "" {
		how.From = p.conf.User
	}
	if len(how.To) < 4 || how.To[:4] != "sip:" {
		how.To = fmt.Sprintf("sip:%s@%s", how.To, p.target())
	}
	return how
}

// target is the host of whom we call: our tenant's domain, else the server.
func (p *Phone) target() string {
	if p.conf.Domain != "" {
		return p.conf.Domain
	}
	return p.conf.Server
}

// domain is the host of our own address.
func (p *Phone) domain() string {
	if p.conf.Domain != "" {
		return p.conf.Domain
	}
	return hostOf(p.addr)
}

// extraHeaders makes headers in the order of their names.
func extraHeaders(from map[string]string) ([]sip.Header, error) {
	var names []string
	for name := range from {
		names = append(names, name)
	}
	slices.Sort(names)
	var list []sip.Header
	for _, name := range names {
		h, err := headers.New(name, from[name])
		if err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
		list = append(list, h)
	}
	return list, nil
}
