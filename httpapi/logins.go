package httpapi

import (
	"context"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/id"
)

type loginView struct {
	ID        string         `json:"id" example:"6GQK3ZC7N4XW2PLT5ARD"`
	Method    account.Method `json:"method" enum:"password,oidc" doc:"How it was proven who it is."`
	UserAgent string         `json:"user_agent" doc:"What the browser or program said it is."`
	Address   string         `json:"address" doc:"Where it was seen last."`
	BegunAt   time.Time      `json:"begun_at"`
	UsedAt    time.Time      `json:"used_at" doc:"When it began, or was refreshed last: at most as old as an access token lives, while it is in use."`
	ExpiresAt time.Time      `json:"expires_at" doc:"Unless it is refreshed before."`
	Current   bool           `json:"current" doc:"The one that asks."`
}

type loginsOutput struct {
	Body struct {
		Items []loginView `json:"items" doc:"Last used first."`
	}
}

type ownLoginInput struct {
	Keyed
	ID line `path:"id" minLength:"1" maxLength:"64"`
}

type userLoginInput struct {
	Keyed
	ID    line `path:"id" minLength:"1" maxLength:"64"`
	Login line `path:"login" minLength:"1" maxLength:"64"`
}

type userLoginsInput struct {
	Keyed
	ID line `path:"id" minLength:"1" maxLength:"64" doc:"The user's name."`
}

func (a *API) registerLogins() {
	register(a, "list-own-logins", func(ctx context.Context, _ *struct{}) (*loginsOutput, error) {
		by := ownAuthor(ctx)
		return a.logins(ctx, by, by.Name)
	})
	register(a, "end-own-login", func(ctx context.Context, in *ownLoginInput) (*struct{}, error) {
		by := ownAuthor(ctx)
		return a.endLogins(ctx, by, by.Name, in.ID.clean())
	})
	register(a, "end-own-logins", func(ctx context.Context, _ *keyedInput) (*struct{}, error) {
		by := ownAuthor(ctx)
		return a.endLogins(ctx, by, by.Name, "")
	})
	register(a, "list-logins", func(ctx context.Context, in *thingInput) (*loginsOutput, error) {
		return a.logins(ctx, a.author(ctx, "list-logins", nil), id.User(in.ID.clean()))
	})
	register(a, "end-login", func(ctx context.Context, in *userLoginInput) (*struct{}, error) {
		return a.endLogins(ctx, a.author(ctx, "end-login", nil), id.User(in.ID.clean()), in.Login.clean())
	})
	register(a, "end-logins", func(ctx context.Context, in *userLoginsInput) (*struct{}, error) {
		return a.endLogins(ctx, a.author(ctx, "end-logins", nil), id.User(in.ID.clean()), "")
	})
}

// ownAuthor is who asks, as a user of its own tenant, wherever it works at the moment.
func ownAuthor(ctx context.Context) directory.Author {
	p := personOf(ctx)
	by := directory.Author{User: p.User, Source: p.address}
	by.Tenant, by.Home = p.id().origin(), ""
	return by
}

func (a *API) logins(ctx context.Context, by directory.Author, of id.User) (*loginsOutput, error) {
	list, err := a.config.Logins.Logins(ctx, by, of)
	if err != nil {
		return nil, unavailable("list logins", err)
	}
	out := &loginsOutput{}
	out.Body.Items = []loginView{}
	for _, l := range list {
		out.Body.Items = append(out.Body.Items, loginView{
			ID: l.ID, Method: l.Method, UserAgent: l.UserAgent, Address: l.Address, BegunAt: l.Begun.UTC(), UsedAt: l.Used.UTC(), ExpiresAt: l.Expires.UTC(),
			Current: l.ID == personOf(ctx).login,
		})
	}
	return out, nil
}

// endLogins ends one login, or all but the one that asks.
func (a *API) endLogins(ctx context.Context, by directory.Author, of id.User, login string) (*struct{}, error) {
	err := a.config.Logins.EndLogins(ctx, by, of, login, keptLogin(personOf(ctx).login, login))
	if err != nil {
		a.audit.add(personOf(ctx), "login.end", "user:"+string(of), err)
		return nil, unavailable("end logins", err)
	}
	return &struct{}{}, nil
}

// keptLogin is the login that is not ended with the others: the present one, unless it
// is the one that is named.
func keptLogin(present, named string) string {
	if named != "" {
		return ""
	}
	return present
}
