package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/contact"
	"holdfast/domain/device"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/tariff"
	"holdfast/domain/tenancy"
)

// things is a double of the directory: it answers what the test says and keeps what it
// was asked. What the directory itself refuses is proven in package db.
type things struct {
	endless bool // every list goes on
	mu      sync.Mutex
	changes []directory.Change
	authors []directory.Author
	queries []directory.Query
	refuse  error
	shared  map[id.Tenant]account.Scope
	trail   []record.AuditEntry
	asked   []record.AuditQuery

	bookings []record.Booking
	booked   []record.BookingQuery
	customer *contact.Customer // of every call; nil: nobody
	notes    []contact.Note
	known    map[string]bool
	files    []directory.File
	imported directory.Imported
	logs     []record.ClientLog
}

// bodies are what each kind of thing looks like.
var bodies = map[directory.Kind]string{
	directory.OIDC:   `{"issuer":"https://id.example","client_id":"holdfast","client_secret_set":true,"scopes":["openid"],"claim":"sub","create_users":false,"role":"","passwords":true}`,
	directory.Key:    `{"name":"crm","display_name":"","made_by":"admin","prefix":"hf_abcdefgh","permissions":["users:read:tenant"],"addresses":[],"expires_at":null}`,
	directory.User:   `{"name":"anna","display_name":"Anna","roles":["regular_agent"],"teams":[],"team":"","disabled":false,"agent":"1001"}`,
	directory.Role:   `{"name":"auditor","display_name":"","permissions":[]}`,
	directory.Team:   `{"name":"blue","display_name":""}`,
	directory.Agent:  `{"number":"1001","user":"anna","display_name":"Anna","team":"","wrap_up_ms":0,"ring_method":"all","on_no_answer":"stay","on_reject":"stay","binding_mode":"dynamic","shift_end":"","addresses":[]}`,
	directory.Queue:  `{"name":"support","display_name":"","strategy":"linear","ring_ms":1,"max_wait_ms":0,"priority":0,"music":"","members":[]}`,
	directory.Device: `{"name":"1001","kind":"sip"}`, directory.Trunk: `{"name":"carrier"}`,
	directory.Organization: `{"name":"acme"}`, directory.Division: `{"id":"acme:main","name":"main","organization":"acme"}`,
	directory.Tenant: `{"tenant":"near.example","shared":"division","may_switch":true,"policies":{"terminal_grace_ms":30000}}`,
	directory.Music:  `{"name":"waltz","display_name":"","duration_ms":2000,"size":16058,"sha256":"00"}`,
	directory.Reason: `{"code":"LUNCH","names":{}}`, directory.Skill: `{"name":"german"}`, directory.Disposition: `{"name":"solved","names":{},"queues":[]}`,
	directory.Contact:      `{"id":"1001","display_name":"Erika","company":"","emails":[],"numbers":[],"language":"","vip":false,"fields":{},"created_by":""}`,
	directory.ContactField: `{"key":"rank","label":"","type":"number","required":false,"choices":[],"position":0}`,
	directory.Number:       `{"number":"8000","queue":"support","agent":"","trunk":""}`,
	directory.Tariff:       `{"prefix":"+49","display_name":"","per_minute":"0.12","per_call":"0","first_ms":60000,"step_ms":60000}`,
	directory.Webhook:      `{"name":"crm","url":"https://crm.example.com/","events":["*"],"queue":"","enabled":true,"header_names":[]}`,
}

func thingOf(k directory.Kind, name string) directory.Thing {
	return directory.Thing{Kind: k, Name: name, Body: json.RawMessage(bodies[k]), Version: 7, Created: noon, Updated: noon}
}

func (d *things) change(by directory.Author, c directory.Change) (directory.Thing, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes, d.authors = append(d.changes, c), append(d.authors, by)
	return thingOf(c.Kind, c.Name), d.refuse
}

func (d *things) Create(_ context.Context, by directory.Author, c directory.Change) (directory.Thing, error) {
	return d.change(by, c)
}

func (d *things) Update(_ context.Context, by directory.Author, c directory.Change) (directory.Thing, error) {
	return d.change(by, c)
}

func (d *things) Delete(_ context.Context, by directory.Author, c directory.Change) error {
	_, err := d.change(by, c)
	return err
}

func (d *things) Restore(_ context.Context, by directory.Author, c directory.Change) (directory.Thing, error) {
	return d.change(by, c)
}

func (d *things) Thing(_ context.Context, by directory.Author, k directory.Kind, name string) (directory.Thing, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.authors = append(d.authors, by)
	return thingOf(k, name), d.refuse
}

func (d *things) Things(_ context.Context, by directory.Author, q directory.Query) ([]directory.Thing, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queries, d.authors = append(d.queries, q), append(d.authors, by)
	next := "next"
	if d.endless {
		return slices.Repeat([]directory.Thing{thingOf(q.Kind, "one")}, q.Limit), next, nil
	}
	if q.Cursor != "" {
		next = ""
	}
	return []directory.Thing{thingOf(q.Kind, "one")}, next, d.refuse
}

func (d *things) Neighbor(_ context.Context, from, to id.Tenant) (directory.Neighbor, error) {
	if from == to {
		return directory.Neighbor{Tenant: to, Shared: account.Tenant}, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.shared[to]
	if !ok {
		return directory.Neighbor{}, fault.E(fault.NotFound, "look", context.Canceled)
	}
	return directory.Neighbor{Tenant: to, Shared: s}, nil
}

func (d *things) UsedBy(_ context.Context, by directory.Author, of directory.Ref) ([]directory.Ref, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.authors = append(d.authors, by)
	return []directory.Ref{{Kind: directory.Agent, Name: "uses " + of.Name}}, d.refuse
}

func (d *things) Zone(context.Context, id.Tenant) (*time.Location, error) {
	return time.LoadLocation("Europe/Zurich")
}

func (d *things) Bookings(_ context.Context, _ id.Tenant, q record.BookingQuery) ([]record.Booking, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.booked = append(d.booked, q)
	return d.bookings[:min(len(d.bookings), q.Limit)], nil
}

func (d *things) BookingDays(_ context.Context, _ id.Tenant, q record.BookingQuery) ([]record.BookingDay, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.booked = append(d.booked, q)
	return []record.BookingDay{{Account: "=anna", Day: "2026-11-21", Kind: record.BookedDialled, Calls: 2, Talk: 90 * time.Second, Price: new(tariff.Amount(120_000)), Currency: "CHF", Unpriced: 1}}, nil
}

// teamsAgents are who is in which team.
var teamsAgents = map[id.Team][]id.Agent{"first": {"1001", "1002"}, "second": {"1003"}}

func (d *things) AgentsOf(_ context.Context, _ id.Tenant, teams []id.Team) (agents []id.Agent, err error) {
	for _, t := range teams {
		agents = append(agents, teamsAgents[t]...)
	}
	return agents, nil
}

func (d *things) DeviceStatuses(_ context.Context, _ id.Tenant, q record.DeviceQuery) ([]record.DeviceStatus, error) {
	if q.Name != "1001" {
		return nil, nil
	}
	return []record.DeviceStatus{{Reachable: true, Contacts: []device.Contact{
		{Address: "192.0.2.7:5060", Transport: "udp", UserAgent: "phone", Node: "node-1", Since: noon, Expires: noon.Add(time.Hour), RoundTrip: 1500 * time.Microsecond, Measured: noon},
		{Address: "192.0.2.8:5060", Transport: "tcp", Node: "node-1", Since: noon, Expires: noon.Add(time.Hour)},
	}}}, nil
}

func (d *things) RegistrationHistory(_ context.Context, _ id.Tenant, name id.Device) ([]device.HistoryLine, error) {
	return []device.HistoryLine{
		{At: noon, Change: device.Rejected, Reason: device.WrongPassword, Times: 3, Address: "192.0.2.66:5060", Transport: "udp", Node: "node-1"},
		{At: noon.Add(-time.Hour), Change: device.Registered, Times: 1, Contact: "sip:" + string(name) + "@192.0.2.7", Address: "192.0.2.7:5060", Transport: "udp", UserAgent: "phone", Node: "node-1"},
	}, nil
}

func (d *things) Known(_ context.Context, _ directory.Author, _ directory.Kind, names []string) (map[string]bool, error) {
	known := map[string]bool{}
	for _, n := range names {
		known[n] = d.known[n]
	}
	return known, nil
}

func (d *things) Import(_ context.Context, _ directory.Author, file directory.File) (directory.Imported, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files = append(d.files, file)
	return d.imported, d.refuse
}

func (d *things) AuditLines(_ context.Context, _ id.Tenant, q record.AuditQuery) ([]record.AuditEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, q)
	return d.trail, nil
}

func (d *things) Customer(context.Context, id.Tenant, id.Call) (contact.Customer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.customer == nil {
		return contact.Customer{}, fault.E(fault.NotFound, "find a customer", fmt.Errorf("no row"))
	}
	return *d.customer, d.refuse
}

func (d *things) ContactCalls(_ context.Context, by directory.Author, _ id.Contact, _ int, _ string) ([]contact.Call, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.authors = append(d.authors, by)
	return []contact.Call{{ID: "c1", ArrivedAt: noon, AnsweredAt: noon.Add(time.Second), EndedAt: noon.Add(time.Minute)}}, "next", d.refuse
}

func (d *things) Notes(_ context.Context, by directory.Author, c id.Contact, _ string, limit int) ([]contact.Note, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.authors = append(d.authors, by)
	notes := []contact.Note{{ID: "n3", Contact: c, At: noon, Text: "c"}, {ID: "n2", Contact: c, At: noon, Text: "b"}, {ID: "n1", Contact: c, At: noon, Text: "a"}}
	return notes[:min(limit, 3)], d.refuse
}

func (d *things) WriteNote(_ context.Context, by directory.Author, n contact.Note) (contact.Note, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.notes, d.authors = append(d.notes, n), append(d.authors, by)
	return n, d.refuse
}

func (d *things) MergeContacts(_ context.Context, by directory.Author, into id.Contact, other directory.Change) (directory.Thing, error) {
	t, err := d.change(by, other)
	t.Name = string(into)
	return t, err
}

func (d *things) KeepClientLog(_ context.Context, _ id.Tenant, l record.ClientLog) (record.ClientLog, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.ID, l.At, l.Size = fmt.Sprintf("log%d", len(d.logs)), noon, len(l.Body)
	d.logs = append(d.logs, l)
	return l, d.refuse
}

func (d *things) ClientLogs(context.Context, id.Tenant, record.ClientLogQuery) ([]record.ClientLog, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logs, d.refuse
}

func (d *things) Music(_ context.Context, _ id.Tenant, name, _ string) (tenancy.Audio, string, error) {
	if name != "waltz" {
		return nil, "", fault.E(fault.NotFound, "read music", nil)
	}
	return tenancy.Audio("RIFF"), "", nil
}

func (d *things) ClientLog(_ context.Context, _ id.Tenant, name string) (record.ClientLog, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.logs {
		if l.ID == name {
			return l, d.refuse
		}
	}
	return record.ClientLog{}, fault.E(fault.NotFound, "read a client log", fmt.Errorf("no row"))
}

func (d *things) EraseContact(_ context.Context, by directory.Author, _ id.Contact) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.authors = append(d.authors, by)
	return 3, d.refuse
}
