package httpapi

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
)

// The trail can't be changed when somebody asks to be forgotten: a refusal about a customer
// is told without its sentence, in which names and numbers stand.
func TestContacts_ARefusalLeavesNoPersonalDataInTheTrail(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.things.refuse = &fault.Error{Kind: fault.Conflict, Code: "number_taken", Sentence: "+493012345600 belongs to contact known (Erika Mustermann) already.",
		Fields: []fault.Field{{Name: "numbers", Sentence: "+493012345600 belongs to contact known (Erika Mustermann) already"}}}
	for path, body := range map[string]string{
		"/v1/contacts": `{"numbers":["+493012345600"]}`, "/v1/contacts/aaaaaaaa/merge": `{"other":"bbbbbbbb"}`,
		"/v1/contacts/aaaaaaaa/notes": `{"text":"x"}`, "/v1/contacts/aaaaaaaa/erase": ``,
	} {
		got := h.ask("admin", http.MethodPost, path, body)
		require.Equal(t, http.StatusConflict, got.Code, got.Body)
		require.Contains(t, got.Body.String(), "Erika", "who asks is told")
	}
	require.Equal(t, http.StatusConflict, h.ask("admin", http.MethodPatch, "/v1/contacts/aaaaaaaa", `{"numbers":["+493012345600"]}`).Code)
	h.things.refuse = nil
	h.things.imported = directory.Imported{Problems: []directory.Problem{{Row: 2, Column: "numbers", Sentence: "+493012345600 belongs to contact known (Erika Mustermann) already"}}}
	require.Equal(t, http.StatusUnprocessableEntity, h.bring("admin", "/v1/contacts/import", "display_name,company\nErika,Acme\n").Code)
	lines := h.audited()
	require.Len(t, lines, 6)
	for _, e := range lines {
		require.NotContains(t, string(e.Detail), "Erika", e.Action)
		require.NotContains(t, string(e.Detail), "4930", e.Action)
		require.NotEqual(t, "ok", e.Result)
	}
	h.things.refuse = &fault.Error{Kind: fault.Conflict, Code: "name_taken", Sentence: "There is a team blue already."}
	h.ask("admin", http.MethodPost, "/v1/teams", `{"name":"blue"}`)
	lines = h.audited()
	require.Contains(t, string(lines[len(lines)-1].Detail), "There is a team blue already.", "others are told in words")
}
