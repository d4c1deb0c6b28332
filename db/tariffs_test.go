package db_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/domain/account"
	"holdfast/domain/dialplan"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
	"holdfast/domain/tariff"
	"holdfast/domain/tenancy"
)

// The arithmetic of the database is that of the package tariff.
func TestPrice_InSQL_IsThatOfTheDomain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	least, most := time.Duration(0), int64(tariff.MaxRate)
	edge := func(r *rapid.T, name string, lowest, highest int64) int64 {
		return rapid.OneOf(rapid.Int64Range(lowest, highest), rapid.SampledFrom([]int64{lowest, highest, min(highest, lowest+1), min(highest, 60_000), min(highest, 1_000)})).Draw(r, name)
	}
	rapid.Check(t, func(r *rapid.T) {
		type tried struct {
			PerMinute int64     `json:"per_minute"`
			PerCall   int64     `json:"per_call"`
			FirstMS   int64     `json:"first_ms"`
			StepMS    int64     `json:"step_ms"`
			Answered  time.Time `json:"answered"`
			Ended     time.Time `json:"ended"`
		}
		all, want := []tried{}, []int64{}
		for range 20 {
			c := tried{PerMinute: edge(r, "per minute", 0, most), PerCall: edge(r, "per call", 0, most), FirstMS: edge(r, "first", 0, tariff.MaxSpan.Milliseconds()),
				StepMS: edge(r, "step", 1, tariff.MaxSpan.Milliseconds()), Answered: t0}
			talk := time.Duration(edge(r, "talk", -int64(time.Hour/time.Microsecond), int64(2*tariff.MaxTalk/time.Microsecond))) * time.Microsecond
			if rapid.Bool().Draw(r, "about a step") {
				talk = time.Duration(c.FirstMS+c.StepMS*rapid.Int64Range(0, 9).Draw(r, "steps")+rapid.Int64Range(-1, 1).Draw(r, "beside")) * time.Millisecond
			}
			c.Ended = t0.Add(talk)
			of := tariff.Tariff{PerMinute: tariff.Amount(c.PerMinute), PerCall: tariff.Amount(c.PerCall),
				First: time.Duration(c.FirstMS) * time.Millisecond, Step: time.Duration(c.StepMS) * time.Millisecond}
			all, want = append(all, c), append(want, int64(of.Price(max(talk, least))))
		}
		data, err := json.Marshal(all)
		require.NoError(r, err)
		var got []int64
		require.NoError(r, w.super.QueryRow(t.Context(), `SELECT array_agg(holdfast_price(jsonb_populate_record(NULL::tariffs, j.j), holdfast_talk_ms((j.j ->> 'answered')::timestamptz, (j.j ->> 'ended')::timestamptz)) ORDER BY j.n)
			FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY j (j, n)`, string(data)).Scan(&got))
		require.Equal(r, want, got, "%s", data)
	})
}

// SEED-47, SEED-50: each booking has the price that the package tariff says, for whatever was
// dialled however long: of the longest prefix of its international form, or none.
func TestCloseCall_BooksThePriceOfTheLongestPrefix(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	w := &world{TB: t, DB: dbtest.Open(t, db.Config{URL: url}), url: url, super: dbtest.Super(t, url), tenant: demoTenant}
	random := rand.New(rand.NewPCG(20, 11))
	var all []tariff.Tariff
	apply(t, w.DB, func(doc *tenancy.Document) {
		doc.Tenant.Country = "DE"
		doc.Trunks = append(doc.Trunks, tenancy.Trunk{Name: "carrier", Host: "sip.carrier.example"})
		for _, prefix := range []string{"+49", "+4930", "+493012", "+4989", "+41", "+414412345", "+8", "+86411"} {
			of := tariff.Tariff{Prefix: prefix, PerMinute: tariff.Amount(random.Int64N(2_000_000)), PerCall: tariff.Amount(random.Int64N(100_000)),
				First: time.Duration(random.Int64N(90_000)) * time.Millisecond, Step: time.Duration(1+random.Int64N(90_000)) * time.Millisecond}
			all = append(all, of)
			first := tenancy.Duration(of.First)
			doc.Tariffs = append(doc.Tariffs, tenancy.Tariff{Prefix: prefix, PerMinute: of.PerMinute, PerCall: of.PerCall, First: &first, Step: tenancy.Duration(of.Step)})
		}
	})
	priced := 0
	for i := range 40 {
		number := []string{"03012345678", "030987654", "089123456", "+41441234567", "0041449999999", "008641139735857", "+8190123456", "+12125552368", "110", "*21"}[random.IntN(10)]
		w.talks = time.Duration(1+random.Int64N(600_000_000)) * time.Microsecond
		ref := w.conversation("1001", "1001", number, leg.Address{Device: "carrier", Kind: leg.PSTN, URI: number}, t0.Add(time.Duration(i)*time.Hour))
		list, err := w.Bookings(t.Context(), demoTenant, record.BookingQuery{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, ref.Call, list[0].Call)
		of, found := tariff.Of(all, dialplan.International(number, "DE"))
		if !found {
			require.Nil(t, list[0].Price, number)
			require.Empty(t, list[0].Tariff, number)
			continue
		}
		priced++
		require.Equal(t, []any{of.Price(w.talks).String(), of.Prefix}, []any{list[0].Price.String(), list[0].Tariff}, "%s for %s", number, w.talks)
	}
	require.Positive(t, priced)
	require.Less(t, priced, 40)
}

// SEED-44: a booking keeps the price, the tariff and the currency of its day, whatever they
// become; the next call has the new ones.
func TestTariff_Changed_ChangesNoBookingOfBefore(t *testing.T) {
	t.Parallel()
	w := booking(t)
	seen := func() (lines []string) {
		list, err := w.Bookings(t.Context(), demoTenant, record.BookingQuery{})
		require.NoError(t, err)
		for _, b := range list {
			line := "none"
			if b.Price != nil {
				line = b.Price.String()
			}
			lines = append(lines, fmt.Sprint(line, " ", b.Currency, " ", b.Tariff))
		}
		return lines
	}
	talk := func(hour int) {
		w.conversation("1001", "1001", "0301234567", leg.Address{Device: "carrier", Kind: leg.PSTN, URI: "0301234567"}, t0.Add(time.Duration(hour)*time.Hour))
	}
	talk(0)
	by := w.ada()
	by.Tenant = demoTenant
	_, err := w.Update(t.Context(), by, directory.Change{Kind: directory.Tariff, Name: "+86", Set: map[string]any{"per_minute": "0.5", "per_call": "0.000001"}})
	require.NoError(t, err)
	talk(1)
	require.NoError(t, w.Delete(t.Context(), by, directory.Change{Kind: directory.Tariff, Name: "+86"}))
	talk(2)
	_, err = w.Restore(t.Context(), by, directory.Change{Kind: directory.Tariff, Name: "+86"})
	require.NoError(t, err)
	w.exec(`UPDATE tenants SET currency = 'CHF' WHERE tenant_id = $1`, demoTenant)
	talk(3)
	require.Equal(t, []string{"0.500001 CHF +86", "none CNY ", "0.500001 CNY +86", "0.12 CNY +86"}, seen())
}

// A tenant's country that changes counts from the next call on: what is dialled in the
// national form is another number.
func TestCloseCall_AfterAnotherCountry_UnderstandsNumbersFromThere(t *testing.T) {
	t.Parallel()
	w := booking(t)
	talk := func(hour int) *tariff.Amount {
		w.conversation("1001", "1001", "03012345678", leg.Address{Device: "carrier", Kind: leg.PSTN, URI: "03012345678"}, t0.Add(time.Duration(hour)*time.Hour))
		list, err := w.Bookings(t.Context(), demoTenant, record.BookingQuery{Limit: 1})
		require.NoError(t, err)
		return list[0].Price
	}
	require.Equal(t, new(tariff.Amount(120_000)), talk(0))
	require.Equal(t, new(tariff.Amount(120_000)), talk(1), "without asking again")
	_, err := w.Update(t.Context(), w.root("tenants:update"), directory.Change{Kind: directory.Tenant, Name: string(demoTenant), Set: map[string]any{"country": "DE"}})
	require.NoError(t, err)
	hour := 1
	require.Eventually(t, func() bool { hour++; return *talk(hour) == 900_000 }, 10*time.Second, time.Millisecond, "as soon as the news came")
}

// Tariffs are things like others: made, found, changed, deleted and brought back; their
// amounts are decimals, and nothing is rounded away.
func TestTariffs_FollowThePattern(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := fieldsOf(t, w.make(directory.Tariff, "+49", map[string]any{"per_minute": "0.120000", "display_name": "Germany"}))
	require.Equal(t, map[string]any{"prefix": "+49", "display_name": "Germany", "per_minute": "0.12", "per_call": "0", "first_ms": 60_000.0, "step_ms": 60_000.0}, made)
	for _, prefix := range []string{"+", "+4930", "+41", "+493012345678901"} {
		v := fieldsOf(t, w.make(directory.Tariff, prefix, map[string]any{"per_minute": "1000000", "per_call": "0.000001", "first_ms": 0, "step_ms": 1}))
		require.Equal(t, []any{"1000000", "0.000001", 0.0, 1.0}, []any{v["per_minute"], v["per_call"], v["first_ms"], v["step_ms"]})
	}
	for text, prefix := range map[string]string{"+49301234": "+4930", "49401234": "+49", "+12125552368": "+", "+493012345678901": "+493012345678901"} {
		list, _, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.Tariff, Filters: map[string]string{"number": text}})
		require.NoError(t, err)
		require.Len(t, list, 1, text)
		require.Equal(t, prefix, list[0].Name, text)
	}
	list, next, err := w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.Tariff, Search: "+49", Limit: 2})
	require.NoError(t, err)
	require.Equal(t, []string{"+49", "+4930"}, []string{list[0].Name, list[1].Name})
	list, _, err = w.Things(t.Context(), w.ada(), directory.Query{Kind: directory.Tariff, Search: "+49", Limit: 2, Cursor: next})
	require.NoError(t, err)
	require.Equal(t, "+493012345678901", list[0].Name)
	for field, bad := range map[string]any{"per_minute": "0.1234567", "per_call": "1000000.1", "first_ms": 3_600_001, "step_ms": 0} {
		_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Tariff, Name: "+49", Set: map[string]any{field: bad}})
		requireRefused(t, err, fault.Invalid, "invalid")
	}
	_, err = w.Create(t.Context(), w.ada(), directory.Change{Kind: directory.Tariff, Name: "+049", Set: map[string]any{"per_minute": "1"}})
	requireRefused(t, err, fault.Invalid, "invalid")
	require.NoError(t, w.Delete(t.Context(), w.ada(), directory.Change{Kind: directory.Tariff, Name: "+49", Version: 1}))
	back, err := w.Restore(t.Context(), w.ada(), directory.Change{Kind: directory.Tariff, Name: "+49"})
	require.NoError(t, err)
	require.Equal(t, made, fieldsOf(t, back))
	lines, err := w.AuditLines(t.Context(), acme, record.AuditQuery{Object: "tariff:+49"})
	require.NoError(t, err)
	require.Len(t, lines, 3)
}

// A document's tariffs are all there are; one that does not speak of them leaves them alone.
func TestTariffs_TakePartInApply_UnlessTheDocumentIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	w.make(directory.Tariff, "+49", map[string]any{"per_minute": "0.12", "first_ms": 0})
	doc, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, "EUR", doc.Tenant.Currency)
	none := tenancy.Duration(0)
	require.Equal(t, []tenancy.Tariff{{Prefix: "+49", PerMinute: 120_000, First: &none, Step: tenancy.Duration(time.Minute)}}, doc.Tariffs)
	was := doc.Tariffs
	for _, tariffs := range [][]tenancy.Tariff{was, nil} {
		doc.Tariffs = tariffs
		changes, err := w.Apply(t.Context(), doc, false)
		require.NoError(t, err)
		require.Empty(t, changes)
	}
	doc.Tenant.Currency = "CHF"
	doc.Tariffs = []tenancy.Tariff{{Prefix: "+41", PerMinute: 50_000, Step: tenancy.Duration(time.Second)}}
	changes, err := w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	require.Equal(t, `[~ tenant acme.example: currency "EUR" → "CHF" + tariff +41 - tariff +49]`, fmt.Sprint(changes))
	again, err := w.Export(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, doc.Complete(), again)
	doc.Tariffs = []tenancy.Tariff{}
	_, err = w.Apply(t.Context(), doc, false)
	require.NoError(t, err)
	again, err = w.Export(t.Context(), acme)
	require.NoError(t, err)
	require.Empty(t, again.Tariffs)
}

// A tenant's currency is one of those in use; with the tenant its tariffs go, and come back.
func TestTariffs_GoAndComeBackWithTheirTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := map[string]any{"organization": "acme", "division": "main", "currency": "CHF"}
	_, err := w.Create(t.Context(), w.root(account.TenantsCreate), directory.Change{Kind: directory.Tenant, Name: "n.example", Set: set})
	require.NoError(t, err)
	there := w.root(account.TariffsWrite)
	there.Tenant, there.Home = "n.example", acme
	_, err = w.Create(t.Context(), there, directory.Change{Kind: directory.Tariff, Name: "+49", Set: map[string]any{"per_minute": "0.12"}})
	require.NoError(t, err)
	change := directory.Change{Kind: directory.Tenant, Name: "n.example"}
	require.NoError(t, w.Delete(t.Context(), w.root(account.TenantsDelete), change))
	back, err := w.Restore(t.Context(), w.root(account.TenantsDelete), change)
	require.NoError(t, err)
	require.Equal(t, "CHF", fieldsOf(t, back)["currency"])
	found, err := w.Thing(t.Context(), there, directory.Tariff, "+49")
	require.NoError(t, err)
	require.Equal(t, "0.12", fieldsOf(t, found)["per_minute"])
	for _, bad := range []string{"DEM", "XXX", "euro"} {
		change.Set = map[string]any{"currency": bad}
		_, err = w.Update(t.Context(), w.root(account.TenantsUpdate), change)
		var e *fault.Error
		require.ErrorAs(t, err, &e, bad)
		require.Equal(t, "currency", e.Fields[0].Name)
	}
	change.Set = map[string]any{"currency": "USD"}
	is, err := w.Update(t.Context(), w.root(account.TenantsUpdate), change)
	require.NoError(t, err)
	require.Equal(t, "USD", fieldsOf(t, is)["currency"])
}

// Who is forgotten is not found by the tariff of a booking either, if that is for one number;
// what it cost stays.
func TestEraseContact_ATariffForOneNumber_TellsItNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	for _, prefix := range []string{"+49301", "+493012345600"} {
		w.make(directory.Tariff, prefix, map[string]any{"per_minute": "0.12"})
	}
	for i, number := range []string{"+493012345600", "+493012345601"} {
		w.customer(fmt.Sprint("person-", i), number)
		w.dialled("1001", "1001", number, "carrier")
		_, err := w.EraseContact(t.Context(), w.ada(account.ContactsErase), id.Contact(fmt.Sprint("person-", i)))
		require.NoError(t, err)
	}
	list, err := w.Bookings(t.Context(), acme, record.BookingQuery{})
	require.NoError(t, err)
	require.Len(t, list, 2)
	seen := map[string]string{}
	for _, b := range list {
		require.Equal(t, new(tariff.Amount(120_000)), b.Price)
		seen[b.Tariff] = b.Number
	}
	require.Equal(t, map[string]string{"+4930": "+4930xxxxxxxx", "+49301": "+4930xxxxxxxx"}, seen)
}
