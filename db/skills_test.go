package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/agent"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/tenancy"
)

// A reason that is made, changed or deleted is part of every agent's profile, and their
// sessions are told; one for which somebody is Not Ready stays.
func TestReasons_AreInEveryProfile_AndStayWhileUsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	w.configure()
	ref := agent.Ref{Tenant: acme, Agent: "1001"}
	told(t, w.DB)
	w.make(directory.Reason, "LUNCH", map[string]any{"display_name": "Lunch", "limit_ms": 3600000, "then_do": "ready", "names": map[string]string{"de": "Mittag"}})
	require.Equal(t, []string{"1001"}, told(t, w.DB))
	brk := w.make(directory.Reason, "BREAK", map[string]any{})
	require.EqualValues(t, 1, brk.Version, "a new thing has version 1")
	require.EqualValues(t, 2, fieldsOf(t, brk)["place"], "the last")
	p, _, err := w.Profile(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, []agent.Rule{{Code: "LUNCH", Name: "Lunch", Limit: time.Hour, Then: agent.FollowReady}, {Code: "BREAK"}}, p.Reasons)

	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Reason, Name: "LUNCH", Set: map[string]any{"limit_ms": 0}})
	requireRefused(t, err, fault.Invalid, "invalid")
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Reason, Name: "TEA", Set: map[string]any{"names": map[string]string{"German": "Tee"}}})
	require.Contains(t, fault.Sentence(err), `"German" is not a language`)
	told(t, w.DB)
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Reason, Name: "LUNCH", Set: map[string]any{"names": map[string]string{"fr": "Midi"}}})
	require.NoError(t, err)
	require.Empty(t, told(t, w.DB), "sessions don't know names in other languages")

	s := w.session("1001", "support")
	s.v.Reason = "LUNCH"
	s.save(agent.NotReady, t0)
	err = w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Reason, Name: "LUNCH"})
	requireRefused(t, err, fault.Conflict, "in_use")
	require.Contains(t, fault.Sentence(err), "agent 1001")
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Reason, Name: "BREAK"}))
	back, err := w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Reason, Name: "BREAK"})
	require.NoError(t, err)
	require.EqualValues(t, 2, fieldsOf(t, back)["place"])
}

// Skills belong to agents with a level, and to queues as what they ask for; one that
// somebody has, and a queue that a disposition names, stay.
func TestSkillsAndDispositions_StayWhileUsed_AndTakePartInApply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	w.make(directory.Skill, "german", map[string]any{"display_name": "German"})
	skills := func(level int) map[string]any {
		return map[string]any{"skills": []tenancy.SkillLevel{{Skill: "german", Level: level}}}
	}
	a, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Agent, Name: "1001", Set: skills(7)})
	require.NoError(t, err)
	require.Equal(t, []any{map[string]any{"skill": "german", "level": 7.0}}, fieldsOf(t, a)["skills"])
	same, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Agent, Name: "1001", Set: skills(7)})
	require.NoError(t, err)
	require.Equal(t, a.Version, same.Version)
	better, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Agent, Name: "1001", Set: skills(8)})
	require.NoError(t, err)
	require.Equal(t, a.Version+1, better.Version)
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Queue, Name: "support", Set: skills(5)})
	require.NoError(t, err)
	_, err = w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Agent, Name: "1001", Set: map[string]any{"skills": []tenancy.SkillLevel{{Skill: "latin", Level: 1}}}})
	requireRefused(t, err, fault.Invalid, "invalid")
	w.make(directory.Disposition, "solved", map[string]any{"queues": []string{"support"}, "names": map[string]string{"de": "Erledigt"}})

	var use *directory.InUse
	require.ErrorAs(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Skill, Name: "german"}), &use)
	require.Equal(t, []directory.Ref{{Kind: directory.Agent, Name: "1001"}, {Kind: directory.Queue, Name: "support"}}, use.By)
	require.ErrorAs(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Queue, Name: "support"}), &use)
	require.Contains(t, use.By, directory.Ref{Kind: directory.Disposition, Name: "solved"})
	found, _, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.Agent, Filters: map[string]string{"skill": "german"}})
	require.NoError(t, err)
	require.Len(t, found, 1)

	w.make(directory.Reason, "LUNCH", map[string]any{"names": map[string]string{"de": "Mittag"}})
	doc, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, []tenancy.SkillLevel{{Skill: "german", Level: 8}}, doc.Agents[0].Skills)
	require.Equal(t, []tenancy.Disposition{{Name: "solved", Names: tenancy.Names{"de": "Erledigt"}, Queues: []string{"support"}}}, doc.Dispositions)
	require.Equal(t, tenancy.Names{"de": "Mittag"}, doc.Tenant.Policies.NotReadyReasons[0].Names)
	changes, err := w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Empty(t, changes, "idempotent")
	doc.Agents[0].Skills, doc.Queues[0].Skills, doc.Skills, doc.Dispositions = nil, nil, nil, nil
	doc.Tenant.Policies.NotReadyReasons = append(doc.Tenant.Policies.NotReadyReasons, tenancy.Reason{Code: "TEA"})
	_, err = w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	again, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, doc, again)
}
