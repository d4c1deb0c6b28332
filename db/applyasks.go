package db

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/tenancy"
)

// asking is what the single requests for a kind of thing ask for.
type asking struct {
	create, update, remove account.Permission
	fields                 map[string]account.Permission // besides, of what is made or changed
}

func writing(p account.Permission) asking { return asking{create: p, update: p, remove: p} }

func (a asking) with(p account.Permission, fields ...string) asking {
	all := maps.Clone(a.fields)
	if all == nil {
		all = map[string]account.Permission{}
	}
	for _, name := range fields {
		all[name] = p
	}
	a.fields = all
	return a
}

// asks says what each kind of thing of a document asks for: a document is no way around
// the permissions of single requests (SEED-109).
var asks = map[string]asking{
	"tenant": writing(account.TenantsUpdate).with(account.TenantsPolicies, "policies"),
	"team":   writing(account.TeamsWrite),
	"role":   writing(account.RolesWrite).with(account.RolesGrant, "permissions"),
	"user": asking{create: account.UsersCreate, update: account.UsersUpdate, remove: account.UsersDelete}.
		with(account.UsersAssign, "roles", "teams").with(account.UsersPassword, "password_hash").with(account.UsersDisable, "disabled"),
	"agent":         asking{create: account.AgentsCreate, update: account.AgentsUpdate, remove: account.AgentsDelete}.with(account.AgentsSkill, "skills"),
	"device":        writing(account.DevicesWrite).with(account.DevicesSecret, "ha1_md5", "ha1_sha256"),
	"queue":         writing(account.QueuesWrite).with(account.QueuesStaff, "members").with(account.QueuesSkill, "skills"),
	"trunk":         writing(account.TrunksWrite).with(account.TrunksPassword, "ha1_md5", "ha1_sha256", "carrier_md5", "carrier_sha256"),
	"skill":         writing(account.SkillsWrite),
	"disposition":   writing(account.DispositionsWrite),
	"music":         writing(account.QueuesWrite),
	"number":        writing(account.NumbersWrite),
	"contact_field": writing(account.FieldsWrite),
	"tariff":        writing(account.TariffsWrite),
	"webhook":       writing(account.WebhooksWrite),
}

// asksFor lists what a difference asks for.
func asksFor(d tenancy.Difference) []account.Permission {
	a := asks[d.Kind]
	list := []account.Permission{map[string]account.Permission{"+": a.create, "~": a.update, "-": a.remove}[d.Sign]}
	if d.Sign == "-" {
		return list
	}
	for _, name := range d.Fields {
		if p, more := a.fields[name]; more {
			list = append(list, p)
		}
		if d.Sign == "~" && d.Kind == "agent" && name == "team" {
			list = append(list, account.AgentsMove)
		}
	}
	return list
}

// mayAll refuses a document that changes what its author may not change by single requests.
func mayAll(by directory.Author, current, wanted tenancy.Document) error {
	for _, d := range tenancy.Differences(current, wanted) {
		needs := asksFor(d)
		if d.Kind == "tenant" && !reflect.DeepEqual(current.Tenant.Policies.NotReadyReasons, wanted.Tenant.Policies.NotReadyReasons) {
			needs = append(needs, account.ReasonsWrite)
		}
		for _, p := range needs {
			if !by.May(p.At(account.Tenant)) {
				return &fault.Error{Kind: fault.Forbidden, Code: "action_forbidden", Sentence: "You need the permission " + string(p) + " to make " + d.Kind + " " + d.Name + " what the document says."}
			}
		}
	}
	return nil
}

// webhooksStay refuses webhooks by which the author would be sent what it may not see:
// contacts, or the values of headers that were given for another receiver.
func webhooksStay(ctx context.Context, tx bun.Tx, by directory.Author, current, wanted tenancy.Document) error {
	var turned []string
	for _, w := range wanted.Webhooks {
		i := slices.IndexFunc(current.Webhooks, func(was tenancy.Webhook) bool { return was.Name == w.Name })
		if i >= 0 && receiverOf(current.Webhooks[i].URL) != receiverOf(w.URL) {
			turned = append(turned, w.Name)
		}
		if i >= 0 && current.Webhooks[i].URL == w.URL && current.Webhooks[i].Queue == w.Queue && slices.Equal(current.Webhooks[i].Events, w.Events) {
			continue
		}
		if takesContacts(w.Events, string(w.Queue)) && !by.May(account.ContactsRead.At(account.Tenant)) {
			return contactsForbidden()
		}
	}
	var kept []string
	if err := tx.NewRaw(`SELECT name FROM webhooks WHERE tenant_id = ? AND name = ANY (?) AND headers <> '{}' ORDER BY name LIMIT 1`,
		wanted.Tenant.Domain, pgdialect.Array(append([]string{}, turned...))).Scan(ctx, &kept); err != nil || len(kept) == 0 {
		return err
	}
	return &fault.Error{Kind: fault.Forbidden, Code: "action_forbidden", Sentence: "Webhook " + kept[0] + " has headers, which a document can't give anew for another receiver: change its url by PATCH /v1/webhooks/" + kept[0] + "."}
}
