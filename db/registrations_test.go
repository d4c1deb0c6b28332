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
			said = fmt.Sprint(said, " ", l.Reason, " ", l.Times)
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
			Registrations           int
		}
		require.NoError(w, json.Unmarshal(e.View, &v))
		require.Equal(w, "1001", v.Device)
		words = append(words, fmt.Sprint(e.Kind, " ", v.Change, " ", v.Address, " ", v.Registrations))
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

// Rejections for one reason in a row are one line, so that whoever guesses passwords can't
// push everything else out of it; and it has 50 lines, whatever happens.
func TestRegistrations_HistoryIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	desk := w.phone("desk", "192.0.2.7:5060")
	reject := func(d id.Device, from string, why device.Reason) {
		require.NoError(t, w.Rejected(t.Context(), device.Rejection{Tenant: acme, Device: d, At: time.Now(), Reason: why, Times: 2, Address: from, Transport: "udp", Node: "node-1"}))
	}
	desk.tells(device.Registered, time.Hour)
	for range 100 {
		reject("1001", "203.0.113.1:5060", device.WrongPassword)
	}
	reject("1001", "203.0.113.2:5060", device.WrongPassword)
	reject("1001", "203.0.113.2:5060", device.Banned)
	reject("nobody", "203.0.113.2:5060", device.WrongPassword)
	require.Equal(t, []string{"registered 192.0.2.7:5060", "rejected 203.0.113.2:5060 wrong_password 202", "rejected 203.0.113.2:5060 banned 2"}, w.history())
	var rows int
	w.one(&rows, `SELECT count(*) FROM registration_history`)
	require.Equal(t, 3, rows)
	for range 60 {
		desk.tells(device.Unregistered, -time.Second)
		desk.tells(device.Registered, time.Hour)
	}
	w.one(&rows, `SELECT count(*) FROM registration_history`)
	require.Equal(t, device.MostHistory, rows)
	require.Len(t, w.history(), device.MostHistory)
	require.Len(t, w.deviceEvents(), 121)
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
