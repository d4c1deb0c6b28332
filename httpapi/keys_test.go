package httpapi

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
)

// keyOf makes an API key of admin's with what it may.
func (h *house) keyOf(k account.Key) string {
	secret := newSecret()
	k.Tenant, k.Name = tenant, "crm"
	if k.Maker == "" {
		k.Maker = "admin"
	}
	defer h.logins.lock()()
	if h.logins.keys == nil {
		h.logins.keys = map[string]account.Key{}
	}
	h.logins.keys[string(hashOfKey(secret))] = k
	return secret
}

func (h *house) byKey(key, method, path, body string) answer {
	h.t.Helper()
	return h.ask("", method, path, body, "Authorization", "Bearer "+key)
}

// A key is shown in the answer to its making, and what is kept of it is its hash.
func TestKeys_AreShownOnceAndKeptAsAHash(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newHouse(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	a := h.ask("admin", "POST", "/v1/api-keys", `{"name":"crm","permissions":["users:read:tenant"],"addresses":["192.0.2.9","2001:db8::1/32"]}`, "Idempotency-Key", "k-1")
	require.Equal(t, http.StatusCreated, a.Code, a.Body)
	key := a.body["key"].(string)
	require.True(t, isKey(key), key)
	require.Len(t, key, 55)
	c := h.things.changes[0]
	require.Equal(t, "admin", c.Set["maker"])
	require.Equal(t, key[:11], c.Set["prefix"])
	require.Equal(t, fmt.Sprintf(`\x%x`, hashOfKey(key)), c.Set["secret_hash"])
	require.Equal(t, []string{"192.0.2.9/32", "2001:db8::/32"}, c.Set["addresses"])
	require.NotContains(t, fmt.Sprint(c.Set), key)
	require.NotContains(t, h.ask("admin", "GET", "/v1/api-keys/crm", "").body, "key")
	require.Empty(t, h.vault.answers, "the key stands in clear nowhere")
	require.NotContains(t, log.String(), key)
	for body, field := range map[string]string{
		`{"name":"x","addresses":["here"]}`: "body:addresses[0]", `{"name":"x","expires_at":"2020-01-01T00:00:00Z"}`: "body:expires_at", `{"name":"a b"}`: "body:name",
		`{"name":"x","maker":"boss"}`: "body:maker", `{"name":"x","secret_hash":"x"}`: "body:secret_hash",
	} {
		require.Contains(t, h.ask("admin", "POST", "/v1/api-keys", body).fields(), field, body)
	}
}

// A key acts for itself, and may what its maker may at the moment, as far as it was lent.
func TestKeys_MayWhatTheirMakerMayNow(t *testing.T) {
	t.Parallel()
	now := noon
	h := newHouse(t, func(c *Config) { c.Now = func() time.Time { return now } })
	key := h.keyOf(account.Key{Permissions: []account.Permission{"users:read:tenant", "teams:write:tenant", "trunks:set_password:system"}})
	me := h.byKey(key, "GET", "/v1/me", "")
	require.Equal(t, http.StatusOK, me.Code, me.Body)
	require.Equal(t, "key:crm", me.body["user"])
	require.Equal(t, []any{"users:read:tenant", "teams:write:tenant", "trunks:set_password:tenant"}, me.body["permissions"], "as far as both reach")
	require.NotContains(t, me.body, "agent")
	require.Equal(t, http.StatusOK, h.byKey(key, "GET", "/v1/users", "").Code)
	require.Equal(t, http.StatusForbidden, h.byKey(key, "GET", "/v1/audit", "").Code, "its maker may, the key may not")
	require.Equal(t, http.StatusForbidden, h.byKey(key, "POST", "/v1/agent-session", `{"interface":"phone"}`).Code)
	require.Equal(t, http.StatusForbidden, h.byKey(key, "POST", "/v1/auth/switch-tenant", `{"tenant":"near.example"}`).Code)
	h.things.refuse = fmt.Errorf("no")
	h.byKey(key, "POST", "/v1/teams", `{"name":"blue"}`)
	require.Equal(t, []string{"crm 127.0.0.9"}, h.logins.used, "written down once a minute")
	now = now.Add(useNoted)
	h.byKey(key, "GET", "/v1/me", "")
	require.Len(t, h.logins.used, 2)

	u := h.reader.users["admin"]
	u.Permissions = []account.Permission{"users:read:team"}
	h.reader.users["admin"] = u
	h.api.persons.forget()
	require.Equal(t, []any{"users:read:team"}, h.byKey(key, "GET", "/v1/me", "").body["permissions"], "what the maker lost, the key has lost")
	u.Disabled = true
	h.reader.users["admin"] = u
	h.api.persons.forget()
	gone := h.byKey(key, "GET", "/v1/me", "")
	require.Equal(t, http.StatusUnauthorized, gone.Code)
	require.Equal(t, "key_maker_gone", gone.body["code"])
	var told []string
	for _, e := range h.audited() {
		told = append(told, string(e.User)+" "+e.Action)
	}
	require.Contains(t, told, "key:crm team.create")
}

// A key ends at its time, is good from its networks only, and is gone when it is deleted.
func TestKeys_EndAndAreBoundToNetworks(t *testing.T) {
	t.Parallel()
	now := noon
	h := newHouse(t, func(c *Config) { c.Now = func() time.Time { return now } })
	key := h.keyOf(account.Key{Expires: noon.Add(time.Hour), Addresses: []string{"127.0.0.0/30", "2001:db8::/32"}})
	ask := func(from string) answer {
		return h.askFrom(from, "", "GET", "/v1/me", "", "Authorization", "Bearer "+key)
	}
	require.Equal(t, http.StatusOK, ask("127.0.0.3").Code)
	require.Equal(t, http.StatusOK, ask("[2001:db8::7]").Code)
	require.Equal(t, http.StatusOK, ask("[::ffff:127.0.0.1]").Code)
	a := ask("127.0.0.4")
	require.Equal(t, http.StatusForbidden, a.Code)
	require.Equal(t, "key_address", a.body["code"])
	now = now.Add(time.Hour)
	require.Equal(t, "key_expired", ask("127.0.0.3").body["code"])
	now = noon
	delete(h.logins.keys, string(hashOfKey(key)))
	a = ask("127.0.0.3")
	require.Equal(t, http.StatusUnauthorized, a.Code)
	require.Equal(t, "wrong_key", a.body["code"], "at once: nothing is kept in memory")
}

// Wrong keys slow their address down, and nobody who has a right one.
func TestKeys_WrongOnesSlowDown_RightOnesNever(t *testing.T) {
	t.Parallel()
	now := noon
	h := newHouse(t, func(c *Config) { c.Now = func() time.Time { return now } })
	right := h.keyOf(account.Key{})
	for _, malformed := range []string{"hf_", "hf_" + strings.Repeat("a", 51), strings.ToUpper(right), right + "a", "hf_" + strings.Repeat("1", 52)} {
		require.Equal(t, http.StatusUnauthorized, h.byKey(malformed, "GET", "/v1/me", "").Code, malformed)
	}
	require.Empty(t, h.vault.tallies, "what is no key by its form costs no look-up")
	for range knockPace.free {
		require.Equal(t, "wrong_key", h.byKey(newSecret(), "GET", "/v1/me", "").body["code"])
	}
	a := h.byKey(newSecret(), "GET", "/v1/me", "")
	require.Equal(t, http.StatusTooManyRequests, a.Code)
	require.NotEmpty(t, a.Header().Get("Retry-After"))
	require.Equal(t, http.StatusOK, h.byKey(right, "GET", "/v1/me", "").Code)
	require.Equal(t, http.StatusOK, h.ask("", "POST", "/v1/auth/login", login(tenant, "1001", "holdfast-demo")).Code, "people sign in all the same")
}

// A stream by a key ends when the key would be refused, however it would be: also where its
// networks are others now, or while its address is slowed down for wrong ones.
func TestKeys_AStreamEndsWithItsKey(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *house, key string){
		"networks": func(h *house, key string) {
			h.logins.keys[string(hashOfKey(key))] = account.Key{Tenant: tenant, Name: "crm", Maker: "admin", Addresses: []string{"192.0.2.0/24"}}
		},
		"deleted": func(h *house, key string) { delete(h.logins.keys, string(hashOfKey(key))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, func(c *Config) { c.Heartbeat = 5 * time.Millisecond })
			key := h.keyOf(account.Key{Permissions: []account.Permission{"queues:watch:tenant"}})
			l := h.listen("admin", "Authorization", "Bearer "+key)
			for range knockPace.free + 1 {
				h.askFrom("127.0.0.1", "", "GET", "/v1/me", "", "Authorization", "Bearer "+newSecret())
			}
			unlock := h.logins.lock()
			end(h, key)
			unlock()
			l.ended()
		})
	}
}
