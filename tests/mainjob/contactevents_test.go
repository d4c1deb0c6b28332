package mainjob

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// copyOf is what an outside CRM has in the end that keeps what it is told: contacts by
// their ids, or why they are gone.
func copyOf(t *testing.T, told []stage.Told) (kept map[string]map[string]any, gone map[string]string) {
	t.Helper()
	kept, gone = map[string]map[string]any{}, map[string]string{}
	for _, m := range told {
		if !strings.HasPrefix(m.Subject, "contact:") {
			continue
		}
		var data map[string]any
		require.NoError(t, json.Unmarshal(m.Data, &data))
		name := data["id"].(string)
		require.Equal(t, "contact:"+name, m.Subject)
		delete(kept, name)
		delete(gone, name)
		if why, is := data["gone"].(string); is {
			gone[name] = why
		} else {
			kept[name] = data
		}
	}
	return kept, gone
}

// SEED-63: an outside CRM follows contacts that are made, changed, merged, brought by a
// file, deleted, brought back and erased: each message signed, in the order of its contact,
// with the contact as the API shows it. Nothing of who was erased is left with what was sent.
func TestSEED63_AnOutsideCRMFollowsContacts(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: german})
	crm := ten.Receiver("crm", map[string]any{"events": []string{"contact.*"}, "headers": map[string]string{"Authorization": "Bearer x"}}, nil)
	api := crm.API
	create := func(name, number string) string {
		return asked(t, api, http.StatusCreated, http.MethodPost, "/v1/contacts", map[string]any{"display_name": name, "numbers": []string{number}})["id"].(string)
	}
	erika := create("Erika Mustermann", "030 12345631")
	told := crm.WaitAccepted("that a contact was made", has("contact.created"))
	kept, _ := copyOf(t, told)
	shown := asked(t, api, http.StatusOK, http.MethodGet, "/v1/contacts/"+erika, nil)
	require.Equal(t, shown, kept[erika], "as the API shows it")

	asked(t, api, http.StatusOK, http.MethodPatch, "/v1/contacts/"+erika, map[string]any{"vip": true, "fields": map[string]any{"rank": 7}})
	told = crm.WaitAccepted("that it was changed", has("contact.updated"))
	kept, _ = copyOf(t, told)
	require.Equal(t, []any{true, []any{"fields", "vip"}}, []any{kept[erika]["vip"], kept[erika]["changed"]})

	twin := create("E. Mustermann", "030 12345632")
	asked(t, api, http.StatusOK, http.MethodPost, "/v1/contacts/"+erika+"/merge", map[string]any{"other": twin})
	told = crm.WaitAccepted("the merge", has("contact.merged", "contact.deleted"))
	kept, gone := copyOf(t, told)
	require.Equal(t, "merged", gone[twin])
	require.Equal(t, []any{"+493012345631", "+493012345632"}, kept[erika]["numbers"])
	require.Equal(t, twin, kept[erika]["merged"])

	ans, err := api.Do(t.Context(), http.MethodPost, "/v1/contacts/import", "id,display_name,numbers\n"+erika+",Erika M.,\nimported0001,Max,030 12345633\n,Eva,030 12345634\n", "Content-Type", "text/csv")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, ans.Status, string(ans.Body))
	crm.WaitAccepted("the import", func(told []stage.Told) bool {
		kept, _ = copyOf(t, told)
		return len(kept) == 3 && kept[erika]["display_name"] == "Erika M."
	})

	asked(t, api, http.StatusNoContent, http.MethodDelete, "/v1/contacts/imported0001", nil)
	crm.WaitAccepted("the deletion", func(told []stage.Told) bool { _, gone = copyOf(t, told); return gone["imported0001"] == "deleted" })
	asked(t, api, http.StatusOK, http.MethodPost, "/v1/contacts/imported0001/restore", nil)
	crm.WaitAccepted("that it is back", has("contact.restored"))
	asked(t, api, http.StatusOK, http.MethodPost, "/v1/contacts/"+erika+"/erase", nil)
	told = crm.WaitAccepted("the erasure", func(told []stage.Told) bool {
		kept, gone = copyOf(t, told)
		return gone[erika] == "erased" && gone[twin] == "erased" && kept["imported0001"] != nil
	})
	inOrder(t, told)
	require.Equal(t, []string{"contact.created", "contact.updated", "contact.merged", "contact.updated", "contact.erased"}, about(told, "contact:"+erika))
	for _, m := range told {
		if m.Type == "contact.erased" {
			require.JSONEq(t, `{"id":"`+strings.TrimPrefix(m.Subject, "contact:")+`","gone":"erased"}`, string(m.Data))
		}
	}
	nothingLeft(t, ten, crm, erika)
	var sealed string
	require.NoError(t, hall.SQL(t).QueryRow(t.Context(), `SELECT secret || headers::text FROM webhooks WHERE tenant_id = $1`, ten.Domain).Scan(&sealed))
	require.NotContains(t, sealed, "whsec_")
	require.NotContains(t, sealed, "Bearer")
}

// nothingLeft proves that neither events nor deliveries hold anything of an erased person,
// and that what is sent again says no more than that it is erased.
func nothingLeft(t *testing.T, ten *stage.Tenant, crm *stage.Receiver, erased string) {
	t.Helper()
	for _, table := range []string{"events", "deliveries"} {
		var rows, personal int
		require.NoError(t, hall.SQL(t).QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE to_jsonb(x)::text ~ 'Erika|Mustermann|1234563[12]') FROM `+table+` x WHERE tenant_id = $1`,
			ten.Domain).Scan(&rows, &personal))
		require.NotZero(t, rows)
		require.Zero(t, personal, table)
	}
	for _, d := range deliveries(t, crm, "?subject=contact:"+erased) {
		detail := asked(t, crm.API, http.StatusOK, http.MethodGet, "/v1/webhooks/crm/deliveries/"+d["id"].(string), nil)
		require.Equal(t, map[string]any{"id": erased, "gone": "erased"}, detail["request_body"].(map[string]any)["data"])
	}
}

// Who sees no contacts sees none by looking at what was sent of them.
func TestWebhook_WhoSeesNoContactsSeesNoneAtDeliveries(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{Change: german})
	crm := ten.Receiver("crm", map[string]any{"events": []string{"contact.*"}}, nil)
	made := asked(t, crm.API, http.StatusCreated, http.MethodPost, "/v1/contacts", map[string]any{"display_name": "Erika Mustermann"})["id"].(string)
	crm.WaitAccepted("the contact", has("contact.created"))
	path := "/v1/webhooks/crm/deliveries/" + deliveries(t, crm, "")[0]["id"].(string)
	data := func(c *stage.Client) map[string]any {
		return asked(t, c, http.StatusOK, http.MethodGet, path, nil)["request_body"].(map[string]any)["data"].(map[string]any)
	}
	require.Equal(t, "Erika Mustermann", data(crm.API)["display_name"])
	asked(t, crm.API, http.StatusCreated, http.MethodPost, "/v1/users", map[string]any{"name": "itadmin", "password": stage.Password, "roles": []string{"it_administrator"}})
	require.Equal(t, map[string]any{"id": made}, data(ten.Login("itadmin")))
}
