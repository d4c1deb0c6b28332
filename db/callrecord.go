package db

import (
	"context"
	"encoding/json"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/event"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
)

// segmentRow is a row of segments.
type segmentRow struct {
	bun.BaseModel `bun:"table:segments"`

	Kind    string       `bun:"kind"`
	Agent   id.Agent     `bun:"agent"`
	Queue   id.Queue     `bun:"queue"`
	Offer   id.Offer     `bun:"offer"`
	FromAt  time.Time    `bun:"from_at"`
	ToAt    *time.Time   `bun:"to_at"`
	Cause   leg.Cause    `bun:"cause"`
	RangAt  *time.Time   `bun:"rang_at"`
	Outcome call.Outcome `bun:"outcome"`
	SIPCode int          `bun:"sip_code"`
	Device  id.Device    `bun:"device"`
}

func (r segmentRow) segment() call.Segment {
	return call.Segment{Kind: r.Kind, Agent: r.Agent, Queue: r.Queue, Offer: r.Offer, From: r.FromAt.UTC(), To: orZero(r.ToAt), Cause: r.Cause,
		RangAt: orZero(r.RangAt), Outcome: r.Outcome, SIPCode: r.SIPCode, Device: r.Device}
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// Call reads one call with all that is kept of it; fault.NotFound if there is none.
func (d *DB) Call(ctx context.Context, ref call.Ref) (record.Call, error) {
	var c record.Call
	err := d.inTenant(ctx, "read a call", ref.Tenant, func(ctx context.Context, tx bun.Tx) error {
		var err error
		c, _, err = readCall(ctx, tx, ref)
		return err
	})
	return c, err
}

// readCall reads a call and its events.
func readCall(ctx context.Context, tx bun.Tx, ref call.Ref) (c record.Call, events []eventRow, err error) {
	var row callRow
	if err := tx.NewSelect().Model(&row).ModelTableExpr("calls AS c").ColumnExpr(callShown).
		Where("c.tenant_id = ?", ref.Tenant).Where("c.call = ?", ref.Call).Scan(ctx); err != nil {
		return c, nil, err
	}
	if err := tx.NewSelect().Model(&events).Where("tenant_id = ?", ref.Tenant).
		Where("stream = ?", event.CallStream(ref.Call)).Order("version").Scan(ctx); err != nil {
		return c, nil, err
	}
	c = record.Call{View: row.view(), Sums: row.sums()}
	if !row.Closed {
		c.Kept, err = segmentsSoFar(c.View, events)
		return c, events, err
	}
	var kept []segmentRow
	if err := tx.NewSelect().Model(&kept).ColumnExpr(`kind, coalesce(agent, '') AS agent, coalesce(queue, '') AS queue, coalesce(offer, '') AS offer, from_at, to_at,
			coalesce(cause, '') AS cause, rang_at, coalesce(outcome, '') AS outcome, coalesce(sip_code, 0) AS sip_code, coalesce(device, '') AS device`).
		Where("tenant_id = ?", ref.Tenant).Where("call = ?", ref.Call).Order("place").Scan(ctx); err != nil {
		return c, nil, err
	}
	for _, r := range kept {
		c.Kept = append(c.Kept, r.segment())
	}
	c.WrapUps, err = wrapUps(ctx, tx, c)
	return c, events, err
}

// segmentsSoFar tells the segments of a call that has not been closed by its events.
func segmentsSoFar(now call.View, events []eventRow) ([]call.Segment, error) {
	var kept []call.Segment
	end := func(kind string, at time.Time, c leg.Cause) {
		for i, s := range kept {
			if s.To.IsZero() && (kind == "" || s.Kind == kind) {
				kept[i].To, kept[i].Cause = at, c
			}
		}
	}
	if !now.QueuedAt.IsZero() {
		kept = append(kept, call.Segment{Kind: "waiting", Queue: now.Queue, From: now.QueuedAt})
	}
	offerEnded := func(v call.View, at time.Time, otherwise leg.Cause) {
		end("offer", at, otherwise)
		if o := v.Ended; o != nil { // an event of an older release does not say it
			for i, s := range kept {
				if s.Kind == o.Kind && s.Offer == o.Offer {
					kept[i] = *o
				}
			}
		}
	}
	offers := 0
	for _, e := range events {
		var v call.View
		if err := json.Unmarshal(e.View, &v); err != nil {
			return nil, failure("read a view", err)
		}
		switch e.Kind {
		case "Offered", "Initiated":
			if v.Phase != call.Offering {
				continue
			}
			offers++
			kept = append(kept, call.Segment{Kind: "offer", Agent: v.Agent, Queue: v.Queue, Offer: id.NewOffer(v.ID, offers), From: v.Since})
		case "OfferExpired":
			offerEnded(v, e.At, leg.NoAnswer)
		case "OfferRejected":
			offerEnded(v, e.At, leg.Rejected)
		case "OfferRescinded":
			offerEnded(v, e.At, leg.Rescinded)
		case "Established":
			end("", e.At, "")
			rang(kept, v)
			kept = append(kept, call.Segment{Kind: "talk", Agent: v.Agent, Queue: v.Queue, From: e.At})
		case "Held":
			kept = append(kept, call.Segment{Kind: "hold", Queue: v.Queue, From: e.At})
		case "Retrieved":
			if !anyHeld(v) {
				end("hold", e.At, "")
			}
		}
	}
	return kept, nil
}

// rang notes with the latest offer what the leg that answered it knows.
func rang(kept []call.Segment, v call.View) {
	for i := len(kept) - 1; i >= 0; i-- {
		if kept[i].Kind != "offer" {
			continue
		}
		for _, l := range v.Legs {
			if l.ID != call.CallerLeg && l.State == leg.Up {
				kept[i].RangAt, kept[i].Device = l.RangAt, l.Device
			}
		}
		return
	}
}

func anyHeld(v call.View) bool {
	for _, l := range v.Legs {
		if l.Held {
			return true
		}
	}
	return false
}

// sqlAgentsEventsFrom finds an agent's events from a moment on. They are found by their
// versions, which rise with the time: by halves, for an agent has many.
const sqlAgentsEventsFrom = `
WITH RECURSIVE search (low, high) AS (
  SELECT (SELECT version FROM events WHERE tenant_id = ?0 AND stream = ?1 ORDER BY version LIMIT 1),
         (SELECT version FROM events WHERE tenant_id = ?0 AND stream = ?1 ORDER BY version DESC LIMIT 1)
  UNION ALL
  SELECT CASE WHEN e.at < ?2 THEN e.version + 1 ELSE s.low END, CASE WHEN e.at < ?2 THEN s.high ELSE s.low + (s.high - s.low) / 2 END
    FROM search s, LATERAL (SELECT version, at FROM events WHERE tenant_id = ?0 AND stream = ?1 AND version >= s.low + (s.high - s.low) / 2 ORDER BY version LIMIT 1) e
   WHERE s.low < s.high)
SELECT version, kind, at, view FROM events
 WHERE tenant_id = ?0 AND stream = ?1 AND version >= (SELECT min(low) FROM search WHERE low >= high)
 ORDER BY version LIMIT ?3`

const (
	// agentEventsLooked is how many of an agent's events after a call are looked at for
	// its wrap-up: a few belong to each call.
	agentEventsLooked = 64
	// beforeEnd is how much earlier than the call's end an agent's session may have been
	// told of it: the clocks of two processes.
	beforeEnd = 5 * time.Second
)

// wrapUps are the wrap-ups that followed a queue call, as the agents' events tell them.
func wrapUps(ctx context.Context, tx bun.Tx, c record.Call) ([]record.WrapUp, error) {
	var found []record.WrapUp
	seen := map[id.Agent]bool{}
	for _, s := range c.Kept {
		if c.Class != leg.InboundQueue || s.Kind != "talk" || s.Agent == "" || seen[s.Agent] {
			continue
		}
		seen[s.Agent] = true
		var rows []eventRow
		if err := tx.NewRaw(sqlAgentsEventsFrom, c.Tenant, event.AgentStream(s.Agent), c.EndedAt.Add(-beforeEnd), agentEventsLooked).Scan(ctx, &rows); err != nil {
			return nil, err
		}
		w, err := wrapUpOf(c.View, s.Agent, rows)
		if err != nil {
			return nil, err
		}
		if w != nil {
			found = append(found, *w)
		}
	}
	return found, nil
}

// wrapUpOf finds the wrap-up of a call among its agent's events; nil if there was none.
func wrapUpOf(c call.View, a id.Agent, rows []eventRow) (*record.WrapUp, error) {
	var w *record.WrapUp
	for _, r := range rows {
		var v agent.View
		if err := json.Unmarshal(r.View, &v); err != nil {
			return nil, failure("read a view", err)
		}
		works := wrapsUp(v, c.ID)
		switch {
		case works && w == nil:
			w = &record.WrapUp{Agent: a, From: notBefore(v.Since, c.EndedAt), Until: v.WrapUpUntil}
		case works:
			w.Until = v.WrapUpUntil
		case w != nil:
			w.To = notBefore(v.Since, w.From)
			return w, nil
		}
	}
	return w, nil
}

func notBefore(t, than time.Time) time.Time {
	if t.Before(than) {
		return than
	}
	return t
}
