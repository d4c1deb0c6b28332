package telephony

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"holdfast/domain/id"
	"holdfast/telephony/dialog"
	"holdfast/telephony/digest"
	"holdfast/telephony/media"
	"holdfast/telephony/registrar"
	"holdfast/telephony/transaction"
)

// Config configures a Node. Name, Boot and at least one endpoint are required; the zero value of the rest works.
type Config struct {
	// Name is the node's name in the registry.
	Name id.Node
	// Boot names this run of the process, e.g. a random word: legs of another boot are lost. When the run is given up,
	// the node goes on under another, see Node.Boot.
	Boot string
	// Listen are the SIP sockets. Peers are told the SentBy of the first of each transport.
	Listen []transaction.Endpoint
	// Media configures the audio; Bind must be of the family of the sockets. Its Events are the node's.
	Media media.Config
	// Sounds is where the music is that queues name; nil: callers hear the built-in one.
	Sounds Sounds
	// Sessions is what the node wants of session timers (RFC 4028).
	Sessions dialog.TimerPolicy
	// Registrations are the registrar's limits.
	Registrations registrar.Policy
	// Algorithms are the digest algorithms offered to phones, in order; see digest.Config.
	Algorithms []digest.Algorithm
	// Guard are the limits against floods. Loopback and the addresses of trunks are always trusted.
	Guard transaction.GuardConfig
	// Timers are the base timers of SIP. Default: those of RFC 3261.
	Timers transaction.Timers
	// MaxCalls bounds the live calls; beyond it callers get 503. Default 2,000.
	MaxCalls int
	// Openings bounds the INVITEs that are being looked at at one time; beyond it callers get 503. Default 256.
	Openings int
	// RetryAfter is what a 503 asks for. Default 5 s; rounded up to seconds.
	RetryAfter time.Duration
	// Beat is the interval of the heartbeat in the registry. Default 2 s.
	Beat time.Duration
	// Refresh is how old the node's view of trunks and tenants may become. Default 30 s.
	Refresh time.Duration
	// KeepAlive is how often phones behind NAT, on TCP or on TLS are asked by OPTIONS whether they are still there. One
	// that does not answer three times running is lost. Default 28 s.
	KeepAlive time.Duration
	// Resolver looks up the hosts of trunks. Default net.DefaultResolver.
	Resolver *net.Resolver
	// Now is the clock of registrations, dialogs and facts. Default time.Now.
	Now func() time.Time
	// Log receives what an operator should know, and one line per call. Default: slog.Default.
	Log *slog.Logger
	// Trace sees each SIP message sent or received, if set. It must be quick and must not keep data.
	Trace func(sent bool, f transaction.Flow, data []byte)

	dial time.Duration // see dialTime; only tests change it
}

// leastKeepAlive is the shortest interval that asks phones and does not flood them.
const leastKeepAlive = 100 * time.Millisecond

// Validate says what is wrong with c, or nil.
func (c Config) Validate() error {
	var problems []error
	if c.Name == "" {
		problems = append(problems, errors.New("the node has no name"))
	}
	if c.Boot == "" {
		problems = append(problems, errors.New("the node's boot has no name"))
	}
	if len(c.Listen) == 0 {
		problems = append(problems, errors.New("no SIP socket is configured"))
	}
	for _, e := range c.Listen {
		switch strings.ToUpper(e.Transport) {
		case "UDP", "TCP", "TLS":
		default:
			problems = append(problems, fmt.Errorf("SIP transport %q: want UDP, TCP or TLS", e.Transport))
		}
	}
	if c.MaxCalls < 0 || c.Openings < 0 || c.RetryAfter < 0 || c.Beat < 0 || c.Refresh < 0 || c.KeepAlive < 0 {
		problems = append(problems, errors.New("a limit or interval is negative"))
	}
	if c.KeepAlive > 0 && c.KeepAlive < leastKeepAlive {
		problems = append(problems, fmt.Errorf("the keep-alive of phones is shorter than %s", leastKeepAlive))
	}
	if err := c.Media.Validate(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func (c Config) orDefault() Config {
	c.MaxCalls = orElse(c.MaxCalls, 2000)
	c.Openings = orElse(c.Openings, 256)
	c.RetryAfter = orElse(c.RetryAfter, 5*time.Second)
	c.Beat = orElse(c.Beat, 2*time.Second)
	c.Refresh = orElse(c.Refresh, 30*time.Second)
	c.KeepAlive = orElse(c.KeepAlive, 28*time.Second)
	c.dial = orElse(c.dial, dialTime)
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

func orElse[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}
