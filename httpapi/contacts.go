package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"holdfast/domain/account"
	"holdfast/domain/contact"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// The resources about customers (SEED-63).
var (
	contacts      = resource{kind: directory.Contact, path: "/v1/contacts", plural: "contacts", named: func() string { return string(id.NewContact()) }}
	contactFields = resource{kind: directory.ContactField, path: "/v1/contact-fields", plural: "contact_fields"}
)

// customerRoutes are the endpoints about customers.
func customerRoutes() []route {
	const each = "/v1/contacts/{id}"
	list := crud(contacts, account.ContactsRead, account.ContactsWrite, account.ContactsWrite, account.ContactsDelete)
	list = append(list, crud(contactFields, account.FieldsRead, account.FieldsWrite, account.FieldsWrite, account.FieldsWrite)...)
	list = append(list, importing(contacts, account.ContactsExport, account.ContactsImport)...)
	return append(list,
		route{"list-contact-calls", http.MethodGet, each + "/calls", may(account.ContactsRead), "The calls of a contact, newest first", 0},
		route{"merge-contacts", http.MethodPost, each + "/merge", may(account.ContactsMerge), "Make one contact of two: this one stays", 0},
		route{"erase-contact", http.MethodPost, each + "/erase", may(account.ContactsErase), "Remove a person's data for good, deleted or not; the calls stay, without number", 0},
		route{"list-notes", http.MethodGet, each + "/notes", may(account.ContactsRead), "The notes of a contact, newest first", 0},
		route{"create-note", http.MethodPost, each + "/notes", may(account.ContactsWrite), "Write a note about a contact", http.StatusCreated},
		route{"update-note", http.MethodPatch, each + "/notes/{note}", may(account.ContactsWrite), "Change a note of one's own", 0},
		route{"delete-note", http.MethodDelete, each + "/notes/{note}", may(account.ContactsWrite), "Delete a note of one's own, or, with contacts:delete, anybody's", http.StatusNoContent},
	)
}

// Customers is what there is about customers besides their administration as things;
// *db.DB satisfies it.
type Customers interface {
	// Customer is who a call is with; fault.NotFound: nobody known.
	Customer(ctx context.Context, t id.Tenant, c id.Call) (contact.Customer, error)
	// ContactCalls lists a contact's calls, newest first, and the cursor of the next page.
	ContactCalls(ctx context.Context, by directory.Author, c id.Contact, limit int, cursor string) ([]contact.Call, string, error)
	// Notes lists a contact's notes before one, newest first.
	Notes(ctx context.Context, by directory.Author, c id.Contact, before string, limit int) ([]contact.Note, error)
	// WriteNote adds, changes or, with an empty text, deletes a note.
	WriteNote(ctx context.Context, by directory.Author, n contact.Note) (contact.Note, error)
	// EraseContact removes a person's data for good, and returns how many calls remain.
	EraseContact(ctx context.Context, by directory.Author, c id.Contact) (calls int, err error)
	// MergeContacts makes one contact of two; into stays.
	MergeContacts(ctx context.Context, by directory.Author, into id.Contact, other directory.Change) (directory.Thing, error)
}

type contactView struct {
	ID          string         `json:"id" example:"nfy9r3dg7wghnigegv9j"`
	DisplayName string         `json:"display_name" example:"Erika Mustermann"`
	Company     string         `json:"company"`
	Emails      []string       `json:"emails"`
	Numbers     []string       `json:"numbers" doc:"E.164." example:"[\"+4930123456\"]"`
	Language    string         `json:"language"`
	VIP         bool           `json:"vip"`
	Fields      map[string]any `json:"fields" doc:"The tenant's own; see GET /v1/contact-fields."`
	CreatedBy   string         `json:"created_by"`
	Stamp
}

// ContactSettable are what can be set of a contact.
type ContactSettable struct {
	DisplayName *line           `json:"display_name,omitempty" maxLength:"200"`
	Company     *line           `json:"company,omitempty" maxLength:"200"`
	Emails      *[]line         `json:"emails,omitempty" maxItems:"20" pattern:"^[^\\x00-\\x20\\x7f@]+@[^\\x00-\\x20\\x7f@]+$" patternDescription:"an e-mail address" maxLength:"254"`
	Numbers     *[]line         `json:"numbers,omitempty" maxItems:"20" doc:"International, or national where the tenant has a country. Each belongs to one contact only."`
	Language    *line           `json:"language,omitempty" pattern:"^([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$" patternDescription:"a language tag, such as de or de-CH (RFC 5646)" maxLength:"35"`
	VIP         *bool           `json:"vip,omitempty"`
	Fields      *map[string]any `json:"fields,omitempty" doc:"The tenant's own; those left out stay, null takes one away."`
}

type newContact struct {
	ID *line `json:"id,omitempty" key:"true" pattern:"^[a-z0-9]{8,32}$" patternDescription:"8 to 32 small letters and digits" doc:"Left out, it is chosen."`
	ContactSettable
}

type listContacts struct {
	Listing
	VIP      string `query:"vip" enum:"true,false"`
	Language line   `query:"language" maxLength:"35"`
	Company  line   `query:"company" maxLength:"200" doc:"Exactly this."`
}

type contactFieldView struct {
	Key      string   `json:"key" example:"customer_number"`
	Label    string   `json:"label" example:"Customer number"`
	Type     string   `json:"type" enum:"text,number,date,choice,boolean"`
	Required bool     `json:"required"`
	Choices  []string `json:"choices"`
	Position int      `json:"position"`
	Stamp
}

// ContactFieldFields are what can be set of a tenant's own field. Its type stays.
type ContactFieldFields struct {
	Label    *line   `json:"label,omitempty" maxLength:"200"`
	Required *bool   `json:"required,omitempty" doc:"From the next change of a contact's fields on."`
	Choices  *[]line `json:"choices,omitempty" maxItems:"200"`
	Position *int    `json:"position,omitempty" minimum:"0" maximum:"1000" doc:"Where it stands in a form."`
}

type newContactField struct {
	Key  line   `json:"key" key:"true" minLength:"1" maxLength:"40" pattern:"^[a-z][a-z0-9_]*$" patternDescription:"small letters, digits and _"`
	Type string `json:"type,omitempty" enum:"text,number,date,choice,boolean" default:"text"`
	ContactFieldFields
}

type listContactFields struct {
	Listing
	Type string `query:"type" enum:"text,number,date,choice,boolean"`
}

// customerView is a customer as it is shown with an offer.
type customerView struct {
	ID       id.Contact       `json:"contact_id"`
	Name     string           `json:"name"`
	Company  string           `json:"company"`
	VIP      bool             `json:"vip"`
	Language string           `json:"language,omitempty"`
	Number   string           `json:"number" doc:"E.164: by which the customer was found."`
	Fields   map[string]any   `json:"fields"`
	Last     *contactCallView `json:"last_call,omitempty" doc:"The call before this one."`
}

type contactCallView struct {
	ID        id.Call    `json:"call_id"`
	Direction string     `json:"direction" enum:"inbound,outbound"`
	Phase     string     `json:"phase"`
	Number    string     `json:"number" doc:"Of the contact, E.164."`
	Queue     id.Queue   `json:"queue,omitempty"`
	Agent     id.Agent   `json:"agent,omitempty"`
	Outcome   string     `json:"outcome,omitempty" doc:"answered, abandoned, diverted or failed; none while it lasts."`
	ArrivedAt time.Time  `json:"arrived_at"`
	TalkMS    int64      `json:"talk_ms"`
	EndedAt   *time.Time `json:"ended_at,omitempty"`
}

func contactCallOf(c contact.Call) contactCallView {
	v := contactCallView{ID: c.ID, Direction: c.Direction, Phase: c.Phase, Number: c.Number, Queue: c.Queue, Agent: c.Agent, Outcome: c.Outcome,
		ArrivedAt: c.ArrivedAt.UTC(), EndedAt: moment(c.EndedAt)}
	if !c.AnsweredAt.IsZero() && !c.EndedAt.IsZero() {
		v.TalkMS = c.EndedAt.Sub(c.AnsweredAt).Milliseconds()
	}
	return v
}

func customerViewOf(c contact.Customer) *customerView {
	v := &customerView{ID: c.ID, Name: c.Name, Company: c.Company, VIP: c.VIP, Language: c.Language, Number: c.Number, Fields: map[string]any{}}
	_ = json.Unmarshal(c.Fields, &v.Fields) // it was written by us as an object
	if c.Last != nil {
		last := contactCallOf(*c.Last)
		v.Last = &last
	}
	return v
}

// lookWithin bounds how long an offer waits to be shown with its customer.
const lookWithin = 500 * time.Millisecond

// customerOf is who a call is with, as far as that can be said now: the call matters more
// than who it is.
func (a *API) customerOf(ctx context.Context, t id.Tenant, c id.Call) *customerView {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	found, err := a.config.Customers.Customer(ctx, t, c)
	if err != nil {
		if fault.KindOf(err) != fault.NotFound {
			a.log.Warn("A customer could not be looked up.", "call", c, "err", err)
		}
		return nil
	}
	return customerViewOf(found)
}

// withCustomer shows one's own session with who calls, to those who may see customers.
func (a *API) withCustomer(ctx context.Context, v sessionView) sessionView {
	if p := personOf(ctx); v.Offer != nil && p.Agent == v.Agent && p.May(account.ContactsRead) {
		v.Offer.Customer = a.customerOf(ctx, p.Tenant, v.Offer.CallID)
	}
	return v
}

type contactCallsInput struct {
	ID     line `path:"id" minLength:"1" maxLength:"64"`
	Limit  int  `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor line `query:"cursor" maxLength:"512" doc:"The next_cursor of the page before."`
}

type contactCallsOutput struct{ Body thingList[contactCallView] }

func (a *API) listContactCalls(ctx context.Context, in *contactCallsInput) (*contactCallsOutput, error) {
	calls, next, err := a.config.Customers.ContactCalls(ctx, a.author(ctx, "list-contact-calls", nil), id.Contact(in.ID.clean()), in.Limit, in.Cursor.clean())
	if err != nil {
		return nil, inQuery(unavailable("list a contact's calls", err))
	}
	out := &contactCallsOutput{Body: thingList[contactCallView]{Items: []contactCallView{}, NextCursor: next}}
	for _, c := range calls {
		out.Body.Items = append(out.Body.Items, contactCallOf(c))
	}
	return out, nil
}

type mergeInput struct {
	Keyed
	Matched
	ID   line `path:"id" minLength:"1" maxLength:"64"`
	Body struct {
		Other line             `json:"other" minLength:"1" maxLength:"64" doc:"The contact that goes."`
		Take  *ContactSettable `json:"take,omitempty" doc:"What is to stand in the one that stays; without, its own values, and the other's where it has none. Numbers and e-mail addresses are joined."`
	}
}

type erasedOutput struct {
	Body struct {
		Calls int `json:"calls" doc:"That remain, with the number masked."`
	}
}

func (a *API) eraseContact(ctx context.Context, in *restoreInput) (*erasedOutput, error) {
	name := in.ID.clean()
	out := &erasedOutput{}
	calls, err := a.config.Customers.EraseContact(ctx, a.author(ctx, "erase-contact", nil), id.Contact(name))
	if err != nil {
		err = unavailable("erase a contact", err)
		a.audit.add(personOf(ctx), "contact.erase", "contact:"+name, err)
	}
	out.Body.Calls = calls
	return out, err
}

// noteBody is what is written of a contact.
type noteBody struct {
	Text prose `json:"text" minLength:"1" maxLength:"10000"`
}

type notesInput struct {
	ID     line `path:"id" minLength:"1" maxLength:"64"`
	Limit  int  `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor line `query:"cursor" maxLength:"64" doc:"The next_cursor of the page before."`
}

type newNoteInput struct {
	Keyed
	ID   line `path:"id" minLength:"1" maxLength:"64"`
	Body noteBody
}

type changedNoteInput struct {
	Keyed
	Matched
	ID   line `path:"id" minLength:"1" maxLength:"64"`
	Note line `path:"note" minLength:"1" maxLength:"64"`
	Body noteBody
}

type deletedNoteInput struct {
	Keyed
	Matched
	ID   line `path:"id" minLength:"1" maxLength:"64"`
	Note line `path:"note" minLength:"1" maxLength:"64"`
}

type noteView struct {
	ID       string     `json:"id"`
	Author   id.User    `json:"author"`
	At       time.Time  `json:"at"`
	EditedAt *time.Time `json:"edited_at,omitempty"`
	Text     string     `json:"text"`
	Version  int64      `json:"version" doc:"Counts the changes; send it as If-Match."`
}

type noteOutput struct{ Body noteView }

type notesOutput struct{ Body thingList[noteView] }

func noteOf(n contact.Note) noteView {
	return noteView{ID: n.ID, Author: n.Author, At: n.At.UTC(), EditedAt: moment(n.Edited), Text: n.Text, Version: n.Version}
}

func (a *API) listNotes(ctx context.Context, in *notesInput) (*notesOutput, error) {
	notes, err := a.config.Customers.Notes(ctx, a.author(ctx, "list-notes", nil), id.Contact(in.ID.clean()), in.Cursor.clean(), in.Limit+1)
	if err != nil {
		return nil, unavailable("list notes", err)
	}
	out := &notesOutput{Body: thingList[noteView]{Items: []noteView{}}}
	for i, n := range notes {
		if i == in.Limit {
			out.Body.NextCursor = notes[i-1].ID
			break
		}
		out.Body.Items = append(out.Body.Items, noteOf(n))
	}
	return out, nil
}

// writeNote adds, changes or deletes a note, and tells the trail of a refusal; of what
// was done it is told by the same transaction.
func (a *API) writeNote(ctx context.Context, route string, n contact.Note) (contact.Note, error) {
	now, err := a.config.Customers.WriteNote(ctx, a.author(ctx, route, nil), n)
	if err != nil {
		err = unavailable("write a note", err)
		a.audit.add(personOf(ctx), "contact."+route, "contact:"+string(n.Contact), err)
	}
	if fault.KindOf(err) == fault.Conflict && now.ID != "" {
		refused := problemOf(err)
		refused.View = noteOf(now)
		return now, refused
	}
	return now, err
}

func (a *API) mergeContacts(ctx context.Context, in *mergeInput) (*thingOutput[contactView], error) {
	c := directory.Change{Kind: directory.Contact, Name: in.Body.Other.clean(), Version: in.version(), Set: map[string]any{}}
	if in.Body.Take != nil {
		c.Set = set(*in.Body.Take)
	}
	into := in.ID.clean()
	t, err := a.config.Customers.MergeContacts(ctx, a.author(ctx, "merge-contacts", nil), id.Contact(into), c)
	if err != nil {
		err = unavailable("merge contacts", err)
		a.audit.add(personOf(ctx), "contact.merge", "contact:"+into, err)
	}
	return shown[contactView, *contactView](t, err)
}

// toldContactView is what a webhook's message says of a contact that there is.
type toldContactView struct {
	contactView
	Changed []string   `json:"changed,omitempty"`
	Merged  id.Contact `json:"merged,omitempty"`
}

// goneContactView is what a message says of one that went, or must not be shown.
type goneContactView struct {
	ID         id.Contact   `json:"id"`
	Gone       contact.Gone `json:"gone,omitempty"`
	MergedInto id.Contact   `json:"merged_into,omitempty"`
}

// toldContact is what a message says of a contact's event.
func toldContact(view json.RawMessage) (any, error) {
	var told contact.Told
	if err := json.Unmarshal(view, &told); err != nil {
		return nil, err
	}
	if told.Now == nil {
		return goneContactView{told.ID, told.Gone, told.MergedInto}, nil
	}
	now, err := viewOf[contactView](directory.Thing{Body: told.Now.Body, Version: told.Now.Version, Created: told.Now.Created, Updated: told.Now.Updated})
	return toldContactView{now, told.Changed, told.Merged}, err
}

// withoutContact is the view of a contact's event for those who may not see contacts.
func withoutContact(view json.RawMessage) json.RawMessage {
	var told contact.Told
	_ = json.Unmarshal(view, &told) // what can't be read is not shown either
	told.Now = nil
	data, _ := json.Marshal(told) // texts always marshal
	return data
}

func (a *API) registerContacts() {
	administer[contactView, *contactView, newContact, ContactSettable, listContacts](a, contacts)
	administer[contactFieldView, *contactFieldView, newContactField, ContactFieldFields, listContactFields](a, contactFields)
	importable[newContact, ContactSettable](a, contacts)
	register(a, "list-contact-calls", a.listContactCalls)
	register(a, "merge-contacts", a.mergeContacts)
	register(a, "erase-contact", a.eraseContact)
	register(a, "list-notes", a.listNotes)
	register(a, "create-note", func(ctx context.Context, in *newNoteInput) (*noteOutput, error) {
		n, err := a.writeNote(ctx, "create-note", contact.Note{Contact: id.Contact(in.ID.clean()), Text: string(in.Body.Text)})
		return &noteOutput{noteOf(n)}, err
	})
	register(a, "update-note", func(ctx context.Context, in *changedNoteInput) (*noteOutput, error) {
		n, err := a.writeNote(ctx, "update-note", contact.Note{Contact: id.Contact(in.ID.clean()), ID: in.Note.clean(), Text: string(in.Body.Text), Version: in.version()})
		return &noteOutput{noteOf(n)}, err
	})
	register(a, "delete-note", func(ctx context.Context, in *deletedNoteInput) (*struct{}, error) {
		_, err := a.writeNote(ctx, "delete-note", contact.Note{Contact: id.Contact(in.ID.clean()), ID: in.Note.clean(), Version: in.version()})
		return &struct{}{}, err
	})
}
