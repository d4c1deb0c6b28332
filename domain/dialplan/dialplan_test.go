package dialplan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/dialplan"
)

// SEED-26, SEED-49: numbers are understood in the form of the tenant's country.
func TestParse_NationalAndInternational_AreOneNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, country string
		want          dialplan.Number
	}{
		{"041139735857", "CN", dialplan.Number{E164: "+8641139735857", National: "041139735857"}},
		{"+86 411 3973 5857", "", dialplan.Number{E164: "+8641139735857", National: "041139735857"}},
		{"+86 411 3973 5857", "DE", dialplan.Number{E164: "+8641139735857", National: "041139735857", Abroad: "008641139735857"}},
		{"(030) 123-4567", "DE", dialplan.Number{E164: "+49301234567", National: "0301234567"}},
		{"0049 30 1234567", "DE", dialplan.Number{E164: "+49301234567", National: "0301234567"}},
		{"011 49 30 1234567", "US", dialplan.Number{E164: "+49301234567", National: "0301234567", Abroad: "01149301234567"}},
		{"+1 604 801 1234", "US", dialplan.Number{E164: "+16048011234", National: "6048011234"}},
	} {
		n, err := dialplan.Parse(c.text, c.country)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, n, c.text)
	}
}

// SEED-26: what is not a number is refused with the reason.
func TestParse_Malformed_IsRefusedWithTheReason(t *testing.T) {
	t.Parallel()
	for text, sentence := range map[string]string{
		"":                   "is not a telephone number",
		"alice":              "is not a telephone number",
		"0800-FLOWERS":       "is not a telephone number",
		"+999123456":         "is not a telephone number",
		"04":                 "not a number that exists",
		"+49301234567890123": "too short or too long",
		"+10000000000":       "not a number that exists",
		"112":                "not a number that exists",
	} {
		_, err := dialplan.Parse(text, "DE")
		require.ErrorContains(t, err, sentence, text)
	}
	_, err := dialplan.Parse("041139735857", "")
	require.ErrorContains(t, err, "set tenant.country")
	require.True(t, dialplan.Country("DE"))
	require.False(t, dialplan.Country("de"))
	require.False(t, dialplan.Country("XX"))
}

// SEED-26: a number is reachable if a route leads one of its forms to a trunk with a host.
func TestReach_TriesTheFormsOfTheNumber(t *testing.T) {
	t.Parallel()
	n, err := dialplan.Parse("041139735857", "CN")
	require.NoError(t, err)
	plan := dialplan.Plan{Country: "CN", Trunks: []string{"alpha", "beta"}}
	for _, c := range []struct {
		routes []dialplan.Route
		want   dialplan.Way
	}{
		{[]dialplan.Route{{"0*", "alpha"}}, dialplan.Way{Dial: "041139735857", Trunk: "alpha"}},
		{[]dialplan.Route{{"0*", "alpha"}, {"0411*", "beta"}}, dialplan.Way{Dial: "041139735857", Trunk: "beta"}},
		{[]dialplan.Route{{"0*", "alpha"}, {"+*", "beta"}}, dialplan.Way{Dial: "+8641139735857", Trunk: "beta"}},
		{[]dialplan.Route{{"+8641139735857", "alpha"}, {"+*", "beta"}}, dialplan.Way{Dial: "+8641139735857", Trunk: "alpha"}},
		{[]dialplan.Route{{"+*", "gone"}, {"0*", "beta"}}, dialplan.Way{Dial: "041139735857", Trunk: "beta"}},
	} {
		plan.Routes = c.routes
		way, err := plan.Reach(n)
		require.NoError(t, err, c.routes)
		require.Equal(t, c.want, way)
	}
	abroad, err := dialplan.Parse("+41443332211", "CN")
	require.NoError(t, err)
	plan.Routes = []dialplan.Route{{"00*", "beta"}}
	way, err := plan.Reach(abroad)
	require.NoError(t, err)
	require.Equal(t, dialplan.Way{Dial: "0041443332211", Trunk: "beta"}, way)
}

// SEED-26: and if it is not, it says why.
func TestReach_NoWay_SaysWhy(t *testing.T) {
	t.Parallel()
	n, err := dialplan.Parse("041139735857", "CN")
	require.NoError(t, err)
	for _, c := range []struct {
		plan     dialplan.Plan
		sentence string
	}{
		{dialplan.Plan{}, "no trunk has a host to call out by"},
		{dialplan.Plan{Trunks: []string{"a", "b"}}, `no number such as "+8*" leads to one of the trunks a, b`},
		{dialplan.Plan{Country: "CN", Trunks: []string{"a", "b"}}, `no number such as "04*" leads to one of the trunks a, b`},
		{dialplan.Plan{Country: "CN", Trunks: []string{"a"}, Routes: []dialplan.Route{{"0*", "demo"}}}, `its route leads to trunk "demo", which has no host to call out by`},
		{dialplan.Plan{Country: "CN", Trunks: []string{"a"}, Inside: func(s string) bool { return s == "041139735857" }}, "041139735857 is a number of this tenant itself"},
	} {
		_, err := c.plan.Reach(n)
		require.ErrorContains(t, err, c.sentence)
	}
	way, err := dialplan.Plan{Trunks: []string{"only"}}.Reach(n)
	require.NoError(t, err)
	require.Equal(t, dialplan.Way{Dial: "+8641139735857", Trunk: "only"}, way)
}

// SEED-63: the caller's number as trunks tell it, whichever way they do.
func TestCaller_UnderstandsWhatTrunksSend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, country, want string }{
		{"+493012345601", "", "+493012345601"}, {"493012345601", "", "+493012345601"}, {"00493012345601", "", "+493012345601"},
		{"03012345601", "DE", "+493012345601"}, {"493012345601", "DE", "+493012345601"}, {"00493012345601", "DE", "+493012345601"},
		{"41446681800", "DE", "+41446681800"}, {"0041446681800", "DE", "+41446681800"}, {"2125552368", "US", "+12125552368"}, {"12125552368", "US", "+12125552368"},
		{"03012345601", "", ""}, {"1001", "DE", ""}, {"anonymous", "DE", ""}, {"", "DE", ""}, {"+49", "DE", ""}, {"00", "", ""},
	} {
		require.Equal(t, c.want, dialplan.Caller(c.text, c.country), "%q in %q", c.text, c.country)
	}
}

// SEED-47: what was dialled is priced by its international form, known to exist or not.
func TestInternational_OfWhatWasDialled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, country, want string }{
		{"0301234567", "DE", "+49301234567"}, {"+49 30 1234567", "", "+49301234567"}, {"0041441234567", "DE", "+41441234567"}, {"041139735857", "CN", "+8641139735857"},
		{"0493055501", "CN", "+86493055501"}, {"0301234567", "", ""}, {"110", "DE", ""}, {"911", "US", ""}, {"*21#", "DE", ""}, {"", "DE", ""}, {"anna", "DE", ""},
		{"+999123456", "", ""}, {"+4930123456789012345", "", ""}, {"2125552368", "US", "+12125552368"}, {"5552368", "US", ""},
	} {
		require.Equal(t, c.want, dialplan.International(c.text, c.country), "%q in %q", c.text, c.country)
	}
}
