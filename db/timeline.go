package db

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"holdfast/domain/call"
	"holdfast/domain/event"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/queue"
	"holdfast/domain/record"
)

// timeline is what a call's time line is made of.
type timeline struct {
	Call      callEnds
	Events    []eventRow
	Decisions []decisionRow
}

// callEnds is how a call began and ended.
type callEnds struct {
	From       string     `bun:"from_number"`
	To         string     `bun:"to_number"`
	Class      string     `bun:"class"`
	ArrivedAt  time.Time  `bun:"arrived_at"`
	AnsweredAt *time.Time `bun:"answered_at"`
	EndedAt    *time.Time `bun:"ended_at"`
	Cause      leg.Cause  `bun:"cause"`
	EndedBy    string     `bun:"ended_by"`
}

type decisionRow struct {
	At       time.Time       `bun:"at"`
	Decision json.RawMessage `bun:"decision,type:jsonb"`
}

// Timeline lists everything that happened to a call, in order: its events and the
// decisions about it, each as one sentence with numbers masked. fault.NotFound if
// there is no such call.
func (d *DB) Timeline(ctx context.Context, ref call.Ref) ([]record.TimelineEntry, error) {
	var l timeline
	err := d.inTenant(ctx, "read a call's time line", ref.Tenant, func(ctx context.Context, tx bun.Tx) error {
		return l.load(ctx, tx, ref)
	})
	if err != nil {
		return nil, err
	}
	return l.entries()
}

func (l *timeline) load(ctx context.Context, tx bun.Tx, ref call.Ref) error {
	if err := tx.NewSelect().Table("calls").
		ColumnExpr("from_number, to_number, class, arrived_at, answered_at, ended_at, coalesce(cause, '') AS cause, coalesce(ended_by, '') AS ended_by").
		Where("tenant_id = ?", ref.Tenant).Where("call = ?", ref.Call).Scan(ctx, &l.Call); err != nil {
		return err
	}
	if err := tx.NewSelect().Model(&l.Events).Where("tenant_id = ?", ref.Tenant).
		Where("stream = ?", event.CallStream(ref.Call)).Order("version").Scan(ctx); err != nil {
		return err
	}
	return tx.NewSelect().Table("decisions").Column("at", "decision").Where("tenant_id = ?", ref.Tenant).
		Where("call = ?", ref.Call).Order("id").Scan(ctx, &l.Decisions)
}

func (l *timeline) entries() ([]record.TimelineEntry, error) {
	entries := []record.TimelineEntry{{At: l.Call.ArrivedAt, Kind: "Initiated",
		Sentence: fmt.Sprintf("A call from %s to %s arrived.", leg.Mask(l.Call.From), leg.Mask(l.Call.To))}}
	for _, d := range l.Decisions {
		var decision queue.Decision
		if err := json.Unmarshal(d.Decision, &decision); err != nil {
			return nil, failure("read a decision", err)
		}
		entries = append(entries, record.TimelineEntry{At: d.At, Kind: "Decision", Sentence: decision.Reason, Detail: d.Decision})
	}
	var offered id.Agent // the agent of the latest offer
	for _, e := range l.Events {
		var v call.View
		if err := json.Unmarshal(e.View, &v); err != nil {
			return nil, failure("read a view", err)
		}
		if v.Agent != "" {
			offered = v.Agent
		}
		if e.Kind == "Initiated" {
			continue // said above
		}
		entries = append(entries, record.TimelineEntry{At: e.At, Kind: e.Kind, Sentence: l.sentence(e.Kind, v, offered),
			Detail: fmt.Appendf(nil, `{"version":%d}`, e.Version)})
	}
	slices.SortStableFunc(entries, func(a, b record.TimelineEntry) int { return a.At.Compare(b.At) })
	return entries, nil
}

// sentence says an event in words.
func (l *timeline) sentence(kind string, v call.View, offered id.Agent) string {
	switch kind {
	case "Queued":
		return fmt.Sprintf("The caller waits in %s.", v.Queue)
	case "Offered":
		return fmt.Sprintf("Offered to %s.", offered)
	case "OfferExpired":
		return fmt.Sprintf("%s did not answer; the caller keeps the place in line.", offered)
	case "OfferRejected":
		return fmt.Sprintf("%s could not take the call; the caller keeps the place in line.", offered)
	case "OfferRescinded":
		return fmt.Sprintf("The offer to %s was taken back.", offered)
	case "Established":
		return fmt.Sprintf("Connected with %s.", party(v, offered))
	case "Held":
		return "A party was put on hold."
	case "Retrieved":
		return "A party was taken back from hold."
	case "Abandoned", "Diverted", "CallCleared":
		return l.ending(kind)
	}
	return kind + "."
}

// party is whom the caller talks with.
func party(v call.View, offered id.Agent) string {
	for _, x := range v.Legs {
		if x.ID != call.CallerLeg && x.State == leg.Up && x.Agent == "" {
			return leg.Mask(x.Party)
		}
	}
	return string(offered)
}

// ending says how a call ended.
func (l *timeline) ending(kind string) string {
	switch kind {
	case "Abandoned":
		return "The caller left before anybody answered."
	case "Diverted":
		return fmt.Sprintf("Taken out of the queue: %s.", l.Call.Cause.Words())
	}
	sentence := "The call ended"
	if l.Call.AnsweredAt != nil && l.Call.EndedAt != nil {
		sentence += fmt.Sprintf(" after %s of conversation", l.Call.EndedAt.Sub(*l.Call.AnsweredAt).Round(time.Second))
	}
	if l.Call.Cause != "" {
		sentence += ": " + l.Call.Cause.Words()
	}
	if by := strings.Replace(l.Call.EndedBy, ":", " ", 1); by != "" && by != "system" {
		sentence += " (by " + by + ")"
	}
	return sentence + "."
}
