package httpapi

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/alexedwards/argon2id"
	"github.com/ccojocar/zxcvbn-go/data"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// commonPasswords are the most used passwords, in lower case; read when first needed.
var commonPasswords = sync.OnceValue(func() map[string]bool {
	file, err := data.Asset("data/Passwords.json")
	if err != nil {
		panic("httpapi: the list of common passwords is not in the build: " + err.Error())
	}
	var read struct{ List []string }
	if err := json.Unmarshal(file, &read); err != nil || len(read.List) == 0 {
		panic("httpapi: the list of common passwords can't be read")
	}
	common := map[string]bool{}
	for _, word := range read.List {
		common[strings.ToLower(word)] = true
	}
	return common
})

// hashPassword puts what is kept of a new password of a user in its place.
func hashPassword(ctx context.Context, a *API, name string, set map[string]any) error {
	password, given := set["password_hash"].(string)
	if !given {
		return nil
	}
	known, err := a.config.Logins.Passwords(ctx, personOf(ctx).Tenant, id.User(name))
	if err != nil {
		return unavailable("read the policy of passwords", err)
	}
	if err := a.refusePassword(known, wish{"password", name, password}); err != nil {
		return err
	}
	set["password_hash"], err = HashPassword(password)
	return err
}

// wish is a password that somebody is to get, and the field in which it stands.
type wish struct{ field, name, password string }

// refusePassword says why a password can't be taken, nil if it can.
func (a *API) refusePassword(known account.Passwords, w wish) error {
	why := known.Policy.Refuse(w.password, w.name, func(word string) bool { return commonPasswords()[word] })
	if why != "" {
		return brokenRule(w.field, why)
	}
	for _, hash := range known.Remembered() {
		same, err := a.passwords.compare(w.password, hash)
		if err != nil {
			return fault.E(fault.Internal, "compare with passwords before", err)
		}
		if same {
			return brokenRule(w.field, "was used before")
		}
	}
	return nil
}

// brokenRule is the refusal of a password; it never repeats it.
func brokenRule(field, why string) error {
	return &fault.Error{Kind: fault.Invalid, Code: "password_rule", Sentence: "This password can't be taken: it " + why + ".", Fields: []fault.Field{{Name: field, Sentence: why}}}
}

type passwordInput struct {
	Origin
	Body struct {
		Tenant      line   `json:"tenant" minLength:"1" maxLength:"253" doc:"The tenant's domain." example:"demo.localhost"`
		Username    line   `json:"username" minLength:"1" maxLength:"128" example:"1001"`
		Password    string `json:"password" minLength:"1" maxLength:"256" doc:"The present one."`
		NewPassword string `json:"new_password" minLength:"8" maxLength:"256" doc:"As the tenant's policy wants it."`
	}
}

// changePassword sets a new password for who knows the present one, ends all logins of
// the account, and begins a new one. It is slowed down as login is: it proves as much.
func (a *API) changePassword(ctx context.Context, in *passwordInput) (out *tokenOutput, err error) {
	b := in.Body
	p := proof{id.Tenant(b.Tenant.clean()), id.User(b.Username.clean()), b.Password, in.address}
	err = a.proven(ctx, p, "user.password", func(u account.User) error {
		known, err := a.admitted(ctx, u)
		if err != nil {
			return err
		}
		if b.NewPassword == b.Password {
			return brokenRule("new_password", "is the present one")
		}
		if err := a.refusePassword(known, wish{"new_password", string(u.Name), b.NewPassword}); err != nil {
			return err
		}
		hash, err := HashPassword(b.NewPassword)
		if err != nil {
			return err
		}
		if err := a.config.Logins.SetPassword(ctx, directory.Author{User: u, Source: in.address}, u.PasswordHash, hash); err != nil {
			return unavailable("set a password", err)
		}
		out, err = a.begin(ctx, u, account.ByPassword, in.Origin)
		return err
	})
	return out, err
}

// admitted is what is known of the passwords of somebody who showed the right one; it
// refuses those whose tenant lets users in by OpenID Connect only. Whoever can change that
// is let in all the same: else nobody could, when the provider is away or wrong.
func (a *API) admitted(ctx context.Context, u account.User) (account.Passwords, error) {
	known, err := a.config.Logins.Passwords(ctx, u.Tenant, u.Name)
	if err != nil {
		return known, unavailable("read the policy of passwords", err)
	}
	if known.Off && !u.May(account.SignInWrite) {
		return known, forbidden("password_sign_in_off", "The users of this tenant sign in by OpenID Connect; see GET /v1/auth/oidc/%s.", u.Tenant)
	}
	return known, nil
}

// renew hashes a password anew that was hashed at another cost than today's, now that it
// is known. If it can't be, the next sign-in does it.
func (a *API) renew(ctx context.Context, u account.User, password string) {
	cost, _, _, err := argon2id.DecodeHash(u.PasswordHash)
	if err == nil && *cost == presentCost {
		return
	}
	hash, err := HashPassword(password)
	if err == nil {
		err = a.config.Logins.RenewPassword(ctx, directory.Author{User: u}, u.PasswordHash, hash)
	}
	if err != nil {
		a.log.Warn("A password could not be hashed anew at the present cost.", "user", u.Name, "err", err)
	}
}
