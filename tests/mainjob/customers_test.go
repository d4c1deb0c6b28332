package mainjob

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/contact"
	"holdfast/domain/tenancy"
	"holdfast/tests/stage"
)

// german gives the tenant a country and a field of its own.
func german(d *tenancy.Document) {
	d.Tenant.Country = "DE"
	d.ContactFields = []tenancy.ContactField{{Key: "rank", Label: "Rank", Type: contact.Number}}
}

// calls are the ids of a contact's calls, newest first.
func calls(t *testing.T, c *stage.Client, id string) (ids []string) {
	t.Helper()
	for _, i := range asked(t, c, http.StatusOK, http.MethodGet, "/v1/contacts/"+id+"/calls", nil)["items"].([]any) {
		ids = append(ids, i.(map[string]any)["call_id"].(string))
	}
	return ids
}

// SEED-63: a known customer calls, and the agent's offer shows who it is, in the session
// and in the event that announces it; record and history keep the call. With the next call
// comes the one before. An agent sees the customers of its calls, and no others.
func TestSEED63_KnownCustomerCalls_TheOfferShowsWhoItIs(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: german})
	admin := ten.Login("admin")
	known := asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/contacts", map[string]any{
		"display_name": "Erika Mustermann", "company": "Acme", "numbers": []string{"(030) 123 456 01", "+4930 12345602"}, "fields": map[string]any{"rank": 3}})["id"].(string)
	stranger := asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/contacts", map[string]any{"company": "Else"})["id"].(string)
	a := ten.ReadyAgent(1)
	screen := a.API.Watch()
	t.Cleanup(screen.Close)
	_, err := screen.WaitSession(ten.Context(), a.Number, "be shown", func(stage.Session) bool { return true })
	require.NoError(t, err)

	customer := ten.Call("493012345601", "8000")
	rung := a.Offered()
	s, err := screen.WaitSession(ten.Context(), a.Number, "show who calls", func(s stage.Session) bool { return s.Offer != nil && s.Offer.Customer != nil })
	require.NoError(t, err)
	who := s.Offer.Customer
	require.Equal(t, []any{known, "Erika Mustermann", "Acme", "+493012345601"}, []any{who.ContactID, who.Name, who.Company, who.Number})
	require.Equal(t, map[string]any{"rank": 3.0}, who.Fields)
	require.Nil(t, who.LastCall)
	require.Equal(t, who, a.View().Offer.Customer)
	require.Nil(t, a.Wait("Reserved").Offer.Customer, "a supervisor's board shows numbers only")
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	asked(t, a.API, http.StatusOK, http.MethodGet, "/v1/contacts/"+known, nil)
	asked(t, a.API, http.StatusNotFound, http.MethodGet, "/v1/contacts/"+stranger, nil)
	note := asked(t, a.API, http.StatusCreated, http.MethodPost, "/v1/contacts/"+known+"/notes", map[string]any{"text": "Wants tea.\nNot coffee."})
	require.Equal(t, a.Number, note["author"])
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	a.Wait("Ready")
	record := ten.WaitCall("end", func(c stage.CallView) bool { return c.Phase == "Ended" })
	require.Equal(t, known, record.ContactID, "who follows events is told")
	require.Equal(t, known, asked(t, admin, http.StatusOK, http.MethodGet, "/v1/calls/"+record.ID, nil)["contact_id"])
	require.Equal(t, []string{record.ID}, calls(t, a.API, known))

	again := ten.Call("03012345602", "8000")
	rung = a.Answered()
	ten.Talk(again, rung)
	s = a.Wait("Busy")
	require.NoError(t, rung.HangUp())
	ten.WaitEnded(again)
	require.Len(t, s.CallIDs, 1)
	require.Equal(t, []string{s.CallIDs[0], record.ID}, calls(t, a.API, known))
	trail(t, admin, "1001@ contact.note-create contact:"+known+" ok")
}

// SEED-63: a customer nobody knew calls; the agent makes the contact while they talk, and
// the call is the first in its history. Later it turns out to be a known one: the two are
// merged, and all calls are the one's. In the end the person asks to be forgotten.
func TestSEED63_ContactMadeDuringTheCall_HasTheCall_AndIsMerged(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: german})
	a, boss := ten.ReadyAgent(1), ten.Login("supervisor")
	old := asked(t, boss, http.StatusCreated, http.MethodPost, "/v1/contacts", map[string]any{"display_name": "Max", "numbers": []string{"030 12345611"}})["id"].(string)
	customer := ten.Call("anonymous", "8000")
	rung := a.Answered()
	ten.Talk(customer, rung)
	a.Wait("Busy")
	require.NoError(t, customer.HangUp())
	a.Wait("Ready")
	customer = ten.Call("493012345612", "8000")
	rung = a.Offered()
	require.Nil(t, a.Wait("Reserved").Offer.Customer)
	require.Nil(t, a.View().Offer.Customer)
	require.NoError(t, rung.Answer())
	ten.Talk(customer, rung)
	call := a.Wait("Busy").CallIDs[0]
	refused := asked(t, a.API, http.StatusConflict, http.MethodPost, "/v1/contacts", map[string]any{"display_name": "M. M.", "numbers": []string{"030 12345611"}})
	require.Equal(t, "number_taken", refused["code"])
	require.NotContains(t, refused["detail"], old, "not the agent's to see")
	made := asked(t, a.API, http.StatusCreated, http.MethodPost, "/v1/contacts", map[string]any{"display_name": "M. M.", "numbers": []string{"030 12345612"}})["id"].(string)
	require.NoError(t, customer.HangUp())
	_, err := ten.Watch.WaitCall(ten.Context(), "know its customer", func(c stage.CallView) bool { return c.Phase == "Ended" && c.ContactID == made })
	require.NoError(t, err)
	require.Equal(t, []string{call}, calls(t, a.API, made))

	asked(t, a.API, http.StatusForbidden, http.MethodPost, "/v1/contacts/"+old+"/merge", map[string]any{"other": made})
	merged := asked(t, boss, http.StatusOK, http.MethodPost, "/v1/contacts/"+old+"/merge", map[string]any{"other": made, "take": map[string]any{"display_name": "Max M."}})
	require.Equal(t, []any{"Max M.", []any{"+493012345611", "+493012345612"}}, []any{merged["display_name"], merged["numbers"]})
	require.Equal(t, []string{call}, calls(t, boss, old))
	require.Equal(t, "contact_merged", asked(t, boss, http.StatusNotFound, http.MethodGet, "/v1/contacts/"+made, nil)["code"])
	for _, q := range []string{"03012345612", "max"} {
		found := asked(t, boss, http.StatusOK, http.MethodGet, "/v1/contacts?q="+q, nil)["items"].([]any)
		require.Len(t, found, 1, q)
	}

	admin := ten.Login("admin")
	asked(t, boss, http.StatusForbidden, http.MethodPost, "/v1/contacts/"+old+"/erase", nil)
	require.EqualValues(t, 1, asked(t, admin, http.StatusOK, http.MethodPost, "/v1/contacts/"+old+"/erase", nil)["calls"])
	require.Equal(t, "49301xxxxxxx", asked(t, admin, http.StatusOK, http.MethodGet, "/v1/calls/"+call, nil)["from"], "the call stays, and says no more whose it was")
	asked(t, admin, http.StatusNotFound, http.MethodGet, "/v1/contacts/"+old, nil)
	require.Empty(t, asked(t, admin, http.StatusOK, http.MethodGet, "/v1/contacts?deleted=true", nil)["items"])
}

// SEED-63: contacts come from a file, all or none, with the tenant's own fields as columns;
// a dry run names each bad cell, and what is exported is imported again without a change.
func TestSEED63_ContactsAreImportedAndExported(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: german})
	admin := ten.Login("admin")
	bring := func(status int, query, file string) map[string]any {
		t.Helper()
		ans, err := admin.Do(t.Context(), http.MethodPost, "/v1/contacts/import"+query, file, "Content-Type", "text/csv")
		require.NoError(t, err)
		require.Equal(t, status, ans.Status, string(ans.Body))
		out := map[string]any{}
		require.NoError(t, json.Unmarshal(ans.Body, &out))
		return out
	}
	const bad = "display_name,numbers,fields.rank\nErika,030 12345621,3\nMax,030 12345621,4\nEva,12,\n"
	report := bring(http.StatusOK, "?dry_run=true", bad)
	problems := report["problems"].([]any)
	require.Len(t, problems, 2)
	for i, row := range []float64{3, 4} {
		require.Equal(t, []any{row, "numbers"}, []any{problems[i].(map[string]any)["row"], problems[i].(map[string]any)["column"]}, "%v", problems[i])
	}
	bring(http.StatusUnprocessableEntity, "", bad)
	require.Empty(t, asked(t, admin, http.StatusOK, http.MethodGet, "/v1/contacts", nil)["items"])
	report = bring(http.StatusOK, "", "display_name;company;numbers;fields.rank\nErika;'=1+1;030 12345621;3\nMax;;\"030 12345622,+41446681800\";\n")
	require.EqualValues(t, 2, report["created"])
	found := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/contacts?q=%2B41+44+668", nil)["items"].([]any)
	require.Len(t, found, 1)
	require.Equal(t, "Max", found[0].(map[string]any)["display_name"])
	file, err := admin.Do(t.Context(), http.MethodGet, "/v1/contacts/export", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, file.Status)
	require.Contains(t, string(file.Body), "'=1+1", "no spreadsheet takes it for a formula")
	report = bring(http.StatusOK, "", string(file.Body))
	require.Equal(t, []any{0.0, 0.0, 2.0}, []any{report["created"], report["changed"], report["same"]})
	asked(t, ten.Login("1001"), http.StatusForbidden, http.MethodGet, "/v1/contacts/export", nil)
}
