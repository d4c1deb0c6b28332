package main

import (
	"context"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"holdfast/dispatch"
	"holdfast/feed"
	"holdfast/fence"
	"holdfast/httpapi"
)

func apiCommand() *cobra.Command {
	return &cobra.Command{
		Use: "api", Short: "Run the HTTP API", GroupID: "run",
		Long: "Runs the HTTP API with its reference (/docs), event streams and pages.\nConfigured by the environment: holdfast help environment.",
		RunE: func(c *cobra.Command, _ []string) error {
			return runRole(c, "api", func(g *ground) (role, error) {
				d := dispatch.New(dispatch.Config{Temporal: g.temporal, Ledger: g.db, Desks: g.db, Log: g.log})
				return newAPI(g, d, newMetrics())
			})
		},
	}
}

// apiRole is the HTTP API with its follower of the event log.
type apiRole struct {
	ground     *ground
	dispatcher *dispatch.Dispatcher
	follower   *feed.Follower
	api        *httpapi.API
	listener   net.Listener

	end      context.CancelFunc
	followed chan struct{}
	served   chan struct{}
}

func newAPI(g *ground, d *dispatch.Dispatcher, metrics *prometheus.Registry) (*apiRole, error) {
	if len(g.env.TokenKeys) == 0 {
		return nil, usage("HOLDFAST_TOKEN_KEY is not set; make one by openssl rand -base64 32 and give it to every api process")
	}
	f := feed.New(feed.Config{Source: g.db, Log: g.log})
	api, err := httpapi.New(httpapi.Config{
		Commands: d, Reader: g.db, Directory: g.db, Clerk: g.db, Customers: g.db, Vault: g.db, Logins: g.db, APIKeys: g.db, Identities: g.db, Feed: f, Webhooks: g.db, Fence: g.env.receivers(), Keys: g.env.TokenKeys, Metrics: metrics, Log: g.log,
		Logs:       g.db,
		Sounds:     g.db,
		Documents:  documents{g.db},
		Checks:     append(g.checks(), httpapi.Check{Name: "events", Run: f.Check}),
		TemporalUI: g.env.TemporalUI, Namespace: g.namespace, Version: version(),
		PublicURL: g.env.PublicURL, Providers: fence.Fence{Allowed: g.env.OIDCNetworks},
		TrustedProxies: g.env.TrustedProxies, SecureCookies: g.env.SecureCookies, MaxStreams: g.env.MaxStreams,
	})
	if err != nil {
		return nil, err
	}
	return &apiRole{ground: g, dispatcher: d, follower: f, api: api, followed: make(chan struct{}), served: make(chan struct{})}, nil
}

func (r *apiRole) start(ctx context.Context) (err error) {
	if r.listener, err = listen("HOLDFAST_HTTP_ADDR", r.ground.env.HTTPAddr); err != nil {
		return err
	}
	ctx, r.end = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(r.followed)
		if err := r.follower.Run(ctx); err != nil {
			r.ground.log.Error("The event log is no longer followed.", "err", err)
		}
	}()
	go func() {
		defer close(r.served)
		if err := r.api.Serve(ctx, r.listener); err != nil {
			r.ground.log.Error("HTTP is no longer served.", "err", err)
		}
	}()
	return nil
}

func (r *apiRole) stop(ctx context.Context) {
	r.end()
	finish(ctx, r.ground.log, endWithin, func() {
		<-r.served
		<-r.followed
		r.dispatcher.Stop()
	})
}

func (r *apiRole) addresses() map[string]string {
	return map[string]string{"http": r.listener.Addr().String()}
}
