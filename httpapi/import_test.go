package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// bring sends a file.
func (h *house) bring(as id.User, path, file string) answer {
	h.t.Helper()
	return h.ask(as, http.MethodPost, path, file, "Content-Type", "text/csv")
}

// problems are those of a report, as "row column: detail".
func (a answer) problems() (list []string) {
	from := a.body
	if view, refused := a.body["view"].(map[string]any); refused {
		from = view
	}
	for _, p := range from["problems"].([]any) {
		m := p.(map[string]any)
		list = append(list, fmt.Sprintf("%v %v: %v", m["row"], m["column"], m["detail"]))
	}
	return list
}

// A file becomes changes of the same form as single requests: new things with their
// passwords hashed, those who are there without.
func TestImport_AFileBecomesChanges(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.things.known = map[string]bool{"bob": true}
	h.things.imported = directory.Imported{Created: 1, Changed: 1}
	file := "\xef\xbb\xbfname;display_name;roles;team;disabled;password;teams\r\n" +
		"anna;'=Anna;\"regular_agent, supervisor_agent\";blue;no;a long password;\r\n;;;;;;\r\nbob;;;;yes;another password;red\r\n"
	got := h.bring("admin", "/v1/users/import", file)
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	require.EqualValues(t, 1, got.body["created"])
	require.EqualValues(t, 1, got.body["passwords_left"])
	f := h.things.files[0]
	require.False(t, f.DryRun)
	require.Equal(t, []string{"password_hash"}, f.Secrets)
	require.Len(t, f.Rows, 2)
	anna, bob := f.Rows[0], f.Rows[1]
	require.Contains(t, anna.Set["password_hash"], "$argon2id$")
	delete(anna.Set, "password_hash")
	require.Equal(t, map[string]any{"display_name": "=Anna", "roles": []string{"regular_agent", "supervisor_agent"}, "team": "blue", "disabled": false, "teams": []string{}}, anna.Set)
	require.True(t, anna.New)
	require.Equal(t, 2, anna.Number)
	require.Equal(t, map[string]any{"display_name": "", "team": "", "disabled": true, "teams": []string{"red"}}, bob.Set, "roles can't be empty: they stay")
	require.Equal(t, 4, bob.Number)
	require.Contains(t, anna.Needs, account.UsersPassword)
	require.Contains(t, bob.Needs, account.UsersUpdate)
	require.NotContains(t, bob.Needs, account.UsersPassword)

	got = h.bring("admin", "/v1/users/import?dry_run=true", file)
	require.Equal(t, true, got.body["dry_run"])
	require.Equal(t, "dry run", h.things.files[1].Rows[0].Set["password_hash"], "nothing is hashed for nothing")

	require.Equal(t, http.StatusOK, h.bring("admin", "/v1/devices/import", "name,codecs,extension\n1001,\"alaw,ulaw\",5001\n").Code)
	require.Equal(t, map[string]any{"kind": "sip", "codecs": []string{"alaw", "ulaw"}, "extension": "5001"}, h.things.files[2].Rows[0].Set, "defaults as in a request")
	h.things.known = map[string]bool{"1001": true}
	require.Equal(t, http.StatusOK, h.bring("admin", "/v1/agents/import", "number\tuser\tskills\twrap_up_ms\n1001\tanna\tgerman:7\t\n").Code)
	row := h.things.files[3].Rows[0]
	require.Equal(t, map[string]any{"skills": []skillLevel{{"german", 7}}}, row.Set)
	require.Equal(t, map[string]string{"user": "anna"}, row.Fixed)
}

// Every bad cell is named with its row and column and what would be right, and nothing is
// imported; what the directory finds is named beside.
func TestImport_NamesEachBadCell(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	file := "name,roles,disabled,password,agent\nanna,regular_agent,perhaps,,\nb b,regular_agent,,,\nanna,,,short,x\n,regular_agent,,,\ncarl,regular_agent\ndora,regular_agent,,,\n"
	got := h.bring("admin", "/v1/users/import", file)
	require.Equal(t, http.StatusUnprocessableEntity, got.Code)
	require.Equal(t, "import", got.body["code"])
	require.Equal(t, []string{
		"2 disabled: must be true or false",
		"3 name: expected string to be letters, digits and . _ @ + -",
		"4 name: anna stands in row 2 already",
		"5 name: is empty: it says which user the row is about",
		"6 : has 2 cells, and there are 5 columns",
	}, slicesOf(got.problems(), "2 d", "3 n", "4 n", "5 n", "6 "))
	require.Contains(t, got.fields(), "body:rows[2].disabled")
	require.True(t, h.things.files[0].DryRun, "what is right is tried, and not done")

	got = h.bring("admin", "/v1/users/import?dry_run=true", "name,password,roles\nanna,basketball12,regular_agent\n")
	require.Len(t, got.problems(), 1)
	require.Contains(t, got.problems()[0], "2 password: ")
	require.Contains(t, got.problems()[0], "most used", "the policy of passwords holds here too")

	h.things.imported = directory.Imported{Problems: []directory.Problem{{Row: 2, Column: "team", Sentence: "there is no such team"}}}
	got = h.bring("admin", "/v1/users/import?dry_run=true", "name,team,roles\nanna,blue,regular_agent\n")
	require.Equal(t, http.StatusOK, got.Code)
	require.Equal(t, []string{"2 team: there is no such team"}, got.problems())
	for file, problem := range map[string]string{
		"name,colour\na,b\n":     "1 colour: there is no such column; there are name, agent, display_name, roles, teams, team, disabled, password",
		"name,name\na,b\n":       "1 name: stands twice",
		"roles\nregular_agent\n": "1 name: the column is missing: it says which user a row is about",
		"":                       "",
		"name\n\xff\n":           "1 : the file is not UTF-8: save it as CSV UTF-8",
		"name\n\"a\n":            "2 : the row can't be read: extraneous or missing \" in quoted-field (line 2 of the file)",
		"name\n" + strings.Repeat("a\n", maxRows+1): fmt.Sprintf("%d : the file has more than 10000 rows: divide it", maxRows+2),
	} {
		got := h.bring("admin", "/v1/users/import", file)
		require.Equal(t, http.StatusUnprocessableEntity, got.Code)
		if problem != "" {
			require.Contains(t, got.problems(), problem)
		}
	}
	require.Equal(t, http.StatusRequestEntityTooLarge, h.bring("admin", "/v1/users/import", "name\n"+strings.Repeat("x", maxImport)).Code)
}

// slicesOf are the lines that begin with one of these.
func slicesOf(lines []string, begins ...string) (list []string) {
	for _, l := range lines {
		for _, b := range begins {
			if strings.HasPrefix(l, b) {
				list = append(list, l)
			}
		}
	}
	return list
}

// SEED-111: each column asks for what the field asks for in a single change.
func TestImport_ColumnsAskForTheirPermissions(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	clerk := h.reader.users["1001"]
	for file, needs := range map[string]account.Permission{
		"name,disabled\nx,true\n": account.UsersDisable, "name,roles\nx,regular_agent\n": account.UsersAssign,
		"name,password\nx,a long password\n": account.UsersPassword, "name,agent\nx,1009\n": account.AgentsCreate, "name\nbob\n": account.UsersUpdate,
	} {
		h.things.known = map[string]bool{"bob": true}
		clerk.Name, clerk.Permissions = "clerk", []account.Permission{"users:create:tenant"}
		h.reader.users["clerk"] = clerk
		h.api.persons.forget()
		got := h.ask("clerk", http.MethodPost, "/v1/users/import", file, "Content-Type", "text/csv")
		require.Equal(t, http.StatusForbidden, got.Code, "%s: %s", file, got.Body)
		require.Contains(t, got.body["detail"], string(needs))
		clerk.Permissions = append(clerk.Permissions, needs.At(account.Tenant))
		h.reader.users["clerk"] = clerk
		h.api.persons.forget()
		require.Equal(t, http.StatusOK, h.ask("clerk", http.MethodPost, "/v1/users/import", file, "Content-Type", "text/csv").Code, file)
	}
	require.Equal(t, http.StatusForbidden, h.ask("1001", http.MethodPost, "/v1/users/import", "name\nx\n", "Content-Type", "text/csv").Code)
}

// An export has the columns that an import reads, and no passwords.
func TestExport_IsWhatAnImportReads(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.ask("admin", http.MethodGet, "/v1/users/export", "")
	require.Equal(t, http.StatusOK, got.Code)
	require.Equal(t, "name,agent,display_name,roles,teams,team,disabled\n"+strings.Repeat("anna,1001,Anna,regular_agent,,,false\n", 2), got.Body.String())
	require.Contains(t, got.Header().Get("Content-Disposition"), "users.csv")
	require.True(t, strings.HasPrefix(h.ask("admin", http.MethodGet, "/v1/agents/export", "").Body.String(), "number,user,team,wrap_up_ms,"))
	require.True(t, strings.HasPrefix(h.ask("admin", http.MethodGet, "/v1/devices/export", "").Body.String(), "name,kind,agent,owner,extension,number,"))
}

// Contacts have the tenant's own fields as columns, and a row without an id is a new one.
func TestImport_Contacts_HaveOwnFieldsAsColumns(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.things.known = map[string]bool{"known0001": true}
	got := h.bring("admin", "/v1/contacts/import", "id,display_name,numbers,vip,fields.rank\n,Erika,\"030 1234,+41 44 668 18 00\",yes,2.5\nknown0001,'=Max,,,\n")
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	rows := h.things.files[0].Rows
	require.True(t, rows[0].New)
	require.Regexp(t, "^[a-z0-9]{20}$", rows[0].Name)
	require.Equal(t, map[string]any{"display_name": "Erika", "numbers": []string{"030 1234", "+41 44 668 18 00"}, "vip": true, "fields": map[string]any{"rank": 2.5}}, rows[0].Set)
	require.Equal(t, map[string]any{"display_name": "=Max", "numbers": []string{}, "fields": map[string]any{"rank": nil}}, rows[1].Set)
	require.Equal(t, []account.Permission{account.ContactsWrite}, rows[1].Needs)
	require.Equal(t, http.StatusOK, h.bring("admin", "/v1/contacts/import", "company\nAcme\nElse\n").Code)
	require.Len(t, h.things.files[1].Rows, 2)
	got = h.bring("admin", "/v1/contacts/import?dry_run=true", "company,fields.rank,emails\nAcme,many,no\nElse,1,a@b.example\n")
	require.Equal(t, []string{"2 fields.rank: must be a number, such as 12.5", "2 emails: expected string to be an e-mail address"}, got.problems())
	got = h.bring("admin", "/v1/contacts/import?dry_run=true", "company,fields.colour\nAcme,red\n")
	require.Contains(t, got.problems()[0], "1 fields.colour: there is no such column")
	require.Equal(t, http.StatusForbidden, h.ask("supervisor", http.MethodPost, "/v1/contacts/import", "company\nx\n", "Content-Type", "text/csv").Code)
}

// Who took everybody's data along stands in the trail, as does who tried.
func TestExport_StandsInTheTrail(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, http.StatusOK, h.ask("admin", http.MethodGet, "/v1/users/export", "").Code)
	h.things.refuse = fault.E(fault.Unavailable, "list things", errors.New("no database"))
	require.Equal(t, http.StatusServiceUnavailable, h.ask("admin", http.MethodGet, "/v1/users/export", "").Code)
	var lines []string
	for _, e := range h.audited() {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s", e.User, e.Action, e.Object, e.Result, e.Detail))
	}
	require.Len(t, lines, 2)
	require.Equal(t, `admin user.export users ok {"rows":2}`, lines[0])
	require.Contains(t, lines[1], "admin user.export users unavailable")
}

// What is too much for one file is refused: a file that ends early would be taken for all there is.
func TestExport_OfTooMany_IsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.things.endless = true
	a := h.ask("admin", http.MethodGet, "/v1/users/export", "")
	require.Equal(t, http.StatusUnprocessableEntity, a.Code)
	require.Equal(t, "too_many", a.body["code"])
	require.Contains(t, a.body["detail"], "100000")
}

// What a request imports, the command does too.
func TestBring_BringsWhateverARequestImports(t *testing.T) {
	t.Parallel()
	n := 0
	for _, group := range routes {
		for _, r := range group {
			if what, imports := strings.CutPrefix(r.name, "import-"); imports {
				require.Contains(t, bringers, what)
				n++
			}
		}
	}
	require.Len(t, bringers, n)
}
