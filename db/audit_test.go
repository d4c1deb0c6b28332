package db_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/record"
)

// SEED-4: a change stands in the trail with who, what, before and after, from where.
func TestAudit_AChangeIsWrittenWithBeforeAndAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(directory.User, "anna", map[string]any{"roles": []account.Role{account.ITAdmin}, "password_hash": "secret"})
	_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna", Secrets: []string{"password_hash"},
		Set: map[string]any{"display_name": "Anna", "password_hash": "other"}})
	require.NoError(t, err)
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.User, Name: "anna", Set: map[string]any{"roles": []account.Role{account.ITAdmin}}})
	require.Error(t, err)
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Object: "user:anna"})
	require.NoError(t, err)
	require.Len(t, lines, 2, "what was refused and rolled back left no line of success")
	last := lines[0]
	require.Equal(t, "ada user.update 192.0.2.7 ok", fmt.Sprint(last.User, " ", last.Action, " ", last.Source, " ", last.Result))
	require.Contains(t, string(last.Before), `"display_name": ""`)
	require.Contains(t, string(last.After), `"display_name": "Anna"`)
	require.JSONEq(t, `{"secrets_set": ["password_hash"]}`, string(last.Detail))
	require.NotContains(t, string(last.Before)+string(last.After), "secret")
	require.WithinDuration(t, time.Now(), last.At, time.Minute)
	require.Nil(t, lines[1].Before)
	found, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Action: "user", User: "ada", Before: last.Seq, Since: last.At.Add(-time.Hour), Until: last.At.Add(time.Hour), Result: "ok"})
	require.NoError(t, err)
	require.Len(t, found, 1)
	theirs, err := w.AuditLines(t.Context(), "other.example", record.AuditQuery{})
	require.NoError(t, err)
	require.Empty(t, theirs, "SEED-38")
}

// SEED-4: the trail can be added to and not changed, and a change by whoever owns the
// database is found out.
func TestAudit_WhatIsChangedBehindItsBack_IsFoundOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, sql := range []string{`UPDATE audit SET result = 'x'`, `DELETE FROM audit`, `TRUNCATE audit`} {
		requireDenied(t, w.attempt(string(acme), nil, sql), "audit")
	}
	var together sync.WaitGroup
	for i := range 20 { // all at once: the chain does not fork
		together.Go(func() {
			_ = w.Audit(t.Context(), record.AuditEntry{Tenant: acme, User: "anna", Action: "login", Object: fmt.Sprint("user:", i), Result: "ok", Detail: []byte(`{"b": 1, "ä": "ö\n"}`)})
		})
	}
	together.Wait()
	w.exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ('other.example', 'acme', 'main')`)
	require.NoError(t, w.Audit(t.Context(), record.AuditEntry{Tenant: "other.example", User: "x", Action: "login"}))
	check := func() record.AuditChain {
		chains, err := w.CheckAudit(t.Context())
		require.NoError(t, err)
		require.Len(t, chains, 2)
		require.EqualValues(t, 1, chains[1].Lines)
		return chains[0]
	}
	whole := check()
	require.Equal(t, record.AuditChain{Tenant: acme, Lines: 20, Head: whole.Head}, whole)

	_, err := w.super.Exec(t.Context(), `UPDATE audit SET result = 'x'`)
	require.Error(t, err, "not even the owner, by accident")
	w.exec(`ALTER TABLE audit DISABLE TRIGGER never`)
	w.exec(`UPDATE audit SET user_name = 'bob' WHERE seq = 7 AND tenant_id = 'acme.example'`)
	broken := check()
	require.EqualValues(t, 7, broken.Broken)
	w.exec(`UPDATE audit SET user_name = 'anna' WHERE seq = 7 AND tenant_id = 'acme.example'`)
	require.Zero(t, check().Broken)
	w.exec(`DELETE FROM audit WHERE seq = 9 AND tenant_id = 'acme.example'`)
	require.EqualValues(t, 9, check().Broken)
	require.Equal(t, "is missing", check().Why)
}

// What was written before there was a chain becomes its beginning; see migrations/0010.
func TestAudit_ALineSaysNothingOfItsOwnPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	require.NoError(t, w.attempt(string(acme), nil,
		`INSERT INTO audit (tenant_id, user_name, at, action, object, source, result, seq, hash) VALUES ('acme.example', 'x', now(), 'a', 'b', '', 'ok', 77, 'forged')`))
	w.exec(`INSERT INTO audit (tenant_id, user_name, at, action, object, source, result, seq, hash) VALUES ('acme.example', 'x', now(), 'a', 'b', '', 'ok', 77, 'forged')`)
	chains, err := w.CheckAudit(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, chains[0].Lines)
	require.Zero(t, chains[0].Broken)
}

// SEED-4: what is applied on the command line stands in the trail as well.
func TestAudit_AnApplyIsOneLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Action: "tenant.apply"})
	require.NoError(t, err)
	require.Len(t, lines, 1)
	require.Contains(t, string(lines[0].Detail), "+ user anna")
	require.NotContains(t, string(lines[0].Detail), "argon2id")
}
