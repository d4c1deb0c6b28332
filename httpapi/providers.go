package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// discoveryLife is how long what a provider says of itself is believed; its keys are
	// read anew whenever a token names one that is not known.
	discoveryLife = time.Hour
	// discoveryPause is how long a provider that did not answer is not asked again.
	discoveryPause = 5 * time.Second
	// providerTimeout bounds one request to a provider, providerAnswer its answer in bytes.
	providerTimeout = 5 * time.Second
	providerAnswer  = 1 << 20
	// mostProviders bounds the memory of what providers say.
	mostProviders = 1000
)

// providers knows what OpenID Connect providers say of themselves.
type providers struct {
	client *http.Client
	now    func() time.Time
	plain  bool // http will do

	mu    sync.Mutex
	known map[string]*discovered
}

// discovered is what one provider said, or that it did not.
type discovered struct {
	once     sync.Once
	provider *oidc.Provider
	err      error
	until    time.Time
}

// newProviders asks providers; within reports whether those at private addresses may be
// asked, and by http. Else an administrator of a tenant could let us knock at doors of
// the network that we stand in.
func newProviders(within bool, now func() time.Time) *providers {
	dialer := &net.Dialer{Timeout: providerTimeout}
	if !within {
		dialer.Control = publicOnly
	}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: providerTimeout, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true}
	client := &http.Client{Transport: brief{transport}, Timeout: providerTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &providers{client: client, now: now, plain: within, known: map[string]*discovered{}}
}

// publicOnly refuses connections to addresses that are not of the public Internet.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || netip.MustParsePrefix("100.64.0.0/10").Contains(ip) {
		return fmt.Errorf("address %s is not public; HOLDFAST_OIDC_PRIVATE allows it", ip)
	}
	return nil
}

// brief cuts answers off that are longer than any provider's.
type brief struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b brief) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, providerAnswer), res.Body}
	}
	return res, err
}

// of is what the provider of an issuer says of itself.
func (p *providers) of(ctx context.Context, issuer string) (*oidc.Provider, error) {
	p.mu.Lock()
	d := p.known[issuer]
	if d == nil || !d.until.IsZero() && p.now().After(d.until) {
		if len(p.known) >= mostProviders {
			clear(p.known)
		}
		d = &discovered{}
		p.known[issuer] = d
	}
	p.mu.Unlock()
	d.once.Do(func() {
		// Others wait for this answer as well: it doesn't end with the one who asked first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
		defer cancel()
		provider, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), issuer)
		if err == nil && !p.plain {
			err = encrypted(provider)
		}
		until := p.now().Add(discoveryLife)
		if err != nil {
			until = p.now().Add(discoveryPause)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		d.provider, d.err, d.until = provider, err, until
	})
	return d.provider, d.err
}

// encrypted refuses a provider that would take codes and secrets in clear.
func encrypted(p *oidc.Provider) error {
	for _, address := range []string{p.Endpoint().AuthURL, p.Endpoint().TokenURL} {
		if !strings.HasPrefix(address, "https://") {
			return errors.New("an endpoint of the provider is not https")
		}
	}
	return nil
}
