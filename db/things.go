package db

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
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
		return thingRow{}, &fault.Error{Kind: fault.NotFound, Code: "no_such_" + string(of.Kind), Sentence: fmt.Sprintf("There is no %s %s.", of.Kind, of.Name)}
	}
	return rows[0], nil
}

// Things lists things that the author may see, a page at a time; next is the cursor of
// the page after, empty on the last. fault.Invalid: a cursor of another list.
func (d *DB) Things(ctx context.Context, by directory.Author, q directory.Query) (list []directory.Thing, next string, err error) {
	k := kinds[q.Kind]
	if q.Limit <= 0 || q.Limit > mostThings {
		q.Limit = defaultThings
	}
	sql, args := k.listing(by, q)
	p, err := k.pageOf(q)
	if err != nil {
		return nil, "", err
	}
	sql, args = p.cut(sql, args, q.Limit)
	var rows []thingRow
	err = d.inTenant(ctx, "list things", by.Tenant, func(ctx context.Context, tx bun.Tx) error {
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

// listing is the query for all things that fit.
func (k kind) listing(by directory.Author, q directory.Query) (string, []any) {
	if q.Deleted {
		return k.graveyard(by, q)
	}
	sql, args := k.selected(), []any{by.Tenant}
	if k.ofTeams(by) {
		sql += ` AND ` + k.team + ` = ANY (?::text[])`
		args = append(args, teamsOf(by))
	}
	if q.Search != "" {
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

// graveyard is the query for what was deleted.
func (k kind) graveyard(by directory.Author, q directory.Query) (string, []any) {
	sql := `SELECT x.name, x.thing AS body, x.team, x.version, x.created_at, x.removed_at AS updated_at, x.removed_at FROM removed x WHERE x.tenant_id = ? AND x.kind = ?`
	args := []any{by.Tenant, q.Kind}
	if k.ofTeams(by) {
		sql += ` AND x.team = ANY (?::text[])`
		args = append(args, teamsOf(by))
	}
	if q.Search != "" {
		sql += ` AND x.name ILIKE ?`
		args = append(args, "%"+likeEscape.Replace(q.Search)+"%")
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
	p := page{Sort: sort, Down: down, Column: "l.name"}
	if _, known := k.sorts[sort]; known {
		p.Column = "l." + sort
	} else if sort != "" && sort != "name" && sort != k.key {
		return p, &fault.Error{Kind: fault.Invalid, Fields: []fault.Field{{Name: "sort", Sentence: "there is no such order"}}}
	} else {
		p.Sort = ""
	}
	if q.Deleted && p.Sort != "" && p.Sort != "updated_at" {
		return p, &fault.Error{Kind: fault.Invalid, Fields: []fault.Field{{Name: "sort", Sentence: "what was deleted is listed by name or updated_at"}}}
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

// cut wraps a listing into the order, the place and the length of a page.
func (p page) cut(sql string, args []any, limit int) (string, []any) {
	column, value, order, sign := p.Column, `?`, ``, `>`
	switch p.Sort {
	case "":
	case "updated_at":
		value = `?::timestamptz`
	default:
		column = `(l.body ->> '` + p.Sort + `')`
	}
	if p.Down {
		order, sign = ` DESC`, `<`
	}
	shown := column
	if p.Sort == "updated_at" {
		shown = `to_char(` + column + ` AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
	}
	sql = `SELECT l.*, ` + shown + ` AS sorted FROM (` + sql + `) l`
	if p.after {
		sql += ` WHERE (` + column + ` COLLATE "C", l.name COLLATE "C") ` + sign + ` (` + value + `, ?)`
		if p.Sort == "updated_at" {
			sql = strings.Replace(sql, column+` COLLATE "C"`, column, 1)
		}
		args = append(args, p.Sorted, p.Name)
	}
	collated := column + ` COLLATE "C"`
	if p.Sort == "updated_at" {
		collated = column
	}
	return sql + ` ORDER BY ` + collated + order + `, l.name COLLATE "C"` + order + ` LIMIT ` + fmt.Sprint(limit+1), args
}

func (p page) cursor(sorted, name string) string {
	p.Sorted, p.Name = sorted, name
	data, _ := json.Marshal(p) // texts always marshal
	return base64.RawURLEncoding.EncodeToString(data)
}
