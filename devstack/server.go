package devstack

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

const (
	// clusterName is written into the database; it never changes.
	clusterName = "active"
	// loopback is where the inner services listen.
	loopback = "127.0.0.1"
	// mainStore and visibilityStore name the two databases in the server's
	// configuration.
	mainStore       = "main"
	visibilityStore = "visibility"
)

// Stack is a running Temporal service.
type Stack struct {
	config   Config
	server   temporal.Server
	ui       *webUI
	reserved map[primitives.ServiceName]*reservation
	uiPort   *reservation
}

// Start prepares the databases, starts all services and returns when the
// frontend answers and the namespace and its search attributes are usable.
// Lines for a person go to say, as does the log. The error is a *PortTakenError
// when a port is in use, a *PostgresError when Postgres is out of reach.
func Start(ctx context.Context, c Config, say io.Writer) (_ *Stack, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Stack{config: c, reserved: map[primitives.ServiceName]*reservation{}}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	if err := s.reservePorts(); err != nil {
		return nil, err
	}
	logger := newLogger(c.LogLevel, say)
	if err := c.prepareDatabases(ctx, logger, say); err != nil {
		return nil, err
	}
	if err := c.prepareNamespace(ctx, logger); err != nil {
		return nil, err
	}
	if err := s.startServer(logger); err != nil {
		return nil, err
	}
	if !c.Headless {
		s.ui = startUI(c.IP, s.uiPort.Port, s.Frontend(), c.Namespace)
	}
	return s, s.waitUntilReady(ctx)
}

// Frontend is the address for clients, host:port.
func (s *Stack) Frontend() string { return s.address(primitives.FrontendService) }

// UI is the address of the Web UI as a URL, empty when headless.
func (s *Stack) UI() string {
	if s.ui == nil {
		return ""
	}
	return "http://" + net.JoinHostPort(reachable(s.config.IP), strconv.Itoa(s.uiPort.Port))
}

// Stop ends the Web UI, then the services in the order in which they depend on
// each other. It is safe on a stack that started half way, and twice.
func (s *Stack) Stop() {
	if s.ui != nil {
		s.ui.stop()
		s.ui = nil
	}
	if s.server != nil {
		_ = s.server.Stop() // the server logs what did not end well; we end anyway
		s.server = nil
	}
	for _, r := range s.reserved {
		r.release()
	}
	s.uiPort.release()
}

func (s *Stack) reservePorts() (err error) {
	frontend := primitives.FrontendService
	if s.reserved[frontend], err = reserve(s.config.IP, s.config.FrontendPort, "frontend-port"); err != nil {
		return err
	}
	for _, inner := range []primitives.ServiceName{
		primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	} {
		if s.reserved[inner], err = reserve(loopback, 0, ""); err != nil {
			return err
		}
	}
	if !s.config.Headless {
		s.uiPort, err = reserve(s.config.IP, s.config.UIPort, "ui-port")
	}
	return err
}

func (s *Stack) startServer(logger log.Logger) (err error) {
	s.server, err = temporal.NewServer(
		temporal.WithConfig(s.serverConfig()),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(s.hosts()),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
			return authorization.NewNoopClaimMapper()
		}),
		temporal.WithDynamicConfigClient(dynamicConfig()),
	)
	if err != nil {
		return fmt.Errorf("configure Temporal: %w", err)
	}
	if err := s.server.Start(); err != nil {
		return fmt.Errorf("start Temporal: %w", err)
	}
	return nil
}

func (s *Stack) serverConfig() *config.Config {
	c := s.config
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     mainStore,
			VisibilityStore:  visibilityStore,
			NumHistoryShards: int32(c.Shards),
			DataStores: map[string]config.DataStore{
				mainStore:       {SQL: c.store(c.Database)},
				visibilityStore: {SQL: c.store(c.VisibilityDatabase)},
			},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: s.Frontend()},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            map[string]config.Service{},
		PublicClient:        config.PublicClient{HostPort: s.Frontend()},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
	}
	for name, r := range s.reserved {
		cfg.Services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: r.Port, BindOnIP: s.bindIP(name)}}
	}
	cfg.Global.PProf = config.PProf{Host: loopback, Port: c.ProfilePort}
	if c.MetricsAddr != "" {
		cfg.Global.Metrics = &metrics.Config{Prometheus: &metrics.PrometheusConfig{ListenAddress: c.MetricsAddr}}
	}
	return cfg
}

// hosts names the one host of each service, in place of the gossip by which a
// cluster finds its members.
func (s *Stack) hosts() map[primitives.ServiceName]static.Hosts {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name := range s.reserved {
		hosts[name] = static.SingleLocalHost(s.address(name))
	}
	return hosts
}

func (s *Stack) bindIP(name primitives.ServiceName) string {
	if name == primitives.FrontendService {
		return s.config.IP
	}
	return loopback
}

func (s *Stack) address(name primitives.ServiceName) string {
	return net.JoinHostPort(reachable(s.bindIP(name)), strconv.Itoa(s.reserved[name].Port))
}

// reachable is the address by which this machine reaches something that listens
// on ip: a wildcard is no address to call.
func reachable(ip string) string {
	if net.ParseIP(ip).IsUnspecified() {
		return loopback
	}
	return ip
}
