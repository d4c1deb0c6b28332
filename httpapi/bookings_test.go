package httpapi

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/record"
	"holdfast/domain/tariff"
)

// SEED-47, SEED-50: bookings are read by day and user, in the tenant's days, as JSON and
// as a table that no spreadsheet takes for formulas.
func TestBookings_AreReadInTheTenantsDays_AsJSONAndAsTable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for i := range 3 {
		h.things.bookings = append(h.things.bookings, record.Booking{Call: id.Call(fmt.Sprint("c", i)), Leg: "external-1", Kind: record.BookedDialled, Account: "anna",
			Device: "1001", Trunk: "carrier", Number: "+49301", AnsweredAt: noon.Add(-time.Duration(i) * time.Minute), EndedAt: noon.Add(time.Minute), Price: new(tariff.Amount(240_000)), Currency: "CHF", Tariff: "+49"})
	}
	h.things.bookings[1].Price, h.things.bookings[1].Tariff = nil, "" // nobody said what it costs
	got := h.ask("admin", http.MethodGet, "/v1/bookings?user=anna&device=1001&from=2026-11-20&to=2026-11-21&limit=2", "")
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	require.Equal(t, "application/json", got.Header().Get("Content-Type"))
	require.Len(t, got.body["items"], 2)
	require.Equal(t, "Europe/Zurich", got.body["time_zone"])
	require.EqualValues(t, 60000, got.body["items"].([]any)[0].(map[string]any)["talk_ms"])
	for i, want := range [][]any{{"0.24", "CHF", "+49"}, {nil, "CHF", ""}} {
		item := got.body["items"].([]any)[i].(map[string]any)
		require.Equal(t, want, []any{item["price"], item["currency"], item["tariff"]}, "no price is null, not 0")
	}
	q := h.things.booked[0]
	require.Equal(t, "2026-11-19T23:00:00Z", q.Since.UTC().Format(time.RFC3339), "the day begins in the tenant's zone")
	require.Equal(t, "2026-11-21T23:00:00Z", q.Until.UTC().Format(time.RFC3339), "and the last one ends there")
	require.Equal(t, id.User("anna"), q.Account)
	require.Equal(t, id.Device("1001"), q.Device)
	require.Equal(t, http.StatusOK, h.ask("admin", http.MethodGet, "/v1/bookings?cursor="+got.body["next_cursor"].(string), "").Code)
	require.Equal(t, record.BookingPlace{At: noon.Add(-time.Minute), Call: "c1", Leg: "external-1"}, h.things.booked[1].After)

	csv := h.ask("admin", http.MethodGet, "/v1/bookings", "", "Accept", "text/csv;q=0.9, */*")
	require.Equal(t, "text/csv; charset=utf-8; header=present", csv.Header().Get("Content-Type"))
	require.Contains(t, csv.Body.String(), "answered_at,ended_at,talk_ms,kind,user,device,trunk,number,call_id,price,currency,tariff\n2026-11-21T")
	require.Contains(t, csv.Body.String(), ",carrier,'+49301,c2,0.24,CHF,'+49\n")
	require.Contains(t, csv.Body.String(), ",c1,,CHF,\n")
	days := h.ask("admin", http.MethodGet, "/v1/bookings?group=day", "")
	require.Equal(t, []any{map[string]any{"user": "=anna", "day": "2026-11-21", "kind": "dialled", "calls": 2.0, "talk_ms": 90000.0, "price": "0.12", "currency": "CHF", "unpriced": 1.0}}, days.body["days"])
	require.Equal(t, "day,user,kind,calls,talk_ms,price,currency,unpriced\n2026-11-21,'=anna,dialled,2,90000,0.12,CHF,1\n", h.ask("admin", http.MethodGet, "/v1/bookings?group=day", "", "Accept", "text/csv").Body.String())
	for query, field := range map[string]string{"from=yesterday": "query:from", "to=1": "query:to", "cursor=x": "query:cursor", "group=week": "query:group"} {
		bad := h.ask("admin", http.MethodGet, "/v1/bookings?"+query, "")
		require.Equal(t, http.StatusUnprocessableEntity, bad.Code)
		require.Contains(t, bad.fields(), field)
	}
}

// One sees one's own account, that of one's teams, or all, as far as the permission reaches.
func TestBookings_OnlyAsFarAsThePermissionReaches(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	require.Equal(t, http.StatusOK, h.ask("1001", http.MethodGet, "/v1/bookings", "").Code)
	require.Equal(t, id.User("1001"), h.things.booked[0].Account)
	require.Equal(t, http.StatusForbidden, h.ask("1001", http.MethodGet, "/v1/bookings?user=1002", "").Code)
	require.Equal(t, http.StatusOK, h.ask("supervisor", http.MethodGet, "/v1/bookings?user=1002", "").Code)
	require.Equal(t, []id.Team{"first"}, h.things.booked[1].Teams)
	require.Equal(t, id.User("supervisor"), h.things.booked[1].Self)
	clerk := h.reader.users["1001"]
	clerk.Name, clerk.Permissions = "clerk", []account.Permission{"users:read:tenant"}
	h.reader.users["clerk"] = clerk
	require.Equal(t, http.StatusForbidden, h.ask("clerk", http.MethodGet, "/v1/bookings", "").Code)
}

func TestRegistrations_ShowFromWhereADeviceSignals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := h.ask("admin", http.MethodGet, "/v1/devices/1001/registrations", "")
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	items := got.body["items"].([]any)
	require.Len(t, items, 2)
	first := items[0].(map[string]any)
	require.Equal(t, "192.0.2.7:5060 udp phone node-1 1.5", fmt.Sprint(first["address"], " ", first["transport"], " ", first["user_agent"], " ", first["node"], " ", first["round_trip_ms"]))
	require.NotContains(t, items[1], "round_trip_ms", "it was not asked")
	history := got.body["history"].([]any)
	require.Equal(t, map[string]any{"at": "2026-11-21T12:00:00Z", "change": "rejected", "reason": "wrong_password", "times": 3.0, "address": "192.0.2.66:5060",
		"transport": "udp", "user_agent": "", "node": "node-1"}, history[0])
	require.Equal(t, "registered", history[1].(map[string]any)["change"])
	require.Equal(t, "no_such_device", h.ask("admin", http.MethodGet, "/v1/devices/9/registrations", "").body["code"])
}

// What uses a thing can be asked before somebody tries to delete it.
func TestUsedBy_IsAskedOfTheDirectory(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, path := range []string{"users", "roles", "teams", "agents", "queues", "numbers", "devices", "trunks", "reasons", "skills", "dispositions", "tariffs"} {
		got := h.ask("admin", http.MethodGet, "/v1/"+path+"/x/used-by", "")
		require.Equal(t, http.StatusOK, got.Code, path)
		require.Equal(t, []any{map[string]any{"kind": "agent", "name": "uses x"}}, got.body["items"])
	}
}

func TestShielded_ComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, cell := range []string{"", "a", "=1+1", "+4930", "-1", "@x", "\tx", "'", "''", "'=1", "O'Neil", "'s-Hertogenbosch"} {
		require.Equal(t, cell, bared(shielded(cell)), "%q", cell)
	}
	require.Equal(t, "'s-Hertogenbosch", bared("'s-Hertogenbosch"), "as a person writes it")
}
