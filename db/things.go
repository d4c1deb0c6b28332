package db

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

const (
	defaultThings = 50
	mostThings    = 200
)

// thingRow is a thing as its queries read it.
type thingRow struct {
	Name    string          `bun:"name"`
	Body    json.RawMessage `bun:"body"`
	Team    string          `bun:"team"`
	Version int64           `bun:"version"`
	Created time.Time       `bun:"created_at"`
	Updated time.Time       `bun:"updated_at"`
	Removed time.Time       `bun:"removed_at"`
	Sorted  string          `bun:"sorted"`
}

func (r thingRow) thing(k directory.Kind) directory.Thing {
	return directory.Thing{Kind: k, Name: r.Name, Body: r.Body, Version: r.Version, Created: r.Created, Updated: r.Updated, Deleted: r.Removed}
}

// selected is the beginning of every query for things of a kind.
func (k kind) selected() string {
	team := k.team
	if team == "" {
		team = "''"
	}
	return `SELECT x.` + k.key + ` AS name, ` + k.body + ` AS body, ` + team + ` AS team, x.version, x.created_at, x.updated_at FROM ` + k.table + ` x WHERE x.tenant_id = ?`
}

// reaches reports whether the author may do what it is here for to a thing of that team.
func (k kind) reaches(by directory.Author, team string) bool {
	for _, p := range by.Needs {
		if k.team == "" && !by.May(p) || k.team != "" && !by.MayFor(p, id.Team(team)) {
			return false
		}
	}
	return true
}

// ofTeams reports whether the author sees only what belongs to its teams.
func (k kind) ofTeams(by directory.Author) bool {
	for _, p := range by.Needs {
		if k.team != "" && !by.Reach(p).Covers(account.Tenant) {
			return true
		}
	}
	return false
}

// Thing reads one thing. fault.NotFound: there is none that the author may see.
func (d *DB) Thing(ctx context.Context, by directory.Author, of directory.Kind, name string) (directory.Thing, error) {
	if above(of) {
		return d.level(ctx, by, directory.Ref{Kind: of, Name: name})
	}
	var found directory.Thing
	err := d.inTenant(ctx, "read a thing", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		r, err := read(ctx, tx, by, directory.Ref{Kind: of, Name: name}, "")
		found = r.thing(of)
		return err
	})
	return found, err
}

// read reads a thing in a transaction; lock is how: "" or "FOR UPDATE OF x".
func read(ctx context.Context, tx bun.Tx, by directory.Author, of directory.Ref, lock string) (thingRow, error) {
	k := kinds[of.Kind]
	var rows []thingRow
	if err := tx.NewRaw(k.selected()+` AND x.`+k.key+` = ? `+lock, by.Tenant, of.Name).Scan(ctx, &rows); err != nil {
		return thingRow{}, err
	}
	if len(rows) == 0 || !k.reaches(by, rows[0].Team) {
		if len(rows) == 0 && of.Kind == directory.Contact {
			return thingRow{}, noContact(ctx, tx, by, of.Name)
		}
		return thingRow{}, noSuch(of)
	}
	if mine, err := k.isOwn(ctx, tx, by, of.Name); err != nil || !mine {
		return thingRow{}, cmp.Or(err, noSuch(of))
	}
	return rows[0], nil
}

// isOwn reports whether a thing is the author's own, if its permissions reach no further.
func (k kind) isOwn(ctx context.Context, tx bun.Tx, by directory.Author, name string) (mine bool, err error) {
	if !k.ownOnly(by) {
		return true, nil
	}
	condition, args := k.own(by)
	err = tx.NewRaw(`SELECT EXISTS (SELECT FROM `+k.table+` x WHERE x.tenant_id = ? AND x.`+k.key+` = ? AND `+condition+`)`,
		append([]any{by.Tenant, name}, args...)...).Scan(ctx, &mine)
	return mine, err
}

// ownOnly reports whether the author reaches only its own.
func (k kind) ownOnly(by directory.Author) bool {
	return k.own != nil && slices.ContainsFunc(by.Needs, func(p account.Permission) bool { return !by.Reach(p).Covers(account.Tenant) })
}

func noSuch(of directory.Ref) error {
	sentence := fmt.Sprintf("There is no %s %s.", of.Kind, of.Name)
	if of.Kind == directory.OIDC {
		sentence = "The tenant has no OpenID Connect provider."
	}
	return &fault.Error{Kind: fault.NotFound, Code: "no_such_" + string(of.Kind), Sentence: sentence}
}

// Things lists things that the author may see, a page at a time; next is the cursor of
// the page after, empty on the last. fault.Invalid: a cursor of another list.
func (d *DB) Things(ctx context.Context, by directory.Author, q directory.Query) (list []directory.Thing, next string, err error) {
	k := kinds[q.Kind]
	if q.Deleted {
		k = k.graveyard()
	}
	if q.Limit <= 0 || q.Limit > mostThings {
		q.Limit = defaultThings
	}
	if above(q.Kind) {
		return d.levelList(ctx, by, q)
	}
	p, err := k.pageOf(q)
	if err != nil {
		return nil, "", err
	}
	var rows []thingRow
	err = d.inTenant(ctx, "list things", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
		if k.graves {
			if k.since, err = keptUntil(ctx, tx, record.Removal{Tenant: by.Tenant, Of: record.KeptRemoved}, d.now()); err != nil {
				return err
			}
		}
		if k.find != nil && q.Search != "" {
			found, err := k.find(ctx, tx, by.Tenant, q.Search)
			if err != nil {
				return err
			}
			k.found = &found
		}
		sql, args := k.page(by, q, p)
		return tx.NewRaw(sql, args...).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, "", err
	}
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		last := rows[q.Limit-1]
		next = p.cursor(last.Sorted, last.Name)
	}
	for _, r := range rows {
		list = append(list, r.thing(q.Kind))
	}
	return list, next, nil
}

// graveyard is the kind of what was deleted of a kind.
func (k kind) graveyard() kind {
	g := kind{
		table: "removed", key: "name", body: "x.thing", search: []string{"x.name"},
		filters: map[string]string{"kind": "x.kind = ?"}, sorts: map[string]string{"updated_at": "x.removed_at"}, graves: true,
	}
	if k.team != "" {
		g.team = "x.team"
	}
	if k.own != nil { // what was deleted is nobody's own
		g.own = func(directory.Author) (string, []any) { return "false", nil }
	}
	return g
}

// page is the query for one page. It finds the names first, so that what there is to
// show is put together for one page's rows only.
func (k kind) page(by directory.Author, q directory.Query, p page) (string, []any) {
	team, times := k.team, `x.created_at, x.updated_at`
	if team == "" {
		team = `''`
	}
	if k.graves {
		q.Filters, times = map[string]string{"kind": string(q.Kind)}, `x.created_at, x.removed_at AS updated_at, x.removed_at`
	}
	where, args := k.fits(by, q)
	from, more := p.from(k)
	order := p.order(k)
	return `SELECT x.` + k.key + ` AS name, ` + k.body + ` AS body, ` + team + ` AS team, x.version, ` + times + `, ` + p.shown() + ` AS sorted FROM (SELECT x.* FROM ` +
		k.table + ` x WHERE ` + where + from + order + ` LIMIT ` + fmt.Sprint(q.Limit+1) + `) x` + order, append(args, more...)
}

// fits is the condition for all things that a list holds.
func (k kind) fits(by directory.Author, q directory.Query) (string, []any) {
	sql, args := `x.tenant_id = ?`, []any{by.Tenant}
	if k.ofTeams(by) {
		sql += ` AND ` + k.team + ` = ANY (?::text[])`
		args = append(args, teamsOf(by))
	}
	if k.ownOnly(by) {
		own, more := k.own(by)
		sql += ` AND ` + own
		args = append(args, more...)
	}
	if k.graves {
		sql += ` AND x.removed_at > ?`
		args = append(args, k.since)
	}
	if k.found != nil {
		sql += ` AND ` + k.found.sql
		args = append(args, k.found.args...)
	} else if q.Search != "" {
		var any []string
		for _, column := range k.search {
			any = append(any, column+` ILIKE ?`)
			args = append(args, "%"+likeEscape.Replace(q.Search)+"%")
		}
		sql += ` AND (` + strings.Join(any, ` OR `) + `)`
	}
	for name, condition := range k.filters {
		if v := q.Filters[name]; v != "" {
			sql += ` AND ` + condition
			args = append(args, v)
		}
	}
	return sql, args
}

func teamsOf(by directory.Author) any {
	names := []string{}
	for _, t := range by.Teams {
		names = append(names, string(t))
	}
	return pgdialect.Array(names)
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// page is a place in an order.
type page struct {
	Sort   string `json:"s"`
	Column string `json:"-"`
	Down   bool   `json:"d,omitempty"`
	Sorted string `json:"v"`
	Name   string `json:"n"`
	after  bool
}

func badCursor() error {
	return &fault.Error{Kind: fault.Invalid, Code: "cursor", Sentence: "This cursor is of another list, or of none; begin again without it.",
		Fields: []fault.Field{{Name: "cursor", Sentence: "is not of this list"}}}
}

func (k kind) pageOf(q directory.Query) (page, error) {
	sort, down := strings.CutPrefix(q.Sort, "-")
	p := page{Sort: sort, Down: down, Column: "x." + k.key}
	if column, known := k.sorts[sort]; known {
		p.Column = column
	} else if sort != "" && sort != "name" && sort != k.key {
		return p, &fault.Error{Kind: fault.Invalid, Fields: []fault.Field{{Name: "sort", Sentence: "there is no such order"}}}
	} else {
		p.Sort = ""
	}
	if q.Cursor == "" {
		return p, nil
	}
	var at page
	data, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	if err != nil || json.Unmarshal(data, &at) != nil || at.Sort != p.Sort || at.Down != p.Down || strings.ContainsRune(at.Sorted+at.Name, 0) {
		return p, badCursor()
	}
	if p.Sort == "updated_at" {
		if _, err := time.Parse(sortedTime, at.Sorted); err != nil {
			return p, badCursor()
		}
	}
	p.Sorted, p.Name, p.after = at.Sorted, at.Name, true
	return p, nil
}

// sortedTime is how a cursor writes a time: what Postgres keeps, to the microsecond.
const sortedTime = "2006-01-02T15:04:05.000000Z"

// expression is what the page is sorted by; texts by their code points, wherever the
// database stands.
func (p page) expression() string {
	if p.Sort == "updated_at" {
		return p.Column
	}
	return p.Column + ` COLLATE "C"`
}

// shown is what the page is sorted by, as a cursor keeps it.
func (p page) shown() string {
	if p.Sort == "updated_at" {
		return `to_char(` + p.Column + ` AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
	}
	return p.Column
}

func (p page) order(k kind) string {
	down := map[bool]string{true: ` DESC`}[p.Down]
	return ` ORDER BY ` + p.expression() + down + `, x.` + k.key + ` COLLATE "C"` + down
}

// from is the condition for what comes after the cursor.
func (p page) from(k kind) (string, []any) {
	if !p.after {
		return "", nil
	}
	sign, value := `>`, `?`
	if p.Down {
		sign = `<`
	}
	if p.Sort == "updated_at" {
		value = `?::timestamptz`
	}
	return ` AND (` + p.expression() + `, x.` + k.key + ` COLLATE "C") ` + sign + ` (` + value + `, ?)`, []any{p.Sorted, p.Name}
}

func (p page) cursor(sorted, name string) string {
	p.Sorted, p.Name = sorted, name
	data, _ := json.Marshal(p) // texts always marshal
	return base64.RawURLEncoding.EncodeToString(data)
}
