package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	temporallog "go.temporal.io/sdk/log"

	"holdfast/cmd/engines"
	"holdfast/cmd/tenantfile"
	"holdfast/db/cluster"
	"holdfast/demo"
	"holdfast/dispatch"
	"holdfast/domain/fault"
)

const (
	// devFolderName is where everything lives, devVariables the file in it by which other
	// commands reach it.
	devFolderName, devVariables = ".holdfast", "env"
	// devNode is the name of the one telephony node.
	devNode = "dev"
	// devDrain: who presses Ctrl-C does not wait for calls to end.
	devDrain = 100 * time.Millisecond
	// portPatience is how long a port of Temporal may be in use before that is an error,
	// portLook the pause between two tries.
	portPatience, portLook = 3 * time.Second, 50 * time.Millisecond
	// engineStop bounds the orderly stop of Temporal and of Postgres.
	engineStop = 30 * time.Second
)

type devOptions struct {
	data         string
	empty        bool
	verbose      bool
	temporalPort int
	uiPort       int
}

func devCommand() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use: "dev", Short: "Run everything on this machine", GroupID: "run",
		Long: "Runs everything on this machine: a private Postgres, Temporal with its Web UI, and all roles in one process.\n" +
			"A new folder gets the demo tenant. What it keeps lives in the folder; the next start resumes it. Ctrl-C stops in order.",
		RunE: func(c *cobra.Command, _ []string) error {
			e, err := readEnvironment()
			if err != nil {
				return err
			}
			return runDev(c.Context(), e, o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&o.data, "data", devFolderName, "`folder` for everything that is kept")
	c.Flags().BoolVar(&o.empty, "empty", false, "without the demo tenant")
	c.Flags().BoolVar(&o.verbose, "verbose", false, "show the log here too, not only in the folder")
	c.Flags().IntVar(&o.temporalPort, "temporal-port", 7233, "`port` of Temporal; 0: a free one")
	c.Flags().IntVar(&o.uiPort, "ui-port", 8233, "`port` of the Temporal Web UI; 0: a free one")
	return c
}

// site is everything that `holdfast dev` runs, in the order of its start.
type site struct {
	env      environment
	options  devOptions
	folder   *folder
	log      *slog.Logger
	out      io.Writer
	progress *progress

	postgres *cluster.Cluster
	temporal *engines.Temporal
	ground   *ground
	roles    []namedRole

	keepers sync.WaitGroup       // who watch the engines
	dismiss []context.CancelFunc // tell them to go
}

type namedRole struct {
	name string
	role role
}

// runDev starts everything, says where it is, and stops it in order when asked to.
func runDev(ctx context.Context, e environment, o devOptions, out, warnings io.Writer) error {
	f, err := openFolder(o.data)
	if err != nil {
		return err
	}
	defer f.close()
	s := &site{env: devEnvironment(e), options: o, folder: f, out: out, progress: newProgress(out)}
	person := &console{progress: s.progress, out: warnings, least: slog.LevelWarn}
	if o.verbose {
		person.least = slog.LevelInfo
	}
	if s.log, err = f.logger(e, person); err != nil {
		return err
	}
	if s.env.TokenKeys, err = f.tokenKey(); err != nil {
		return err
	}
	if err := s.checkPorts(ctx); err != nil {
		return err
	}
	err = s.start(ctx)
	if err == nil {
		err = s.noteEnvironment()
	}
	if err == nil {
		s.welcome()
		<-ctx.Done()
		fmt.Fprintln(out, "\nStopping; press Ctrl-C again to stop at once.")
	}
	s.stop(context.WithoutCancel(ctx))
	if stopped(ctx, err) {
		return nil
	}
	return err
}

// devEnvironment fills in what needs no choice on one machine.
func devEnvironment(e environment) environment {
	if e.SIPAdvertise == "" && e.SIPAddr.wildcard() {
		e.SIPAdvertise = "127.0.0.1"
	}
	if e.Node == "" {
		e.Node = devNode
	}
	if e.WebhookNetworks == nil { // whoever tries them out receives on this machine
		e.WebhookNetworks = networks{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	e.Drain, e.HealthAddr = devDrain, ""
	return e
}

// checkPorts tries the sockets before the engines start, so that a taken port is told at
// once. Those of Temporal get a moment: the one of a process that was killed just now is
// still ending.
func (s *site) checkPorts(ctx context.Context) error {
	for _, p := range []struct {
		network, variable string
		addr              listenAddr
	}{
		{"tcp", "HOLDFAST_HTTP_ADDR", s.env.HTTPAddr}, {"udp", "HOLDFAST_SIP_ADDR", s.env.SIPAddr}, {"tcp", "HOLDFAST_SIP_ADDR", s.env.SIPAddr},
	} {
		if err := trySocket(p.network, p.addr); err != nil {
			return socketError(p.variable, p.addr, err)
		}
	}
	patience, cancel := context.WithTimeout(ctx, portPatience)
	defer cancel()
	for _, p := range []struct {
		flag string
		port int
	}{{"--temporal-port", s.options.temporalPort}, {"--ui-port", s.options.uiPort}} {
		a := listenAddr(net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)))
		if err := s.awaitSocket(patience, a); err != nil {
			return socketError(p.flag, a, err)
		}
	}
	return ctx.Err()
}

// awaitSocket waits until a socket can be opened, or ctx ends.
func (s *site) awaitSocket(ctx context.Context, a listenAddr) error {
	for told := false; ; told = true {
		err := trySocket("tcp", a)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		if !told {
			fmt.Fprintf(s.out, "Port %s is still in use; waiting %.0f s for it.\n", a.port(), portPatience.Seconds())
		}
		if !sleep(ctx, portLook) {
			return err
		}
	}
}

func (s *site) start(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"Postgres", s.startPostgres}, {"Schema", s.migrate}, {"Temporal", s.startTemporal}, {"Demo tenant", s.applyDemo},
		{"Worker", s.startWorker}, {"Telephony", s.startNode}, {"HTTP API", s.startAPI},
	} {
		if step.name == "Demo tenant" && s.options.empty {
			continue
		}
		if err := s.progress.step(step.name, func() error { return step.do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) startPostgres(ctx context.Context) (err error) {
	s.postgres, err = cluster.Start(ctx, cluster.Config{Dir: s.folder.in("postgres"), Log: s.log})
	if err == nil {
		s.watch(ctx, "Postgres", s.postgres)
	}
	return err
}

func (s *site) migrate(ctx context.Context) error {
	s.env.DatabaseURL, s.env.MigrateURL = s.postgres.DSN(), ""
	d, err := openDatabase(s.env, s.log)
	if err != nil {
		return err
	}
	s.ground = &ground{env: s.env, log: s.log, db: d}
	return migrateOnce(ctx, d)
}

func (s *site) startTemporal(ctx context.Context) error {
	output, err := s.folder.log("temporal.log")
	if err != nil {
		return err
	}
	s.temporal, err = engines.Start(ctx, engines.Config{
		Cluster: s.postgres, FrontendPort: s.options.temporalPort, UIPort: s.options.uiPort, Output: output, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.ground.env.TemporalUI = s.temporal.UI()
	s.watch(ctx, "Temporal", s.temporal)
	return s.ground.dial(ctx, client.Options{
		HostPort: s.temporal.Frontend(), Namespace: s.temporal.Namespace(), Logger: temporallog.NewStructuredLogger(s.log),
	})
}

func (s *site) startWorker(ctx context.Context) error {
	d := dispatch.New(dispatch.Config{Temporal: s.ground.temporal, Ledger: s.ground.db, Journal: s.ground.db, Log: s.log})
	r, err := newWorker(s.ground, d)
	if err != nil {
		return err
	}
	return s.startRole(ctx, "worker", r)
}

func (s *site) startNode(ctx context.Context) error {
	d := dispatch.New(dispatch.Config{Temporal: s.ground.temporal, Ledger: s.ground.db, Journal: s.ground.db, Log: s.log})
	r, err := newNode(s.ground, d, newMetrics())
	if err != nil {
		return err
	}
	return s.startRole(ctx, "telephony", r)
}

func (s *site) startAPI(ctx context.Context) error {
	d := dispatch.New(dispatch.Config{Temporal: s.ground.temporal, Ledger: s.ground.db, Log: s.log})
	metrics := newMetrics()
	for _, r := range s.roles {
		if n, ok := r.role.(*nodeRole); ok {
			metrics.MustRegister(n.node)
		}
	}
	r, err := newAPI(s.ground, d, metrics)
	if err != nil {
		return err
	}
	return s.startRole(ctx, "api", r)
}

func (s *site) startRole(ctx context.Context, name string, r role) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	s.roles = append(s.roles, namedRole{name, r})
	return nil
}

// stop ends everything in the reverse order of its start.
func (s *site) stop(ctx context.Context) {
	for i := len(s.roles) - 1; i >= 0; i-- {
		r := s.roles[i]
		_ = s.progress.step("stop "+r.name, func() error { r.role.stop(ctx); return nil }) // it has no error
	}
	if s.ground != nil {
		s.ground.close()
	}
	for _, dismiss := range s.dismiss {
		dismiss()
	}
	s.keepers.Wait()
	if s.temporal != nil {
		s.stopEngine(ctx, "stop Temporal", s.temporal.Stop)
	}
	if s.postgres != nil {
		s.stopEngine(ctx, "stop Postgres", s.postgres.Stop)
	}
}

func (s *site) stopEngine(ctx context.Context, name string, stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, engineStop)
	defer cancel()
	if err := s.progress.step(name, func() error { return stop(ctx) }); err != nil {
		s.log.Warn("An engine did not stop in order; nothing that it confirmed is lost.", "err", err)
	}
}

// noteEnvironment writes the variables by which the other commands reach this
// site. They hold secrets: only its owner may read them.
func (s *site) noteEnvironment() error {
	key, err := s.folder.tokenText()
	if err != nil {
		return err
	}
	return s.folder.write(devVariables, fmt.Sprintf("HOLDFAST_DATABASE_URL='%s'\nHOLDFAST_TOKEN_KEY='%s'\nTEMPORAL_ADDRESS='%s'\nTEMPORAL_NAMESPACE='%s'\n",
		s.env.DatabaseURL, key, s.temporal.Frontend(), s.temporal.Namespace()))
}

// welcome says where everything is, and how to hear the first call.
func (s *site) welcome() {
	where := map[string]string{}
	for _, r := range s.roles {
		for k, v := range r.role.addresses() {
			where[k] = v
		}
	}
	api, sip := "http://"+reachable(where["http"]), where["sip_udp"]
	fmt.Fprintf(s.out, "\nHoldfast is ready.\n\n  Pages, API, reference   %s/  %s/v1  %s/docs\n  Temporal Web UI         %s\n  SIP, UDP and TCP        %s\n  Data and logs           %s\n  For other commands      set -a; . %s; set +a\n",
		api, api, api, s.temporal.UI(), sip, s.folder.path, s.folder.in(devVariables))
	if !s.options.empty {
		s.welcomeDemo(api, sip)
	}
	fmt.Fprintln(s.out, "\n  Ctrl-C stops everything in order; the next start resumes it.")
	if !s.progress.terminal {
		where["temporal"], where["temporal_ui"] = s.temporal.Frontend(), s.temporal.UI()
		tellReady(s.out, "dev", where)
	}
}

func (s *site) welcomeDemo(api, sip string) {
	self := os.Args[0]
	phoneFlags, callFlags := proposedFlags(s.env.SIPAddr, sip)
	if api != "http://127.0.0.1:8080" {
		phoneFlags += " --api " + api
	}
	fmt.Fprintf(s.out, "\n  Demo tenant demo.localhost, every password is holdfast-demo:\n"+
		"    admin, supervisor, agents 1001 to 1005 with a phone each; queue support on number 8000\n\n"+
		"  Hear the first call, in two more terminals:\n"+
		"    %s phone --as 1001@demo.localhost --ready --answer 2s --tone 440%s\n"+
		"    %s call 8000 --tone 1000 --for 10s%s\n", self, phoneFlags, self, callFlags)
}

// proposedFlags are what phone and call need to reach a node that listens on a and is
// known as told. Both speak from a loopback address where that is possible: by it the
// demo trunk knows the customer.
func proposedFlags(a listenAddr, told string) (phone, call string) {
	server := told
	if _, port, err := net.SplitHostPort(told); err == nil && a.wildcard() {
		if a.port() != "0" { // else the system chose it
			port = a.port()
		}
		server = net.JoinHostPort("127.0.0.1", port)
	}
	if server != "127.0.0.1:5060" {
		phone, call = " --server "+server, " --server "+server
	}
	if ip, err := netip.ParseAddrPort(server); err == nil && !ip.Addr().IsLoopback() {
		call += " --ip 127.0.0.1"
	}
	return phone, call
}

// reachable is an address to call for one to listen on.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// trySocket opens a socket for a moment.
func trySocket(network string, a listenAddr) error {
	if network == "udp" {
		c, err := net.ListenPacket("udp4", string(a))
		if err != nil {
			return err
		}
		return c.Close()
	}
	l, err := net.Listen("tcp", string(a))
	if err != nil {
		return err
	}
	return l.Close()
}

// applyDemo applies the demo tenant to a new folder. One that is there stays as its
// owner made it.
func (s *site) applyDemo(ctx context.Context) error {
	wanted, err := tenantfile.Read(demo.File)
	if err != nil {
		return err
	}
	if _, err := s.ground.db.Export(ctx, wanted.Tenant.Domain); fault.KindOf(err) != fault.NotFound {
		return err
	}
	return apply(ctx, s.ground, wanted, false, io.Discard)
}
