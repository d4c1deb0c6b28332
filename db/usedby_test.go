package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/record"
)

// What is listed as using a thing is what the refusal of its deletion names.
func TestUsedBy_IsWhatTheRefusalNames(t *testing.T) {
	t.Parallel()
	w := booking(t)
	w.make(directory.Trunk, "other", map[string]any{"host": "sip.other.example"})
	w.make(directory.Number, "8001", map[string]any{"agent": "1001"})
	w.session("1001", "support").bind(nil, "1001")
	tried := 0
	for _, of := range []directory.Ref{
		{Kind: directory.Team, Name: "service"}, {Kind: directory.Queue, Name: "support"}, {Kind: directory.Device, Name: "1001"}, {Kind: directory.Device, Name: "mobile-1002"},
		{Kind: directory.Number, Name: "0*"}, {Kind: directory.Trunk, Name: "carrier"}, {Kind: directory.Agent, Name: "1001"}, {Kind: directory.User, Name: "1001"},
	} {
		list, err := w.UsedBy(t.Context(), w.ada(), of)
		require.NoError(t, err)
		require.NotEmpty(t, list, of)
		var use *directory.InUse
		require.ErrorAs(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: of.Kind, Name: of.Name}), &use, of)
		require.Equal(t, use.By, list, of)
		tried++
	}
	require.Equal(t, 8, tried)
	none, err := w.UsedBy(t.Context(), w.ada(), directory.Ref{Kind: directory.Device, Name: "lobby"})
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "lobby"}))
	_, err = w.UsedBy(t.Context(), w.ada(), directory.Ref{Kind: directory.Device, Name: "lobby"})
	requireNotFound(t, err)
	_, err = w.UsedBy(t.Context(), w.author([]account.Permission{account.UsersRead}, account.TeamAdmin), directory.Ref{Kind: directory.User, Name: "1001"})
	requireNotFound(t, err)
}

// A device that a running session is bound to stays, whichever way it would go: so nobody
// keeps a device that is gone as chosen.
func TestDevices_BoundOnesStay_AlsoInAnApply(t *testing.T) {
	t.Parallel()
	w := booking(t)
	s := w.session("1001", "support")
	s.bind(nil, "lobby")
	err := w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Device, Name: "lobby"})
	requireRefused(t, err, fault.Conflict, "in_use")
	doc, err := w.Export(t.Context(), demoTenant)
	require.NoError(t, err)
	for i, v := range doc.Devices {
		if v.Name == "lobby" {
			doc.Devices = append(doc.Devices[:i:i], doc.Devices[i+1:]...)
			break
		}
	}
	_, err = w.Apply(t.Context(), doc, false)
	requireRefused(t, err, fault.Conflict, "in_use")
	require.Contains(t, fault.Sentence(err), "device lobby is used by agent 1001")
	s.save("LoggedOff", t0)
	w.exec(`DELETE FROM bindings`)
	_, err = w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
}

// SEED-47: page by page, and only the accounts of the teams that one reaches.
func TestBookings_ComeByPages_AndByTeams(t *testing.T) {
	t.Parallel()
	w := booking(t)
	for range 5 {
		w.dialled("1001", "1001", "0301234567", "carrier")
	}
	w.dialled("", "lobby", "0301234567", "carrier")
	var seen []id.Call
	q := record.BookingQuery{Limit: 2}
	for {
		page, err := w.Bookings(t.Context(), demoTenant, q)
		require.NoError(t, err)
		for _, b := range page {
			seen = append(seen, b.Call)
		}
		if len(page) < 2 {
			break
		}
		last := page[1]
		q.After = record.BookingPlace{At: last.AnsweredAt, Call: last.Call, Leg: last.Leg}
	}
	require.Len(t, seen, 6)
	unique := map[id.Call]bool{}
	for _, c := range seen {
		unique[c] = true
	}
	require.Len(t, unique, 6)
	for team, n := range map[id.Team]int{"service": 5, "nobody": 0} {
		list, err := w.Bookings(t.Context(), demoTenant, record.BookingQuery{Teams: []id.Team{team}, Self: "nobody"})
		require.NoError(t, err)
		require.Len(t, list, n, team)
	}
	mine, err := w.Bookings(t.Context(), demoTenant, record.BookingQuery{Teams: []id.Team{}, Self: "supervisor"})
	require.NoError(t, err)
	require.Len(t, mine, 1)
	zone, err := w.Zone(t.Context(), demoTenant)
	require.NoError(t, err)
	require.Equal(t, time.UTC, zone)
}
