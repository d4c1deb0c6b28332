package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"holdfast/domain/webhook"
	"holdfast/fence"
)

// environment is the configuration of every role: what `holdfast help environment`
// and docs/configuration.md show is made from these tags.
type environment struct {
	DatabaseURL   string `env:"HOLDFAST_DATABASE_URL" roles:"api worker telephony migrate apply export import reseal doctor" doc:"Postgres: postgres://user:password@host:5432/holdfast. The login must be a member of the roles holdfast_app and holdfast_system, which migrate makes."`
	MigrateURL    string `env:"HOLDFAST_MIGRATE_URL" roles:"migrate" doc:"The login that owns the schema; HOLDFAST_DATABASE_URL if not set."`
	DatabaseConns int    `env:"HOLDFAST_DATABASE_CONNS" envDefault:"16" roles:"api worker telephony" doc:"Connections to Postgres that serve live calls and sessions; half as many again serve lists and records."`

	HTTPAddr       listenAddr `env:"HOLDFAST_HTTP_ADDR" envDefault:":8080" roles:"api dev" doc:"Where the HTTP API listens."`
	TokenKeys      tokenKeys  `env:"HOLDFAST_TOKEN_KEY" roles:"api worker reseal doctor" doc:"Secret that signs access tokens, and seals secrets of webhooks and sign-in providers: at least 32 random bytes in base64, e.g. from openssl rand -base64 32. Several, separated by commas: the first signs and seals, all verify and open. dev makes its own."`
	TrustedProxies []string   `env:"HOLDFAST_TRUSTED_PROXIES" roles:"api dev" doc:"Addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas."`
	SecureCookies  bool       `env:"HOLDFAST_SECURE_COOKIES" envDefault:"false" roles:"api" doc:"true where a proxy in front speaks https: cookies are for https only."`
	PublicURL      string     `env:"HOLDFAST_PUBLIC_URL" roles:"api dev" doc:"Where people reach the API: https://calls.example. OpenID Connect providers send them back there; without it nobody signs in by OpenID Connect. With https, cookies are for https only."`
	OIDCNetworks   networks   `env:"HOLDFAST_OIDC_NETWORKS" roles:"api dev" doc:"Networks in which OpenID Connect providers may stand although they are not public, separated by commas: 10.1.2.0/24. They may speak http. None if not set: administrators of tenants name providers, and would reach what stands inside. The same for every api."`
	MaxStreams     int        `env:"HOLDFAST_MAX_STREAMS" envDefault:"10000" roles:"api dev" doc:"Open event streams that one process serves at most."`
	TemporalUI     string     `env:"HOLDFAST_TEMPORAL_UI" roles:"api" doc:"Address of the Temporal Web UI, for links: http://host:8233. Without it there are none."`

	SIPAddr      listenAddr    `env:"HOLDFAST_SIP_ADDR" envDefault:"0.0.0.0:5060" roles:"telephony dev" doc:"Where SIP listens, on UDP and TCP."`
	SIPAdvertise advertised    `env:"HOLDFAST_SIP_ADVERTISE" roles:"telephony dev" doc:"Host or host:port by which phones and carriers reach this node. Needed where HOLDFAST_SIP_ADDR is a wildcard; dev takes 127.0.0.1."`
	SIPTLSAddr   listenAddr    `env:"HOLDFAST_SIP_TLS_ADDR" envDefault:"0.0.0.0:5061" roles:"telephony dev" doc:"Where SIP over TLS listens, if there is a certificate."`
	SIPTLSCert   string        `env:"HOLDFAST_SIP_TLS_CERT" roles:"telephony dev doctor" doc:"File with the certificate chain for SIP over TLS (PEM)."`
	SIPTLSKey    string        `env:"HOLDFAST_SIP_TLS_KEY" roles:"telephony dev doctor" doc:"File with the certificate's private key (PEM)."`
	SIPKeepAlive time.Duration `env:"HOLDFAST_SIP_KEEPALIVE" envDefault:"28s" roles:"telephony dev" doc:"How often phones behind NAT, on TCP or on TLS are asked whether they are still there; one that does not answer three times running is lost."`
	RTPAddr      netip.Addr    `env:"HOLDFAST_RTP_ADDR" roles:"telephony dev" doc:"Local address of the RTP sockets. If not set, that of HOLDFAST_SIP_ADDR; where that is a wildcard, HOLDFAST_RTP_ADVERTISE if this machine has it."`
	RTPAdvertise netip.Addr    `env:"HOLDFAST_RTP_ADVERTISE" roles:"telephony dev" doc:"Address in our SDP; the host of HOLDFAST_SIP_ADVERTISE if not set."`
	RTPPorts     portRange     `env:"HOLDFAST_RTP_PORTS" envDefault:"20000-29999" roles:"telephony dev" doc:"UDP ports for audio, two per leg."`
	MaxCalls     int           `env:"HOLDFAST_MAX_CALLS" envDefault:"2000" roles:"telephony dev" doc:"Live calls on this node at most; further callers get 503."`
	Node         string        `env:"HOLDFAST_NODE" roles:"telephony dev" doc:"Name of this telephony node, unique and kept over restarts; the host's name if not set."`
	Nice         int           `env:"HOLDFAST_NICE" envDefault:"-10" roles:"telephony" doc:"Niceness of the process that carries the audio, -20 (first) to 19; 0 leaves it as it is. Below 0 needs root or CAP_SYS_NICE; without, it stays as it is."`
	Drain        time.Duration `env:"HOLDFAST_DRAIN" envDefault:"5s" roles:"telephony" doc:"How long a node that is asked to stop lets live calls go on."`

	WebhookNetworks     networks      `env:"HOLDFAST_WEBHOOK_NETWORKS" roles:"api worker dev" doc:"Networks that webhooks may call although they are not public, separated by commas: 127.0.0.0/8,10.0.0.0/8. They may be called by http. None if not set: what stands inside can't be reached by who may write an address. The same for every api and worker; dev takes 127.0.0.0/8,::1/128."`
	WebhookFirstRetry   time.Duration `env:"HOLDFAST_WEBHOOK_FIRST_RETRY" envDefault:"5s" roles:"worker dev" doc:"Pause after the first try of a webhook's message that was not accepted; each pause is thrice the one before."`
	WebhookLongestRetry time.Duration `env:"HOLDFAST_WEBHOOK_LONGEST_RETRY" envDefault:"6h" roles:"worker dev" doc:"The longest such pause."`
	WebhookGiveUp       time.Duration `env:"HOLDFAST_WEBHOOK_GIVE_UP" envDefault:"72h" roles:"worker dev" doc:"At which age a message that was not accepted is given up."`

	RetentionEvery time.Duration `env:"HOLDFAST_RETENTION_EVERY" envDefault:"1h" roles:"worker dev" doc:"How often is deleted what is older than its tenant keeps it, and what has expired: see docs/operating.md. 0: never. The same for every worker."`

	HealthAddr listenAddr `env:"HOLDFAST_HEALTH_ADDR" roles:"worker telephony" doc:"Where these roles serve /healthz, /readyz and /metrics; nowhere if not set. api serves them on its own address."`
	Log        slog.Level `env:"HOLDFAST_LOG" envDefault:"info" roles:"all" doc:"debug, info, warn or error."`
	LogFormat  logFormat  `env:"HOLDFAST_LOG_FORMAT" envDefault:"text" roles:"all" doc:"text or json."`

	PostgresBin string `env:"HOLDFAST_POSTGRES_BIN" roles:"dev" doc:"Folder with postgres and initdb, if they are not found by themselves."`
	Devstack    string `env:"HOLDFAST_DEVSTACK" roles:"dev" doc:"The program holdfast-devstack, if it is not beside this one or in bin/."`
}

// readEnvironment reads the variables of the process. What is wrong is named in one sentence.
func readEnvironment() (environment, error) { return parseEnvironment(environ()) }

func environ() map[string]string { return env.ToMap(os.Environ()) }

func parseEnvironment(variables map[string]string) (environment, error) {
	set := map[string]string{}
	for name, value := range variables {
		if value != "" { // composed environments pass what is not set on as nothing
			set[name] = value
		}
	}
	e, err := env.ParseAsWithOptions[environment](env.Options{Environment: set})
	if err == nil {
		return e, nil
	}
	var all env.AggregateError
	if errors.As(err, &all) {
		for _, one := range all.Errors {
			var p env.ParseError
			if errors.As(one, &p) {
				name := variableOf(p.Name)
				return e, usage("%s: %s", name, reasonOf(p.Err, shown(name, variables[name])))
			}
		}
	}
	return e, usage("the environment can't be read: %w", err)
}

// shown is the value of a variable as a message may repeat it.
func shown(name, value string) string {
	if name == "HOLDFAST_TOKEN_KEY" {
		return "the value"
	}
	return strconv.Quote(value)
}

// reasonOf says in words what is wrong with a value.
func reasonOf(err error, value string) string {
	var number *strconv.NumError
	switch {
	case errors.As(err, &number) && number.Func == "ParseBool":
		return value + " is neither true nor false"
	case errors.As(err, &number):
		return value + " is not a number"
	case strings.Contains(err.Error(), "time: "):
		return value + " is not a duration such as 10s"
	case strings.HasPrefix(err.Error(), "slog: "):
		return value + " is none of debug, info, warn and error"
	case strings.HasPrefix(err.Error(), "ParseAddr"):
		return value + " is not an IP address"
	}
	return value + " " + err.Error()
}

// variableOf is the name of the variable that fills a field.
func variableOf(field string) string {
	f, _ := reflect.TypeFor[environment]().FieldByName(field)
	return f.Tag.Get("env")
}

// unknown lists variables of ours that nobody reads: misspelt ones, most likely.
func unknown(variables map[string]string) []string {
	known := map[string]bool{}
	for f := range reflect.TypeFor[environment]().Fields() {
		known[f.Tag.Get("env")] = true
	}
	var found []string
	for name := range variables {
		if strings.HasPrefix(name, "HOLDFAST_") && !strings.HasPrefix(name, "HOLDFAST_DEVSTACK_") && !known[name] {
			found = append(found, name)
		}
	}
	return found
}

// logger writes to w as the environment says.
func (e environment) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: e.Log}
	if e.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// listenAddr is host:port to listen on; the host may be empty.
type listenAddr string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *listenAddr) UnmarshalText(b []byte) error {
	_, port, err := net.SplitHostPort(string(b))
	if err != nil {
		return errors.New("is not host:port, such as 0.0.0.0:8080 or :8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n > 65535 {
		return errors.New("has no port between 0 and 65535")
	}
	*a = listenAddr(b)
	return nil
}

// host is the address to listen on, 0.0.0.0 if every one.
func (a listenAddr) host() string {
	host, _, _ := net.SplitHostPort(string(a)) // checked by UnmarshalText
	if host == "" {
		return "0.0.0.0"
	}
	return host
}

func (a listenAddr) port() string {
	_, port, _ := net.SplitHostPort(string(a)) // checked by UnmarshalText
	return port
}

// wildcard reports whether a listens on every address, which is none to call.
func (a listenAddr) wildcard() bool {
	ip, err := netip.ParseAddr(a.host())
	return err == nil && ip.IsUnspecified()
}

// advertised is host or host:port as peers are told it.
type advertised string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *advertised) UnmarshalText(b []byte) error {
	if strings.ContainsAny(string(b), " /\r\n\x00") {
		return errors.New("is not a host or host:port")
	}
	if host, port, err := net.SplitHostPort(string(b)); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return errors.New("is not a host or host:port")
		}
	}
	*a = advertised(b)
	return nil
}

// split returns host and port; without a port it is that of the socket.
func (a advertised) split(port string) (string, string) {
	if host, p, err := net.SplitHostPort(string(a)); err == nil {
		return host, p
	}
	return strings.Trim(string(a), "[]"), port
}

// portRange is "20000-29999", both included.
type portRange struct{ Min, Max int }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *portRange) UnmarshalText(b []byte) error {
	low, high, ok := strings.Cut(string(b), "-")
	first, errLow := strconv.ParseUint(low, 10, 16)
	last, errHigh := strconv.ParseUint(high, 10, 16)
	if !ok || errLow != nil || errHigh != nil || first < 1024 || last <= first {
		return errors.New("is not a range of ports such as 20000-29999")
	}
	*r = portRange{int(first), int(last)}
	return nil
}

// networks is a list of networks.
type networks []netip.Prefix

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *networks) UnmarshalText(b []byte) error {
	*n = nil
	for _, word := range strings.Split(string(b), ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(word))
		if err != nil {
			return errors.New("is not a list of networks such as 127.0.0.0/8,10.0.0.0/8")
		}
		*n = append(*n, p.Masked())
	}
	return nil
}

// receivers is where webhooks may go.
func (e environment) receivers() fence.Fence { return fence.Fence{Allowed: e.WebhookNetworks} }

func (e environment) webhookSchedule() webhook.Schedule {
	return webhook.Schedule{First: e.WebhookFirstRetry, Longest: e.WebhookLongestRetry, GiveUp: e.WebhookGiveUp}
}

type logFormat string

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *logFormat) UnmarshalText(b []byte) error {
	if s := string(b); s != "text" && s != "json" {
		return errors.New("is neither text nor json")
	}
	*f = logFormat(b)
	return nil
}

// tokenKeys are the keys of access tokens: the first signs, all verify.
type tokenKeys []ed25519.PrivateKey

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *tokenKeys) UnmarshalText(b []byte) error {
	*k = nil
	for _, word := range strings.Split(string(b), ",") {
		key, err := tokenKey(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		*k = append(*k, key)
	}
	return nil
}

// tokenKey derives a signing key from a secret of any length from 32 bytes on.
func tokenKey(secret string) (ed25519.PrivateKey, error) {
	b, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		return nil, errors.New("is not base64; make one by openssl rand -base64 32")
	}
	if len(b) < ed25519.SeedSize {
		return nil, fmt.Errorf("has %d bytes, and needs at least %d; make one by openssl rand -base64 32", len(b), ed25519.SeedSize)
	}
	seed := sha256.Sum256(b)
	return ed25519.NewKeyFromSeed(seed[:]), nil
}
