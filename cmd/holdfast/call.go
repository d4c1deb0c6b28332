package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"holdfast/telephony/softphone"
)

// callOptions are the flags of `holdfast call`.
type callOptions struct {
	line    lineOptions
	sounds  sounds
	from    string
	last    time.Duration // after the INVITE; 0: until the other side hangs up
	talk    time.Duration // after the answer; 0: the same
	headers []string
}

// silentAfter is how long a call may have no answer at all before we say so. A node that is
// there answers within milliseconds.
const silentAfter = 3 * time.Second

// lineOptions say how a phone reaches the node.
type lineOptions struct {
	server    string
	domain    string
	transport string
	ip        string
}

func (o *lineOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.server, "server", "127.0.0.1:5060", "`host:port` of the telephony node")
	c.Flags().StringVar(&o.transport, "transport", "udp", "udp or tcp")
	c.Flags().StringVar(&o.ip, "ip", "", "our own `address`; the one that leads to the server if not given")
}

func (s *sounds) flags(c *cobra.Command) {
	c.Flags().Float64Var(&s.tone, "tone", 0, "speak a tone of so many `Hz`")
	c.Flags().StringVar(&s.play, "play", "", "speak a WAVE `file` (8 kHz mono) once")
	c.Flags().StringVar(&s.record, "record", "", "keep what is heard in a WAVE `file`")
}

func callCommand() *cobra.Command {
	var o callOptions
	c := &cobra.Command{
		Use: "call NUMBER", Short: "Be a customer: call a number, speak, listen", GroupID: "tools",
		Long:    "Places a call as a customer would, speaks a tone or a file, and says what it hears.\nThe exit code is 1 when nobody answered.",
		Example: "  holdfast call 8000 --from 4930123456 --tone 1000 --for 10s",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("call needs one number, e.g. holdfast call 8000")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return placeCall(c.Context(), &narrator{out: c.OutOrStdout()}, args[0], o)
		},
	}
	o.line.flags(c)
	o.sounds.flags(c)
	c.Flags().StringVar(&o.line.domain, "domain", "demo.localhost", "the tenant's `domain`")
	c.Flags().StringVar(&o.from, "from", "4930000000", "our own `number`")
	c.Flags().DurationVar(&o.last, "for", 30*time.Second, "stay on the line for so long, then hang up; 0: until the other side does")
	c.Flags().StringArrayVar(&o.headers, "header", nil, "add a SIP header `K=V`, e.g. X-CC-Account=42; may be repeated")
	return c
}

// config is the softphone's configuration.
func (o lineOptions) config() (softphone.Config, error) {
	transport := strings.ToUpper(o.transport)
	if transport != "UDP" && transport != "TCP" {
		return softphone.Config{}, usage("--transport: %q is neither udp nor tcp", o.transport)
	}
	host, port, err := net.SplitHostPort(o.server)
	if err != nil {
		host, port = o.server, "5060"
	}
	server, err := resolve(host)
	if err != nil {
		return softphone.Config{}, usage("--server: %w", err)
	}
	remote := net.JoinHostPort(server.String(), port)
	var ip netip.Addr
	if o.ip != "" {
		if ip, err = netip.ParseAddr(o.ip); err != nil {
			return softphone.Config{}, usage("--ip: %q is not an IP address", o.ip)
		}
	} else if ip, err = addressTowards(remote); err != nil {
		return softphone.Config{}, usage("--server: %w", err)
	}
	return softphone.Config{IP: ip, Transport: transport, Server: remote, Domain: o.domain}, nil
}

// addressTowards is our own address on the way to remote. Nothing is sent.
func addressTowards(remote string) (netip.Addr, error) {
	c, err := net.Dial("udp", remote)
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = c.Close() }() // nothing was sent on it
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

func headersOf(words []string) (map[string]string, error) {
	found := map[string]string{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return nil, usage("--header: %q is not K=V", w)
		}
		found[k] = v
	}
	return found, nil
}

// placeCall calls, tells what happens and hangs up in the end.
func placeCall(ctx context.Context, tell *narrator, number string, o callOptions) error {
	conf, err := o.line.config()
	if err != nil {
		return err
	}
	extra, err := headersOf(o.headers)
	if err != nil {
		return err
	}
	pcm, err := o.sounds.check()
	if err != nil {
		return err
	}
	conf.User = o.from
	p, err := softphone.New(ctx, conf)
	if err != nil {
		return err
	}
	defer p.Close()
	tell.say("calls %s at %s as %s", number, conf.Server, o.from)
	c, err := p.Dial(ctx, softphone.Dial{To: number, From: o.from, Headers: extra})
	if err != nil {
		return err
	}
	o.sounds.apply(c.Audio, pcm)
	return followCall(ctx, tell, c, o)
}

// followCall tells the call's life until it ends, by the other side or by us.
func followCall(ctx context.Context, tell *narrator, c *softphone.Call, o callOptions) error {
	line := ctx
	if o.last > 0 {
		var cancel context.CancelFunc
		line, cancel = context.WithTimeout(ctx, o.last)
		defer cancel()
	}
	hearing, deaf := context.WithCancel(context.WithoutCancel(ctx))
	var ears sync.WaitGroup
	ears.Go(func() { listenTo(hearing, tell, c.Audio) })
	ended := narrate(line, tell, c, o)
	if !ended {
		tell.say("hangs up%s", map[bool]string{true: " before anybody answered"}[c.Status().Times.Answered.IsZero()])
		if err := c.HangUp(); err != nil {
			tell.say("could not hang up: %v", err)
		}
	}
	deaf()
	ears.Wait()
	st := c.Status()
	if err := o.sounds.keep(tell, c.Audio, o.sounds.record); err != nil {
		return err
	}
	if st.Times.Answered.IsZero() && ctx.Err() == nil {
		return &toldError{fmt.Errorf("the call was not answered: %d %s", st.Code, st.Reason)}
	}
	return nil
}

// narrate tells each step of a call; it reports whether the call ended before ctx and the
// longest talk did.
func narrate(ctx context.Context, tell *narrator, c *softphone.Call, o callOptions) (ended bool) {
	soon, cancel := context.WithTimeout(ctx, silentAfter)
	defer cancel()
	if c.Wait(soon, softphone.Ringing) != nil && soon.Err() != nil && ctx.Err() == nil {
		tell.say("nothing comes back from %s yet; is Holdfast running there?", o.line.server)
	}
	if c.Wait(ctx, softphone.Ringing) == nil && c.Status().State == softphone.Ringing {
		tell.say("it rings")
	}
	if c.Wait(ctx, softphone.Up) == nil {
		st := c.Status()
		tell.say("answered after %.1f s", st.Times.Answered.Sub(st.Times.Invited).Seconds())
		if o.talk > 0 {
			var enough context.CancelFunc
			ctx, enough = context.WithTimeout(ctx, o.talk)
			defer enough()
		}
	}
	if c.Wait(ctx, softphone.Ended) != nil {
		return false
	}
	st := c.Status()
	switch {
	case st.Times.Answered.IsZero():
		tell.say("not answered: %d %s", st.Code, st.Reason)
	case st.Remote:
		tell.say("the other side ended the call (%s)", st.Reason)
	default:
		tell.say("ended (%s)", st.Reason)
	}
	return true
}
