package db

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/call"
	"holdfast/domain/contact"
	"holdfast/domain/dialplan"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// customerOf is the number of the outside party of a call, E.164; empty if it is
// withheld, or if there is none.
func customerOf(s call.State, country string) string {
	switch s.Direction {
	case call.Inbound:
		return dialplan.Caller(s.From, country)
	case call.Outbound:
		return dialplan.Caller(s.To, country)
	}
	return ""
}

// agentsOf are the agents to whom a call was offered, or who had a leg in it.
func agentsOf(r call.Record) []string {
	agents := []string{}
	for _, s := range r.Segments {
		agents = append(agents, string(s.Agent))
	}
	for _, l := range r.View.Legs {
		agents = append(agents, string(l.Agent))
	}
	slices.Sort(agents)
	return slices.DeleteFunc(slices.Compact(agents), func(a string) bool { return a == "" })
}

// callColumns are what a contact's history shows of calls c.
const callColumns = `c.call, c.direction, c.phase, c.customer, coalesce(c.queue, '') AS queue, coalesce(c.agent, '') AS agent, coalesce(c.outcome, '') AS outcome,
       c.arrived_at, c.answered_at, c.ended_at`

// callsOfContact is the condition for the calls c of contact ?1 of tenant ?0: of its
// numbers, unless they were somebody else's then.
const callsOfContact = `c.customer_line IN (SELECT hashtextextended(n.tenant_id || '/' || n.number, 0) FROM contact_numbers n WHERE n.contact = ?1 AND n.tenant_id = ?0)
   AND c.tenant_id = ?0 AND c.customer IN (SELECT n.number FROM contact_numbers n WHERE n.contact = ?1 AND n.tenant_id = ?0)
   AND (c.contact IS NULL OR c.contact = ?1 OR c.contact IN (SELECT m.contact FROM contact_merges m WHERE m.tenant_id = ?0 AND m.merged_into = ?1))`

// historyRow is a row of callColumns.
type historyRow struct {
	contact.Call
	AnsweredAt *time.Time `bun:"answered_at"`
	EndedAt    *time.Time `bun:"ended_at"`
}

func (r historyRow) call() contact.Call {
	if r.AnsweredAt != nil {
		r.Call.AnsweredAt = *r.AnsweredAt
	}
	if r.EndedAt != nil {
		r.Call.EndedAt = *r.EndedAt
	}
	return r.Call
}

// ContactCalls lists the calls of a contact, newest first, and returns the cursor of the
// next page, empty on the last. Who sees only its own contacts is shown those calls that
// were known as the contact's, and all with numbers that it has to do with itself: a
// contact is quickly made of anybody's number. fault.NotFound: no contact that the author
// may see.
func (d *DB) ContactCalls(ctx context.Context, by directory.Author, c id.Contact, limit int, cursor string) ([]contact.Call, string, error) {
	after, err := readCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	if after == nil {
		after = &callCursor{at: d.now().AddDate(1, 0, 0)}
	}
	var rows []historyRow
	err = d.inTenant(ctx, "list a contact's calls", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if _, err := read(ctx, tx, by, directory.Ref{Kind: directory.Contact, Name: string(c)}, ""); err != nil {
			return err
		}
		known, shown := []string{}, ""
		if contactKind.ownOnly(by) {
			if known, err = knownNumbers(ctx, tx, by, c); err != nil {
				return err
			}
			shown = ` AND (c.contact IS NOT NULL OR c.customer = ANY (?5))`
		}
		return tx.NewRaw(`SELECT `+callColumns+` FROM calls c WHERE `+callsOfContact+shown+` AND (c.arrived_at, c.call) < (?2, ?3) ORDER BY c.arrived_at DESC, c.call DESC LIMIT ?4`,
			by.Tenant, c, after.at, after.call, limit+1, pgdialect.Array(known)).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, "", err
	}
	rows, next := pageOfCalls(rows, limit, func(r historyRow) callCursor { return callCursor{r.ArrivedAt, r.ID} })
	calls := make([]contact.Call, len(rows))
	for i, r := range rows {
		calls[i] = r.call()
	}
	return calls, next, nil
}

// knownNumbers are the numbers of a contact with which the agent spoke, or was offered or
// has a call.
func knownNumbers(ctx context.Context, tx bun.Tx, by directory.Author, c id.Contact) (numbers []string, err error) {
	with, args := callsWith(by)
	err = tx.NewRaw(`SELECT n.number FROM contact_numbers n WHERE n.contact = ? AND n.tenant_id = ? AND
 (EXISTS (SELECT FROM customer_agents s WHERE s.tenant_id = n.tenant_id AND s.agent = ? AND s.number = n.number)
  OR n.number IN (SELECT c.customer FROM calls c WHERE `+with+`))`, append([]any{c, by.Tenant, by.Agent}, args...)...).Scan(ctx, &numbers)
	return numbers, err
}

// Customer is who a call is with, as an agent sees it, with the call before it.
// fault.NotFound: nobody whom the tenant knows, or no such call.
func (d *DB) Customer(ctx context.Context, t id.Tenant, c id.Call) (contact.Customer, error) {
	var who []struct {
		Number string          `bun:"customer"`
		At     time.Time       `bun:"arrived_at"`
		Name   string          `bun:"name"`
		Body   json.RawMessage `bun:"body"`
	}
	var before []historyRow
	err := d.inTenant(ctx, "find a customer", t, func(ctx context.Context, tx bun.Tx) error {
		if err := tx.NewRaw(`
SELECT c.customer, c.arrived_at, x.id AS name, `+contactKind.body+` AS body
  FROM calls c CROSS JOIN LATERAL (
       SELECT coalesce((SELECT m.merged_into FROM contact_merges m WHERE m.tenant_id = c.tenant_id AND m.contact = c.contact), c.contact,
                       (SELECT n.contact FROM contact_numbers n WHERE n.tenant_id = c.tenant_id AND n.number = c.customer)) AS id) f
  JOIN contacts x ON x.tenant_id = c.tenant_id AND x.id = f.id
 WHERE c.tenant_id = ? AND c.call = ? AND c.customer IS NOT NULL`, t, c).Scan(ctx, &who); err != nil || len(who) == 0 {
			return err
		}
		return tx.NewRaw(`SELECT `+callColumns+` FROM calls c WHERE `+callsOfContact+` AND c.arrived_at < ?2 ORDER BY c.arrived_at DESC LIMIT 1`,
			t, who[0].Name, who[0].At).Scan(ctx, &before)
	})
	if err == nil && len(who) == 0 {
		err = fault.E(fault.NotFound, "find a customer", fmt.Errorf("call %s is with nobody known", c))
	}
	if err != nil {
		return contact.Customer{}, err
	}
	var body struct {
		Name     string          `json:"display_name"`
		Company  string          `json:"company"`
		Language string          `json:"language"`
		VIP      bool            `json:"vip"`
		Fields   json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(who[0].Body, &body); err != nil {
		return contact.Customer{}, fault.E(fault.Internal, "find a customer", err)
	}
	found := contact.Customer{ID: id.Contact(who[0].Name), Name: body.Name, Company: body.Company, Language: body.Language, VIP: body.VIP,
		Number: who[0].Number, Fields: body.Fields}
	if len(before) > 0 {
		last := before[0].call()
		found.Last = &last
	}
	return found, nil
}
