package db_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
	"holdfast/domain/tariff"
	"holdfast/domain/tenancy"
)

// conversation is a call from a device to the outside that somebody answered.
func (w *world) conversation(from id.Agent, device id.Device, to string, target leg.Address, at time.Time) call.Ref {
	w.Helper()
	n := w.calls.Add(1)
	step := func(s call.State, at time.Time, e call.Event) call.State {
		s, _, err := s.Step(at, e)
		require.NoError(w, err)
		return s
	}
	s := call.New(call.Incoming{
		Tenant: w.tenant, Call: id.NewCall(fmt.Sprint("out-", n), w.Name(), "b1"), Node: "node-1", Boot: "b1",
		From: string(from), To: to, Agent: from, Device: device, At: at,
	})
	s = step(s, at, call.Arrived{Route: call.Route{Kind: call.ToTrunk, Targets: []leg.Address{target}, Method: "single"}})
	s = w.open(s)
	s = step(s, at.Add(5*time.Second), call.RingEnded{
		Offer: id.NewOffer(s.ID, 1), Outcome: call.RingAnswered, Leg: "external-1", Device: target.Device, AnsweredAt: at.Add(5 * time.Second),
	})
	s = step(s, at.Add(5*time.Second+w.lasting()), call.LegEnded{Leg: "external-1", Cause: leg.Hangup, Remote: true})
	w.closes(s)
	return s.Ref()
}

// lasting is how long conversations last: a minute, if nothing else is said.
func (w *world) lasting() time.Duration {
	if w.talks > 0 {
		return w.talks
	}
	return time.Minute
}

// closes writes the record of a call that has ended.
func (w *world) closes(s call.State) {
	w.Helper()
	for _, e := range s.Outstanding() {
		if e.Close != nil {
			require.NoError(w, w.CloseCall(w.Context(), s.Ref(), *e.Close))
			require.NoError(w, w.CloseCall(w.Context(), s.Ref(), *e.Close), "and again")
		}
	}
}

// dialled is a call from a device through a trunk.
func (w *world) dialled(from id.Agent, device id.Device, number, trunk string) call.Ref {
	w.Helper()
	return w.conversation(from, device, number, leg.Address{Device: id.Device(trunk), Kind: leg.PSTN, URI: number}, t0)
}

// booking is a demo tenant in China: agents 1001 (Alice's) and 1002, a phone in the lobby that
// the supervisor pays for, and the example of SEED-49, which admin pays for.
func booking(t *testing.T) *world {
	t.Helper()
	url := dbtest.URL(t)
	w := &world{TB: t, DB: dbtest.Open(t, db.Config{URL: url}), url: url, super: dbtest.Super(t, url), tenant: demoTenant}
	apply(t, w.DB, outsideInChina)
	return w
}

func outsideInChina(doc *tenancy.Document) {
	doc.Tenant.Country, doc.Tenant.Currency = "CN", "CNY"
	doc.Tariffs = []tenancy.Tariff{{Prefix: "+86", PerMinute: 120_000}, {Prefix: "+86411", PerMinute: 80_000, PerCall: 10_000}, {Prefix: "+49", PerMinute: 900_000}}
	doc.Trunks = append(doc.Trunks, tenancy.Trunk{Name: "carrier", Host: "sip.carrier.example"})
	doc.Numbers = append(doc.Numbers, tenancy.Number{Number: "0*", Trunk: "carrier"})
	doc.Devices = append(doc.Devices,
		tenancy.Device{Name: "lobby", Owner: "supervisor", Extension: "5001", Password: "secret-secret"},
		tenancy.Device{Name: "carrier", Kind: leg.PSTN, Number: "041139735857", Extension: "5000", Owner: "admin"},
		tenancy.Device{Name: "mobile-1002", Kind: leg.PSTN, Number: "+491701234567", Agent: "1002"})
	doc.Agents[1].Addresses = append(doc.Agents[1].Addresses, "mobile-1002")
}

// SEED-47: what an internal device dials outside is booked to the owning user, in the
// transaction of the call's record.
func TestCloseCall_DialledOutside_IsBookedToTheOwnerOfTheDevice(t *testing.T) {
	t.Parallel()
	w := booking(t)
	ref := w.dialled("1001", "1001", "0301234567", "carrier")
	w.dialled("", "lobby", "0301234567", "carrier")
	list, err := w.Bookings(t.Context(), demoTenant, record.BookingQuery{Account: "1001"})
	require.NoError(t, err)
	require.Equal(t, []record.Booking{{
		Tenant: demoTenant, Call: ref.Call, Leg: "external-1", Kind: record.BookedDialled, Account: "1001", Device: "1001", Trunk: "carrier",
		Number: "0301234567", AnsweredAt: t0.Add(5 * time.Second), EndedAt: t0.Add(65 * time.Second), Price: new(tariff.Amount(120_000)), Currency: "CNY", Tariff: "+86",
	}}, list, "once, though its record was written twice; the trunk is not taken for the device of the same name")
	list, err = w.Bookings(t.Context(), demoTenant, record.BookingQuery{Device: "lobby"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, id.User("supervisor"), list[0].Account, "an owner pays also where no agent is")
}

// SEED-50: a call through an external device is booked to that device's account, whoever
// dialled its extension.
func TestCloseCall_ThroughAnExternalDevice_IsBookedToItsAccount(t *testing.T) {
	t.Parallel()
	w := booking(t)
	w.conversation("1001", "1001", "5000", leg.Address{Device: "carrier", Kind: leg.PSTN, URI: "041139735857"}, t0)
	list, err := w.Bookings(t.Context(), demoTenant, record.BookingQuery{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, record.BookedExternal, list[0].Kind)
	require.Equal(t, id.User("admin"), list[0].Account)
	require.Equal(t, "+8641139735857", list[0].Number)
	require.Equal(t, id.Device("carrier"), list[0].Device)
	require.Equal(t, []any{new(tariff.Amount(90_000)), "CNY", "+86411"}, []any{list[0].Price, list[0].Currency, list[0].Tariff})
}

// SEED-50: so is a queue's call that an agent took on its number outside; one that was taken
// on a phone costs nothing, nor does one between agents.
func TestCloseCall_AgentAnsweredOutside_IsBookedToItsDevicesAccount(t *testing.T) {
	t.Parallel()
	w := booking(t)
	for i, device := range []id.Device{"mobile-1002", "1002"} {
		s := w.session("1002", "support")
		s.ready(t0)
		c := w.open(w.arriving("support", t0.Add(time.Duration(i+1)*time.Minute)))
		require.Equal(t, call.Offering, c.Phase)
		c, _, err := c.Step(t0.Add(5*time.Minute), call.RingEnded{Offer: c.Offer.ID, Outcome: call.RingAnswered, Leg: "agent-1", Device: device, AnsweredAt: t0.Add(5 * time.Minute)})
		require.NoError(t, err)
		c, _, err = c.Step(t0.Add(7*time.Minute), call.LegEnded{Leg: "agent-1", Cause: leg.Hangup, Remote: true})
		require.NoError(t, err)
		w.closes(c)
		w.exec(`DELETE FROM presence`)
	}
	list, err := w.Bookings(t.Context(), demoTenant, record.BookingQuery{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "external 1002 mobile-1002 +491701234567 1.8", fmt.Sprint(list[0].Kind, " ", list[0].Account, " ", list[0].Device, " ", list[0].Number, " ", list[0].Price), "SEED-50: two minutes")
}

// SEED-47, SEED-50: readable per user and day.
func TestBookingDays_SumUpPerAccountAndDay(t *testing.T) {
	t.Parallel()
	w := booking(t)
	carrier := leg.Address{Device: "carrier", Kind: leg.PSTN, URI: "0301234567"}
	w.conversation("1001", "1001", "0301234567", carrier, t0)
	w.conversation("1001", "1001", "0301234567", carrier, t0.Add(time.Hour))
	w.conversation("1001", "1001", "0301234567", carrier, t0.Add(10*time.Hour)) // 19:00 UTC: the next day in Shanghai
	w.conversation("1001", "1001", "5000", carrier, t0.Add(2*time.Hour))
	w.conversation("1001", "1001", "0041441234567", carrier, t0.Add(3*time.Hour)) // for which there is no tariff
	w.conversation("1001", "1001", "00493012345601", carrier, t0.Add(11*time.Hour))
	w.exec(`UPDATE bookings SET currency = 'EUR' WHERE number = '00493012345601'`)
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	require.NoError(t, err)
	days, err := w.BookingDays(t.Context(), demoTenant, record.BookingQuery{Zone: shanghai})
	require.NoError(t, err)
	require.Equal(t, []record.BookingDay{
		{Account: "1001", Day: "2026-11-22", Kind: record.BookedDialled, Calls: 1, Talk: time.Minute, Price: new(tariff.Amount(120_000)), Currency: "CNY"},
		{Account: "1001", Day: "2026-11-22", Kind: record.BookedDialled, Calls: 1, Talk: time.Minute, Price: new(tariff.Amount(900_000)), Currency: "EUR"},
		{Account: "1001", Day: "2026-11-21", Kind: record.BookedDialled, Calls: 3, Talk: 3 * time.Minute, Price: new(tariff.Amount(240_000)), Currency: "CNY", Unpriced: 1},
		{Account: "admin", Day: "2026-11-21", Kind: record.BookedExternal, Calls: 1, Talk: time.Minute, Price: new(tariff.Amount(90_000)), Currency: "CNY"},
	}, days)
	days, err = w.BookingDays(t.Context(), demoTenant, record.BookingQuery{Account: "1001", Since: t0, Until: t0.Add(11 * time.Hour)})
	require.NoError(t, err)
	require.Equal(t, []record.BookingDay{{Account: "1001", Day: "2026-11-21", Kind: record.BookedDialled, Calls: 4, Talk: 4 * time.Minute, Price: new(tariff.Amount(360_000)), Currency: "CNY", Unpriced: 1}}, days)
	days, err = w.BookingDays(t.Context(), demoTenant, record.BookingQuery{Since: t0.Add(3 * time.Hour), Until: t0.Add(4 * time.Hour)})
	require.NoError(t, err)
	require.Nil(t, days[0].Price, "nothing has a price: that is not 0")
	w.exec(`UPDATE bookings SET price = 9223372036854775807 WHERE currency = 'CNY'`)
	days, err = w.BookingDays(t.Context(), demoTenant, record.BookingQuery{Account: "1001", Until: t0.Add(4 * time.Hour)})
	require.NoError(t, err)
	require.Equal(t, tariff.Amount(math.MaxInt64), *days[0].Price, "as much as can be told")
}
