package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"holdfast/fence"
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
	fence  fence.Fence
	now    func() time.Time

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

// newProviders asks providers that the fence lets us call: else an administrator of a
// tenant could let us knock at doors of the network that we stand in.
func newProviders(f fence.Fence, now func() time.Time) *providers {
	client := f.Client()
	client.Transport, client.Timeout = brief{client.Transport}, providerTimeout
	return &providers{client: client, fence: f, now: now, known: map[string]*discovered{}}
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
		if err == nil {
			err = p.fenced(provider)
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

// fenced refuses a provider that would have codes and secrets sent where they must not be:
// in clear to the outside, or inside.
func (p *providers) fenced(found *oidc.Provider) error {
	for _, address := range []string{found.Endpoint().AuthURL, found.Endpoint().TokenURL} {
		if err := p.fence.CheckURL(address); err != nil {
			return fmt.Errorf("an endpoint of the provider %w", err)
		}
	}
	return nil
}
