package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"holdfast/db"
	"holdfast/domain/record"
)

const (
	// doctorWithin bounds each check.
	doctorWithin = 5 * time.Second
	// auditWithin bounds the reading of all audit trails.
	auditWithin = 2 * time.Minute
	// skewLimit is how far clocks may differ: more shows in waits, deadlines and records.
	skewLimit = 500 * time.Millisecond
	// expirySoon is when a certificate is worth a word.
	expirySoon = 14 * 24 * time.Hour
)

// searchAttributes are what workflows are found by; workflows/attributes.go sets them.
var searchAttributes = []string{"CCTenant", "CCQueue", "CCAgent", "CCAgentState", "CCCallPhase", "CCDirection"}

func doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check configuration, ports, clock, database, audit trails, Temporal, addresses, certificates", GroupID: "tools",
		Long: "Checks what the environment configures and prints one line per check: ✓ fine, ! worth a look, ✗ wrong.\nThe exit code is 1 if anything is wrong.",
		RunE: func(c *cobra.Command, _ []string) error { return examine(c.Context(), c.OutOrStdout()) },
	}
}

// finding is the outcome of one check: fine if neither warning nor wrong.
type finding struct {
	name, sentence string
	warning, wrong bool
}

func fine(name, sentence string, args ...any) finding {
	return finding{name: name, sentence: fmt.Sprintf(sentence, args...)}
}

func warn(name, sentence string, args ...any) finding {
	return finding{name: name, sentence: fmt.Sprintf(sentence, args...), warning: true}
}

func wrong(name, sentence string, args ...any) finding {
	return finding{name: name, sentence: fmt.Sprintf(sentence, args...), wrong: true}
}

// examine runs all checks in turn.
func examine(ctx context.Context, out io.Writer) error {
	e, err := readEnvironment()
	if err != nil {
		return err
	}
	var all []finding
	for _, check := range []func(context.Context, environment) []finding{
		checkVariables, checkPorts, checkAddresses, checkCertificate, checkDatabase, checkTemporalServer,
	} {
		ctx, cancel := context.WithTimeout(ctx, doctorWithin)
		found := check(ctx, e)
		cancel()
		for _, f := range found {
			mark := "✓"
			if f.warning {
				mark = "!"
			} else if f.wrong {
				mark = "✗"
			}
			if _, err := fmt.Fprintf(out, "%s %-12s %s\n", mark, f.name, f.sentence); err != nil {
				return err
			}
		}
		all = append(all, found...)
	}
	bad := 0
	for _, f := range all {
		if f.wrong {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks found something wrong", bad, len(all))
	}
	return nil
}

func checkVariables(_ context.Context, e environment) []finding {
	var found []finding
	if names := unknown(environ()); len(names) > 0 {
		slices.Sort(names)
		found = append(found, warn("environment", "nobody reads %s; see holdfast help environment", strings.Join(names, ", ")))
	} else {
		found = append(found, fine("environment", "every variable can be read"))
	}
	if len(e.TokenKeys) == 0 {
		found = append(found, warn("tokens", "HOLDFAST_TOKEN_KEY is not set: api will not start, and worker sends for no webhook (dev makes its own)"))
	} else {
		found = append(found, fine("tokens", "%s for access tokens", counted(len(e.TokenKeys), "key")))
	}
	return found
}

// checkPorts opens the sockets of this machine for a moment.
func checkPorts(_ context.Context, e environment) []finding {
	var found []finding
	for _, p := range []struct {
		name, network string
		addr          listenAddr
	}{{"http", "tcp", e.HTTPAddr}, {"sip udp", "udp", e.SIPAddr}, {"sip tcp", "tcp", e.SIPAddr}} {
		found = append(found, checkSocket(p.name, p.network, p.addr))
	}
	need := 4 * e.MaxCalls // two legs of a call, RTP and RTCP
	if have := e.RTPPorts.Max - e.RTPPorts.Min + 1; have < need {
		return append(found, warn("rtp", "%d ports carry %d calls at one time, and HOLDFAST_MAX_CALLS is %d", have, have/4, e.MaxCalls))
	}
	return append(found, fine("rtp", "ports %d to %d carry %d calls", e.RTPPorts.Min, e.RTPPorts.Max, (e.RTPPorts.Max-e.RTPPorts.Min+1)/4))
}

func checkSocket(name, network string, a listenAddr) finding {
	var err error
	if network == "udp" {
		var c net.PacketConn
		if c, err = net.ListenPacket(network, string(a)); err == nil {
			_ = c.Close() // it was only tried
		}
	} else {
		var l net.Listener
		if l, err = net.Listen(network, string(a)); err == nil {
			_ = l.Close() // it was only tried
		}
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return warn(name, "%s is in use: by a running Holdfast, or by another program", a)
	case err != nil:
		return wrong(name, "%s can't be opened: %v", a, err)
	}
	return fine(name, "%s is free", a)
}

// checkAddresses looks whether what we tell peers leads to this machine.
func checkAddresses(_ context.Context, e environment) []finding {
	if e.SIPAdvertise == "" {
		if e.SIPAddr.wildcard() {
			return []finding{warn("nat", "HOLDFAST_SIP_ADVERTISE is not set: telephony will not start (dev takes 127.0.0.1)")}
		}
		return []finding{fine("nat", "peers are told %s", e.SIPAddr)}
	}
	host, _ := e.SIPAdvertise.split(e.SIPAddr.port())
	ip, err := resolve(host)
	if err != nil {
		return []finding{wrong("nat", "%s, which peers are told, can't be resolved: %v", host, err)}
	}
	if ip.IsLoopback() {
		return []finding{warn("nat", "peers are told %s: only phones on this machine will hear anything", ip)}
	}
	if own, err := ownAddresses(); err == nil && !slices.Contains(own, ip) {
		return []finding{warn("nat", "peers are told %s, which is no address of this machine: it must be mapped here port by port, SIP and RTP", ip)}
	}
	if ip.IsPrivate() {
		return []finding{fine("nat", "peers are told %s, a private address: carriers outside can't reach it", ip)}
	}
	return []finding{fine("nat", "peers are told %s, an address of this machine", ip)}
}

func ownAddresses() ([]netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return own, nil
}

func checkCertificate(_ context.Context, e environment) []finding {
	if e.SIPTLSCert == "" {
		return []finding{fine("certificate", "none: no SIP over TLS")}
	}
	pair, err := tls.LoadX509KeyPair(e.SIPTLSCert, e.SIPTLSKey)
	if err != nil {
		return []finding{wrong("certificate", "%v", err)}
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return []finding{wrong("certificate", "%v", err)}
	}
	switch left := time.Until(leaf.NotAfter); {
	case left <= 0:
		return []finding{wrong("certificate", "it expired on %s", leaf.NotAfter.Format(time.DateOnly))}
	case left < expirySoon:
		return []finding{warn("certificate", "it expires on %s", leaf.NotAfter.Format(time.DateOnly))}
	}
	return []finding{fine("certificate", "for %s, until %s", strings.Join(leaf.DNSNames, ", "), leaf.NotAfter.Format(time.DateOnly))}
}

func checkDatabase(ctx context.Context, e environment) []finding {
	if e.DatabaseURL == "" {
		return []finding{warn("database", "HOLDFAST_DATABASE_URL is not set; %s", howToSet())}
	}
	d, err := openDatabase(e, slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{wrong("database", "%s", sentence(err))}
	}
	defer func() { _ = d.Close() }() // nothing was written
	s, err := d.Examine(ctx)
	if err != nil {
		return []finding{wrong("database", "%s: %s", hostOf(e.DatabaseURL), sentence(err))}
	}
	found := []finding{databaseFinding(hostOf(e.DatabaseURL), s), clockFinding(s)}
	if len(s.Pending) > 0 {
		return found // there may be no trail yet
	}
	// Every line there is will be read: that takes longer than a look.
	long, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditWithin)
	defer cancel()
	chains, err := d.CheckAudit(long)
	if err != nil {
		return append(found, wrong("audit", "the audit trails can't be read: %s", sentence(err)))
	}
	return append(append(found, auditFindings(chains)...), checkSealed(long, e, d))
}

// auditFindings tells of each trail that doesn't hold together, and of the others in one
// line. Whoever notes the heads elsewhere can prove later that nothing was cut off.
func auditFindings(chains []record.AuditChain) []finding {
	var found []finding
	var lines int64
	var heads []string
	for _, c := range chains {
		if c.Broken > 0 {
			found = append(found, wrong("audit", "the trail of %s was tampered with: line %d %s", c.Tenant, c.Broken, c.Why))
			continue
		}
		lines += c.Lines
		heads = append(heads, fmt.Sprintf("%s %d:%.12x", c.Tenant, c.Lines, c.Head))
	}
	if len(found) > 0 || len(chains) == 0 {
		return found
	}
	if len(heads) > 5 {
		heads = append(heads[:5], "…")
	}
	return append(found, fine("audit", "%s in %s: all as they were written (%s)", counted(lines, "line"), counted(len(chains), "trail"), strings.Join(heads, ", ")))
}

func databaseFinding(host string, s db.Examination) finding {
	if len(s.Pending) > 0 {
		return wrong("database", "%s is not up to date, run holdfast migrate; missing: %s", host, strings.Join(s.Pending, ", "))
	}
	return fine("database", "%s, Postgres %s, schema up to date", host, s.Server)
}

func clockFinding(s db.Examination) finding {
	skew := s.Skew.Round(time.Millisecond)
	if skew.Abs() > skewLimit {
		return wrong("clock", "this machine and the database differ by %s; let both follow the same time server", skew)
	}
	return fine("clock", "this machine and the database differ by %s", skew)
}

func checkTemporalServer(ctx context.Context, _ environment) []finding {
	o, err := temporalOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		return []finding{wrong("temporal", "%s", sentence(err))}
	}
	c, err := client.DialContext(ctx, o)
	if err != nil {
		return []finding{wrong("temporal", "%s can't be reached: %v", orDefault(o.HostPort, client.DefaultHostPort), err)}
	}
	defer c.Close()
	namespace := orDefault(o.Namespace, client.DefaultNamespace)
	n, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil {
		return []finding{wrong("temporal", "namespace %s: %v", namespace, err)}
	}
	keep := n.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
	return []finding{
		fine("temporal", "%s, namespace %s, keeps closed workflows for %s", orDefault(o.HostPort, client.DefaultHostPort), namespace, inDays(keep)),
		searchFinding(ctx, c, namespace),
	}
}

// inDays is a long time in words.
func inDays(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == day:
		return "1 day"
	case d > day && d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

func searchFinding(ctx context.Context, c client.Client, namespace string) finding {
	have, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return warn("search", "the search attributes can't be listed: %v", err)
	}
	var missing []string
	for _, name := range searchAttributes {
		if _, ok := have.GetCustomAttributes()[name]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return wrong("search", "search attributes are missing: temporal operator search-attribute create --namespace %s --type Keyword --name %s",
			namespace, strings.Join(missing, " --name "))
	}
	return fine("search", "all %d search attributes are there", len(searchAttributes))
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
