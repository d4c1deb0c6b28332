package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
)

// share puts a row into each table of what the processes share.
func (w *world) share() {
	w.Helper()
	ctx := w.Context()
	doc, err := w.Export(ctx, acme)
	require.NoError(w, err)
	doc.Agents[0].WrapUp = tenancy.Duration(time.Minute)
	_, err = w.Apply(ctx, doc, false)
	require.NoError(w, err)
	require.NoError(w, w.Revoke(ctx, acme, "login", time.Now().Add(time.Hour)))
	require.NoError(w, w.KeepAnswer(ctx, record.Answer{Tenant: acme, User: "anna", Operation: "sign-out", Key: "k", Request: []byte{1}, Body: []byte(`{}`), Expires: time.Now().Add(time.Hour)}))
	require.NoError(w, w.Tally(ctx, []string{"a"}, count("a"), time.Now().Add(time.Hour)))
}

// count adds a failure to a tally.
func count(name string) func(map[string]account.Tally) map[string]account.Tally {
	return func(known map[string]account.Tally) map[string]account.Tally {
		t := known[name]
		t.Failures++
		return map[string]account.Tally{name: t}
	}
}

func numbers(changes []record.ProfileChange) []int64 {
	var all []int64
	for _, c := range changes {
		all = append(all, c.Seq)
	}
	return all
}

// told takes all changes of profiles as a herald does.
func told(t *testing.T, d *db.DB) (agents []string) {
	t.Helper()
	for {
		left, err := d.ProfileChanges(t.Context(), 2, nil, func(_ context.Context, changes []record.ProfileChange) ([]int64, error) {
			for _, c := range changes {
				agents = append(agents, string(c.Agent.Agent))
			}
			return numbers(changes), nil
		})
		require.NoError(t, err)
		if !left {
			slices.Sort(agents)
			return agents
		}
	}
}

// Exactly those agents are to be told whose profile an apply changed: of each change it
// is compared with what Profile reads before and after.
func TestApply_NotesExactlyTheAgentsWhoseProfileChanged(t *testing.T) {
	t.Parallel()
	second := func(doc *tenancy.Document) {
		doc.Queues = append(doc.Queues, tenancy.Queue{Name: "sales"})
		doc.Trunks[0].Host = "127.0.0.1:5090"
		doc.Devices = append(doc.Devices, tenancy.Device{Name: "mobile", Kind: leg.PSTN, Number: "+491701234567"})
	}
	d := newDemo(t, second)
	require.Empty(t, told(t, d), "who is new has no session")
	for name, c := range map[string]struct {
		change func(*tenancy.Document)
		want   []string
	}{
		"wrap-up":         {func(d *tenancy.Document) { d.Agents[1].WrapUp = tenancy.Duration(7 * time.Second) }, []string{"1002"}},
		"no answer":       {func(d *tenancy.Document) { d.Agents[1].OnNoAnswer = agent.FollowStay }, []string{"1002"}},
		"rejected":        {func(d *tenancy.Document) { d.Agents[1].OnReject = agent.FollowStay }, []string{"1002"}},
		"ring method":     {func(d *tenancy.Document) { d.Agents[1].RingMethod = "linear" }, []string{"1002"}},
		"team":            {func(d *tenancy.Document) { d.Agents[1].Team = "" }, []string{"1002"}},
		"name":            {func(d *tenancy.Document) { user(d, "1002").DisplayName = "Bob the Builder" }, []string{"1002"}},
		"disabled":        {func(d *tenancy.Document) { user(d, "1002").Disabled = true }, []string{"1002"}},
		"a queue more":    {func(d *tenancy.Document) { d.Queues[1].Members = []tenancy.Member{{Agent: "1001"}, {Agent: "1003"}} }, []string{"1001", "1003"}},
		"a queue less":    {func(d *tenancy.Document) { d.Queues[0].Members = d.Queues[0].Members[1:] }, []string{"1001"}},
		"penalty":         {func(d *tenancy.Document) { d.Queues[0].Members[2].Penalty = 5 }, []string{"1003"}},
		"static":          {func(d *tenancy.Document) { d.Queues[0].Members[2].Static = true }, []string{"1003"}},
		"manual":          {func(d *tenancy.Document) { d.Queues[0].Members[2].Manual = true }, []string{"1003"}},
		"a device more":   {func(d *tenancy.Document) { d.Agents[0].Addresses = append(d.Agents[0].Addresses, "mobile") }, []string{"1001"}},
		"no device":       {func(d *tenancy.Document) { d.Agents[0].Addresses = []id.Device{"mobile"} }, []string{"1001"}},
		"removed":         {remove("1005"), []string{"1005"}},
		"policy":          {func(d *tenancy.Document) { d.Tenant.Policies.WrapUpEarlyExit = true }, []string{"1001", "1002", "1003", "1004", "1005"}},
		"tenant's name":   {func(d *tenancy.Document) { d.Tenant.DisplayName = "Other" }, nil},
		"queue's ring":    {func(d *tenancy.Document) { d.Queues[0].Ring = tenancy.Duration(33 * time.Second) }, nil},
		"a number":        {func(d *tenancy.Document) { d.Numbers[0].Number = "8099" }, nil},
		"a password":      {func(d *tenancy.Document) { user(d, "1002").Password = "another-password" }, nil},
		"somebody else's": {func(d *tenancy.Document) { user(d, "supervisor").DisplayName = "Sue" }, nil},
		"position":        {func(d *tenancy.Document) { d.Queues[0].Members[2].Position = 9 }, nil},
		"new agent": {func(d *tenancy.Document) {
			d.Agents = append(d.Agents, tenancy.Agent{Number: "1099", User: "supervisor"})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDemo(t, second)
			before := profilesOf(t, d)
			apply(t, d, second, c.change)
			after := profilesOf(t, d)
			var differ []string
			for number, p := range before {
				if after[number] != p {
					differ = append(differ, number)
				}
			}
			slices.Sort(differ)
			require.Equal(t, c.want, differ, "the profiles themselves")
			require.Equal(t, c.want, told(t, d))
			require.Empty(t, told(t, d), "once")
		})
	}
}

func user(d *tenancy.Document, name id.User) *tenancy.User {
	return &d.Users[slices.IndexFunc(d.Users, func(u tenancy.User) bool { return u.Name == name })]
}

// remove takes an agent with its user and device out of a document.
func remove(number string) func(*tenancy.Document) {
	return func(d *tenancy.Document) {
		d.Agents = slices.DeleteFunc(d.Agents, func(a tenancy.Agent) bool { return string(a.Number) == number })
		d.Users = slices.DeleteFunc(d.Users, func(u tenancy.User) bool { return string(u.Name) == number })
		d.Devices = slices.DeleteFunc(d.Devices, func(v tenancy.Device) bool { return string(v.Agent) == number })
		d.Queues[0].Members = slices.DeleteFunc(d.Queues[0].Members, func(m tenancy.Member) bool { return string(m.Agent) == number })
	}
}

// profilesOf prints what Profile reads of each agent of the demo.
func profilesOf(t *testing.T, d *db.DB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, number := range []string{"1001", "1002", "1003", "1004", "1005"} {
		p, _, err := d.Profile(t.Context(), agent.Ref{Tenant: demoTenant, Agent: id.Agent(number)})
		all[number] = fmt.Sprintf("%+v %v", p, err)
	}
	return all
}

// A dry run tells nobody; what could not be told stays; two tellers share the changes,
// and neither tells what the other holds.
func TestProfileChanges_AreKeptUntilTheyAreTold_AndShared(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	doc, err := d.Export(t.Context(), demoTenant)
	require.NoError(t, err)
	for i := range doc.Agents {
		doc.Agents[i].WrapUp = tenancy.Duration(9 * time.Second)
	}
	_, err = d.Apply(t.Context(), doc, true)
	require.NoError(t, err)
	require.Empty(t, told(t, d))
	_, err = d.Apply(t.Context(), doc, false)
	require.NoError(t, err)

	away := errors.New("away")
	_, err = d.ProfileChanges(t.Context(), 10, nil, func(context.Context, []record.ProfileChange) ([]int64, error) { return nil, away })
	require.ErrorIs(t, err, away)
	var failed []int64
	left, err := d.ProfileChanges(t.Context(), 1, nil, func(_ context.Context, changes []record.ProfileChange) ([]int64, error) {
		failed = numbers(changes)
		return nil, nil
	})
	require.NoError(t, err)
	require.True(t, left)
	left, err = d.ProfileChanges(t.Context(), 0, failed, nil)
	require.NoError(t, err)
	require.True(t, left, "there are others")
	var mine, theirs []record.ProfileChange
	left, err = d.ProfileChanges(t.Context(), 3, nil, func(ctx context.Context, changes []record.ProfileChange) ([]int64, error) {
		mine = changes
		left, err := d.ProfileChanges(ctx, 10, nil, func(_ context.Context, changes []record.ProfileChange) ([]int64, error) {
			theirs = changes
			return numbers(changes), nil
		})
		require.True(t, left, "what the first holds may come back")
		return numbers(changes), err
	})
	require.NoError(t, err)
	require.False(t, left)
	require.Len(t, mine, 3)
	require.Len(t, theirs, 2)
	require.Empty(t, told(t, d))
}

// A login that is given up in one process is so in all, also in those that had looked
// it up before, and only in its tenant.
func TestRevoke_IsHeardByAllProcesses(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	here, there := dbtest.Open(t, db.Config{URL: url}), dbtest.Open(t, db.Config{URL: url})
	revoked := func(d *db.DB, login string) bool {
		r, err := d.Revoked(t.Context(), acme, login)
		require.NoError(t, err)
		return r
	}
	for _, d := range []*db.DB{here, there} {
		require.False(t, revoked(d, "one"))
		require.False(t, revoked(d, "two"))
	}
	require.NoError(t, here.Revoke(t.Context(), acme, "one", time.Now().Add(time.Hour)))
	require.True(t, revoked(here, "one"), "at once in its own")
	now, err := there.RevokedNow(t.Context(), acme, "one")
	require.NoError(t, err)
	require.True(t, now)
	require.Eventually(t, func() bool { return revoked(there, "one") }, 20*time.Second, time.Millisecond)
	require.False(t, revoked(there, "two"))
	other, err := there.Revoked(t.Context(), "other.example", "one")
	require.NoError(t, err)
	require.False(t, other)
}

// Once the listener hears, a login is looked up in the database once.
func TestRevoked_IsLookedUpOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	d := dbtest.Open(t, db.Config{URL: url})
	super := dbtest.Super(t, url)
	revoked := func() bool {
		r, err := d.Revoked(t.Context(), acme, "one")
		require.NoError(t, err)
		return r
	}
	n := 0
	require.Eventually(t, func() bool { // trusted: what is changed behind its back is not seen
		n++
		login := fmt.Sprint("login-", n)
		_, err := d.Revoked(t.Context(), acme, login)
		require.NoError(t, err)
		_, err = super.Exec(t.Context(), `INSERT INTO revocations VALUES ($1, $2, now() + interval '1 hour')`, string(acme), login)
		require.NoError(t, err)
		r, err := d.Revoked(t.Context(), acme, login)
		require.NoError(t, err)
		return !r
	}, 20*time.Second, 10*time.Millisecond)
	require.False(t, revoked())
	_, err := super.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast listener' AND datname = current_database()`)
	require.NoError(t, err)
	_, err = super.Exec(t.Context(), `INSERT INTO revocations VALUES ($1, 'one', now() + interval '1 hour')`, string(acme))
	require.NoError(t, err)
	require.Eventually(t, revoked, 20*time.Second, time.Millisecond, "what may have been missed is looked up anew")
}

// Revocations go when the tokens have ended by themselves.
func TestRevoke_ForgetsWhatHasExpired(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	require.NoError(t, d.Revoke(t.Context(), acme, "old", time.Now().Add(-time.Second)))
	require.NoError(t, d.Revoke(t.Context(), acme, "new", time.Now().Add(time.Hour)))
	require.NoError(t, d.Revoke(t.Context(), acme, "new", time.Now()), "a repeat makes it no shorter")
	require.NoError(t, d.Revoke(t.Context(), acme, "newer", time.Now().Add(time.Hour)))
	for login, want := range map[string]bool{"old": false, "new": true, "newer": true} {
		is, err := d.RevokedNow(t.Context(), acme, login)
		require.NoError(t, err)
		require.Equal(t, want, is, login)
	}
}

// Counted together by many at once, no failure is lost; what has expired is forgotten.
func TestTally_CountsTogetherAndForgets(t *testing.T) {
	t.Parallel()
	now := t0
	d := dbtest.Open(t, db.Config{URL: dbtest.URL(t), Now: func() time.Time { return now }})
	all := sync.WaitGroup{}
	for range 8 {
		all.Go(func() {
			for range 5 {
				if err := d.Tally(t.Context(), []string{"b", "a", "c"}, func(known map[string]account.Tally) map[string]account.Tally {
					change := count("a")(known)
					change["b"] = count("b")(known)["b"]
					return change
				}, t0.Add(time.Minute)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	tallies, err := d.Tallies(t.Context(), "a", "b", "nobody")
	require.NoError(t, err)
	require.Equal(t, map[string]account.Tally{"a": {Failures: 40}, "b": {Failures: 40}}, tallies)

	full := account.Tally{Failures: 3, Last: t0, Until: t0.Add(time.Second), Good: t0.Add(-time.Hour)}
	require.NoError(t, d.Tally(t.Context(), []string{"a"}, func(map[string]account.Tally) map[string]account.Tally {
		return map[string]account.Tally{"a": full}
	}, t0.Add(time.Hour)))
	tallies, err = d.Tallies(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, full, tallies["a"])
	now = t0.Add(30 * time.Minute)
	require.NoError(t, d.Tally(t.Context(), []string{"a"}, count("a"), now.Add(time.Minute)))
	tallies, err = d.Tallies(t.Context(), "a", "b")
	require.NoError(t, err)
	require.Len(t, tallies, 1)
	require.Equal(t, 4, tallies["a"].Failures)
	now = t0.Add(time.Hour - time.Second)
	tallies, err = d.Tallies(t.Context(), "a")
	require.NoError(t, err)
	require.Len(t, tallies, 1, "a shorter memory does not replace a longer one")
	now = t0.Add(2 * time.Hour)
	require.NoError(t, d.Tally(t.Context(), []string{"a"}, count("a"), now.Add(time.Minute)))
	tallies, err = d.Tallies(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1, tallies["a"].Failures)
}

// The first answer under a key stays, for its person and operation, until it expires.
func TestAnswers_TheFirstStaysUntilItExpires(t *testing.T) {
	t.Parallel()
	now := t0
	d := dbtest.Open(t, db.Config{URL: dbtest.URL(t), Now: func() time.Time { return now }})
	a := record.Answer{Tenant: acme, User: "anna", Operation: "sign-out", Key: "k", Request: []byte{1, 0, 2}, Body: []byte(`{"a": 1}`), Expires: t0.Add(time.Hour)}
	require.NoError(t, d.KeepAnswer(t.Context(), a))
	later := a
	later.Body = []byte(`{"a": 2}`)
	require.NoError(t, d.KeepAnswer(t.Context(), later))
	asked := record.Answer{Tenant: acme, User: "anna", Operation: "sign-out", Key: "k"}
	known, err := d.Answer(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, a, known)
	for _, other := range []record.Answer{
		{Tenant: "other.example", User: "anna", Operation: "sign-out", Key: "k"}, {Tenant: acme, User: "bob", Operation: "sign-out", Key: "k"},
		{Tenant: acme, User: "anna", Operation: "sign-in", Key: "k"}, {Tenant: acme, User: "anna", Operation: "sign-out", Key: "l"},
	} {
		_, err := d.Answer(t.Context(), other)
		requireNotFound(t, err)
	}
	now = t0.Add(2 * time.Hour)
	_, err = d.Answer(t.Context(), asked)
	requireNotFound(t, err)
	later.Expires = now.Add(time.Hour)
	require.NoError(t, d.KeepAnswer(t.Context(), later))
	known, err = d.Answer(t.Context(), asked)
	require.NoError(t, err)
	require.JSONEq(t, `{"a": 2}`, string(known.Body))
}
