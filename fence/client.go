package fence

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	// idleConns are kept open per host, and allIdle of all, for idleFor: a busy one is not
	// dialled for each request.
	idleConns, allIdle = 4, 256
	idleFor            = 30 * time.Second
	maxHeader          = 64 << 10
)

type secureKey struct{}

// Client is a client that calls only what the fence lets it, whatever a name resolves to
// in the moment of the call, and follows nobody elsewhere. What it may not call is an
// error before anything was sent.
func (f Fence) Client() *http.Client {
	dialer := &net.Dialer{
		Timeout: dialTimeout,
		ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			secure, _ := ctx.Value(secureKey{}).(bool)
			return f.CheckAddr(at.Addr(), secure)
		},
	}
	return &http.Client{
		Transport: gate{&http.Transport{
			Proxy:       nil, // a proxy would resolve the name, out of our sight
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout,
			MaxIdleConnsPerHost: idleConns, MaxIdleConns: allIdle, IdleConnTimeout: idleFor, MaxResponseHeaderBytes: maxHeader,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// gate tells the dialer whether a request is by https: it sees addresses only.
type gate struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g gate) RoundTrip(r *http.Request) (*http.Response, error) {
	return g.RoundTripper.RoundTrip(r.WithContext(context.WithValue(r.Context(), secureKey{}, r.URL.Scheme == "https")))
}
