package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"holdfast/telephony/softphone"
)

const (
	// registerFor is what a scripted phone asks the registrar for; it refreshes at half of it.
	registerFor = 2 * time.Minute
	// registerWithin is how long the registrar may take for the first answer.
	registerWithin = 5 * time.Second
	// partWithin bounds what a phone does to leave: hang up, sign out, unregister.
	partWithin = 5 * time.Second
)

// phoneOptions are the flags of `holdfast phone`.
type phoneOptions struct {
	line     lineOptions
	sounds   sounds
	as       string
	password string
	answer   time.Duration
	talk     time.Duration
	reject   int
	calls    int
	dial     string
	ready    bool
	api      string
}

func phoneCommand() *cobra.Command {
	var o phoneOptions
	c := &cobra.Command{
		Use: "phone", Short: "Be an agent's phone: register, answer, speak, listen", GroupID: "tools",
		Long: "Registers as a SIP phone, answers calls, speaks a tone or a file, and says what it hears.\nWith --ready it also signs the agent in and makes it ready for queue calls. Ctrl-C ends it in order.\n" +
			"With --dial it places a call first, and ends after it unless --calls says to wait for others.",
		Example: "  holdfast phone --as 1001@demo.localhost --ready --answer 2s --tone 440\n" +
			"  holdfast phone --as 1002@demo.localhost --dial 1001 --tone 880 --talk 10s",
		RunE: func(c *cobra.Command, _ []string) error {
			return runPhone(c.Context(), &narrator{out: c.OutOrStdout()}, o)
		},
	}
	o.line.flags(c)
	o.sounds.flags(c)
	c.Flags().StringVar(&o.as, "as", "", "`user@domain` of the device, e.g. 1001@demo.localhost")
	c.Flags().StringVar(&o.password, "password", "holdfast-demo", "its password; that of the demo if not given")
	c.Flags().DurationVar(&o.answer, "answer", time.Second, "answer after so long; negative: never")
	c.Flags().StringVar(&o.dial, "dial", "", "call a `number` as this device: a colleague, a queue or the outside")
	c.Flags().DurationVar(&o.talk, "talk", 0, "hang up so long after the answer; 0: leave it to the other side")
	c.Flags().IntVar(&o.reject, "reject", 0, "reject each call with a SIP `code`, e.g. 486, in place of answering")
	c.Flags().IntVar(&o.calls, "calls", 0, "end after so many calls; 0: with Ctrl-C")
	c.Flags().BoolVar(&o.ready, "ready", false, "sign the agent in by the API and make it ready")
	c.Flags().StringVar(&o.api, "api", "http://127.0.0.1:8080", "`address` of the HTTP API, for --ready")
	return c
}

// runPhone is the life of a scripted phone.
func runPhone(ctx context.Context, tell *narrator, o phoneOptions) error {
	user, domain, ok := strings.Cut(o.as, "@")
	if !ok || user == "" || domain == "" {
		return usage("--as is missing or is not user@domain, e.g. --as 1001@demo.localhost")
	}
	if o.reject != 0 && (o.reject < 400 || o.reject > 699) {
		return usage("--reject: %d is not a SIP code between 400 and 699", o.reject)
	}
	o.line.domain = domain
	conf, err := o.line.config()
	if err != nil {
		return err
	}
	pcm, err := o.sounds.check()
	if err != nil {
		return err
	}
	conf.User, conf.Password = user, o.password
	p, err := softphone.New(ctx, conf)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := firstRegister(ctx, p, conf.Server); err != nil {
		return err
	}
	tell.say("registered as %s at %s", o.as, conf.Server)
	defer func() { unregister(ctx, tell, p) }()
	if o.ready {
		s, err := signIn(ctx, o.api, domain, user, o.password)
		if err != nil {
			return err
		}
		tell.say("agent %s is %s", user, s.state)
		defer func() { s.signOut(ctx, tell) }()
	}
	work, end := context.WithCancel(ctx)
	defer end()
	var refreshing sync.WaitGroup
	refreshing.Go(func() { keepRegistered(work, tell, p) })
	defer refreshing.Wait()
	defer end()
	d := &desk{tell: tell, options: o, pcm: pcm}
	if o.dial != "" {
		if err := d.placeCall(work, p); err != nil || o.calls == 0 {
			return err
		}
	}
	return d.takeCalls(work, p)
}

// firstRegister registers, or says why that is not possible.
func firstRegister(ctx context.Context, p *softphone.Phone, server string) error {
	soon, cancel := context.WithTimeout(ctx, registerWithin)
	defer cancel()
	err := p.Register(soon, registerFor)
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case soon.Err() != nil || errors.Is(err, syscall.ECONNREFUSED):
		return usage("nothing comes back from %s; is Holdfast running there? Else choose by --server", server)
	}
	return usage("%w", err)
}

func unregister(ctx context.Context, tell *narrator, p *softphone.Phone) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partWithin)
	defer cancel()
	if err := p.Register(ctx, 0); err != nil {
		tell.say("could not unregister: %v", err)
		return
	}
	tell.say("unregistered")
}

// keepRegistered refreshes the registration until ctx ends.
func keepRegistered(ctx context.Context, tell *narrator, p *softphone.Phone) {
	for sleep(ctx, registerFor/2) {
		if err := p.Register(ctx, registerFor); err != nil && ctx.Err() == nil {
			tell.say("could not refresh the registration: %v", err)
		}
	}
}

// desk is where the phone stands: what it does with each call.
type desk struct {
	tell    *narrator
	options phoneOptions
	pcm     []int16 // of --play
	taken   int
}

// placeCall dials as the device that the phone is registered as.
func (d *desk) placeCall(ctx context.Context, p *softphone.Phone) error {
	d.tell.say("dials %s", d.options.dial)
	c, err := p.Dial(ctx, softphone.Dial{To: d.options.dial})
	if err != nil {
		return err
	}
	d.options.sounds.apply(c.Audio, d.pcm)
	return followCall(ctx, d.tell, c, callOptions{line: d.options.line, sounds: d.options.sounds, talk: d.options.talk})
}

// takeCalls handles calls one after the other until ctx ends or enough were taken.
func (d *desk) takeCalls(ctx context.Context, p *softphone.Phone) error {
	d.tell.say("waits for calls")
	for {
		select {
		case <-ctx.Done():
			return nil
		case c := <-p.Incoming():
			d.taken++
			if err := d.takeCall(ctx, c); err != nil {
				return err
			}
		}
		if d.taken == d.options.calls {
			return nil
		}
	}
}

// takeCall is one call of the phone: ring, answer or reject, talk, and its end.
func (d *desk) takeCall(ctx context.Context, c *softphone.Call) error {
	tell, o := d.tell, d.options
	tell.say("rings: call from %s to %s%s", c.From, c.To, attached(c))
	if err := c.Ring(); err != nil {
		tell.say("could not ring: %v", err)
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.answer >= 0 {
		wait, cancel = context.WithTimeout(ctx, o.answer)
		defer cancel()
	}
	if c.Wait(wait, softphone.Ended) == nil {
		tell.say("the caller is gone (%s)", c.Status().Reason)
		return nil
	}
	if ctx.Err() != nil || o.reject != 0 {
		code := o.reject
		if code == 0 {
			code = 480
		}
		tell.say("rejects the call with %d", code)
		return c.Reject(code)
	}
	o.sounds.apply(c.Audio, d.pcm)
	if err := c.Answer(); err != nil {
		tell.say("could not answer: %v", err)
		return nil
	}
	tell.say("answered")
	hearing, deaf := context.WithCancel(context.WithoutCancel(ctx))
	var ears sync.WaitGroup
	ears.Go(func() { listenTo(hearing, tell, c.Audio) })
	talk(ctx, tell, c, o.talk)
	deaf()
	ears.Wait()
	return o.sounds.keep(tell, c.Audio, numbered(o.sounds.record, d.taken))
}

// talk lasts until the call ends, or we end it.
func talk(ctx context.Context, tell *narrator, c *softphone.Call, most time.Duration) {
	if most > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, most)
		defer cancel()
	}
	if c.Wait(ctx, softphone.Ended) == nil {
		tell.say("the other side ended the call (%s)", c.Status().Reason)
		return
	}
	tell.say("hangs up")
	if err := c.HangUp(); err != nil {
		tell.say("could not hang up: %v", err)
	}
}

// attached shows what the call brings: X-CC-… headers of the INVITE.
func attached(c *softphone.Call) string {
	var found []string
	for _, h := range c.Invite.Headers() {
		if strings.HasPrefix(strings.ToUpper(h.Name()), "X-CC-") {
			found = append(found, h.Name()+"="+h.Value())
		}
	}
	if len(found) == 0 {
		return ""
	}
	return " (" + strings.Join(found, ", ") + ")"
}

// numbered is the file of the n-th recording: the first as named, then with a number.
func numbered(file string, n int) string {
	if n == 1 {
		return file
	}
	ext := filepath.Ext(file)
	return fmt.Sprintf("%s-%d%s", strings.TrimSuffix(file, ext), n, ext)
}
