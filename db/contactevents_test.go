package db_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/contact"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/webhook"
)

// toldOf are the events of a contact as they are kept: version, kind, view.
func (w *world) toldOf(name string) (list []string) {
	w.Helper()
	var all string
	w.one(&all, `SELECT coalesce(string_agg(version || ' ' || kind || ' ' || view::text, E'\n' ORDER BY seq), '') FROM events WHERE stream = 'contact:' || $1`, name)
	return strings.Split(all, "\n")
}

// changed changes a contact.
func (w *world) changed(name string, set map[string]any) {
	w.Helper()
	_, err := w.Update(w.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: name, Set: set})
	require.NoError(w, err)
}

// Each change of a contact is an event of its transaction, with the names of what changed
// and nothing else; what changes nothing, is refused, or is repeated, is none.
func TestContactEvents_TellWhatChanged_NotWhatItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(directory.Contact, "stays", map[string]any{"display_name": "Erika Mustermann", "numbers": []string{"+493012345600"}})
	w.make(directory.Contact, "goes", map[string]any{"display_name": "E. M.", "company": "Acme", "numbers": []string{"+493012345611"}})
	w.changed("stays", map[string]any{"vip": true, "emails": []string{"erika@example.com"}, "display_name": "Erika Mustermann"})
	w.changed("stays", map[string]any{"vip": true})
	_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "stays", Set: map[string]any{"numbers": []string{"+493012345611"}}})
	requireRefused(t, err, fault.Conflict, "number_taken")
	for range 2 {
		_, err = w.MergeContacts(t.Context(), w.ada(account.ContactsMerge), "stays", directory.Change{Name: "goes"})
		require.NoError(t, err)
	}
	w.changed("stays", map[string]any{"numbers": []string{"+493012345600"}})
	_, err = w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "goes"})
	require.NoError(t, err)
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "goes"}))
	_, err = w.EraseContact(t.Context(), w.ada(account.ContactsErase), "goes")
	require.NoError(t, err)

	require.Equal(t, []string{
		`1 Created {"id": "stays", "version": 1}`,
		`2 Updated {"id": "stays", "changed": ["emails", "vip"], "version": 2}`,
		`3 Merged {"id": "stays", "merged": "goes", "changed": ["company", "numbers"], "version": 3}`,
		`4 Updated {"id": "stays", "changed": ["numbers"], "version": 4}`,
	}, w.toldOf("stays"))
	require.Equal(t, []string{
		`1 Created {"id": "goes", "version": 1}`,
		`2 Deleted {"id": "goes", "version": 1, "merged_into": "stays"}`,
		`3 Restored {"id": "goes", "version": 1}`,
		`4 Deleted {"id": "goes", "version": 1}`,
		`5 Erased {"id": "goes"}`,
	}, w.toldOf("goes"))
	shown, err := w.Events(t.Context(), acme, 0, 100)
	require.NoError(t, err)
	require.Empty(t, shown, "event streams show no contacts")
}

// shownTo takes the first messages of contacts, each as it is sent now.
func shownTo(t *testing.T, work webhook.Work) (list []contact.Told) {
	t.Helper()
	for _, m := range work.Messages {
		var told contact.Told
		require.NoError(t, json.Unmarshal(m.Event.View, &told))
		list = append(list, told)
	}
	return list
}

// A receiver is told how a contact is when the message is sent; of one that is gone by
// then, how it went.
func TestContactEvents_AreSentAsTheContactIsThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", map[string]any{"events": []string{"contact.*"}})
	w.customer("known", "+493012345600")
	w.changed("known", map[string]any{"display_name": "Max"})
	w.customer("deleted", "+493012345601")
	w.customer("merged", "+493012345602")
	w.customer("erased", "+493012345603")
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Contact, Name: "deleted"}))
	_, err := w.MergeContacts(t.Context(), w.ada(), "known", directory.Change{Name: "merged"})
	require.NoError(t, err)
	_, err = w.EraseContact(t.Context(), w.ada(account.ContactsErase), "erased")
	require.NoError(t, err)

	first, words := w.take(8)
	require.Equal(t, []string{"contact:known contact.created", "contact:deleted contact.created", "contact:merged contact.created", "contact:erased contact.created"}, words)
	told := shownTo(t, first)
	require.Contains(t, string(told[0].Now.Body), `"Max"`)
	require.EqualValues(t, 3, told[0].Now.Version)
	require.Equal(t, []contact.Gone{contact.GoneDeleted, contact.GoneDeleted, contact.GoneErased}, []contact.Gone{told[1].Gone, told[2].Gone, told[3].Gone})
	for _, m := range first.Messages {
		w.settle(m, accepted, 204)
	}
	second, words := w.take(8)
	require.Equal(t, []string{"contact:known contact.updated", "contact:deleted contact.deleted", "contact:merged contact.deleted", "contact:erased contact.erased"}, words)
	told = shownTo(t, second)
	require.Equal(t, []string{"display_name"}, told[0].Changed)
	require.Equal(t, []contact.Gone{contact.GoneDeleted, contact.GoneMerged, contact.GoneErased}, []contact.Gone{told[1].Gone, told[2].Gone, told[3].Gone})
	require.Equal(t, "known", string(told[2].MergedInto))
	d, err := w.Delivery(t.Context(), crm, second.Messages[0].Delivery)
	require.NoError(t, err)
	require.Contains(t, string(d.Event.View), `"Max"`, "who looks sees what is sent")
}

// What receivers answered goes with the person, also of a try that is under way.
func TestEraseContact_AnswersOfReceiversGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.inGermany()
	w.hook("crm", nil)
	w.customer("person", "+493012345600")
	w.customer("other", "+493012345611")
	s := w.callFrom("03012345600", t0)
	w.hangUp(s, t0.Add(time.Minute))
	for range 3 {
		work, _ := w.take(8)
		for _, m := range work.Messages {
			w.settle(m, accepted, 200)
		}
	}
	w.changed("person", map[string]any{"vip": true})
	under, words := w.take(8)
	require.Equal(t, []string{"contact:person contact.updated"}, words)
	_, err := w.EraseContact(t.Context(), w.ada(account.ContactsErase), "person")
	require.NoError(t, err)
	w.settle(under.Messages[0], accepted, 200)
	var kept string
	w.one(&kept, `SELECT string_agg(DISTINCT subject, ' ') FROM deliveries WHERE response IS NOT NULL`)
	require.Equal(t, "contact:other", kept)
	var pending int
	w.one(&pending, `SELECT count(*) FROM deliveries WHERE state = 'pending' AND subject = 'contact:person'`)
	require.Equal(t, 2, pending, "the try under way is made again, then it is told that the contact is erased")
}

// A file's contacts are told in its order, whatever their number; a dry run tells nothing.
func TestContactEvents_OfAnImport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", nil)
	w.customer("known")
	file := directory.File{Kind: directory.Contact, DryRun: true, Rows: []directory.Row{{Number: 2, Name: "known", Set: map[string]any{"vip": true}}}}
	for i := range 300 {
		file.Rows = append(file.Rows, directory.Row{Number: i + 3, New: true, Name: fmt.Sprintf("contact%03d", i), Set: map[string]any{"display_name": fmt.Sprint("Number ", i)}})
	}
	_, err := w.Import(t.Context(), w.ada(), file)
	require.NoError(t, err)
	require.Len(t, w.toldOf("known"), 1)
	file.DryRun = false
	did, err := w.Import(t.Context(), w.ada(), file)
	require.NoError(t, err)
	require.Equal(t, directory.Imported{Created: 300, Changed: 1}, did)
	require.Equal(t, `2 Updated {"id": "known", "changed": ["vip"], "version": 2}`, w.toldOf("known")[1])
	var inOrder bool
	w.one(&inOrder, `SELECT array_agg(stream ORDER BY seq) = array_agg(stream ORDER BY stream) AND count(*) = 300 FROM events WHERE stream ~ '^contact:contact'`)
	require.True(t, inOrder)
	var waiting int
	w.one(&waiting, `SELECT count(*) FROM deliveries WHERE type = 'contact.created'`)
	require.Equal(t, 301, waiting)
}
