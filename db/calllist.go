package db

import (
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// The length of a list when none, or too much, is asked for.
const (
	defaultPage = 50
	longestPage = 500
)

// callRow is what is shown of a row of calls c.
type callRow struct {
	bun.BaseModel `bun:"table:calls"`

	Call       id.Call    `bun:"call"`
	ArrivedAt  time.Time  `bun:"arrived_at"`
	AnsweredAt *time.Time `bun:"answered_at"`
	EndedAt    *time.Time `bun:"ended_at"`
	EndedBy    string     `bun:"ended_by"`
	Outcome    string     `bun:"outcome"`
	View       call.View  `bun:"view,type:jsonb"`
	Closed     bool       `bun:"closed"`
	WaitedMS   *int64     `bun:"waited_ms"`
	RangMS     *int64     `bun:"rang_ms"`
	TalkedMS   *int64     `bun:"talked_ms"`
	HeldMS     *int64     `bun:"held_ms"`

	Contact id.Contact `bun:"contact"`
}

// callShown are the columns of a callRow. Who a call was with is told as it is now.
const callShown = `c.call, c.arrived_at, c.answered_at, c.ended_at, coalesce(c.ended_by, '') AS ended_by, coalesce(c.outcome, '') AS outcome, c.view,
 NOT c.open AS closed, c.waited_ms, c.rang_ms, c.talked_ms, c.held_ms,
 coalesce((SELECT m.merged_into FROM contact_merges m WHERE m.tenant_id = c.tenant_id AND m.contact = c.contact), c.contact, '') AS contact`

// view is what is shown of the row; views that were written by earlier releases have no
// times.
func (r callRow) view() call.View {
	v := r.View
	v.Contact = r.Contact
	if v.ArrivedAt.IsZero() {
		v.ArrivedAt = r.ArrivedAt.UTC()
	}
	if v.AnsweredAt.IsZero() {
		v.AnsweredAt = orZero(r.AnsweredAt)
	}
	if r.Closed && v.EndedAt.IsZero() {
		v.EndedAt, v.EndedBy, v.Outcome = orZero(r.EndedAt), r.EndedBy, r.Outcome
	}
	return v
}

// sums are those of an ended call; nil before.
func (r callRow) sums() *call.Sums {
	if !r.Closed || r.WaitedMS == nil {
		return nil
	}
	return &call.Sums{Wait: milliseconds(*r.WaitedMS), Ring: milliseconds(*r.RangMS), Talk: milliseconds(*r.TalkedMS), Hold: milliseconds(*r.HeldMS)}
}

// Calls lists calls and returns the cursor of the next page, empty on the last. Those
// that are open and those that have ended are looked for apart, each by its own indexes:
// what is only of interest afterwards is kept out of the way of a call that opens. A
// cursor that is none of this order is fault.Invalid.
func (d *DB) Calls(ctx context.Context, t id.Tenant, q record.CallQuery) ([]record.Call, string, error) {
	if q.Limit <= 0 {
		q.Limit = defaultPage
	}
	q.Limit = min(q.Limit, longestPage)
	if q.Sort == "" {
		q.Sort = record.NewestFirst
	}
	after, err := readListCursor(q)
	if err != nil {
		return nil, "", err
	}
	var rows []callRow
	err = d.inTenant(ctx, "list calls", t, func(ctx context.Context, tx bun.Tx) error {
		for _, open := range []bool{true, false} {
			if !wants(q, open) {
				continue
			}
			var part []callRow
			if err := callsWhere(tx.NewSelect().Model(&part).ColumnExpr(callShown), t, q, open, after).Limit(int64(q.Limit) + 1).Scan(ctx); err != nil {
				return err
			}
			rows = append(rows, part...)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(rows, orderOf(q.Sort))
	rows, next := pageOfCalls(rows, q.Limit, func(r callRow) listCursor { return cursorAt(q.Sort, r) })
	list := make([]record.Call, len(rows))
	for i, r := range rows {
		list[i] = record.Call{View: r.view(), Sums: r.sums()}
	}
	return list, next, nil
}
