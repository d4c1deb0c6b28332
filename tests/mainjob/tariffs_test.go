package mainjob

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/tariff"
	"holdfast/domain/tenancy"
	"holdfast/telephony/softphone"
	"holdfast/tests/stage"
)

// talks lets a phone call a number outside, talk, and hang up, until the tenant has n bookings.
func talks(t *testing.T, ten *stage.Tenant, from, beyond *softphone.Phone, number string, n int) {
	t.Helper()
	call, err := from.Dial(ten.Context(), softphone.Dial{To: number, Tone: stage.CustomerTone})
	require.NoError(t, err)
	rung := ten.Offered(beyond, number)
	require.NoError(t, rung.Answer())
	ten.WaitUp(call)
	ten.Talk(call, rung)
	require.NoError(t, call.HangUp())
	ten.WaitEnded(rung)
	booked(t, ten, n)
}

// bookedItems are the bookings that somebody sees, the newest first.
func bookedItems(t *testing.T, c *stage.Client, query string) (items []map[string]any) {
	t.Helper()
	for _, i := range asked(t, c, http.StatusOK, http.MethodGet, "/v1/bookings"+query, nil)["items"].([]any) {
		items = append(items, i.(map[string]any))
	}
	return items
}

// SEED-47, SEED-44: what an agent dials through the carrier is booked to its user with its
// price: by the tariff with the longest prefix of the number, in the tenant's currency, for
// the time that was talked. A tariff that changes changes no booking of before, and a
// number without one has no price, which the sum of the day tells.
func TestSEED47_WhatAnAgentDialsOutside_IsBookedWithItsPrice(t *testing.T) {
	t.Parallel()
	ten, beyond := ordinary(t, func(d *tenancy.Document) { d.Tenant.Currency = "CNY" })
	admin, a := ten.Login("admin"), ten.Agent(1)
	asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/tariffs", map[string]any{"prefix": "+86", "per_minute": "9"})
	made := asked(t, admin, http.StatusCreated, http.MethodPost, "/v1/tariffs", map[string]any{"prefix": "+86411", "display_name": "Dalian", "per_minute": "60", "per_call": "0.25", "first_ms": 0, "step_ms": 1})
	require.Equal(t, []any{"60", "0.25", 0.0, 1.0}, []any{made["per_minute"], made["per_call"], made["first_ms"], made["step_ms"]})
	talks(t, ten, a.Phone, beyond, "041139735858", 1)
	first := bookedItems(t, ten.Login(a.Number), "")[0]
	talk := time.Duration(first["talk_ms"].(float64)) * time.Millisecond
	want := tariff.Tariff{PerMinute: 60_000_000, PerCall: 250_000, Step: time.Millisecond}.Price(talk).String()
	require.Positive(t, talk)
	require.Equal(t, []any{"dialled", "1001", want, "CNY", "+86411"}, []any{first["kind"], first["user"], first["price"], first["currency"], first["tariff"]})

	asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/tariffs/+86411", map[string]any{"per_minute": "0", "per_call": "1.5"})
	talks(t, ten, a.Phone, beyond, "041139735858", 2)
	talks(t, ten, a.Phone, beyond, "0041441234567", 3)
	var seen []any
	for _, b := range bookedItems(t, admin, "?user=1001") {
		seen = append(seen, []any{b["number"], b["price"], b["tariff"]})
	}
	require.Equal(t, []any{[]any{"0041441234567", nil, ""}, []any{"041139735858", "1.5", "+86411"}, []any{"041139735858", want, "+86411"}}, seen)
	calls, unpriced := 0.0, 0.0
	for _, i := range asked(t, admin, http.StatusOK, http.MethodGet, "/v1/bookings?group=day", nil)["days"].([]any) {
		day := i.(map[string]any) // two, if midnight falls between the calls
		require.Equal(t, "CNY", day["currency"])
		calls, unpriced = calls+day["calls"].(float64), unpriced+day["unpriced"].(float64)
	}
	require.Equal(t, []float64{3, 1}, []float64{calls, unpriced})
}

// SEED-50: a call through an external device, by whoever, is booked with its price to that
// device's account.
func TestSEED50_ACallThroughAnExternalDevice_IsBookedWithItsPrice_ToItsAccount(t *testing.T) {
	t.Parallel()
	ten, beyond := ordinary(t, func(d *tenancy.Document) {
		d.Tariffs = []tenancy.Tariff{{Prefix: "+", PerMinute: 5_000_000}, {Prefix: "+86411", PerMinute: 80_000, PerCall: 10_000}}
	})
	talks(t, ten, ten.Agent(1).Phone, beyond, "5000", 1)
	got := bookedItems(t, ten.Login("supervisor"), "")
	require.Len(t, got, 1)
	require.Equal(t, []any{"external", "supervisor", "ordinary", "0.09", "EUR", "+86411"},
		[]any{got[0]["kind"], got[0]["user"], got[0]["device"], got[0]["price"], got[0]["currency"], got[0]["tariff"]}, "a minute that has begun, and the price of a call")
	require.Empty(t, bookedItems(t, ten.Login("1001"), ""), "nobody else pays")
}

// SEED-44: tariffs are written by administrators of the business, one by one or as a file,
// and read by supervisors; agents see what they are charged only.
func TestSEED44_TariffsAreWrittenByAdministrators_AlsoAsAFile(t *testing.T) {
	t.Parallel()
	ten := hall.Tenant(t, stage.Plan{})
	admin := ten.Login("admin")
	for _, file := range []struct {
		body string
		want []any
	}{
		{"prefix,per_minute,first_ms,step_ms,display_name\n'+49,0.02,1000,1000,Germany\n+4930,0.010000,,,Berlin\n+,0.9,60000,60000,\n", []any{3.0, 0.0, 0.0}},
		{"prefix;per_minute\n+49;0.02\n+4930;0.011\n", []any{0.0, 1.0, 1.0}},
	} {
		got := map[string]any{}
		require.NoError(t, admin.Into(t.Context(), &got, http.MethodPost, "/v1/tariffs/import", file.body, "Content-Type", "text/csv"))
		require.Equal(t, file.want, []any{got["created"], got["changed"], got["same"]})
	}
	ans, err := admin.Do(t.Context(), http.MethodGet, "/v1/tariffs/export", nil)
	require.NoError(t, err)
	require.Equal(t, "prefix,per_minute,display_name,per_call,first_ms,step_ms\n'+,0.9,,0,60000,60000\n'+49,0.02,Germany,0,1000,1000\n'+4930,0.011,Berlin,0,60000,60000\n", string(ans.Body))
	of := asked(t, ten.Login("supervisor"), http.StatusOK, http.MethodGet, "/v1/tariffs?number=493099999", nil)["items"].([]any)
	require.Len(t, of, 1)
	require.Equal(t, "+4930", of[0].(map[string]any)["prefix"])
	asked(t, ten.Login("supervisor"), http.StatusForbidden, http.MethodPatch, "/v1/tariffs/+49", map[string]any{"per_minute": "0"})
	asked(t, ten.Login("1001"), http.StatusForbidden, http.MethodGet, "/v1/tariffs", nil)
	for _, bad := range []map[string]any{{"prefix": "49", "per_minute": "1"}, {"prefix": "+41"}, {"prefix": "+41", "per_minute": 0.12}, {"prefix": "+41", "per_minute": "0,12"},
		{"prefix": "+41", "per_minute": "1000000.1"}, {"prefix": "+41", "per_minute": "1", "step_ms": 0}} {
		asked(t, admin, http.StatusUnprocessableEntity, http.MethodPost, "/v1/tariffs", bad)
	}
	asked(t, admin, http.StatusUnprocessableEntity, http.MethodPatch, "/v1/tenants/"+ten.Domain, map[string]any{"currency": "XXX"})
	require.Equal(t, "CHF", asked(t, admin, http.StatusOK, http.MethodPatch, "/v1/tenants/"+ten.Domain, map[string]any{"currency": "CHF"})["currency"])
}
