package db_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
	"holdfast/domain/id"
)

// phone is a registration of device 1001 as its node tells it.
type phone struct {
	*world
	r device.Registration
}

func (w *world) phone(instance, flow string) *phone {
	return &phone{w, device.Registration{Tenant: acme, Device: "1001", Instance: instance, Contact: "sip:1001@" + flow, Transport: "udp", Flow: flow,
		Node: "node-1", UserAgent: "Desk 5", CallID: instance}}
}

// tells saves the registration as a node does; no time is the end of it.
func (p *phone) tells(change device.Change, life time.Duration) {
	p.Helper()
	p.r.CSeq++
	p.r.Change, p.r.Expires = change, time.Now().Add(life)
	_, _, err := p.SaveRegistration(p.Context(), p.r)
	require.NoError(p, err)
}

// history is what happened to device 1001, the first thing first.
func (w *world) history() (words []string) {
	w.Helper()
	lines, err := w.RegistrationHistory(w.Context(), acme, "1001")
	require.NoError(w, err)
	for _, l := range lines {
		said := fmt.Sprint(l.Change, " ", l.Address)
		if l.Reason != "" {
			said = fmt.Sprint(said, " ", l.Reason)
		}
		if l.Times > 1 {
			said = fmt.Sprint(said, " ", l.Times)
		}
		words = append([]string{said}, words...)
	}
	return words
}

// deviceEvents are the events that streams show of device 1001.
func (w *world) deviceEvents() (words []string) {
	w.Helper()
	events, err := w.Events(w.Context(), acme, 0, 1000)
	require.NoError(w, err)
	var last int64
	for _, e := range events {
		if e.Stream != "device:1001" {
			continue
		}
		require.Equal(w, last+1, e.Version)
		last = e.Version
		var v struct {
			Device, Change, Address string
			Registrations, Times    int
		}
		require.NoError(w, json.Unmarshal(e.View, &v))
		require.Equal(w, "1001", v.Device)
		said := fmt.Sprint(e.Kind, " ", v.Change, " ", v.Address, " ", v.Registrations)
		if v.Times > 0 {
			said = fmt.Sprint(said, " of ", v.Times)
		}
		words = append(words, said)
	}
	return words
}

// SEED-46: what happens to a device's registrations is an event and a line of its history;
// refreshes from where the phone was are neither, not even by another port of its router.
func TestRegistrations_ComeMoveAndGo_AndTheirHistorySaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	desk, soft := w.phone("desk", "192.0.2.7:5060"), w.phone("soft", "192.0.2.8:40000")
	desk.tells(device.Registered, time.Hour)
	for range 20 {
		desk.tells(device.Refreshed, time.Hour)
	}
	desk.r.Flow = "192.0.2.7:61000"
	desk.tells(device.Moved, time.Hour)
	soft.tells(device.Registered, time.Hour)
	desk.r.Flow = "198.51.100.1:61000"
	desk.tells(device.Moved, time.Hour)
	soft.tells(device.Replaced, -time.Second)
	desk.tells(device.Unregistered, -time.Second)
	desk.tells(device.Registered, time.Hour)
	w.exec(`UPDATE registrations SET expires = now() - interval '1 minute'`)
	desk.tells(device.Registered, time.Hour) // it comes back before anybody saw that it had run out
	require.NoError(t, w.Unstrand(t.Context(), []device.Stranded{{Tenant: acme, Device: "1001", Instance: "desk", Node: "node-1", Until: desk.until()}}))
	require.Equal(t, []string{
		"registered 192.0.2.7:5060", "registered 192.0.2.8:40000", "moved 198.51.100.1:61000", "replaced 192.0.2.8:40000",
		"unregistered 198.51.100.1:61000", "registered 198.51.100.1:61000", "registered 198.51.100.1:61000", "lost 198.51.100.1:61000",
	}, w.history())
	require.Equal(t, []string{
		"Registered registered 192.0.2.7:5060 1", "Registered registered 192.0.2.8:40000 2", "Moved moved 198.51.100.1:61000 2",
		"Unregistered replaced 192.0.2.8:40000 1", "Unregistered unregistered 198.51.100.1:61000 0", "Registered registered 198.51.100.1:61000 1",
		"Registered registered 198.51.100.1:61000 1", "Unregistered lost 198.51.100.1:61000 0",
	}, w.deviceEvents())
}

// until is when the phone's registration ends, as the database has it.
func (p *phone) until() (at time.Time) {
	p.Helper()
	p.one(&at, `SELECT expires FROM registrations WHERE instance = $1`, p.r.Instance)
	return at
}

// What ran out is told as such, whether its node says so or another registration clears it away.
func TestRegistrations_RunOut_TheirHistorySaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	desk, soft := w.phone("desk", "192.0.2.7:5060"), w.phone("soft", "192.0.2.8:5060")
	desk.tells(device.Registered, time.Hour)
	soft.tells(device.Registered, time.Hour)
	w.exec(`UPDATE registrations SET expires = now() - interval '1 second' WHERE instance = 'desk'`)
	soft.tells(device.Refreshed, time.Hour)
	w.exec(`UPDATE registrations SET expires = now() - interval '1 second'`)
	soft.tells(device.Expired, -time.Second)
	require.Equal(t, []string{"registered 192.0.2.7:5060", "registered 192.0.2.8:5060", "expired 192.0.2.7:5060", "expired 192.0.2.8:5060"}, w.history())
}

// rejects notes a rejection of device d, which stands for two.
func (w *world) rejects(d id.Device, from string, why device.Reason) {
	w.Helper()
	require.NoError(w, w.Rejected(w.Context(), device.Rejection{Tenant: acme, Device: d, At: time.Now(), Reason: why, Times: 2, Address: from, Transport: "udp", Node: "node-1"}))
}

// Whoever guesses passwords can't push everything else out of the history, not even by
// being rejected for one reason and another in turn: of each, the first and the last stay,
// with how many there were.
func TestRegistrations_RejectionsInTurn_AreTwoLinesForEachReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	w.phone("desk", "192.0.2.7:5060").tells(device.Registered, time.Hour)
	for n := range 100 {
		w.rejects("1001", fmt.Sprintf("203.0.113.%d:5060", n), device.WrongPassword)
		w.rejects("1001", fmt.Sprintf("203.0.113.%d:5061", n), device.Banned)
	}
	w.rejects("nobody", "203.0.113.2:5060", device.WrongPassword)
	require.Equal(t, []string{"registered 192.0.2.7:5060", "rejected 203.0.113.0:5060 wrong_password 2", "rejected 203.0.113.0:5061 banned 2",
		"rejected 203.0.113.99:5060 wrong_password 198", "rejected 203.0.113.99:5061 banned 198"}, w.history())
	var rows int
	w.one(&rows, `SELECT count(*) FROM registration_history`)
	require.Equal(t, 5, rows)
}

// With one device's password, a REGISTER comes from another address each time: what is
// written is bounded, and how it stands in the end is told all the same, with how many
// there were.
func TestRegistrations_FromEverChangingAddresses_AreBoundedAndTheLastIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	desk := w.phone("desk", "192.0.2.7:5060")
	desk.tells(device.Registered, time.Hour)
	moves := func(from, to int) {
		for n := from; n < to; n++ {
			desk.r.Flow = fmt.Sprintf("198.51.%d.%d:5060", n/200, n%200)
			desk.tells(device.Moved, time.Hour)
		}
	}
	moves(0, 300)
	require.Equal(t, []string{"registered 192.0.2.7:5060", "moved 198.51.0.0:5060", "moved 198.51.0.1:5060", "moved 198.51.0.2:5060", "moved 198.51.0.3:5060",
		"moved 198.51.1.99:5060 296"}, w.history())
	told := w.deviceEvents()
	require.Len(t, told, 100)
	require.Equal(t, "Moved moved 198.51.0.98:5060 1", told[99])

	require.NoError(t, w.TellHeld(t.Context(), time.Hour))
	require.Len(t, w.deviceEvents(), 100, "it is not held back for so long yet")
	for range 2 {
		require.NoError(t, w.TellHeld(t.Context(), 0))
		told = w.deviceEvents()
		require.Len(t, told, 101, "once")
		require.Equal(t, "Moved moved 198.51.1.99:5060 1 of 201", told[100])
	}

	moves(300, 303)
	require.Len(t, w.deviceEvents(), 101)
	w.exec(`UPDATE events SET at = at - interval '2 hours'`)
	moves(303, 305)
	require.Equal(t, []string{"Moved moved 198.51.1.103:5060 1 of 4", "Moved moved 198.51.1.104:5060 1"}, w.deviceEvents()[101:], "an hour later all is told again")
	require.NoError(t, w.TellHeld(t.Context(), 0))
	require.Len(t, w.deviceEvents(), 103)
}

// The history has 50 lines, whatever happens; the last of each kind is one of them.
func TestRegistrations_HistoryIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	desk := w.phone("desk", "192.0.2.7:5060")
	w.rejects("1001", "203.0.113.1:5060", device.WrongPassword)
	w.rejects("1001", "203.0.113.2:5060", device.Banned)
	for range 30 { // hours pass
		w.exec(`UPDATE registration_history SET at = at - interval '2 hours'`)
		desk.tells(device.Registered, time.Hour)
		desk.tells(device.Unregistered, -time.Second)
	}
	lines := w.history()
	require.Len(t, lines, device.MostHistory)
	require.Equal(t, []string{"rejected 203.0.113.1:5060 wrong_password 2", "rejected 203.0.113.2:5060 banned 2", "registered 192.0.2.7:5060"}, lines[:3])
	var rows int
	w.one(&rows, `SELECT count(*) FROM registration_history`)
	require.Equal(t, device.MostHistory, rows)
}

// Phones of one device that come, refresh and go at once, at several nodes, don't get into
// each other's way: every change is counted once.
func TestRegistrations_OfOneDeviceAtOnce_AreAllTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	var all sync.WaitGroup
	for n := range 8 {
		p := w.phone(fmt.Sprint("i", n), fmt.Sprintf("192.0.2.%d:5060", n+1))
		all.Go(func() {
			for range 5 {
				for _, step := range []struct {
					change device.Change
					life   time.Duration
				}{{device.Registered, time.Hour}, {device.Refreshed, time.Hour}, {device.Unregistered, -time.Second}} {
					p.r.CSeq++
					p.r.Change, p.r.Expires = step.change, time.Now().Add(step.life)
					if _, _, err := w.SaveRegistration(t.Context(), p.r); err != nil {
						t.Errorf("%s: %v", step.change, err)
					}
				}
			}
		})
	}
	all.Wait()
	require.Len(t, w.deviceEvents(), 8*5*2)
}
