package db

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/call"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// The length of a list when none, or too much, is asked for.
const (
	defaultPage = 50
	longestPage = 500
)

// callRow is what lists show of a row of calls.
type callRow struct {
	bun.BaseModel `bun:"table:calls"`

	Call      id.Call   `bun:"call"`
	ArrivedAt time.Time `bun:"arrived_at"`
	View      call.View `bun:"view,type:jsonb"`

	Contact id.Contact `bun:"contact"`
}

// contactOfCall is who a call was with, as it is now.
const contactOfCall = `coalesce((SELECT m.merged_into FROM contact_merges m WHERE m.tenant_id = call_row.tenant_id AND m.contact = call_row.contact), call_row.contact, '') AS contact`

// view is what is shown of the row.
func (r callRow) view() call.View {
	r.View.Contact = r.Contact
	return r.View
}

// Calls lists calls, newest first, and returns the cursor of the next page, empty
// on the last. An agent's calls are those in which it has a leg, or which are
// offered to it. A cursor that is none is fault.Invalid.
func (d *DB) Calls(ctx context.Context, t id.Tenant, q record.CallQuery) ([]call.View, string, error) {
	const op = "list calls"
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, longestPage)
	after, err := readCursor(q.Cursor)
	if err != nil {
		return nil, "", err
	}
	var rows []callRow
	err = d.inTenant(ctx, op, t, func(ctx context.Context, tx bun.Tx) error {
		list := tx.NewSelect().Model(&rows).Column("call", "arrived_at", "view").ColumnExpr(contactOfCall).
			Where("ledger = hashtextextended(?, 0)", t).Where("tenant_id = ?", t)
		filterCalls(list, q)
		if after != nil {
			list.Where("(arrived_at, call) < (?, ?)", after.at, after.call)
		}
		return list.OrderExpr("arrived_at DESC, call DESC").Limit(int64(limit) + 1).Scan(ctx)
	})
	if err != nil {
		return nil, "", err
	}
	rows, next := pageOfCalls(rows, limit, func(r callRow) callCursor { return callCursor{r.ArrivedAt, r.Call} })
	views := make([]call.View, len(rows))
	for i, r := range rows {
		views[i] = r.view()
	}
	return views, next, nil
}

// pageOfCalls cuts rows, of which one more than the limit was asked for, to a page, and
// returns the cursor of the next one, if there is one.
func pageOfCalls[R any](rows []R, limit int, at func(R) callCursor) (page []R, next string) {
	if len(rows) <= limit {
		return rows, ""
	}
	return rows[:limit], at(rows[limit-1]).String()
}

func filterCalls(list *bun.SelectQuery, q record.CallQuery) {
	if q.Queue != "" {
		list.Where("queue = ?", q.Queue)
	}
	if q.Agent != "" {
		leg, _ := json.Marshal([]map[string]id.Agent{{"agent": q.Agent}}) // strings always marshal
		list.Where("(agent = ? OR view->'legs' @> ?::jsonb)", q.Agent, string(leg))
	}
	if q.Phase != "" {
		list.Where("phase = ?", q.Phase)
	}
	if q.Live != nil {
		if *q.Live {
			list.Where("live").Where("phase <> 'Ended'")
		} else {
			list.Where("(NOT live OR phase = 'Ended')")
		}
	}
	if !q.Since.IsZero() {
		list.Where("arrived_at >= ?", q.Since)
	}
	if !q.Until.IsZero() {
		list.Where("arrived_at < ?", q.Until)
	}
}

// callCursor is the last call of a page.
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
	wrong := &fault.Error{Kind: fault.Invalid, Op: "list calls", Code: "cursor", Sentence: "the cursor is none that a list returned",
		Fields: []fault.Field{{Name: "cursor", Sentence: "is none that a list returned"}}}
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, wrong
	}
	micros, last, found := strings.Cut(string(text), " ")
	at, err := strconv.ParseInt(micros, 10, 64)
	if err != nil || !found || strings.ContainsRune(last, 0) {
		return nil, wrong
	}
	return &callCursor{time.UnixMicro(at).UTC(), id.Call(last)}, nil
}

// Call reads one call; fault.NotFound if there is none.
func (d *DB) Call(ctx context.Context, ref call.Ref) (call.View, error) {
	var row callRow
	err := d.inTenant(ctx, "read a call", ref.Tenant, func(ctx context.Context, tx bun.Tx) error {
		return tx.NewSelect().Model(&row).Column("view").ColumnExpr(contactOfCall).Where("tenant_id = ?", ref.Tenant).Where("call = ?", ref.Call).Scan(ctx)
	})
	return row.view(), err
}
