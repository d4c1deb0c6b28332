package tariff_test

import (
	"encoding/json"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"holdfast/domain/tariff"
)

const ms, s, m, h = time.Millisecond, time.Second, time.Minute, time.Hour

func amount(t testing.TB, text string) tariff.Amount {
	t.Helper()
	a, err := tariff.ParseAmount(text)
	require.NoError(t, err)
	return a
}

// SEED-44, SEED-47, SEED-50: what a call costs.
func TestPrice_ByTheTimeCharged_RoundedOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name               string
		perMinute, perCall string
		first, step, talk  time.Duration
		charged            time.Duration
		price              string
	}{
		{"60/60: no time at all is a minute", "0.12", "0", m, m, 0, m, "0.12"},
		{"60/60: a millisecond", "0.12", "0", m, m, ms, m, "0.12"},
		{"60/60: exactly a minute", "0.12", "0", m, m, m, m, "0.12"},
		{"60/60: a millisecond more begins the next", "0.12", "0", m, m, m + ms, 2 * m, "0.24"},
		{"less than a millisecond more doesn't", "0.12", "0", m, m, m + ms - 1, m, "0.12"},
		{"1/1", "0.12", "0", s, s, 61*s + 1*ms, 62 * s, "0.124"},
		{"0/1: no time costs nothing", "0.12", "0", 0, s, 0, 0, "0"},
		{"0/1: nor does it with a price per call, but that", "0.12", "0.05", 0, s, 0, 0, "0.05"},
		{"30/6", "0.6", "0", 30 * s, 6 * s, 30 * s, 30 * s, "0.3"},
		{"30/6: steps are counted from the first on", "0.6", "0", 30 * s, 6 * s, 31 * s, 36 * s, "0.36"},
		{"30/6: exactly a step", "0.6", "0", 30 * s, 6 * s, 36 * s, 36 * s, "0.36"},
		{"7/5: a first that is no multiple of the step", "60", "0", 7 * s, 5 * s, 13 * s, 17 * s, "17"},
		{"per call and per minute", "0.09", "0.1", m, m, 3*m - 1*s, 3 * m, "0.37"},
		{"a free tariff", "0", "0", m, m, 5 * h, 5 * h, "0"},
		{"rounded down below a half", "0.000001", "0", 0, ms, 29_999 * ms, 29_999 * ms, "0"},
		{"rounded up at a half", "0.000001", "0", 0, ms, 30 * s, 30 * s, "0.000001"},
		{"once at the end, not per minute", "0.000001", "0", 0, ms, m + 29_999*ms, m + 29_999*ms, "0.000001"},
		{"by the millisecond", "0.1", "0", 0, ms, 1, 0, "0"},
		{"a third of a unit", "1", "0", 0, s, 20 * s, 20 * s, "0.333333"},
		{"two thirds of a unit", "1", "0", 0, s, 40 * s, 40 * s, "0.666667"},
		{"a clock that went back", "0.12", "0", m, m, -5 * m, m, "0.12"},
		{"very long", "0.12", "0", m, m, 100 * 24 * h, 100 * 24 * h, "17280"},
		{"longer than any call", "1000000", "1000000", m, m, 1 << 62, tariff.MaxTalk, "527041000000"},
		{"longer than any call, in the longest steps", "1000000", "1000000", h, h, 1 << 62, tariff.MaxTalk, "527041000000"},
	} {
		of := tariff.Tariff{PerMinute: amount(t, c.perMinute), PerCall: amount(t, c.perCall), First: c.first, Step: c.step}
		require.Equal(t, c.charged, of.Charged(c.talk), c.name)
		require.Equal(t, c.price, of.Price(c.talk).String(), c.name)
	}
}

// The price is exact: the same as with numbers of any size, rounded once.
func TestPrice_IsExact_AndNeverOverflows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		of := tariff.Tariff{
			PerMinute: tariff.Amount(rapid.Int64Range(0, int64(tariff.MaxRate)).Draw(r, "per minute")),
			PerCall:   tariff.Amount(rapid.Int64Range(0, int64(tariff.MaxRate)).Draw(r, "per call")),
			First:     time.Duration(rapid.Int64Range(0, int64(tariff.MaxSpan/ms)).Draw(r, "first")) * ms,
			Step:      time.Duration(rapid.Int64Range(1, int64(tariff.MaxSpan/ms)).Draw(r, "step")) * ms,
		}
		talk := time.Duration(rapid.Int64().Draw(r, "talk"))
		charged := of.Charged(talk)
		if charged < of.First || charged < min(talk.Truncate(ms), tariff.MaxTalk) || (charged-of.First)%of.Step != 0 {
			r.Fatalf("%s charged for %s", charged, talk)
		}
		want := new(big.Int).Mul(big.NewInt(int64(of.PerMinute)), big.NewInt(charged.Milliseconds()))
		want.Add(want, big.NewInt(30_000)).Div(want, big.NewInt(60_000)).Add(want, big.NewInt(int64(of.PerCall)))
		if got := of.Price(talk); want.Cmp(big.NewInt(int64(got))) != 0 {
			r.Fatalf("%s, want %s", got, want)
		}
	})
}

func TestOf_TheLongestPrefixWins(t *testing.T) {
	t.Parallel()
	all := []tariff.Tariff{{Prefix: "+49"}, {Prefix: "+4930"}, {Prefix: "+"}, {Prefix: "+1"}}
	for number, prefix := range map[string]string{"+49301234567": "+4930", "+49401234567": "+49", "+41441234567": "+", "+12125552368": "+1"} {
		of, found := tariff.Of(all, number)
		require.True(t, found)
		require.Equal(t, prefix, of.Prefix, number)
	}
	for _, number := range []string{"", "110", "0301234567"} {
		_, found := tariff.Of(all, number)
		require.False(t, found, "%q is not E.164", number)
	}
	_, found := tariff.Of(all[:2], "+41441234567")
	require.False(t, found)
}

func TestPrefix_IsTheBeginningOfAnE164Number(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"+", "+1", "+4930", "+123456789012345"} {
		require.True(t, tariff.ValidPrefix(good), good)
	}
	for _, bad := range []string{"", "49", "+0", "+49*", "+49 30", "+1234567890123456", "+49\n", "++1"} {
		require.False(t, tariff.ValidPrefix(bad), "%q", bad)
	}
}

func TestAmount_IsReadAndWrittenAsDecimals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0", "0.12": "0.12", "0.120000": "0.12", "00.5": "0.5", "3": "3", "3.0": "3", "0.000001": "0.000001", "1000000": "1000000", "10": "10", "1234567.8": "",
		"1000000.000001": "", "": "", ".5": "", "5.": "", "-1": "", "+1": "", "1e3": "", "0.1234567": "", "1,5": "", " 1": "", "NaN": "", "10000000": "", "٣": "",
	} {
		a, err := tariff.ParseAmount(text)
		if want == "" {
			require.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		require.Equal(t, want, a.String(), text)
	}
	require.Equal(t, "-0.5", tariff.Amount(-500_000).String())
	require.Equal(t, "-9223372036854.775808", tariff.Amount(-1<<63).String())
	out, err := json.Marshal(map[string]tariff.Amount{"price": 120_000})
	require.NoError(t, err)
	require.Equal(t, `{"price":"0.12"}`, string(out))
	rapid.Check(t, func(r *rapid.T) {
		a := tariff.Amount(rapid.Int64Range(0, int64(tariff.MaxRate)).Draw(r, "amount"))
		if back, err := tariff.ParseAmount(a.String()); err != nil || back != a {
			r.Fatalf("%d became %d: %v", a, back, err)
		}
	})
}

func TestCurrency_IsOneOfISO4217(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"EUR", "CHF", "USD", "CNY", "JPY", "AED", "ZWG", tariff.DefaultCurrency} {
		require.True(t, tariff.Currency(good), good)
	}
	for _, bad := range []string{"", "eur", "EURO", "DEM", "XXX", "XAU", "€"} {
		require.False(t, tariff.Currency(bad), bad)
	}
	require.True(t, slices.IsSorted(tariff.Currencies()), "they are searched by halves")
	require.Len(t, slices.Compact(tariff.Currencies()), len(tariff.Currencies()))
}
