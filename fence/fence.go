// Package fence keeps us from calling what stands inside: addresses that tenants write,
// of webhooks' receivers and of OpenID Connect providers, are called through it only.
package fence

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Fence says which addresses we call. The zero value lets us call public addresses by
// https only: what stands inside is not to be reached by whoever may write an address
// (server-side request forgery).
type Fence struct {
	// Allowed are networks that the operator opens although they are not public. They
	// may be called by http as well.
	Allowed []netip.Prefix
}

// reserved are networks that netip has no word for and nobody outside can own
// (RFC 6890), and those that stand for an IPv4 address within an IPv6 one.
var reserved = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10", "::/96")

func prefixes(list ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// CheckAddr refuses an address that must not be called; secure: by https.
func (f Fence) CheckAddr(a netip.Addr, secure bool) error {
	a = a.Unmap().WithZone("")
	for _, p := range f.Allowed {
		if p.Contains(a) {
			return nil
		}
	}
	if !public(a) {
		return fmt.Errorf("%s is no public address, and the operator does not allow its network", a)
	}
	if !secure {
		return fmt.Errorf("%s is a public address, which is called by https only", a)
	}
	return nil
}

func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// CheckURL refuses, in words, what can't be the address of a receiver. What a name
// resolves to is not looked up here.
func (f Fence) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return errors.New("must be an address such as https://crm.example.com/holdfast")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must begin with https://")
	case u.Scheme == "http" && len(f.Allowed) == 0:
		return errors.New("must begin with https://: the operator allows no network that could be called by http")
	case u.User != nil:
		return errors.New("must hold no user name or password; put them into a header")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return errors.New("must hold no fragment")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return errors.New("must have a port between 1 and 65535")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1" // RFC 6761 §6.3
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if err := f.CheckAddr(a, u.Scheme == "https"); err != nil {
			return fmt.Errorf("can't be called: %w", err)
		}
	}
	return nil
}
