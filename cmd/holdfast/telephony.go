package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"holdfast/activities"
	"holdfast/dispatch"
	"holdfast/domain/id"
	"holdfast/telephony"
	"holdfast/telephony/media"
	"holdfast/telephony/transaction"
	"holdfast/worker"
)

// flushWithin is how long a stopping node waits until what it reported is delivered.
const flushWithin = 5 * time.Second

func telephonyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "telephony", Short: "Run a telephony node: SIP and audio", GroupID: "run",
		Long: "Runs one telephony node: SIP and audio of the calls that arrive on it.\nConfigured by the environment: holdfast help environment.",
		RunE: func(c *cobra.Command, _ []string) error {
			return runRole(c, "telephony", func(g *ground) (role, error) {
				hurry(g.env.Nice, g.log)
				d := dispatch.New(dispatch.Config{Temporal: g.temporal, Ledger: g.db, Desks: g.db, Journal: g.db, Log: g.log})
				return newNode(g, d, newMetrics())
			})
		},
	}
}

// nodeRole is a telephony node with the worker of its task queue.
type nodeRole struct {
	taskRole
	node *telephony.Node
}

func newNode(g *ground, d *dispatch.Dispatcher, metrics *prometheus.Registry) (*nodeRole, error) {
	conf, err := nodeConfig(g)
	if err != nil {
		return nil, err
	}
	// The media shards hold their threads; with a processor for each beside Go's own,
	// they need not give it up while they wait for packets.
	runtime.GOMAXPROCS(runtime.NumCPU() + shards(conf.Media))
	n, err := telephony.New(conf, d, g.db)
	if err != nil {
		return nil, err
	}
	metrics.MustRegister(n)
	d.Connect(n)
	g.db.OnRing(conf.Name, n.Prompted)
	g.db.OnDirectoryChange(n.DirectoryChanged)
	phone := &activities.Node{Phone: n, Journal: g.db, Name: conf.Name, Boot: conf.Boot}
	r := &nodeRole{node: n}
	r.ground, r.dispatcher, r.worker, r.metrics = g, d, worker.Node(g.temporal, phone, g.log), metrics
	return r, nil
}

// shards is how many shards the media engine will have.
func shards(c media.Config) int {
	if c.Shards > 0 {
		return c.Shards
	}
	return runtime.NumCPU()
}

// nodeConfig is the node as the environment describes it.
func nodeConfig(g *ground) (telephony.Config, error) {
	e := g.env
	name, err := nodeName(e)
	if err != nil {
		return telephony.Config{}, err
	}
	if e.SIPAdvertise == "" && e.SIPAddr.wildcard() {
		return telephony.Config{}, usage("HOLDFAST_SIP_ADVERTISE is not set; it is the address by which phones reach this node, since %s is none", e.SIPAddr.host())
	}
	endpoints, err := endpoints(e)
	if err != nil {
		return telephony.Config{}, err
	}
	audio, err := audioConfig(e)
	if err != nil {
		return telephony.Config{}, err
	}
	audio.Log = g.log
	return telephony.Config{Name: name, Boot: rand.Text(), Listen: endpoints, Media: audio, MaxCalls: e.MaxCalls, KeepAlive: e.SIPKeepAlive, Sounds: g.db, Log: g.log}, nil
}

// nodeName is the name in the registry and of the task queue.
func nodeName(e environment) (id.Node, error) {
	name := e.Node
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", usage("HOLDFAST_NODE is not set, and the host's name can't be read: %w", err)
		}
		name = host
	}
	if strings.ContainsAny(name, " /:\r\n\x00") || len(name) > 64 {
		return "", usage("HOLDFAST_NODE: %q is not a name; take letters, digits and dashes, at most 64", name)
	}
	return id.Node(name), nil
}

// endpoints are the SIP sockets.
func endpoints(e environment) ([]transaction.Endpoint, error) {
	sentBy := func(a listenAddr) string {
		if e.SIPAdvertise == "" {
			return ""
		}
		host, port := e.SIPAdvertise.split(a.port())
		if a != e.SIPAddr {
			port = a.port()
		}
		return net.JoinHostPort(host, port)
	}
	plain := sentBy(e.SIPAddr)
	all := []transaction.Endpoint{
		{Transport: "UDP", Addr: string(e.SIPAddr), SentBy: plain},
		{Transport: "TCP", Addr: string(e.SIPAddr), SentBy: plain},
	}
	if (e.SIPTLSCert == "") != (e.SIPTLSKey == "") {
		return nil, usage("HOLDFAST_SIP_TLS_CERT and HOLDFAST_SIP_TLS_KEY belong together; set both or none")
	}
	if e.SIPTLSCert == "" {
		return all, nil
	}
	pair, err := tls.LoadX509KeyPair(e.SIPTLSCert, e.SIPTLSKey)
	if err != nil {
		return nil, usage("the certificate for SIP over TLS can't be used: %w", err)
	}
	return append(all, transaction.Endpoint{
		Transport: "TLS", Addr: string(e.SIPTLSAddr), SentBy: sentBy(e.SIPTLSAddr),
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}), nil
}

// audioConfig is where audio comes and goes.
func audioConfig(e environment) (media.Config, error) {
	c := media.Config{Bind: e.RTPAddr, Advertise: e.RTPAdvertise, PortMin: e.RTPPorts.Min, PortMax: e.RTPPorts.Max}
	var err error
	if !c.Bind.IsValid() {
		if c.Bind, err = resolve(e.SIPAddr.host()); err != nil {
			return c, usage("HOLDFAST_RTP_ADDR is not set, and the host of HOLDFAST_SIP_ADDR is no address: %w", err)
		}
	}
	if !c.Advertise.IsValid() && e.SIPAdvertise != "" {
		host, _ := e.SIPAdvertise.split("")
		if c.Advertise, err = resolve(host); err != nil {
			return c, usage("HOLDFAST_RTP_ADVERTISE is not set, and the host of HOLDFAST_SIP_ADVERTISE is no address: %w", err)
		}
	}
	if c.Bind.IsUnspecified() && isOwn(c.Advertise) {
		// A socket on every address takes on one of them when it locks on to its peer,
		// the one that leads there; what the peer sends to another is lost from then on.
		c.Bind = c.Advertise
	}
	return c, nil
}

// isOwn reports whether a is an address of this machine.
func isOwn(a netip.Addr) bool {
	own, err := ownAddresses()
	return err == nil && slices.Contains(own, a)
}

// resolve turns a host into an address.
func resolve(host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap(), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
	if err != nil {
		return netip.Addr{}, err
	}
	return found[0].Unmap(), nil
}

func (r *nodeRole) start(ctx context.Context) error {
	return r.begin(ctx, func(ctx context.Context) error {
		if err := r.node.Start(ctx); err != nil {
			return sipSocketError(r.ground.env, err)
		}
		return nil
	}, r.stop)
}

// sipSocketError names the variable of the socket that could not be opened.
func sipSocketError(e environment, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && errors.Is(err, syscall.EADDRINUSE) && op.Addr != nil && strings.HasSuffix(op.Addr.String(), ":"+e.SIPTLSAddr.port()) {
		return socketError("HOLDFAST_SIP_TLS_ADDR", e.SIPTLSAddr, err)
	}
	return socketError("HOLDFAST_SIP_ADDR", e.SIPAddr, err)
}

// stop lets live calls go on for a while, then ends them; what the node reported is
// delivered before its worker and dispatcher end.
func (r *nodeRole) stop(ctx context.Context) {
	r.draining.Store(true)
	drain, cancel := context.WithTimeout(ctx, r.ground.env.Drain)
	defer cancel()
	if err := r.node.Stop(drain); err != nil {
		r.ground.log.Warn("Live calls were ended by the stop.", "err", err)
	}
	flush, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	if err := r.dispatcher.Flush(flush); err != nil {
		r.ground.log.Warn("Not everything that happened could be delivered before the stop; the guard ends the calls concerned.", "err", err)
	}
	r.end(ctx)
}

func (r *nodeRole) addresses() map[string]string {
	a := r.health.addresses()
	a["sip_udp"], a["sip_tcp"] = r.node.Addr("UDP"), r.node.Addr("TCP")
	if tlsAddr := r.node.Addr("TLS"); tlsAddr != "" {
		a["sip_tls"] = tlsAddr
	}
	return a
}
