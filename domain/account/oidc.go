package account

import "holdfast/domain/id"

// Provider is how a tenant's users sign in by OpenID Connect.
type Provider struct {
	Tenant   id.Tenant
	Issuer   string
	ClientID string
	Secret   string // sealed; empty: a client without one
	Scopes   []string
	Claim    string // of the ID token: names the user
	NewUsers bool   // who is not known yet becomes a user
	Role     Role   // of new users
	Password bool   // passwords sign in as well

	// Vouched is what those who set it might do themselves.
	Vouched []Permission
}

// Vouches reports whether the provider's word is enough to let in who holds these
// permissions: whoever sets a provider could else name themselves anybody by it.
func (p Provider) Vouches(held []Permission) bool { return len(Ungrantable(p.Vouched, held)) == 0 }

// Subject is somebody as a provider knows them.
type Subject struct {
	Tenant id.Tenant
	Issuer string
	Name   string // the claim sub: unique at the issuer, and never given to another
}

// ClientSecretUse is for what the client secret of a tenant's provider is sealed: for that
// tenant and issuer only (package seal).
func ClientSecretUse(t id.Tenant, issuer string) string {
	return "client secret\x00" + string(t) + "\x00" + issuer
}
