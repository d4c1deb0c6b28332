package db

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// rules refuses a change, after it was written and before it is committed, that must
// not be: it sees what there would be.
func rules(ctx context.Context, tx bun.Tx, c *changing) error {
	switch c.Kind {
	case directory.User:
		return userRules(ctx, tx, c)
	case directory.Role:
		return roleRules(ctx, tx, c)
	case directory.Agent:
		if err := agentRules(ctx, tx, c); err != nil {
			return err
		}
		return comesBack(ctx, tx, c, "number", c.Name)
	case directory.Number:
		return numberRules(ctx, tx, c)
	case directory.Device:
		return deviceRules(ctx, tx, c)
	case directory.Trunk:
		return trunkRules(ctx, tx, c)
	case directory.Reason:
		return reasonRules(ctx, tx, c)
	case directory.Disposition:
		return translated(c)
	case directory.Webhook:
		return webhookRules(ctx, tx, c)
	case directory.Key:
		return keyRules(ctx, tx, c)
	case directory.OIDC:
		return oidcRules(ctx, tx, c)
	case directory.Contact:
		return contactRules(ctx, tx, c)
	case directory.ContactField:
		return contactFieldRules(ctx, tx, c)
	}
	return nil
}

// complete puts what a change sets into the form in which it is kept, before it is written.
func complete(ctx context.Context, tx bun.Tx, c *changing) error {
	if c.action == "create" && directory.Reserved(c.Kind, c.Name) {
		return wrongField("name", "%q is a word of the API: take another name", c.Name)
	}
	switch c.Kind {
	case directory.Contact:
		return completeContact(ctx, tx, c)
	case directory.OIDC:
		return completeOIDC(ctx, tx, c)
	case directory.Tariff:
		return completeTariff(c)
	case directory.Reason:
		return completeReason(ctx, tx, c)
	}
	return nil
}

// standing is what the rules look at of a user.
type standing struct {
	Roles    []account.Role `json:"roles"`
	Teams    []id.Team      `json:"teams"`
	Agent    id.Agent       `json:"agent"`
	Disabled bool           `json:"disabled"`
}

func standingOf(body json.RawMessage) (s standing, err error) {
	if len(body) > 0 {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// present reads how the thing stands in this transaction, if it is there.
func (c *changing) present(ctx context.Context, tx bun.Tx) (json.RawMessage, error) {
	all := c.by
	all.Needs = nil
	r, err := read(ctx, tx, all, directory.Ref{Kind: c.Kind, Name: c.Name}, ``)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	return r.Body, err
}

func userRules(ctx context.Context, tx bun.Tx, c *changing) error {
	own, err := tenantRoles(ctx, tx, c.by.Tenant)
	if err != nil {
		return err
	}
	now, err := c.present(ctx, tx)
	if err != nil {
		return err
	}
	was, err := standingOf(c.before.Body)
	if err != nil {
		return err
	}
	is, err := standingOf(now)
	if err != nil {
		return err
	}
	for i, r := range is.Roles {
		if !own.Knows(r) {
			return wrongField(fmt.Sprintf("roles[%d]", i), "there is no role %q", r)
		}
	}
	held, holds := own.Permissions(was.Roles), own.Permissions(is.Roles)
	if err := c.mayTouch(held); err != nil {
		return err
	}
	if err := c.mayGive(account.Added(held, holds)); err != nil {
		return err
	}
	if err := c.mayLead(ctx, tx, was, is); err != nil {
		return err
	}
	if now != nil {
		if err := c.follow(ctx, tx, is, account.MakesAgent(held), account.MakesAgent(holds)); err != nil {
			return err
		}
	}
	if account.Administers(held) && !was.Disabled && (is.Disabled || !account.Administers(holds)) {
		return c.keepsAdministrator(ctx, tx, own)
	}
	return nil
}

// mayTouch refuses to take over, lock out or remove somebody who may more than the
// author. Names and the like may be changed.
func (c *changing) mayTouch(held []account.Permission) error {
	harmless := c.action == "update" && !slices.ContainsFunc([]string{"roles", "teams", "disabled", "password_hash"}, func(f string) bool { _, given := c.Set[f]; return given })
	if c.begins() || harmless || string(c.by.Name) == c.Name && c.by.Home == "" {
		return nil
	}
	if more := account.Ungrantable(c.by.Permissions, held); len(more) > 0 {
		return &fault.Error{Kind: fault.Forbidden, Code: "more_powerful",
			Sentence: fmt.Sprintf("%s %s may what you may not (%s): only somebody who may it too can do this.", c.Kind, c.Name, some(more))}
	}
	return nil
}

// mayGive refuses to give permissions that the author doesn't hold.
func (c *changing) mayGive(added []account.Permission) error {
	if missing := account.Ungrantable(c.by.Permissions, added); len(missing) > 0 {
		return &fault.Error{Kind: fault.Forbidden, Code: "grant",
			Sentence: fmt.Sprintf("You can't give what you don't hold: %s.", some(missing))}
	}
	return nil
}

// some names at most three permissions.
func some(list []account.Permission) string {
	var words []string
	for _, p := range list[:min(3, len(list))] {
		words = append(words, string(p))
	}
	if len(list) > 3 {
		words = append(words, fmt.Sprintf("and %d more", len(list)-3))
	}
	return strings.Join(words, ", ")
}

// mayLead refuses teams that are none, and those of others for who reaches only its own.
func (c *changing) mayLead(ctx context.Context, tx bun.Tx, was, is standing) error {
	for i, t := range is.Teams {
		if slices.Contains(was.Teams, t) {
			continue
		}
		if err := c.refer(ctx, tx, fmt.Sprintf("teams[%d]", i), `SELECT FROM teams WHERE tenant_id = ? AND name = ?`, string(t)); err != nil {
			return err
		}
		if !c.by.MayFor(account.UsersAssign, t) {
			return &fault.Error{Kind: fault.Forbidden, Code: "out_of_reach", Sentence: "You may give somebody your own teams only."}
		}
	}
	return nil
}

var agentNumber = regexp.MustCompile(`^[1-9][0-9]{1,8}$`)

// follow begins and ends the agent with the role (SEED-6, SEED-16).
func (c *changing) follow(ctx context.Context, tx bun.Tx, is standing, made, makes bool) error {
	asked, _ := part[string](c, "agent")
	switch {
	case makes && is.Agent == "" && (!made || asked != ""):
		number := asked
		if number == "" && agentNumber.MatchString(c.Name) {
			number = c.Name
		}
		if err := comesBack(ctx, tx, c, "agent", number); err != nil {
			return err
		}
		if number == "" {
			if err := tx.NewRaw(`SELECT coalesce(max(number::bigint), 1000) + 1 FROM taken_numbers WHERE tenant_id = ? AND number ~ '^[1-9][0-9]{1,8}$'`,
				c.by.Tenant).Scan(ctx, &number); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO agents (tenant_id, number, user_name, team) SELECT tenant_id, ?, name, team FROM users WHERE tenant_id = ? AND name = ?`,
			number, c.by.Tenant, c.Name)
		return err
	case asked != "" && asked != string(is.Agent):
		if !makes {
			return wrongField("agent", "only who has the role of an agent can have one")
		}
		return refusal("agent_exists", nil, "User %s has agent %s already: a user has at most one.", c.Name, is.Agent)
	case made && !makes && is.Agent != "":
		parts, err := c.takeAgent(ctx, tx)
		if err != nil {
			return err
		}
		return c.bury(ctx, tx, is.Agent, parts)
	}
	return nil
}

// bury keeps an agent that ended with its user's role, so that it can be restored when
// the role is given back.
func (c *changing) bury(ctx context.Context, tx bun.Tx, number id.Agent, parts []keptPart) error {
	kept, err := json.Marshal(parts)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
INSERT INTO removed (tenant_id, kind, name, team, thing, parts, version, created_at)
SELECT ?0, 'agent', ?1, coalesce(?2::jsonb ->> 'team', ''), jsonb_build_object('number', ?1, 'user', ?3, 'team', coalesce(?2::jsonb ->> 'team', '')), ?4, 1, now()
ON CONFLICT (tenant_id, kind, name) DO UPDATE SET team = excluded.team, thing = excluded.thing, parts = excluded.parts, removed_at = now()`,
		c.by.Tenant, number, string(parts[0].Row), c.Name, string(kept))
	return err
}

func roleRules(ctx context.Context, tx bun.Tx, c *changing) error {
	if slices.Contains(account.Given(), account.Role(c.Name)) {
		return refusal("role_given", nil, "Role %s is given to every tenant and stays as it is; make one of another name.", c.Name)
	}
	own, err := tenantRoles(ctx, tx, c.by.Tenant)
	if err != nil {
		return err
	}
	var was struct {
		Permissions []account.Permission `json:"permissions"`
	}
	if !c.begins() {
		if err := json.Unmarshal(c.before.Body, &was); err != nil {
			return err
		}
	}
	name := account.Role(c.Name)
	for i, p := range own[name] {
		if !p.Valid() {
			return wrongField(fmt.Sprintf("permissions[%d]", i), "%q is no permission, or can't have this scope; see GET /v1/permissions", p)
		}
	}
	if err := c.mayGive(account.Added(was.Permissions, own[name])); err != nil {
		return err
	}
	if taken := account.Added(own[name], was.Permissions); len(taken) > 0 {
		if more := account.Ungrantable(c.by.Permissions, taken); len(more) > 0 {
			return &fault.Error{Kind: fault.Forbidden, Code: "more_powerful", Sentence: fmt.Sprintf("You can't take what you don't hold: %s.", some(more))}
		}
	}
	sets, err := roleSets(ctx, tx, c)
	if err != nil {
		return err
	}
	before := account.Roles{}
	for r, permissions := range own {
		before[r] = permissions
	}
	before[name] = was.Permissions
	for _, set := range sets {
		if slices.Contains(set, name) && account.MakesAgent(before.Permissions(set)) != account.MakesAgent(own.Permissions(set)) {
			return refusal("role_in_use", nil, "Users hold role %s, and agents would begin or end with session:use; give them another role instead.", name)
		}
	}
	if administrated(sets, before) && !administrated(sets, own) {
		return lastAdministrator()
	}
	return nil
}

// roleSets are the sets of roles that enabled users hold, each once. Whoever asks keeps
// others who would take administrators away waiting until the transaction ends.
func roleSets(ctx context.Context, tx bun.Tx, c *changing) ([][]account.Role, error) {
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('administrators ' || ?, 0))`, string(c.by.Tenant)); err != nil {
		return nil, err
	}
	var rows []struct {
		Roles []account.Role `bun:"roles,array"`
	}
	if err := tx.NewRaw(`SELECT DISTINCT roles FROM users WHERE tenant_id = ? AND NOT disabled`, c.by.Tenant).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	var sets [][]account.Role
	for _, r := range rows {
		sets = append(sets, r.Roles)
	}
	return sets, nil
}

func administrated(sets [][]account.Role, own account.Roles) bool {
	return slices.ContainsFunc(sets, func(set []account.Role) bool { return account.Administers(own.Permissions(set)) })
}

func lastAdministrator() error {
	return refusal("last_administrator", nil, "Nobody could administer this tenant any more; make somebody else its administrator first.")
}

func (c *changing) keepsAdministrator(ctx context.Context, tx bun.Tx, own account.Roles) error {
	sets, err := roleSets(ctx, tx, c)
	if err == nil && !administrated(sets, own) {
		return lastAdministrator()
	}
	return err
}

// agentRules refuses an agent of a user without the role (SEED-6).
func agentRules(ctx context.Context, tx bun.Tx, c *changing) error {
	now, err := c.present(ctx, tx)
	if err != nil || now == nil {
		return err
	}
	var is struct {
		User id.User `json:"user"`
	}
	if err := json.Unmarshal(now, &is); err != nil {
		return err
	}
	own, err := tenantRoles(ctx, tx, c.by.Tenant)
	if err != nil {
		return err
	}
	var rows []struct {
		Roles []account.Role `bun:"roles,array"`
	}
	if err := tx.NewRaw(`SELECT roles FROM users WHERE tenant_id = ? AND name = ?`, c.by.Tenant, is.User).Scan(ctx, &rows); err != nil {
		return err
	}
	if len(rows) == 0 || !account.MakesAgent(own.Permissions(rows[0].Roles)) {
		return refusal("no_agent_role", nil, "User %s has no role of an agent; give it one first.", is.User)
	}
	return nil
}
