package httpapi

import (
	"flag"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew; read the difference before committing it")

func TestRoutes_TheTableIsWhatIsServed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	known := map[string]bool{}
	for _, group := range routes {
		for _, r := range group {
			key := r.method + " " + regexp.MustCompile(`\{(\w+)\}`).ReplaceAllString(r.path, ":$1")
			require.False(t, known[key], "%s stands twice in the table", key)
			known[key] = true
		}
	}
	for _, r := range h.api.gin.Routes() {
		require.True(t, known[r.Method+" "+r.Path], "%s %s is served but not in the table", r.Method, r.Path)
		delete(known, r.Method+" "+r.Path)
	}
	require.Empty(t, known, "in the table but not served")
}

// SEED-109: each API is subject to its own permission limit.
func TestRoutes_EachNamesAPermissionThatARoleHolds(t *testing.T) {
	t.Parallel()
	held := map[account.Permission]bool{}
	for _, role := range account.Given() {
		for _, p := range role.Permissions() {
			held[p.Action()] = true
		}
	}
	for name := range within {
		routeNamed(name) // panics if there is none
	}
	public := map[string]bool{
		"login": true, "refresh": true, "change-password": true, "begin-oidc": true, "end-oidc": true, "logout": true, "healthz": true, "readyz": true, "metrics": true, "openapi": true, "docs": true, "page": true,
	}
	for _, group := range routes {
		for _, r := range group {
			require.Equal(t, public[r.name], r.access == everyone, "%s: whoever makes a route public says so here too", r.name)
			if p, ok := r.access.permission(); ok {
				require.True(t, held[p], "%s needs %s, which no role holds", r.name, p)
			}
			for action, p := range within[r.name] {
				require.True(t, held[p.Action()], "%s of %s needs %s, which no role holds", action, r.name, p)
			}
		}
	}
}

// SEED-110: only authorized users can invoke a given API.
func TestRoutes_WithoutOrWithAWrongToken401_WithoutPermission403(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	nobody := h.reader.users["1001"]
	nobody.Name, nobody.Permissions = "nobody", nil
	h.reader.users["nobody"] = nobody
	stranger := newHouse(t) // has another key
	for _, group := range routes {
		for _, r := range group {
			if r.access == everyone {
				continue
			}
			path := pathOf(r)
			a := h.ask("", r.method, path, "")
			require.Equal(t, http.StatusUnauthorized, a.Code, r.name)
			require.Contains(t, a.Header().Get("WWW-Authenticate"), "Bearer")
			for _, wrong := range []string{"Bearer nonsense", "Basic YTpi", "Bearer " + stranger.token("1001"), "Bearer " + refreshToken(t, h, "1001")} {
				require.Equal(t, http.StatusUnauthorized, h.ask("", r.method, path, "", "Authorization", wrong).Code, r.name)
			}
			if _, ok := r.access.permission(); ok {
				a := h.ask("nobody", r.method, path, "")
				require.Equal(t, http.StatusForbidden, a.Code, r.name)
				require.Equal(t, "forbidden", a.body["code"])
			}
		}
	}
	require.Empty(t, h.commands.asked, "a refused request reaches no session")
}

func refreshToken(t *testing.T, h *house, user string) string {
	t.Helper()
	for name, u := range h.reader.users {
		if string(name) == user {
			token, err := h.api.tokens.sign(u, forRefresh, ticket{login: "a login", turn: 1, expires: h.now().Add(refreshLife)})
			require.NoError(t, err)
			return token
		}
	}
	t.Fatalf("no user %s", user)
	return ""
}

func TestOpenAPI_TheCommittedFileIsWhatIsServed(t *testing.T) {
	t.Parallel()
	doc, err := newHouse(t).api.OpenAPI()
	require.NoError(t, err)
	const file = "../docs/openapi.json"
	if *update {
		require.NoError(t, os.WriteFile(file, doc, 0o644))
	}
	committed, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(committed), string(doc), "run go test ./httpapi -update and commit docs/openapi.json with the change")
}

func TestReference_ShowsEveryRouteAndNeedsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	page := h.ask("", http.MethodGet, "/docs", "")
	require.Equal(t, http.StatusOK, page.Code)
	html := page.Body.String()
	for _, group := range routes {
		for _, r := range group {
			require.Contains(t, html, `id="`+r.name+`"`)
		}
	}
	require.NotRegexp(t, `(src|href)="(https?:)?//`, html)
	require.NotContains(t, html, "<script")
	require.Equal(t, http.StatusOK, h.ask("", http.MethodGet, "/openapi.json", "").Code)
	index := h.ask("", http.MethodGet, "/", "")
	require.Contains(t, index.Body.String(), "/docs")
	require.Contains(t, index.Body.String(), "http://127.0.0.1:8233")
}

// Every text of a request is a line (no CR, LF, NUL), a closed set, or one of the few below.
func TestRequests_NoTextCanCarryControlCharacters(t *testing.T) {
	t.Parallel()
	exceptions := map[string]bool{
		"Password":       true, // compared, never sent on
		"ClientSecret":   true, // sealed, and sent to the provider url-encoded
		"NewPassword":    true, // hashed, never sent on
		"Token":          true, // verified, never sent on
		"IdempotencyKey": true, // has a stricter pattern of its own
		"IfMatch":        true, // has a stricter pattern of its own
	}
	for _, in := range []any{
		loginInput{}, passwordInput{}, refreshInput{}, signInInput{}, plainInput{}, keyedInput{}, reasonInput{}, queuesInput{}, bindingInput{}, wrapUpInput{},
		terminalInput{}, forcedInput{}, listCallsInput{}, callInput{}, hangUpInput{}, queueInput{}, presenceInput{}, eventsInput{},
		ownLoginInput{}, createInput[newKey]{}, updateInput[KeyFields]{}, listKeys{}, userLoginInput{}, switchInput{}, createInput[newTenant]{}, updateInput[changedTenant]{}, listTenants{}, createInput[newOrganization]{}, updateInput[OrganizationFields]{}, listOrganizations{},
		createInput[newDivision]{}, updateInput[DivisionFields]{}, listDivisions{}, auditInput{}, bookingsInput{}, importInput{}, thingInput{}, deleteInput{}, restoreInput{}, setOIDCInput{}, oidcChangeInput{}, beginOIDCInput{}, endOIDCInput{},
		createInput[newUser]{}, updateInput[changedUser]{}, listUsers{}, createInput[newRole]{}, updateInput[RoleFields]{}, listRoles{},
		createInput[newTeam]{}, updateInput[TeamFields]{}, listTeams{}, createInput[newAgent]{}, updateInput[AgentFields]{}, listAgents{},
		createInput[newQueue]{}, updateInput[changedQueue]{}, listQueues{}, createInput[newDevice]{}, updateInput[DeviceFields]{}, listDevices{},
		createInput[newContact]{}, updateInput[ContactSettable]{}, listContacts{}, createInput[newContactField]{}, updateInput[ContactFieldFields]{}, listContactFields{},
		listLogsInput{}, contactCallsInput{}, mergeInput{}, notesInput{}, newNoteInput{}, changedNoteInput{}, deletedNoteInput{},
		createInput[newTrunk]{}, updateInput[TrunkFields]{}, listTrunks{}, createInput[newNumber]{}, updateInput[NumberFields]{}, listNumbers{},
		createInput[newReason]{}, updateInput[ReasonFields]{}, listReasons{}, createInput[newSkill]{}, updateInput[SkillFields]{}, listSkills{},
		createInput[newDisposition]{}, updateInput[DispositionFields]{}, listDispositions{},
		createInput[newTariff]{}, updateInput[changedTariff]{}, listTariffs{},
		createInput[newWebhook]{}, updateInput[changedWebhook]{}, listWebhooks{}, rotateInput{}, listDeliveriesInput{}, deliveryInput{}, redeliverInput{}, replayInput{}, testInput{},
	} {
		checkText(t, reflect.TypeOf(in), exceptions)
	}
}

func checkText(t *testing.T, typ reflect.Type, exceptions map[string]bool) {
	t.Helper()
	if typ.PkgPath() == "net/http" || typ.PkgPath() == "time" {
		return
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		ft := f.Type
		for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice {
			ft = ft.Elem()
		}
		switch {
		case ft.Kind() == reflect.Struct:
			checkText(t, ft, exceptions)
		case ft.Kind() == reflect.String && f.IsExported():
			ok := ft == reflect.TypeFor[line]() || ft == reflect.TypeFor[prose]() || f.Tag.Get("enum") != "" || exceptions[f.Name]
			require.True(t, ok, "%s.%s is free text: make it a line", typ, f.Name)
		}
	}
}
