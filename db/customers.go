package db

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/contact"
	"holdfast/domain/dialplan"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// contactKind: numbers and words are indexed by a trigger (0014_customers.sql). Of the
// tenant's own fields those are shown that there are.
var contactKind = kind{
	table: "contacts", key: "id",
	body: `jsonb_build_object('id', x.id, 'display_name', x.display_name, 'company', x.company, 'emails', x.emails, 'numbers', x.numbers,
	  'language', x.language, 'vip', x.vip, 'created_by', x.created_by,
	  'fields', coalesce((SELECT jsonb_object_agg(f.key, x.fields -> f.key) FROM contact_fields f WHERE f.tenant_id = x.tenant_id AND jsonb_exists(x.fields, f.key)), '{}'))`,
	columns: []string{"display_name", "company", "emails", "numbers", "language", "vip", "fields", "words", "created_by"},
	filters: map[string]string{"vip": `x.vip = ?::boolean`, "language": `x.language = ?`, "company": `x.company = ?`},
	sorts:   map[string]string{"display_name": "x.display_name", "company": "x.company", "updated_at": "x.updated_at"},
	owned:   []owned{{table: "contact_notes", where: `o.tenant_id = ?0 AND o.contact = ?1`}},
	find:    findContacts,
	own:     ownContacts,
	private: true,
}

var contactFieldKind = kind{
	table: "contact_fields", key: "key",
	body:    `jsonb_build_object('key', x.key, 'label', x.label, 'type', x.type, 'required', x.required, 'choices', x.choices, 'position', x.position)`,
	columns: []string{"label", "type", "required", "choices", "position"},
	search:  []string{"x.key", "x.label"},
	filters: map[string]string{"type": `x.type = ?`},
	sorts:   map[string]string{"label": "x.label", "updated_at": "x.updated_at"},
}

// fewFound is up to how many contacts with a word are looked at one by one.
const fewFound = 10_000

const (
	withWord   = `w.tenant_id = ? AND w.word >= ? AND w.word < ?`
	sqlCommon  = `SELECT count(*) FROM (SELECT FROM contact_words w WHERE ` + withWord + ` LIMIT ?) f`
	isOneOf    = `x.id = ANY (ARRAY(SELECT w.contact FROM contact_words w WHERE ` + withWord + `))`
	hasTheWord = `EXISTS (SELECT FROM contact_words w WHERE w.contact = x.id AND ` + withWord + `)`
)

// findContacts is the condition for contacts that have a word beginning with each term.
// The planner can't know how many begin so, and would choose wrongly: if there are few for
// a term, these are looked at, else all contacts in the list's order until it is full.
func findContacts(ctx context.Context, tx bun.Tx, t id.Tenant, search string) (statement, error) {
	country, err := countryOf(ctx, tx, t)
	if err != nil {
		return statement{}, err
	}
	var all []string
	var args, rarest []any
	least := fewFound + 1
	for _, term := range contact.Terms(search, country) {
		word := []any{t, term, term + "\U0010ffff"}
		var n int
		if err := tx.NewRaw(sqlCommon, t, word[1], word[2], fewFound+1).Scan(ctx, &n); err != nil {
			return statement{}, err
		}
		all, args = append(all, hasTheWord), append(args, word...)
		if n < least {
			least, rarest = n, word
		}
	}
	if rarest != nil {
		all, args = append(all, isOneOf), append(args, rarest...)
	}
	if len(all) == 0 { // nothing in it that a word could begin with
		all = []string{`false`}
	}
	return statement{`(` + strings.Join(all, ` AND `) + `)`, args}, nil
}

// ownContacts is the condition for contacts that are an agent's own: made by itself, of
// calls that it had or was offered, or of one that is on its way to it.
func ownContacts(by directory.Author) (string, []any) {
	with, args := callsWith(by)
	return `x.id IN (
  SELECT id FROM contacts WHERE created_by = ? AND tenant_id = ?
   UNION ALL
  SELECT n.contact FROM customer_agents s JOIN contact_numbers n ON n.tenant_id = s.tenant_id AND n.number = s.number WHERE s.tenant_id = ? AND s.agent = ?
   UNION ALL
  SELECT n.contact FROM calls c JOIN contact_numbers n ON n.tenant_id = c.tenant_id AND n.number = c.customer WHERE ` + with + `)`,
		append([]any{by.Name, by.Tenant, by.Tenant, by.Agent}, args...)
}

// callsWith is the condition for the live calls c that an agent has, or is offered.
func callsWith(by directory.Author) (string, []any) {
	leg, _ := json.Marshal([]map[string]id.Agent{{"agent": by.Agent}}) // texts always marshal
	return `c.live AND c.ledger = hashtextextended(?, 0) AND c.tenant_id = ? AND ? <> '' AND (c.agent = ? OR c.view -> 'legs' @> ?::jsonb)`,
		[]any{by.Tenant, by.Tenant, by.Agent, by.Agent, string(leg)}
}

func countryOf(ctx context.Context, tx bun.Tx, t id.Tenant) (country string, err error) {
	err = tx.NewRaw(`SELECT country FROM tenants WHERE tenant_id = ?`, t).Scan(ctx, &country)
	return country, err
}

// noContact says why there is no such contact: it may have been merged.
func noContact(ctx context.Context, tx bun.Tx, by directory.Author, name string) error {
	var into []string
	if err := tx.NewRaw(`SELECT merged_into FROM contact_merges WHERE tenant_id = ? AND contact = ?`, by.Tenant, name).Scan(ctx, &into); err != nil {
		return err
	}
	if len(into) == 0 {
		return noSuch(directory.Ref{Kind: directory.Contact, Name: name})
	}
	return &fault.Error{Kind: fault.NotFound, Code: "contact_merged", Sentence: fmt.Sprintf("Contact %s was merged into %s; look there.", name, into[0])}
}

// keptContact is what a change builds on.
type keptContact struct {
	Name    string          `bun:"display_name"`
	Company string          `bun:"company"`
	Emails  []string        `bun:"emails,array"`
	Numbers []string        `bun:"numbers,array"`
	Fields  json.RawMessage `bun:"fields"`
}

// completeContact puts numbers into E.164, checks the tenant's own fields, and makes the
// words by which the contact is found.
func completeContact(ctx context.Context, tx bun.Tx, c *changing) error {
	kept := keptContact{Fields: json.RawMessage(`{}`)}
	if c.Set == nil {
		c.Set = map[string]any{}
	}
	if c.begins() {
		c.Set["created_by"] = string(c.by.Name)
	} else if err := tx.NewRaw(`SELECT display_name, company, emails, numbers, fields FROM contacts WHERE tenant_id = ? AND id = ?`,
		c.by.Tenant, c.Name).Scan(ctx, &kept); err != nil {
		return err
	}
	country, err := countryOf(ctx, tx, c.by.Tenant)
	if err != nil {
		return err
	}
	wrong := kept.take(c, country)
	more, err := c.contactFields(ctx, tx, kept.Fields)
	if err != nil {
		return err
	}
	if wrong = append(wrong, more...); len(wrong) > 0 {
		return wrongFields(wrong)
	}
	if kept.Name == "" && kept.Company == "" && len(kept.Numbers)+len(kept.Emails) == 0 {
		return wrongField("display_name", "a contact needs a name, a company, a number or an e-mail address")
	}
	c.Set["words"] = contact.Words([]string{kept.Name, kept.Company}, kept.Emails, kept.Numbers, country)
	return c.free(ctx, tx, kept.Numbers)
}

// take puts what the change sets over what is kept, in its form.
func (k *keptContact) take(c *changing, country string) (wrong []fault.Field) {
	if v, given := part[string](c, "display_name"); given {
		k.Name = v
	}
	if v, given := part[string](c, "company"); given {
		k.Company = v
	}
	if v, given := part[[]string](c, "emails"); given {
		k.Emails = slices.Compact(v)
		c.Set["emails"] = k.Emails
	}
	texts, given := part[[]string](c, "numbers")
	if !given {
		return nil
	}
	k.Numbers = []string{}
	for i, text := range texts {
		n, err := dialplan.Parse(text, country)
		switch {
		case err != nil:
			wrong = append(wrong, fault.Field{Name: fmt.Sprintf("numbers[%d]", i), Sentence: err.Error()})
		case !slices.Contains(k.Numbers, n.E164):
			k.Numbers = append(k.Numbers, n.E164)
		}
	}
	c.Set["numbers"] = k.Numbers
	return wrong
}

// contactFields checks and completes the values of the tenant's own fields.
func (c *changing) contactFields(ctx context.Context, tx bun.Tx, before json.RawMessage) ([]fault.Field, error) {
	var change, was map[string]any
	given, err := c.decode("fields", &change)
	if err != nil || !given && !c.begins() {
		return nil, err
	}
	if err := json.Unmarshal(before, &was); err != nil {
		return nil, err
	}
	fields, err := contactFields(ctx, tx, c.by.Tenant)
	if err != nil {
		return nil, err
	}
	values, wrong := contact.Merged(fields, was, change)
	c.Set["fields"] = values
	return wrong, nil
}

func contactFields(ctx context.Context, tx bun.Tx, t id.Tenant) ([]contact.Field, error) {
	var rows []struct {
		Key      string       `bun:"key"`
		Label    string       `bun:"label"`
		Type     contact.Type `bun:"type"`
		Required bool         `bun:"required"`
		Choices  []string     `bun:"choices,array"`
	}
	err := tx.NewRaw(`SELECT key, label, type, required, choices FROM contact_fields WHERE tenant_id = ? ORDER BY position, key`, t).Scan(ctx, &rows)
	var fields []contact.Field
	for _, r := range rows {
		fields = append(fields, contact.Field(r))
	}
	return fields, err
}

// free refuses numbers that another contact has, and names it to those who may see it.
func (c *changing) free(ctx context.Context, tx bun.Tx, numbers []string) error {
	var taken []struct {
		Number  string `bun:"number"`
		Contact string `bun:"contact"`
		Name    string `bun:"display_name"`
	}
	if err := tx.NewRaw(`SELECT n.number, n.contact, x.display_name FROM contact_numbers n JOIN contacts x ON x.tenant_id = n.tenant_id AND x.id = n.contact
		WHERE n.tenant_id = ? AND n.number = ANY (?::text[]) AND n.contact <> ? ORDER BY 1 LIMIT 1`, c.by.Tenant, pgdialect.Array(append([]string{}, numbers...)), c.Name).Scan(ctx, &taken); err != nil || len(taken) == 0 {
		return err
	}
	t := taken[0]
	seen, err := contactKind.isOwn(ctx, tx, c.by, t.Contact)
	if err != nil {
		return err
	}
	taker := &fault.Error{Kind: fault.Conflict, Code: "number_taken", Sentence: t.Number + " belongs to another contact, which is not yours to see; ask a supervisor."}
	if seen {
		taker.Sentence = fmt.Sprintf("%s belongs to contact %s (%s) already; take it from there first, or merge the two.", t.Number, t.Contact, t.Name)
		taker.Err = &directory.InUse{By: []directory.Ref{{Kind: directory.Contact, Name: t.Contact}}}
	}
	taker.Fields = []fault.Field{{Name: "numbers", Sentence: strings.TrimSuffix(taker.Sentence, ".")}}
	return taker
}

// contactRules: a contact that comes back is merged no more.
func contactRules(ctx context.Context, tx bun.Tx, c *changing) error {
	if c.action != "restore" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM contact_merges WHERE tenant_id = ? AND contact = ?`, c.by.Tenant, c.Name)
	return err
}

// contactFieldRules: choices belong to a field of type choice, and to no other.
func contactFieldRules(ctx context.Context, tx bun.Tx, c *changing) error {
	now, err := c.present(ctx, tx)
	if err != nil || now == nil {
		return err
	}
	var is struct {
		Type    contact.Type `json:"type"`
		Choices []string     `json:"choices"`
	}
	if err := json.Unmarshal(now, &is); err != nil {
		return err
	}
	switch {
	case is.Type == contact.Choice && len(is.Choices) == 0:
		return wrongField("choices", "a field of type choice needs some")
	case is.Type != contact.Choice && len(is.Choices) > 0:
		return wrongField("choices", "only a field of type choice has some")
	}
	return nil
}

// discreetly tells the trail which fields a change set, not what they are.
func (c *changing) discreetly() json.RawMessage {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.Set)), func(n string) bool { return n == "words" || n == "created_by" })
	data, _ := json.Marshal(map[string][]string{"fields": names}) // texts always marshal
	return data
}
