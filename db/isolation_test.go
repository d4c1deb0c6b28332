package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/contact"
	"holdfast/domain/device"
	"holdfast/domain/directory"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
	"holdfast/domain/webhook"
)

// aboveTenants are the tables whose rows belong to no tenant, with what a tenant
// may do there: look, at most.
var aboveTenants = map[string]bool{"organizations": true, "divisions": true, "nodes": true, "node_secret": true, "login_tallies": true, "removed_levels": true}

// tables lists the tables from the catalog, so that a new one can't be forgotten.
func (w *world) tables() []string {
	w.Helper()
	rows, err := w.super.Query(w.Context(), `SELECT relname FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations' ORDER BY 1`)
	require.NoError(w, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w, err)
	require.NotEmpty(w, names)
	return names
}

// SEED-38: no read or write crosses a tenant's border.
func TestIsolation_EveryTable_IsClosedToAnotherTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.furnish()
	w.exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ('other.example', 'acme', 'main')`)
	for _, table := range w.tables() {
		var row json.RawMessage
		require.NoError(t, w.super.QueryRow(t.Context(), `SELECT to_jsonb(x) FROM `+table+` x ORDER BY to_jsonb(x) ->> 'tenant_id' LIMIT 1`).Scan(&row),
			"%s is empty: furnish it, so that this test means something", table)
		var rls, forced bool
		require.NoError(t, w.super.QueryRow(t.Context(), `SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = $1::regclass`, table).Scan(&rls, &forced))
		require.True(t, rls && forced, "%s has no row-level security", table)
		if aboveTenants[table] {
			w.cannotWrite(table, row)
			continue
		}
		w.cannotReach(table, row, "other.example")
		w.cannotReach(table, row, "")
	}
}

// cannotReach tries to read, change, remove and add rows of acme as another tenant.
func (w *world) cannotReach(table string, row json.RawMessage, as string) {
	w.Helper()
	require.Zero(w, w.tryAs(as, `SELECT FROM `+table+` WHERE tenant_id = 'acme.example'`), "%s: read as %q", table, as)
	if table != "audit" {
		require.Zero(w, w.tryAs(as, `UPDATE `+table+` SET tenant_id = tenant_id WHERE tenant_id = 'acme.example'`), "%s: change as %q", table, as)
		require.Zero(w, w.tryAs(as, `DELETE FROM `+table+` WHERE tenant_id = 'acme.example'`), "%s: remove as %q", table, as)
	}
	var columns string // those that are not generated
	w.one(&columns, `SELECT string_agg(attname, ', ') FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`, table)
	err := w.attempt(as, nil, `INSERT INTO `+table+` (`+columns+`) OVERRIDING SYSTEM VALUE
		SELECT `+columns+` FROM jsonb_populate_record(NULL::`+table+`, $1)`, row)
	requireDenied(w.TB, err, table)
}

func (w *world) cannotWrite(table string, row json.RawMessage) {
	w.Helper()
	var column string
	w.one(&column, `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1`, table)
	for _, sql := range []string{`UPDATE ` + table + ` SET ` + column + ` = ` + column, `DELETE FROM ` + table} {
		requireDenied(w.TB, w.attempt("other.example", nil, sql), table)
	}
	requireDenied(w.TB, w.attempt("other.example", nil, `INSERT INTO `+table+` SELECT * FROM jsonb_populate_record(NULL::`+table+`, $1)`, row), table)
}

func requireDenied(t testing.TB, err error, table string) {
	t.Helper()
	var pg *pgconn.PgError
	require.ErrorAs(t, err, &pg, table)
	require.Equal(t, "42501", pg.Code, "%s: %s", table, pg.Message) // insufficient_privilege: grants and policies alike
}

// tryAs returns how many rows a statement reaches as a tenant.
func (w *world) tryAs(tenant, sql string) int64 {
	w.Helper()
	var n int64
	require.NoError(w, w.attempt(tenant, &n, sql), sql)
	return n
}

// attempt runs a statement as the product's role for a tenant, and undoes it.
func (w *world) attempt(tenant string, affected *int64, sql string, args ...any) error {
	undo := errors.New("undo")
	err := pgx.BeginFunc(w.Context(), w.super, func(tx pgx.Tx) error {
		if _, err := tx.Exec(w.Context(), `SET LOCAL ROLE holdfast_app`); err != nil {
			return err
		}
		if _, err := tx.Exec(w.Context(), `SELECT set_config('holdfast.tenant', $1, true)`, tenant); err != nil {
			return err
		}
		tag, err := tx.Exec(w.Context(), sql, args...)
		if affected != nil {
			*affected = tag.RowsAffected()
		}
		if err != nil {
			return err
		}
		return undo
	})
	if errors.Is(err, undo) {
		return nil
	}
	return err
}

// configure gives acme a directory of one of each.
func (w *world) configure() {
	w.Helper()
	_, err := w.Apply(w.Context(), tenancy.Document{
		Organization: tenancy.Unit{Name: "acme"}, Division: tenancy.Unit{Name: "main"}, Tenant: tenancy.Tenant{Domain: acme},
		Teams:   []tenancy.Team{{Name: "a-team"}},
		Users:   []tenancy.User{{Name: "anna", Password: "secret-secret", Roles: []account.Role{account.Regular}}},
		Agents:  []tenancy.Agent{{Number: "1001", User: "anna", Team: "a-team", Addresses: []id.Device{"1001"}}},
		Devices: []tenancy.Device{{Name: "1001", Kind: leg.SIP, Agent: "1001", Password: "secret-secret"}},
		Queues:  []tenancy.Queue{{Name: "support", Strategy: queue.LongestIdle, Members: []tenancy.Member{{Agent: "1001"}}}},
		Trunks:  []tenancy.Trunk{{Name: "carrier", Addresses: []string{"192.0.2.0/24"}}},
		Numbers: []tenancy.Number{{Number: "8000", Queue: "support"}},
	}, false)
	require.NoError(w, err)
}

// furnish puts at least one row of tenant acme into every table, by the ways that
// the product itself goes.
func (w *world) furnish() {
	w.Helper()
	ctx, t := w.Context(), w.TB
	w.configure()
	_, err := w.Beat(ctx, device.Node{Name: "node-1", Boot: "b1", Address: "192.0.2.1:5060", Started: t0, Seen: t0})
	require.NoError(t, err)
	_, _, err = w.SaveRegistration(ctx, device.Registration{Tenant: acme, Device: "1001", Instance: "i", CallID: "c", Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = w.NodeSecret(ctx)
	require.NoError(t, err)
	require.NoError(t, w.Audit(ctx, record.AuditEntry{Tenant: acme, User: "anna", Action: "login"}))
	anna := w.session("1001", "support")
	answered := w.talk(anna, t0)
	w.end(answered, leg.Hangup)
	anna.over(id.NewOffer(answered.ID, 1))
	anna.ready(t0.Add(time.Hour))
	w.open(w.arriving("support", t0.Add(2*time.Hour)))
	anna.p.Bound = []id.Device{"1001"}
	anna.ready(t0.Add(time.Hour + time.Minute))
	require.NoError(t, w.OpenTerminal(ctx, agent.Ref{Tenant: acme, Agent: "1001"}, "tab-1", t0.Add(time.Hour)))
	w.session("1002", "support").ready(t0.Add(time.Hour)) // stays a candidate
	w.dialled("1001", "1001", "0301234567", "carrier")
	require.NoError(t, w.SavePulses(ctx, []device.Pulse{{Tenant: acme, Device: "1001", Instance: "i", RoundTrip: time.Millisecond, At: t0}}))
	w.share()
	w.hook("crm", nil)
	_, err = w.PingWebhook(ctx, w.ada(), "crm")
	require.NoError(t, err)
	work, err := w.TakeWork(ctx, crm, 1)
	require.NoError(t, err)
	require.NoError(t, w.Settle(ctx, crm, webhook.Result{Message: work.Messages[0], Verdict: accepted}))
	w.make(directory.Role, "auditor", map[string]any{"permissions": []string{"audit:read:tenant"}})
	w.make(directory.Reason, "LUNCH", map[string]any{})
	w.make(directory.Skill, "german", map[string]any{})
	w.make(directory.Music, "waltz", soundFields(sound(7)))
	w.make(directory.Disposition, "solved", map[string]any{"queues": []string{"support"}})
	w.make(directory.Tariff, "+49", map[string]any{"per_minute": "0.12"})
	for _, of := range []directory.Ref{{Kind: directory.Agent, Name: "1001"}, {Kind: directory.Queue, Name: "support"}} {
		_, err := w.Update(ctx, w.ada(), directory.Change{Kind: of.Kind, Name: of.Name, Set: map[string]any{"skills": []tenancy.SkillLevel{{Skill: "german", Level: 7}}}})
		require.NoError(t, err)
	}
	_, err = w.Create(ctx, w.root(account.DivisionsWrite), directory.Change{Kind: directory.Division, Name: "gone", Set: map[string]any{"organization": "acme"}})
	require.NoError(t, err)
	require.NoError(t, w.Delete(ctx, w.root(account.DivisionsWrite), directory.Change{Kind: directory.Division, Name: "acme:gone"}))
	w.make(directory.Team, "gone", nil)
	w.make(directory.ContactField, "rank", map[string]any{"type": "number"})
	_, err = w.KeepClientLog(ctx, acme, record.ClientLog{User: "anna", Media: "text/plain", Body: []byte("x")})
	require.NoError(t, err)
	w.customer("known", "+493012345600")
	w.customer("merged", "+493012345601")
	_, err = w.WriteNote(ctx, w.ada(), contact.Note{Contact: "known", Text: "Likes tea."})
	require.NoError(t, err)
	_, err = w.MergeContacts(ctx, w.ada(), "known", directory.Change{Name: "merged"})
	require.NoError(t, err)
	require.NoError(t, w.Delete(ctx, w.ada(), directory.Change{Kind: directory.Team, Name: "gone"}))
	w.signIns()
	w.exec(`INSERT INTO registration_held SELECT tenant_id, name, 1, now() FROM devices LIMIT 1`)
	w.exec(`UPDATE events SET at = at - interval '1 year' WHERE seq = (SELECT min(seq) FROM events WHERE stream LIKE 'call:%')`)
	_, err = w.RemoveOld(ctx, record.Removal{Tenant: acme, Of: record.KeptEvents})
	require.NoError(t, err)
}

// The product's roles can't step out of row-level security.
func TestIsolation_RolesAreBoundByRowLevelSecurity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var bad int
	w.one(&bad, `SELECT count(*) FROM pg_roles WHERE rolname LIKE 'holdfast\_%' AND (rolsuper OR rolbypassrls OR rolinherit OR rolcreaterole)`)
	require.Zero(t, bad)
	w.one(&bad, `SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND pg_get_userbyid(relowner) LIKE 'holdfast\_%'`)
	require.Zero(t, bad, "an owner could switch row-level security off")
	var role string
	conn := connectAsApp(t, w.url)
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT current_user`).Scan(&role))
	require.Equal(t, "holdfast_app", role)
}

// The system role reads and writes what belongs to no tenant, and nothing else.
func TestIsolation_SystemRole_ReachesOnlyWhatItWasGranted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	granted := map[string]bool{"organizations": true, "divisions": true, "tenants": true, "trunks": true, "trunk_addresses": true,
		"registrations": true, "nodes": true, "node_secret": true, "calls": true, "events": true,
		"presence": true, "bindings": true, "terminals": true, "waiting": true, "profile_changes": true, "login_tallies": true, "audit": true, "removed_levels": true,
		"api_keys": true, "webhooks": true, "deliveries": true, "registration_held": true}
	for _, table := range w.tables() {
		var may bool
		w.one(&may, `SELECT has_table_privilege('holdfast_system', $1, 'SELECT')`, table)
		require.Equal(t, granted[table], may, table)
	}
}

// Nothing needs a superuser: an owner that may create roles migrates, a login that
// is only a member of the product's role serves.
func TestIsolation_WithoutASuperuser_OwnerMigrates_MemberServes(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	super := dbtest.Super(t, url)
	owner, server := "owner_"+dbName(t, super), "server_"+dbName(t, super)
	for _, sql := range []string{
		`CREATE ROLE ` + owner + ` LOGIN CREATEROLE PASSWORD 'secret'`, `CREATE ROLE ` + server + ` LOGIN PASSWORD 'secret'`,
		`ALTER DATABASE ` + dbName(t, super) + ` OWNER TO ` + owner,
	} {
		_, err := super.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	d := dbtest.Open(t, db.Config{URL: as(t, url, server), MigrateURL: as(t, url, owner)})
	require.NoError(t, d.Migrate(t.Context()))
	require.Error(t, d.Ping(t.Context()), "not a member yet")
	_, err := super.Exec(t.Context(), `GRANT holdfast_app TO `+server)
	require.NoError(t, err)
	require.NoError(t, d.Ping(t.Context()))
	w := &world{TB: t, DB: d, url: url, super: super, tenant: acme}
	w.furnish()
	trunks, err := d.Trunks(t.Context())
	require.NoError(t, err)
	require.Len(t, trunks, 1)

	mine, err := pgx.Connect(t.Context(), as(t, url, owner))
	require.NoError(t, err)
	defer func() { _ = mine.Close(t.Context()) }() // it only looked
	var n int
	require.NoError(t, mine.QueryRow(t.Context(), `SELECT count(*) FROM calls`).Scan(&n))
	require.Zero(t, n, "row-level security is forced on the owner, too")
}

func dbName(t *testing.T, conn *pgx.Conn) (name string) {
	t.Helper()
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name))
	return name
}

// as is the address for another login.
func as(t *testing.T, address, user string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	u.User = url.UserPassword(user, "secret")
	return u.String()
}

func connectAsApp(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	config.RuntimeParams["role"] = "holdfast_app"
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the database is emptied next
	return conn
}

// Through the ports as well: what another tenant owns does not exist.
func TestIsolation_ThroughThePorts_AnotherTenantsThingsAreNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	s := w.open(w.arriving("support", t0))
	w.exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ('other.example', 'acme', 'main')`)
	theirs := call.Ref{Tenant: "other.example", Call: s.ID}
	_, err := w.Call(t.Context(), theirs)
	requireNotFound(t, err)
	_, err = w.Timeline(t.Context(), theirs)
	requireNotFound(t, err)
	_, err = w.CallState(t.Context(), theirs)
	requireNotFound(t, err)
	_, err = w.QueueLive(t.Context(), "other.example", "support")
	requireNotFound(t, err)
	list, _, err := w.Calls(t.Context(), "other.example", record.CallQuery{})
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, w.CloseCall(t.Context(), theirs, call.Close{Record: call.Record{View: s.View(), EndedAt: t0}}))
	v, err := w.Call(t.Context(), s.Ref())
	require.NoError(t, err)
	require.Equal(t, call.Queued, v.Phase, "somebody else's record of the same id is another record")
	var p []agent.View
	p, err = w.Presence(t.Context(), "other.example")
	require.NoError(t, err)
	require.Empty(t, p)
}

// signIns puts a row into each table about signing in.
func (w *world) signIns() {
	w.Helper()
	w.login("one", time.Now())
	w.make(directory.Key, "crm", map[string]any{"maker": "anna", "prefix": "hf_abc", "secret_hash": `\x` + strings.Repeat("ab", 32), "permissions": []string{"users:read:tenant"}})
	require.NoError(w, w.UsedKey(w.Context(), acme, "crm", "192.0.2.9"))
	w.make(directory.OIDC, "oidc", map[string]any{"issuer": "https://id.example", "client_id": "holdfast"})
	_, err := w.Link(w.Context(), account.Subject{Tenant: acme, Issuer: "https://id.example", Name: "s-1"}, "anna")
	require.NoError(w, err)
}
