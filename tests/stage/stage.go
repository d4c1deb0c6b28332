// Package stage puts the whole of Holdfast on its feet for tests: a private Postgres,
// Temporal, and the roles as processes of their own, each of which can be killed and
// brought back. Tests get a tenant each, with agents whose phones are real SIP phones,
// and customers who call from an address that no other test uses.
package stage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"holdfast/cmd/engines"
	"holdfast/db/cluster"
)

// Patience bounds every wait of the stage and its people: long enough for a loaded
// machine, short enough to be a verdict.
const Patience = 20 * time.Second

// Stage is a running Holdfast.
type Stage struct {
	Postgres *cluster.Cluster
	Temporal *engines.Temporal
	API      *Process
	Worker   *Process
	Node     *Process

	dir     string
	binary  string
	faults  bool
	ports   []*cluster.Reservation
	tenants atomic.Int32
	http    string // base URL
	sip     string // ip:port
	health  string // ip:port of the node's
}

// Options change how a stage is built.
type Options struct {
	// Env is added to the environment of every role.
	Env []string
	// IP is where the node listens and what it advertises; default 127.0.0.1.
	IP string
	// Faults says that processes die here: an agent who is told 503 comes back, as it says.
	// Everywhere else that is a failure.
	Faults bool
}

// New builds a stage below dir. The caller ends it with Close, also after an error.
func New(ctx context.Context, dir string, o Options) (*Stage, error) {
	s := &Stage{dir: dir, faults: o.Faults}
	if err := s.engines(ctx); err != nil {
		return s, err
	}
	binary, err := build(ctx)
	if err != nil {
		return s, err
	}
	s.binary = binary
	if err := s.roles(ctx, o); err != nil {
		return s, err
	}
	return s, nil
}

// engines starts Postgres and Temporal.
func (s *Stage) engines(ctx context.Context) (err error) {
	log := slog.New(slog.DiscardHandler)
	s.Postgres, err = cluster.Start(ctx, cluster.Config{Dir: filepath.Join(s.dir, "postgres"), Log: log})
	if err != nil {
		return fmt.Errorf("start Postgres: %w", err)
	}
	output, err := os.Create(filepath.Join(s.dir, "temporal.log"))
	if err != nil {
		return err
	}
	s.Temporal, err = engines.Start(ctx, engines.Config{Cluster: s.Postgres, Headless: true, Output: output, Log: log})
	if err != nil {
		return fmt.Errorf("start Temporal: %w", err)
	}
	return nil
}

// roles migrates the database and starts api, worker and telephony, each on ports
// that it keeps over every restart.
func (s *Stage) roles(ctx context.Context, o Options) error {
	if o.IP == "" {
		o.IP = "127.0.0.1"
	}
	var port [3]int
	for i, ip := range []string{"127.0.0.1", o.IP, "127.0.0.1"} {
		r, err := cluster.ReservePort(ip, 0)
		if err != nil {
			return err
		}
		s.ports = append(s.ports, r)
		port[i] = r.Port
	}
	s.http = fmt.Sprintf("http://127.0.0.1:%d", port[0])
	s.sip = fmt.Sprintf("%s:%d", o.IP, port[1])
	s.health = fmt.Sprintf("127.0.0.1:%d", port[2])
	env := append(os.Environ(),
		"HOLDFAST_DATABASE_URL="+s.Postgres.DSN(),
		"TEMPORAL_ADDRESS="+s.Temporal.Frontend(),
		"HOLDFAST_TOKEN_KEY="+tokenKey,
		"HOLDFAST_HTTP_ADDR=127.0.0.1:"+fmt.Sprint(port[0]),
		"HOLDFAST_PUBLIC_URL="+s.http, "HOLDFAST_OIDC_NETWORKS=127.0.0.0/8", // the tests' providers stand on loopback
		"HOLDFAST_SIP_ADDR="+s.sip, "HOLDFAST_SIP_ADVERTISE="+o.IP,
		"HOLDFAST_RTP_PORTS="+rtpPorts(port[1]), "HOLDFAST_NODE=node-1", "HOLDFAST_LOG=debug",
	)
	env = append(env, o.Env...)
	if out, err := s.command(ctx, env, "migrate").CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, out)
	}
	s.Worker = &Process{Name: "worker", binary: s.binary, env: env, dir: s.dir}
	s.Node = &Process{Name: "telephony", binary: s.binary, env: append(slices.Clone(env), "HOLDFAST_HEALTH_ADDR="+s.health), dir: s.dir}
	s.API = &Process{Name: "api", binary: s.binary, env: env, dir: s.dir}
	for _, p := range []*Process{s.Worker, s.Node, s.API} {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tokenKey signs access tokens of tests: 32 bytes, base64.
const tokenKey = "aG9sZGZhc3QtdGVzdHMtdGhpcy1pcy1ub3Qtc2VjcmV0IQ=="

// rtpPorts gives each stage a range of its own, chosen by its SIP port, so that
// stages side by side never share one.
func rtpPorts(sip int) string {
	low := 16384 + (sip%16)*1000 // below the ephemeral ports
	return fmt.Sprintf("%d-%d", low, low+998)
}

// HTTP is the base URL of the API.
func (s *Stage) HTTP() string { return s.http }

// SIP is ip:port of the node.
func (s *Stage) SIP() string { return s.sip }

// NodeHealth is ip:port where the node tells its health.
func (s *Stage) NodeHealth() string { return s.health }

// Dir holds the logs of everything that runs.
func (s *Stage) Dir() string { return s.dir }

// Close stops what runs, in order.
func (s *Stage) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var errs []error
	for _, p := range []*Process{s.API, s.Node, s.Worker} {
		if p != nil {
			errs = append(errs, p.Stop(ctx))
		}
	}
	if s.Temporal != nil {
		errs = append(errs, s.Temporal.Stop(ctx))
	}
	if s.Postgres != nil {
		errs = append(errs, s.Postgres.Stop(ctx))
	}
	for _, r := range s.ports {
		r.Release()
	}
	return errors.Join(errs...)
}
