package db

import (
	"context"
	"encoding/json"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/contact"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// erased are the contacts that are one person, with their numbers.
type erased struct {
	contacts, numbers []string
}

// How a number looks in the records that stay, and a view v in which it stands.
const (
	outside    = `CASE c.direction WHEN 'inbound' THEN c.from_number ELSE c.to_number END`
	masked     = `rpad(left(` + outside + `, 5), greatest(length(` + outside + `), 5), 'x')`
	maskedView = `replace((v.view - 'attached_data' - 'contact' #- '{offer,data}')::text, to_json(` + outside + `)::text, to_json(` + masked + `)::text)::jsonb`
)

// erasing are the steps by which a person is forgotten; ?0 is the tenant, ?1 the contacts,
// ?2 the numbers. Calls stay, for what is counted: their numbers keep five characters (so
// do tariffs that are nearly whole numbers), what was attached to them goes. Agents' events are looked at as far as the agents had to do
// with the numbers.
var erasing = []string{
	`UPDATE deliveries d SET ` + forgotten + ` FROM webhooks w WHERE ` + ofTheTenant + `
	    AND d.subject IN (SELECT 'contact:' || unnest(?1::text[]) UNION ALL SELECT 'call:' || c.call FROM calls c WHERE ` + callsOfNumbers + `)`,
	`UPDATE deliveries d SET ` + forgotten + ` FROM webhooks w, events v, customer_agents a, calls c WHERE ` + ofTheTenant + ` AND ` + offersOfNumbers + ` AND d.subject = v.stream AND d.seq = v.seq`,
	`UPDATE events v SET view = ` + maskedView + ` FROM calls c WHERE ` + callsOfNumbers + ` AND v.tenant_id = ?0 AND v.stream = 'call:' || c.call`,
	`UPDATE events v SET view = ` + maskedView + ` FROM customer_agents a, calls c WHERE ` + offersOfNumbers,
	`UPDATE legs l SET party = ` + masked + ` FROM calls c WHERE ` + callsOfNumbers + ` AND l.tenant_id = ?0 AND l.call = c.call AND l.party = ` + outside,
	`UPDATE bookings b SET number = ` + masked + `, tariff = CASE WHEN length(b.tariff) > 9 THEN left(b.tariff, 5) ELSE b.tariff END FROM calls c WHERE ` + callsOfNumbers + ` AND b.tenant_id = ?0 AND b.call = c.call`,
	`UPDATE calls v SET view = ` + maskedView + `, data = NULL, contact = NULL, customer = NULL, customer_line = NULL,
	    from_number = CASE WHEN c.direction = 'inbound' THEN ` + masked + ` ELSE c.from_number END,
	    to_number = CASE WHEN c.direction = 'outbound' THEN ` + masked + ` ELSE c.to_number END
	   FROM calls c WHERE ` + callsOfNumbers + ` AND v.tenant_id = ?0 AND v.call = c.call`,
	`DELETE FROM customer_agents WHERE tenant_id = ?0 AND number = ANY (?2)`,
	`DELETE FROM contacts WHERE tenant_id = ?0 AND id = ANY (?1)`,
	`DELETE FROM contact_merges WHERE tenant_id = ?0 AND (contact = ANY (?1) OR merged_into = ANY (?1))`,
	`DELETE FROM removed WHERE tenant_id = ?0 AND kind = 'contact' AND name = ANY (?1)`,
}

const (
	// What receivers answered may repeat what they were told. A try that is under way is
	// made again, so that its answer is not written.
	forgotten   = `response = NULL, claim = d.claim + CASE d.state WHEN 'pending' THEN 1 ELSE 0 END`
	ofTheTenant = `w.tenant_id = ?0 AND d.tenant_id = ?0 AND d.hook = w.hook`
	// offersOfNumbers is the condition for the events v that tell agents a of calls c of the numbers ?2.
	offersOfNumbers = `a.tenant_id = ?0 AND a.number = ANY (?2) AND ` + callsOfNumbers + ` AND c.customer = a.number
	    AND v.tenant_id = ?0 AND v.stream = 'agent:' || a.agent AND v.view -> 'offer' ->> 'call' = c.call`
)

// callsOfNumbers is the condition for the calls c of the numbers ?2.
const callsOfNumbers = `c.customer_line IN (SELECT hashtextextended(?0 || '/' || n, 0) FROM unnest(?2::text[]) n) AND c.tenant_id = ?0 AND c.customer = ANY (?2)`

// EraseContact removes a person's data for good: the contact, whether it was deleted before
// or not, what was merged into it, notes, and the numbers in the records of its calls. The
// calls stay. It returns how many there are. fault.NotFound; fault.Conflict while a call
// with the person goes on.
func (d *DB) EraseContact(ctx context.Context, by directory.Author, c id.Contact) (calls int, err error) {
	err = d.inTenant(ctx, "erase a contact", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		who, err := person(ctx, tx, by, c)
		if err != nil {
			return err
		}
		args := []any{by.Tenant, pgdialect.Array(who.contacts), pgdialect.Array(who.numbers)}
		var open int
		if err := tx.NewRaw(`SELECT count(*), count(*) FILTER (WHERE open) FROM calls c WHERE `+callsOfNumbers, args...).Scan(ctx, &calls, &open); err != nil {
			return err
		}
		if open > 0 {
			return refusal("in_call", nil, "A call with this customer goes on, and its record is still to be written; try again when it has ended.")
		}
		if _, err := tx.ExecContext(ctx, sqlUnfollowed); err != nil {
			return err
		}
		for _, step := range erasing {
			if _, err := tx.ExecContext(ctx, step, args...); err != nil {
				return err
			}
		}
		if err := tellOfErasure(ctx, tx, by.Tenant, who.contacts); err != nil {
			return err
		}
		detail, _ := json.Marshal(map[string]int{"calls": calls}) // numbers always marshal
		return appendAudit(ctx, tx, record.AuditEntry{Tenant: by.Tenant, User: by.Name, Home: by.Home, Action: "contact.erase",
			Object: "contact:" + string(c), Detail: detail, Source: by.Source, Result: "ok"})
	})
	if err == nil {
		d.nudge()
	}
	return calls, err
}

// tellOfErasure tells whoever follows one of the person's contacts to forget it, too.
func tellOfErasure(ctx context.Context, tx bun.Tx, t id.Tenant, contacts []string) error {
	var events []contactEvent
	for _, c := range contacts {
		events = append(events, eventOf(contact.WasErased, contact.Told{ID: id.Contact(c)}))
	}
	return tellOfContacts(ctx, tx, t, events)
}

// person finds everything that a contact is, or was before it was merged or deleted.
func person(ctx context.Context, tx bun.Tx, by directory.Author, c id.Contact) (erased, error) {
	who := erased{contacts: []string{}, numbers: []string{}}
	if err := tx.NewRaw(`SELECT ?1 AS contact UNION SELECT contact FROM contact_merges WHERE tenant_id = ?0 AND merged_into = ?1`, by.Tenant, c).Scan(ctx, &who.contacts); err != nil {
		return who, err
	}
	// Nobody changes them from here on: numbers that they get meanwhile would stay.
	if _, err := tx.ExecContext(ctx, `SELECT FROM contacts WHERE tenant_id = ? AND id = ANY (?) ORDER BY id FOR UPDATE`, by.Tenant, pgdialect.Array(who.contacts)); err != nil {
		return who, err
	}
	var rows []struct {
		Numbers []string `bun:"numbers,array"`
	}
	if err := tx.NewRaw(`
SELECT numbers FROM contacts WHERE tenant_id = ?0 AND id = ANY (?1)
UNION ALL
SELECT ARRAY(SELECT jsonb_array_elements_text(thing -> 'numbers')) FROM removed WHERE tenant_id = ?0 AND kind = 'contact' AND name = ANY (?1)`,
		by.Tenant, pgdialect.Array(who.contacts)).Scan(ctx, &rows); err != nil {
		return who, err
	}
	if len(rows) == 0 {
		return who, &fault.Error{Kind: fault.NotFound, Code: "no_such_contact", Sentence: "There is no contact " + string(c) + ", and none was deleted."}
	}
	for _, r := range rows {
		who.numbers = append(who.numbers, r.Numbers...)
	}
	// A number that is another contact's by now is that one's.
	err := tx.NewRaw(`SELECT n FROM unnest(?::text[]) n WHERE NOT EXISTS (SELECT FROM contact_numbers x WHERE x.tenant_id = ? AND x.number = n AND x.contact <> ALL (?))`,
		pgdialect.Array(who.numbers), by.Tenant, pgdialect.Array(who.contacts)).Scan(ctx, &who.numbers)
	return who, err
}
