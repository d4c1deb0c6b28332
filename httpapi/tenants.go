package httpapi

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

type switchInput struct {
	Origin
	Body struct {
		Tenant line `json:"tenant" minLength:"1" maxLength:"253" doc:"The domain of the tenant to work in; one's own to come back." example:"demo.localhost"`
		Reason line `json:"reason,omitempty" maxLength:"200" doc:"For the audit trails of both tenants."`
	}
}

// switchTenant gives tokens for work in another tenant to whom is authorized for it by
// a role: what can be done there is what reaches there. Both tenants' trails tell of it,
// and each line of what is done there names the tenant whose user it was (SEED-40).
func (a *API) switchTenant(ctx context.Context, in *switchInput) (*tokenOutput, error) {
	p := personOf(ctx)
	from, to := p.id(), id.Tenant(in.Body.Tenant.clean())
	u, err := a.visitor(ctx, personID{to, p.Name, from.origin()})
	a.auditSwitch(p, to, in.Body.Reason.clean(), err)
	if err != nil {
		return nil, err
	}
	return a.turn(ctx, u, ticket{login: p.login, origin: from.origin()}, in.Origin)
}

// visitor is the user at work in that tenant. A tenant where it may do nothing does not
// exist for it (SEED-38).
func (a *API) visitor(ctx context.Context, who personID) (account.User, error) {
	if who.home == who.tenant {
		who.home = ""
	}
	u, err := a.persons.read(ctx, who)
	if fault.KindOf(err) == fault.NotFound || err == nil && u.Disabled {
		return u, notFound("no_such_tenant", "There is no tenant %s in which you may work.", who.tenant)
	}
	return u, unavailable("switch tenant", err)
}

// auditSwitch writes a line in the trail of each tenant: of the one that is left, of the
// one that is entered if it was, and of the user's own.
func (a *API) auditSwitch(p person, to id.Tenant, reason string, result error) {
	from := p.Tenant
	told := map[id.Tenant]bool{}
	for _, t := range []id.Tenant{p.id().origin(), from, to} {
		if told[t] || t == to && result != nil {
			continue
		}
		told[t] = true
		line := p
		line.Tenant, line.Home = t, ""
		if t != p.id().origin() {
			line.Home = p.id().origin()
		}
		// Texts always marshal.
		detail, _ := json.Marshal(map[string]string{"from": string(from), "to": string(to), "reason": reason})
		a.audit.note(line, "auth.switch-tenant", "tenant:"+string(to), detail, result)
	}
}

type auditInput struct {
	User   line      `query:"user" maxLength:"64"`
	Action line      `query:"action" maxLength:"64" doc:"Exactly, or its first part." example:"user.update"`
	Object line      `query:"object" maxLength:"128" example:"user:1001"`
	Result line      `query:"result" maxLength:"64" example:"ok"`
	Since  time.Time `query:"since" doc:"At or after."`
	Until  time.Time `query:"until" doc:"Before."`
	Sort   string    `query:"sort" enum:"-seq" default:"-seq" doc:"Newest first is the one order there is."`
	Limit  int       `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor line      `query:"cursor" maxLength:"20" pattern:"^[0-9]*$" patternDescription:"a next_cursor" doc:"The next_cursor of the page before."`
}

type auditLine struct {
	Seq    int64           `json:"seq" doc:"Place in the tenant's trail, without gaps."`
	At     time.Time       `json:"at"`
	User   id.User         `json:"user"`
	Home   id.Tenant       `json:"home,omitempty" doc:"Whose user it is, if it worked here from another tenant."`
	Action string          `json:"action" example:"user.update"`
	Object string          `json:"object" example:"user:1001"`
	Before json.RawMessage `json:"before,omitempty" doc:"Of a change: what was."`
	After  json.RawMessage `json:"after,omitempty" doc:"And what is."`
	Detail json.RawMessage `json:"detail,omitempty"`
	Source string          `json:"source" doc:"The client's address."`
	Result string          `json:"result" doc:"ok, or the code of the refusal."`
	Hash   string          `json:"hash" doc:"SHA-256 over the line and the hash of the line before."`
}

type auditOutput struct {
	Body struct {
		Items      []auditLine `json:"items"`
		NextCursor string      `json:"next_cursor,omitempty" doc:"Absent on the last page."`
	}
}

// listAudit reads the tenant's trail (SEED-4).
func (a *API) listAudit(ctx context.Context, in *auditInput) (*auditOutput, error) {
	before, err := strconv.ParseInt("0"+in.Cursor.clean(), 10, 64)
	if err != nil {
		return nil, inQuery(invalidField("cursor", "is not of this list"))
	}
	lines, err := a.config.Clerk.AuditLines(ctx, personOf(ctx).Tenant, record.AuditQuery{
		User: id.User(in.User.clean()), Action: in.Action.clean(), Object: in.Object.clean(), Result: in.Result.clean(),
		Since: in.Since, Until: in.Until, Before: before, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, unavailable("read the audit trail", err)
	}
	out := &auditOutput{}
	out.Body.Items = []auditLine{}
	if len(lines) > in.Limit {
		lines = lines[:in.Limit]
		out.Body.NextCursor = strconv.FormatInt(lines[in.Limit-1].Seq, 10)
	}
	for _, l := range lines {
		out.Body.Items = append(out.Body.Items, auditLine{
			Seq: l.Seq, At: l.At.UTC(), User: l.User, Home: l.Home, Action: l.Action, Object: l.Object,
			Before: l.Before, After: l.After, Detail: l.Detail, Source: l.Source, Result: l.Result, Hash: hex.EncodeToString(l.Hash),
		})
	}
	return out, nil
}

func (a *API) registerTenants() {
	register(a, "list-audit", a.listAudit)
}
