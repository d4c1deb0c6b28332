package db

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// wants reports whether calls whose row is open, or whose row is closed, can be in the list.
func wants(q record.CallQuery, open bool) bool {
	closedOnly := q.Outcome != "" || q.Sort == record.LongestTalk
	switch {
	case open:
		return !closedOnly // also of past ones: a call has ended a moment before its row is closed
	case q.Live != nil && *q.Live:
		return false
	}
	return q.Phase == "" || q.Phase == call.Ended
}

// callsWhere is the list of those calls c whose rows are open, or of those whose rows are
// closed. Comparisons are made with columns as they are stored: behind row-level security
// an index serves nothing else.
func callsWhere(list *bun.SelectQuery, t id.Tenant, q record.CallQuery, open bool, after *listCursor) *bun.SelectQuery {
	from, of, sort := "calls AS c", q.Of, "c"
	if len(of) == 1 && q.Agent == "" {
		q.Agent, of = of[0], nil
	}
	switch {
	case q.Agent != "" && open:
		takesPart(list, []id.Agent{q.Agent})
	case q.Agent != "":
		from, sort = "call_agents AS a JOIN calls AS c ON c.tenant_id = a.tenant_id AND c.call = a.call", "a"
		list.Where("a.tenant_id = ?", t).Where("a.agent = ?", q.Agent)
	}
	list.ModelTableExpr(from).Where("c.ledger = hashtextextended(?, 0)", t).Where("c.tenant_id = ?", t)
	if open {
		list.Where("c.live")
	} else {
		list.Where("NOT c.live")
	}
	switch {
	case of != nil && open:
		takesPart(list, of)
	case of != nil:
		list.Where("EXISTS (SELECT FROM call_agents o WHERE o.tenant_id = c.tenant_id AND o.agent = ANY (?) AND o.arrived_at = c.arrived_at AND o.call = c.call)", agentsArray(of))
	}
	if q.Live != nil && open {
		list.Where(map[bool]string{true: "c.phase <> 'Ended'", false: "c.phase = 'Ended'"}[*q.Live])
	}
	fieldsWhere(list, q)
	if q.Contact != "" {
		list.Where(callsOfContact, t, q.Contact)
	}
	return ordered(list, q.Sort, sort, after)
}

// takesPart limits a list to open calls in which one of the agents takes part, or which
// are offered to one.
func takesPart(list *bun.SelectQuery, agents []id.Agent) {
	list.Where("(c.agent = ANY (?0) OR EXISTS (SELECT FROM jsonb_array_elements(c.view -> 'legs') l WHERE l ->> 'agent' = ANY (?0)))", agentsArray(agents))
}

func agentsArray(agents []id.Agent) any {
	return pgdialect.Array(append([]string{}, texts(agents)...))
}

// fieldsWhere limits a list by what a call's row says.
func fieldsWhere(list *bun.SelectQuery, q record.CallQuery) {
	for column, value := range map[string]string{
		"queue": string(q.Queue), "phase": string(q.Phase), "class": string(q.Class), "direction": string(q.Direction),
		"outcome": q.Outcome, "cause": string(q.Cause), "from_tail": backwards(q.From), "to_tail": backwards(q.To),
	} {
		if value != "" {
			list.Where("c.? = ?", bun.Ident(column), value)
		}
	}
	if q.Number != "" {
		first := backwards(q.Number)
		next := first[:len(first)-1] + string(first[len(first)-1]+1)
		list.Where("((c.from_tail >= ?0 AND c.from_tail < ?1) OR (c.to_tail >= ?0 AND c.to_tail < ?1))", first, next)
	}
	if !q.Since.IsZero() {
		list.Where("c.arrived_at >= ?", q.Since)
	}
	if !q.Until.IsZero() {
		list.Where("c.arrived_at < ?", q.Until)
	}
}

// backwards is a number from its end.
func backwards(number string) string {
	r := []rune(number)
	slices.Reverse(r)
	return string(r)
}

// ordered puts a list in its order, behind a cursor; by the columns of the table from
// that the order is read.
func ordered(list *bun.SelectQuery, sort record.CallSort, from string, after *listCursor) *bun.SelectQuery {
	by, than, direction := from+".arrived_at", "<", " DESC"
	var value any
	if after != nil {
		value = after.at()
	}
	switch sort {
	case record.OldestFirst:
		than, direction = ">", ""
	case record.LongestTalk:
		by, from = "c.talked_ms", "c"
		list.Where("c.talked_ms IS NOT NULL")
		if after != nil {
			value = after.value
		}
	}
	if after != nil {
		list.Where("("+by+", "+from+".call) "+than+" (?, ?)", value, after.call)
	}
	return list.OrderExpr(by + direction + ", " + from + ".call" + direction)
}

// orderOf compares rows as ordered does.
func orderOf(sort record.CallSort) func(a, b callRow) int {
	newest := func(a, b callRow) int { return cmp.Or(b.ArrivedAt.Compare(a.ArrivedAt), cmp.Compare(b.Call, a.Call)) }
	switch sort {
	case record.OldestFirst:
		return func(a, b callRow) int { return newest(b, a) }
	case record.LongestTalk:
		return func(a, b callRow) int {
			return cmp.Or(cmp.Compare(*b.TalkedMS, *a.TalkedMS), cmp.Compare(b.Call, a.Call))
		}
	}
	return newest
}

// listCursor is the last call of a page: its place in the order, a time in µs or a
// duration in ms, and its name.
type listCursor struct {
	sort  record.CallSort
	value int64
	call  id.Call
}

func cursorAt(sort record.CallSort, r callRow) listCursor {
	if sort == record.LongestTalk {
		return listCursor{sort, *r.TalkedMS, r.Call}
	}
	return listCursor{sort, r.ArrivedAt.UnixMicro(), r.Call}
}

func (c listCursor) at() time.Time { return time.UnixMicro(c.value).UTC() }

func (c listCursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s %d %s", c.sort, c.value, c.call))
}

// readListCursor reads the cursor of a query; one of another order is none.
func readListCursor(q record.CallQuery) (*listCursor, error) {
	if q.Cursor == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(q.Cursor)
	parts := strings.SplitN(string(text), " ", 3)
	if err != nil || len(parts) != 3 || record.CallSort(parts[0]) != q.Sort || strings.ContainsRune(parts[2], 0) {
		return nil, noCursor()
	}
	value, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return nil, noCursor()
	}
	return &listCursor{q.Sort, value, id.Call(parts[2])}, nil
}

func noCursor() error {
	return &fault.Error{Kind: fault.Invalid, Op: "list calls", Code: "cursor", Sentence: "This cursor is of another list, or of none; begin again without it.",
		Fields: []fault.Field{{Name: "cursor", Sentence: "is none that a list of this order returned"}}}
}

// pageOfCalls cuts rows, of which one more than the limit was asked for, to a page, and
// returns the cursor of the next one, if there is one.
func pageOfCalls[R any, C fmt.Stringer](rows []R, limit int, at func(R) C) (page []R, next string) {
	if len(rows) <= limit {
		return rows, ""
	}
	return rows[:limit], at(rows[limit-1]).String()
}

// callCursor is the last call of a page of a contact's calls.
type callCursor struct {
	at   time.Time
	call id.Call
}

func (c callCursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", c.at.UnixMicro(), c.call))
}

func readCursor(s string) (*callCursor, error) {
	if s == "" {
		return nil, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, noCursor()
	}
	micros, last, found := strings.Cut(string(text), " ")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || !found || strings.ContainsRune(last, 0) {
		return nil, noCursor()
	}
	return &callCursor{time.UnixMicro(at).UTC(), id.Call(last)}, nil
}
