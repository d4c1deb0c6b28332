package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.temporal.io/api/workflowservice/v1"

	"holdfast/httpapi"
)

// checkTemporal asks Temporal for our namespace.
func (g *ground) checkTemporal(ctx context.Context) error {
	_, err := g.temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: g.namespace})
	return err
}

// checks are what every role needs to serve.
func (g *ground) checks() []httpapi.Check {
	return []httpapi.Check{{Name: "database", Run: g.db.Ping}, {Name: "temporal", Run: g.checkTemporal}}
}

// newMetrics is a registry with the figures of the process itself.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// health serves /healthz, /readyz and /metrics for a role that has no HTTP API.
type health struct {
	server *http.Server
	done   chan struct{}
	addr   string
}

// startHealth serves on HOLDFAST_HEALTH_ADDR; nil if that is not set. It asks more
// besides what every role needs.
func startHealth(g *ground, r *prometheus.Registry, more ...httpapi.Check) (*health, error) {
	if g.env.HealthAddr == "" {
		return nil, nil
	}
	l, err := listen("HOLDFAST_HEALTH_ADDR", g.env.HealthAddr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /readyz", httpapi.Readiness(append(g.checks(), more...), g.log))
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	h := &health{server: &http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}, done: make(chan struct{}), addr: l.Addr().String()}
	go func() {
		defer close(h.done)
		_ = h.server.Serve(l) // ends with stop
	}()
	return h, nil
}

func (h *health) stop() {
	if h == nil {
		return
	}
	_ = h.server.Close() // probes and scrapes are asked again
	<-h.done
}

func (h *health) addresses() map[string]string {
	if h == nil {
		return map[string]string{}
	}
	return map[string]string{"health": h.addr}
}

// listen opens a TCP socket; a taken port is named with the variable that moves it.
func listen(variable string, a listenAddr) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", string(a))
	if err != nil {
		return nil, socketError(variable, a, err)
	}
	return l, nil
}

// socketError says in one sentence why a socket could not be opened.
func socketError(variable string, a listenAddr, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return usage("port %s is in use by another program; stop it or choose another one by %s", a.port(), variable)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return usage("%s: this machine has no address %s", variable, a.host())
	case errors.Is(err, syscall.EACCES):
		return usage("%s: port %s may not be opened by this user; choose one above 1023", variable, a.port())
	}
	return err
}
