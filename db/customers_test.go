package db_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/call"
	"holdfast/domain/contact"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// customer makes a contact with numbers.
func (w *world) customer(name string, numbers ...string) directory.Thing {
	w.Helper()
	return w.make(directory.Contact, name, map[string]any{"display_name": "Name of " + name, "numbers": numbers})
}

// agent1001 is a regular agent, here for what needs permission p.
func (w *world) agent1001(p account.Permission) directory.Author {
	by := w.author([]account.Permission{p}, account.Regular)
	by.Name, by.Agent = "anna", "1001"
	return by
}

// callFrom opens a call from a number to support.
func (w *world) callFrom(number string, at time.Time) call.State {
	w.Helper()
	_, err := w.Route(w.Context(), acme, "8000") // as the opening does: the country comes with it
	require.NoError(w, err)
	s := w.arriving("support", at)
	s.From = number
	return w.open(s)
}

// inGermany gives acme a country, and a number that leads to support.
func (w *world) inGermany() {
	w.Helper()
	w.exec(`UPDATE tenants SET country = 'DE'`)
	w.exec(`INSERT INTO numbers (tenant_id, number, queue) VALUES ($1, '8000', 'support')`, string(acme))
}

func (w *world) hangUp(s call.State, at time.Time) {
	w.Helper()
	ended, effects, err := s.Step(at, call.LegEnded{Leg: call.CallerLeg, Cause: leg.Hangup, Remote: true})
	require.NoError(w, err)
	for _, e := range effects {
		if e.Close != nil {
			require.NoError(w, w.CloseCall(w.Context(), ended.Ref(), *e.Close))
		}
	}
}

// SEED-63: a call is found to be a known customer's the moment it arrives, in whatever
// notation the trunk tells the number; a withheld one is nobody's.
func TestOpen_KnowsTheCustomer_InAnyNotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	w.customer("known", "030 123 45-600")
	for i, number := range []string{"+493012345600", "493012345600", "00493012345600", "03012345600"} {
		s := w.callFrom(number, t0.Add(time.Duration(i)*time.Second))
		v, err := w.Call(t.Context(), s.Ref())
		require.NoError(t, err)
		require.Equal(t, id.Contact("known"), v.Contact, number)
		events, err := w.Events(t.Context(), acme, 0, 100)
		require.NoError(t, err)
		var told call.View
		require.NoError(t, json.Unmarshal(events[len(events)-1].View, &told))
		require.Equal(t, id.Contact("known"), told.Contact, "who follows the call is told at once")
		c, err := w.Customer(t.Context(), acme, s.ID)
		require.NoError(t, err)
		require.Equal(t, "Name of known", c.Name)
		require.Equal(t, "+493012345600", c.Number)
	}
	for _, number := range []string{"anonymous", "1001", "+493012345699"} {
		s := w.callFrom(number, t0.Add(time.Minute))
		v, err := w.Call(t.Context(), s.Ref())
		require.NoError(t, err)
		require.Empty(t, v.Contact, number)
		_, err = w.Customer(t.Context(), acme, s.ID)
		requireNotFound(t, err)
	}
}

// A contact that is made while its call goes on has the call at its end; the history is
// newest first, page by page, and tells of the call before with the offer.
func TestContactCalls_TheHistoryOfANumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	first := w.callFrom("+493012345600", t0)
	w.customer("known", "+493012345600", "+4930987654321")
	w.hangUp(first, t0.Add(time.Minute))
	v, err := w.Call(t.Context(), first.Ref())
	require.NoError(t, err)
	require.Equal(t, id.Contact("known"), v.Contact)
	second := w.callFrom("+4930987654321", t0.Add(time.Hour))
	w.callFrom("+493012345611", t0.Add(2*time.Hour))

	list, next, err := w.ContactCalls(t.Context(), w.ada(), "known", 1, "")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, second.ID, list[0].ID)
	list, next, err = w.ContactCalls(t.Context(), w.ada(), "known", 1, next)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, first.ID, list[0].ID)
	require.Equal(t, call.OutcomeAbandoned, list[0].Outcome)
	require.Equal(t, id.Queue("support"), list[0].Queue)
	c, err := w.Customer(t.Context(), acme, second.ID)
	require.NoError(t, err)
	require.Equal(t, first.ID, c.Last.ID)
}

// Who may see only its own contacts can make one of anybody's number. What there was with
// that number before, with others, is not shown for it.
func TestContactCalls_ANumberIsNotAskedOutByMakingItsContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	stranger := w.callFrom("+493012345600", t0)
	w.hangUp(stranger, t0.Add(time.Minute))
	by := w.agent1001(account.ContactsWrite)
	made, err := w.Create(t.Context(), by, directory.Change{Kind: directory.Contact, Name: "pretext", Set: map[string]any{"numbers": []string{"+493012345600", "+4930987654321"}}})
	require.NoError(t, err)
	history := func(by directory.Author) (calls []id.Call) {
		t.Helper()
		list, next, err := w.ContactCalls(t.Context(), by, id.Contact(made.Name), 10, "")
		require.NoError(t, err)
		require.Empty(t, next)
		for _, c := range list {
			calls = append(calls, c.ID)
		}
		return calls
	}
	me := w.agent1001(account.ContactsRead)
	require.Empty(t, history(me))
	require.Equal(t, []id.Call{stranger.ID}, history(w.ada()))
	known := w.callFrom("+4930987654321", t0.Add(time.Hour))
	w.hangUp(known, t0.Add(2*time.Hour))
	require.Equal(t, []id.Call{known.ID}, history(me), "it was this contact's when it came")
	w.exec(`INSERT INTO customer_agents (tenant_id, agent, number, at) VALUES ($1, '1001', '+493012345600', now())`, string(acme))
	require.Equal(t, []id.Call{known.ID, stranger.ID}, history(me), "who spoke with a number has its history")
}

// A number belongs to one contact; the refusal names the other one to who may see it.
func TestContacts_ANumberBelongsToOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	w.customer("known", "+493012345600")
	_, err := w.Create(t.Context(), w.ada(account.ContactsWrite), directory.Change{Kind: directory.Contact, Name: "second", Set: map[string]any{"numbers": []string{"03012345600"}}})
	requireRefused(t, err, fault.Conflict, "number_taken")
	require.Contains(t, err.Error(), "known (Name of known)")
	_, err = w.Create(t.Context(), w.agent1001(account.ContactsWrite), directory.Change{Kind: directory.Contact, Name: "second", Set: map[string]any{"numbers": []string{"03012345600"}}})
	requireRefused(t, err, fault.Conflict, "number_taken")
	require.NotContains(t, err.Error(), "known")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "second", Set: map[string]any{"numbers": []string{"030 123", "110"}}})
	require.ErrorContains(t, err, "numbers[1]")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "second"})
	require.ErrorContains(t, err, "needs a name")
	w.make(directory.Contact, "second", map[string]any{"company": "Acme"})
	moved := w.make(directory.Contact, "third", map[string]any{"numbers": []string{"+41 44 668 18 00"}})
	require.Equal(t, []any{"+41446681800"}, fieldsOf(t, moved)["numbers"])
}

// What the trail tells of a contact names fields, not contents: people may ask to be
// forgotten, and the trail can't forget.
func TestContacts_TheTrailKeepsNoPersonalData(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.make(directory.Contact, "c1", map[string]any{"display_name": "Erika Mustermann", "emails": []string{"erika@example.com"}})
	_, err := w.WriteNote(t.Context(), w.ada(), contact.Note{Contact: "c1", Text: "Has a dog called Waldi."})
	require.NoError(t, err)
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "c1"}))
	var trail string
	w.one(&trail, `SELECT string_agg(to_jsonb(a)::text, ' ') FROM audit a`)
	require.Contains(t, trail, "contact.create")
	require.Contains(t, trail, "contact.note-create")
	require.Contains(t, trail, "emails")
	for _, secret := range []string{"Erika", "erika", "Waldi"} {
		require.NotContains(t, trail, secret)
	}
	notes := func() int {
		list, err := w.Notes(t.Context(), w.ada(), "c1", "", 10)
		require.NoError(t, err)
		return len(list)
	}
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "c1"})
	require.NoError(t, err)
	require.Equal(t, 1, notes(), "the notes come back with it")
}

// Agents see the contacts of calls that are offered to them, or were, and those they made.
func TestContacts_AgentsSeeThoseOfTheirCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	w.customer("known", "+493012345600")
	w.customer("other", "+493012345611")
	read := w.agent1001(account.ContactsRead)
	sees := func() (names []string) {
		list, _, err := w.Things(t.Context(), read, directory.Query{Kind: directory.Contact})
		require.NoError(t, err)
		for _, c := range list {
			names = append(names, c.Name)
			_, err := w.Thing(t.Context(), read, directory.Contact, c.Name)
			require.NoError(t, err)
		}
		return names
	}
	require.Empty(t, sees())
	_, err := w.Thing(t.Context(), read, directory.Contact, "known")
	requireNotFound(t, err)
	w.session("1001", "support").ready(t0)
	s := w.callFrom("+493012345600", t0.Add(time.Second))
	require.NotNil(t, s.Offer)
	require.Equal(t, []string{"known"}, sees(), "offered")
	w.hangUp(s, t0.Add(time.Minute))
	require.Equal(t, []string{"known"}, sees(), "was offered")
	_, err = w.Create(t.Context(), w.agent1001(account.ContactsWrite), directory.Change{Kind: directory.Contact, Name: "mine", Set: map[string]any{"company": "Mine"}})
	require.NoError(t, err)
	require.Equal(t, []string{"known", "mine"}, sees())
	_, err = w.WriteNote(t.Context(), w.agent1001(account.ContactsWrite), contact.Note{Contact: "other", Text: "x"})
	requireNotFound(t, err)
	_, _, err = w.ContactCalls(t.Context(), read, "other", 1, "")
	requireNotFound(t, err)
	list, _, err := w.Things(t.Context(), read, directory.Query{Kind: directory.Contact, Deleted: true})
	require.NoError(t, err)
	require.Empty(t, list)
}

// The tenant's own fields are checked as they are written; null takes a value away.
func TestContactFields_AreCheckedOnWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.make(directory.ContactField, "rank", map[string]any{"type": "number", "required": true})
	w.make(directory.ContactField, "size", map[string]any{"type": "choice", "choices": []string{"s", "m"}})
	_, err := w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.ContactField, Name: "bad", Set: map[string]any{"type": "choice"}})
	require.ErrorContains(t, err, "choices")
	for sentence, fields := range map[string]map[string]any{
		"fields.rank: is required": {"size": "s"}, "fields.rank: must be a number": {"rank": "many"}, "fields.size: must be one of s, m": {"rank": 1, "size": "x"},
		"fields.colour: is no field": {"rank": 1, "colour": "red"},
	} {
		_, err := w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "c", Set: map[string]any{"company": "x", "fields": fields}})
		require.ErrorContains(t, err, sentence)
	}
	made := w.make(directory.Contact, "c", map[string]any{"company": "x", "fields": map[string]any{"rank": 1, "size": "s"}})
	require.Equal(t, map[string]any{"rank": 1.0, "size": "s"}, fieldsOf(t, made)["fields"])
	after, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "c", Set: map[string]any{"fields": map[string]any{"size": nil}}})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"rank": 1.0}, fieldsOf(t, after)["fields"])
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.ContactField, Name: "rank"}))
	hidden, err := w.Thing(t.Context(), w.ada(), directory.Contact, "c")
	require.NoError(t, err)
	require.Equal(t, map[string]any{}, fieldsOf(t, hidden)["fields"])
}

// A search finds by the beginnings of name, company, e-mail and number in any notation.
func TestContacts_SearchFindsByAnything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	w.make(directory.Contact, "c1", map[string]any{"display_name": "Jürgen Groß-Meyer", "company": "Bäckerei Süd GmbH", "emails": []string{"jm@baeckerei.example"}, "numbers": []string{"030 123 45-600"}})
	w.make(directory.Contact, "c2", map[string]any{"display_name": "100% Recycling", "numbers": []string{"+41446681800"}})
	for search, want := range map[string][]string{
		"jürg": {"c1"}, "JURGEN": {"c1"}, "meyer groß": {"c1"}, "gross": {"c1"}, "sud": {"c1"}, "jm@baeck": {"c1"}, "baeckerei": {"c1"},
		"+49 30 123": {"c1"}, "(030) 12345600": {"c1"}, "03012345": {"c1"}, "004930123456": {"c1"}, "0041 44 668 18 00": {"c2"}, "100": {"c2"},
		"%": nil, "meyer recycling": nil, "eyer": nil, "' OR true --": nil,
	} {
		list, _, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.Contact, Search: search})
		require.NoError(t, err, search)
		var found []string
		for _, c := range list {
			found = append(found, c.Name)
		}
		require.Equal(t, want, found, search)
	}
}

// Two contacts become one: numbers, notes and calls move, the other one leads there, and
// both are in the trail. It can be repeated, and undone.
func TestMergeContacts_EverythingMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	w.make(directory.ContactField, "rank", map[string]any{"type": "number"})
	w.make(directory.Contact, "stays", map[string]any{"display_name": "Erika", "numbers": []string{"+493012345600"}, "fields": map[string]any{"rank": 1}})
	w.make(directory.Contact, "goes", map[string]any{"display_name": "E. M.", "company": "Acme", "numbers": []string{"+493012345611"}, "vip": true, "fields": map[string]any{"rank": 2}})
	s := w.callFrom("+493012345611", t0)
	w.hangUp(s, t0.Add(time.Minute))
	_, err := w.WriteNote(t.Context(), w.ada(), contact.Note{Contact: "goes", Text: "Likes tea."})
	require.NoError(t, err)
	for range 2 {
		after, err := w.MergeContacts(t.Context(), w.ada(account.ContactsMerge), "stays", directory.Change{Name: "goes", Set: map[string]any{"fields": map[string]any{"rank": 3}}})
		require.NoError(t, err)
		f := fieldsOf(t, after)
		require.Equal(t, []any{"Erika", "Acme", true}, []any{f["display_name"], f["company"], f["vip"]})
		require.Equal(t, []any{"+493012345600", "+493012345611"}, f["numbers"])
		require.Equal(t, map[string]any{"rank": 3.0}, f["fields"])
	}
	list, _, err := w.ContactCalls(t.Context(), w.ada(), "stays", 10, "")
	require.NoError(t, err)
	require.Len(t, list, 1)
	v, err := w.Call(t.Context(), s.Ref())
	require.NoError(t, err)
	require.Equal(t, id.Contact("stays"), v.Contact)
	notes, err := w.Notes(t.Context(), w.ada(), "stays", "", 10)
	require.NoError(t, err)
	require.Len(t, notes, 1)
	_, err = w.Thing(t.Context(), w.ada(), directory.Contact, "goes")
	requireRefused(t, err, fault.NotFound, "contact_merged")
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Action: "contact.merge"})
	require.NoError(t, err)
	require.Equal(t, "contact:goes", lines[len(lines)-1].Object)
	require.Equal(t, "contact:stays", lines[0].Object)
	_, err = w.MergeContacts(t.Context(), w.ada(), "stays", directory.Change{Name: "stays"})
	require.ErrorContains(t, err, "itself")
	_, err = w.MergeContacts(t.Context(), w.ada(), "stays", directory.Change{Name: "nobody"})
	require.ErrorContains(t, err, "other")

	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "goes"})
	requireRefused(t, err, fault.Conflict, "number_taken")
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "stays", Set: map[string]any{"numbers": []string{"+493012345600"}}})
	require.NoError(t, err)
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "goes"})
	require.NoError(t, err)
	list, _, err = w.ContactCalls(t.Context(), w.ada(), "goes", 10, "")
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// Only its author changes a note; who may delete contacts may delete it.
func TestNotes_BelongToTheirAuthor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.customer("known", "+493012345600")
	n, err := w.WriteNote(t.Context(), w.ada(), contact.Note{Contact: "known", Text: "first"})
	require.NoError(t, err)
	second, err := w.WriteNote(t.Context(), w.ada(), contact.Note{Contact: "known", Text: "second"})
	require.NoError(t, err)
	n.Text = "changed"
	n, err = w.WriteNote(t.Context(), w.ada(), n)
	require.NoError(t, err)
	require.False(t, n.Edited.IsZero())
	eve := w.author(nil, account.Supervisor)
	eve.Name = "eve"
	for _, text := range []string{"mine", ""} {
		_, err = w.WriteNote(t.Context(), eve, contact.Note{Contact: "known", ID: n.ID, Text: text})
		requireRefused(t, err, fault.Forbidden, "not_the_author")
	}
	boss := w.ada()
	boss.Name = "boss"
	_, err = w.WriteNote(t.Context(), boss, contact.Note{Contact: "known", ID: n.ID})
	require.NoError(t, err)
	list, err := w.Notes(t.Context(), w.ada(), "known", "", 10)
	require.NoError(t, err)
	require.Equal(t, []contact.Note{second}, list)
	list, err = w.Notes(t.Context(), w.ada(), "known", second.ID, 10)
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = w.WriteNote(t.Context(), w.ada(), contact.Note{Contact: "known", ID: "no", Text: "x"})
	requireRefused(t, err, fault.NotFound, "no_such_note")
}

// Who asks to be forgotten is: nothing that is kept holds name, note or number any more,
// whatever was merged or deleted before, and the calls are counted as before.
func TestEraseContact_NothingOfThePersonIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	w.make(directory.Contact, "person", map[string]any{"display_name": "Erika Mustermann", "numbers": []string{"+493012345600"}})
	w.make(directory.Contact, "twin", map[string]any{"display_name": "E. Mustermann", "numbers": []string{"+493012345611"}})
	w.customer("other", "+493012345622")
	_, err := w.WriteNote(t.Context(), w.ada(), contact.Note{Contact: "twin", Text: "Mustermann likes tea."})
	require.NoError(t, err)
	w.session("1001", "support").ready(t0)
	s := w.callFrom("03012345611", t0.Add(time.Second))
	require.NotNil(t, s.Offer)
	_, err = w.MergeContacts(t.Context(), w.ada(), "person", directory.Change{Name: "twin"})
	require.NoError(t, err)
	_, err = w.EraseContact(t.Context(), w.ada(account.ContactsErase), "person")
	requireRefused(t, err, fault.Conflict, "in_call")
	w.hangUp(s, t0.Add(time.Minute))
	kept := w.callFrom("03012345622", t0.Add(2*time.Minute))
	w.hangUp(kept, t0.Add(3*time.Minute))
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "person"}))

	n, err := w.EraseContact(t.Context(), w.ada(account.ContactsErase), "person")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	for _, table := range w.tables() {
		if table == "presence" || table == "waiting" || table == "decisions" {
			continue // of what goes on; the session's next state is written over it
		}
		var left int
		w.one(&left, `SELECT count(*) FROM `+table+` x WHERE to_jsonb(x)::text ~ 'Mustermann|3012345600|3012345611'`)
		require.Zero(t, left, table)
	}
	v, err := w.Call(t.Context(), s.Ref())
	require.NoError(t, err)
	require.Equal(t, "03012xxxxxx", v.From)
	require.Equal(t, call.Ended, v.Phase)
	v, err = w.Call(t.Context(), kept.Ref())
	require.NoError(t, err)
	require.Equal(t, "03012345622", v.From)
	_, err = w.EraseContact(t.Context(), w.ada(account.ContactsErase), "person")
	requireNotFound(t, err)
}
