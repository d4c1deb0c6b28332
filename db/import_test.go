package db_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/record"
)

// people are rows of users who are agents.
func people(n int, set func(i int, row *directory.Row)) directory.File {
	f := directory.File{Kind: directory.User, Secrets: []string{"password_hash"}}
	for i := range n {
		row := directory.Row{Number: i + 2, Name: fmt.Sprintf("u%05d", i), New: true, Set: map[string]any{
			"display_name": fmt.Sprint("User ", i), "roles": []string{"regular_agent"}, "team": "blue", "agent": fmt.Sprint(20000 + i)}}
		if set != nil {
			set(i, &row)
		}
		f.Rows = append(f.Rows, row)
	}
	return f
}

func again(f directory.File) directory.File {
	rows := f.Rows
	f.Rows = nil
	for _, r := range rows {
		r.New = false
		f.Rows = append(f.Rows, r)
	}
	return f
}

// A file is imported as a whole; the same file again changes nothing and says so; each
// thing that changed has its line in the trail and its session is told.
func TestImport_IsAllOrNothing_AndIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(directory.Team, "blue", nil)
	dry := people(5, nil)
	dry.DryRun = true
	did, err := w.Import(t.Context(), w.ada(), dry)
	require.NoError(t, err)
	require.Equal(t, directory.Imported{Created: 5}, did)
	known, err := w.Known(t.Context(), w.ada(), directory.User, []string{"u00001", "nobody"})
	require.NoError(t, err)
	require.Empty(t, known, "a dry run changes nothing")

	did, err = w.Import(t.Context(), w.ada(), people(5, nil))
	require.NoError(t, err)
	require.Equal(t, directory.Imported{Created: 5}, did)
	known, err = w.Known(t.Context(), w.ada(), directory.User, []string{"u00001", "nobody"})
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"u00001": true}, known)
	told(t, w.DB)
	same, err := w.Import(t.Context(), w.ada(), again(people(5, nil)))
	require.NoError(t, err)
	require.Equal(t, directory.Imported{Same: 5}, same)
	require.Empty(t, told(t, w.DB))
	changed, err := w.Import(t.Context(), w.ada(), again(people(5, func(i int, r *directory.Row) {
		if i == 3 {
			r.Set["display_name"] = "Another"
		}
	})))
	require.NoError(t, err)
	require.Equal(t, directory.Imported{Same: 4, Changed: 1}, changed)
	require.Equal(t, []string{"20003"}, told(t, w.DB))
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Limit: 100, Action: "user"})
	require.NoError(t, err)
	require.Len(t, lines, 6, "five made, one changed")
	require.Equal(t, "user:u00003", lines[0].Object)
}

// Everything that is wrong is named with its row and column, and nothing is changed.
func TestImport_NamesEveryProblem_AndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(directory.Team, "blue", nil)
	w.make(directory.User, "taken", map[string]any{"roles": []account.Role{account.Regular}, "agent": "20004"})
	for _, dry := range []bool{true, false} {
		f := people(6, func(i int, r *directory.Row) {
			switch i {
			case 1:
				r.Set["team"] = "red"
			case 2:
				r.Set["roles"] = []string{"king"}
			case 3:
				r.Set["roles"] = []string{"system_administrator"}
			case 5:
				r.New = false
			}
		})
		f.DryRun = dry
		did, err := w.Import(t.Context(), w.ada(), f)
		require.NoError(t, err)
		var lines []string
		for _, p := range did.Problems {
			lines = append(lines, fmt.Sprintf("%d %s: %s", p.Row, p.Column, p.Sentence))
		}
		require.Len(t, lines, 5)
		require.Equal(t, "3 team: there is no such team", lines[0])
		require.Equal(t, `4 roles: there is no role "king"`, lines[1])
		require.Contains(t, lines[2], "5 : You can't give what you don't hold")
		require.Equal(t, "6 : This number leads to something else already; choose another", lines[3])
		require.Equal(t, "7 : There is no user u00005", lines[4])
		known, err := w.Known(t.Context(), w.ada(), directory.User, []string{"u00000"})
		require.NoError(t, err)
		require.Empty(t, known)
	}
	w.make(directory.User, "anna", map[string]any{"roles": []account.Role{account.Regular}, "agent": "1001"})
	fixed := directory.File{Kind: directory.Agent, Rows: []directory.Row{{Number: 2, Name: "1001", Fixed: map[string]string{"user": "bob"}}}}
	did, err := w.Import(t.Context(), w.ada(), fixed)
	require.NoError(t, err)
	require.Equal(t, []directory.Problem{{Row: 2, Column: "user", Sentence: "is anna and can't be changed"}}, did.Problems)
}

// Many people at once: others work meanwhile, and it is over soon.
func TestImport_OfMany_LeavesTheDatabaseToOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.make(directory.Team, "blue", nil)
	ended := make(chan time.Duration, 1)
	begun := time.Now()
	go func() {
		did, err := w.Import(t.Context(), w.ada(), people(200, nil))
		if err != nil || did.Created != 200 {
			t.Errorf("%+v %v", did, err)
		}
		ended <- time.Since(begun)
	}()
	var slowest time.Duration
	for n := 0; ; n++ {
		select {
		case took := <-ended:
			t.Logf("200 users with agents in %s; meanwhile %d changes by others, the slowest in %s", took.Round(time.Millisecond), n, slowest.Round(time.Millisecond))
			require.Positive(t, n)
			known, err := w.Known(t.Context(), w.ada(), directory.User, []string{"u00199"})
			require.NoError(t, err)
			require.Len(t, known, 1)
			return
		default:
		}
		at := time.Now()
		w.make(directory.Queue, fmt.Sprint("q", n), map[string]any{"ring_ms": 15000})
		slowest = max(slowest, time.Since(at))
	}
}

// A device that is as the file says is left alone: its version counts changes, not writes.
func TestImport_DevicesAsTheyAre_AreTheSame(t *testing.T) {
	t.Parallel()
	w := booking(t)
	was, err := w.Thing(t.Context(), w.ada(), directory.Device, "1001")
	require.NoError(t, err)
	row := directory.Row{Number: 2, Name: "1001", Fixed: map[string]string{"kind": "sip"}, Set: map[string]any{"host": "dynamic", "codecs": []string{}, "agent": "1001", "monitoring": true, "extension": ""}}
	did, err := w.Import(t.Context(), w.ada(), directory.File{Kind: directory.Device, Rows: []directory.Row{row}})
	require.NoError(t, err)
	require.Equal(t, directory.Imported{Same: 1}, did)
	is, err := w.Thing(t.Context(), w.ada(), directory.Device, "1001")
	require.NoError(t, err)
	require.Equal(t, was.Version, is.Version)
	row.Set["codecs"] = []string{"alaw"}
	did, err = w.Import(t.Context(), w.ada(), directory.File{Kind: directory.Device, Rows: []directory.Row{row}})
	require.NoError(t, err)
	require.Equal(t, directory.Imported{Changed: 1}, did)
}
