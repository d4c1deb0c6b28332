package softphone

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/dialog"
	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

// State is where a call of a phone stands.
type State int

// The states of a call, in the only order in which they can follow each other.
const (
	Calling State = iota // INVITE sent or received
	Ringing              // 180 or 183 sent or received
	Up                   // answered
	Ended
)

// String names the state.
func (s State) String() string { return [...]string{"calling", "ringing", "up", "ended"}[s] }

// Times are when a call's steps happened on this phone.
type Times struct {
	Invited  time.Time // INVITE sent or received
	Rang     time.Time
	Answered time.Time // 200 sent or received
	Ended    time.Time
}

// Call is one call of a phone, from either side.
type Call struct {
	// Audio is the call's sound.
	Audio *Audio
	// Invite is the INVITE as received (or sent); it must not be changed.
	Invite *sip.Request
	// From and To are the user parts of the INVITE.
	From, To string

	phone    *Phone
	incoming bool

	mu         sync.Mutex
	dialog     *dialog.Dialog
	server     *transaction.Server // of an incoming INVITE
	client     *transaction.Client // of an outgoing INVITE
	session    session
	peer       agreed
	state      State
	times      Times
	code       int    // final response to the INVITE
	reason     string // Reason header of what ended it, or the response's phrase
	remote     bool   // the other side ended it
	held       bool   // the other side holds us
	givenUp    bool   // we hung up before the answer
	forks      int    // answers of other forks that were refused
	challenges int    // 401 and 407 that we answered
	infos      []Info // received
	changed    chan struct{}
}

func newCall(p *Phone, incoming bool) (*Call, error) {
	now := time.Now() // what the phone does now is not the caller's time
	audio, err := openAudio(p.ip)
	if err != nil {
		return nil, err
	}
	return &Call{phone: p, incoming: incoming, Audio: audio, session: newSession(p.conf.NoDigits), changed: make(chan struct{}), times: Times{Invited: now}}, nil
}

// Status is a snapshot of a call.
type Status struct {
	State  State
	Times  Times
	Code   int    // final response to the INVITE, 0 while there is none
	Reason string // why it ended: the Reason header or the response's phrase
	Remote bool   // the other side ended it
	Held   bool   // the other side holds
}

// Status returns a snapshot.
func (c *Call) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Status{State: c.state, Times: c.times, Code: c.code, Reason: c.reason, Remote: c.remote, Held: c.held}
}

// Wait returns when the call has reached state s (or gone past it to Up), or with an
// error when it ended before, or ctx did.
func (c *Call) Wait(ctx context.Context, s State) error {
	return c.waitFor(ctx, "become "+s.String(), func(st Status) bool { return st.State >= s && (s == Ended || st.State != Ended) }, s != Ended)
}

// WaitHeld returns when the other side holds us (or no longer does).
func (c *Call) WaitHeld(ctx context.Context, held bool) error {
	return c.waitFor(ctx, fmt.Sprintf("be held: %v", held), func(st Status) bool { return st.Held == held }, true)
}

func (c *Call) waitFor(ctx context.Context, what string, ok func(Status) bool, live bool) error {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		st := c.Status()
		if ok(st) {
			return nil
		}
		if live && st.State == Ended {
			return fmt.Errorf("the call from %s to %s should %s, but ended: %d %s", c.From, c.To, what, st.Code, st.Reason)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the call from %s to %s should %s, but is %s: %w", c.From, c.To, what, st.State, ctx.Err())
		}
	}
}

// Ring answers an incoming call with 180.
func (c *Call) Ring() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.incoming || c.state != Calling {
		return errors.New("only a new incoming call can ring")
	}
	res := c.server.NewResponse(180, "")
	res.AppendHeader(sip.NewHeader("Contact", "<"+c.phone.contact()+">"))
	c.to(Ringing)
	return c.server.Respond(res)
}

// Progress answers an incoming call with 183 and begins to speak, before it is answered: announcements of a network.
func (c *Call) Progress() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.incoming || c.state >= Up {
		return fmt.Errorf("a call that is %s can't progress", c.state)
	}
	body, err := c.answerTo(c.Invite.Body())
	if err != nil {
		return err
	}
	res := c.response(c.server, body)
	res.StatusCode, res.Reason = 183, "Session Progress"
	c.to(Ringing)
	return c.server.Respond(res)
}

// Answer answers an incoming call with 200 and begins to speak.
func (c *Call) Answer() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.incoming || c.state >= Up {
		return fmt.Errorf("a call that is %s can't be answered", c.state)
	}
	body, err := c.answerTo(c.Invite.Body())
	if err != nil {
		return err
	}
	if err := c.server.Respond(c.response(c.server, body)); err != nil {
		return err // a CANCEL that was faster ends the call by itself
	}
	c.dialog.Accept(c.Invite)
	c.code = 200
	c.to(Up)
	return nil
}

// response is a 200 with our Contact and SDP.
func (c *Call) response(tx *transaction.Server, body []byte) *sip.Response {
	res := tx.NewResponse(200, "")
	res.AppendHeader(sip.NewHeader("Contact", "<"+c.phone.contact()+">"))
	res.AppendHeader(sip.NewHeader("Allow", allowed))
	if body != nil {
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	res.SetBody(body)
	return res
}

// answerTo reads an offer, connects the sound and returns our answer; with no offer it
// returns our own.
func (c *Call) answerTo(offer []byte) ([]byte, error) {
	if len(offer) == 0 {
		return c.session.body(c.phone.ip, c.Audio.Port(), c.phone.codecs), nil
	}
	peer, err := parse(offer, c.phone.codecs)
	if err != nil {
		return nil, err
	}
	c.take(peer)
	return c.session.body(c.phone.ip, c.Audio.Port(), []uint8{peer.codec.number}), nil
}

// take makes what the other side said the truth about the sound.
func (c *Call) take(peer agreed) {
	c.peer = peer
	c.held = peer.direction == "sendonly" || peer.direction == "inactive"
	c.Audio.connect(peer.remote, peer.codec, peer.digits, peer.mayHear() && !c.session.held)
}

// Reject refuses an incoming call: 486 busy, 603 declined, 480 …
func (c *Call) Reject(code int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.incoming || c.state >= Up {
		return fmt.Errorf("a call that is %s can't be rejected", c.state)
	}
	c.code = code
	c.end(false, transaction.Phrase(code))
	return c.server.Reject(code)
}

// HangUp ends the call as its state demands: CANCEL, 486 or BYE. A call that has ended
// is a success.
func (c *Call) HangUp() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == Ended:
		return nil
	case c.state == Up:
		return c.bye(headers.Reason{Protocol: "Q.850", Cause: 16, Text: "Normal call clearing"})
	case c.incoming:
		c.code = 486
		c.end(false, transaction.Phrase(486))
		return c.server.Reject(486)
	default:
		c.givenUp = true
		return c.client.Cancel() // the end comes as 487, or as a 200 that was faster, which gets a BYE
	}
}

// bye ends an answered call.
func (c *Call) bye(why headers.Reason) error {
	req := c.dialog.Bye(why)
	c.end(false, why.Text)
	_, err := c.phone.layer.Request(req, func(*sip.Response, error) {})
	return err
}

// to moves the state forward and notes when.
func (c *Call) to(s State) {
	c.state = s
	now := time.Now()
	switch s {
	case Ringing:
		c.times.Rang = now
	case Up:
		c.times.Answered = now
	case Ended:
		c.times.Ended = now
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// end closes the call for good; the sound's goroutines end beside.
func (c *Call) end(remote bool, reason string) {
	if c.state == Ended {
		return
	}
	c.remote, c.reason = remote, reason
	if c.dialog != nil {
		c.dialog.End(time.Now())
	}
	c.to(Ended)
	c.phone.closing.Add(1)
	go func() {
		defer c.phone.closing.Done()
		c.Audio.close()
	}()
}

// Hold puts the other side on hold by re-INVITE (a=sendonly), or takes it back, and
// waits for the answer.
func (c *Call) Hold(ctx context.Context, hold bool) error {
	c.mu.Lock()
	if c.state != Up {
		c.mu.Unlock()
		return errors.New("only an answered call can be held")
	}
	c.session.held = hold
	req := c.dialog.Invite(c.session.body(c.phone.ip, c.Audio.Port(), []uint8{c.peer.codec.number}))
	answered := make(chan error, 1)
	var client *transaction.Client
	ready := make(chan struct{})
	client, err := c.phone.layer.Request(req, func(res *sip.Response, err error) {
		if done, err := c.heldAnswer(ready, &client, res, err); done {
			answered <- err
		}
	})
	close(ready)
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("send the re-INVITE: %w", err)
	}
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the answer to the re-INVITE: %w", ctx.Err())
	}
}

// heldAnswer takes a response to our re-INVITE; done when it is final.
func (c *Call) heldAnswer(ready <-chan struct{}, client **transaction.Client, res *sip.Response, err error) (bool, error) {
	<-ready
	if err != nil {
		return true, err
	}
	if res.StatusCode < 200 {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.dialog.Answered(res, time.Now()); err != nil {
		return true, err
	}
	if res.StatusCode >= 300 {
		return true, fmt.Errorf("the re-INVITE was refused: %d %s", res.StatusCode, res.Reason)
	}
	peer, err := parse(res.Body(), c.phone.codecs)
	if err == nil {
		c.take(peer)
	}
	return true, errors.Join(err, (*client).Acknowledge(c.dialog.Ack()))
}
