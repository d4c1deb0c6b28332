package dialplan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/dialplan"
)

const fine = ""

// attempt is a number that is dialled in Germany, and a word of why it is refused.
type attempt struct {
	allowed []string
	dialled string
	why     string
}

func (a attempt) check(t *testing.T) {
	t.Helper()
	why := dialplan.Limits{Country: "DE", Allowed: a.allowed}.Refuse(a.dialled)
	if a.why == fine {
		require.Empty(t, why, "%s with %v", a.dialled, a.allowed)
		return
	}
	require.Contains(t, why, a.why, "%s with %v", a.dialled, a.allowed)
}

func TestLimits_WhatMayBeDialled(t *testing.T) {
	t.Parallel()
	for _, a := range []attempt{
		{nil, "030 1234567", fine},
		{nil, "+43 1 58858", fine},
		{nil, "*21#", fine},
		{nil, "11880", fine},
		{nil, "0900 1 234567", "premium rate"},
		{nil, "0900 1 234567 99", "premium rate"}, // the network ignores what is too much
		{nil, "0049 900 1234567", "premium rate"},
		{nil, "001 900 555 1234", "premium rate"},
		{nil, "+979123456789", "premium rate"},
		{nil, "+881612345678", "satellite"},
		{nil, "00870773123456", "satellite"},
		{nil, "+8821612", "satellite"},
		{[]string{"+49"}, "030 1234567", fine},
		{[]string{"+49"}, "0049301234567", fine},
		{[]string{"+49"}, "493012345601", fine},
		{[]string{"+49"}, "123456", fine}, // within the own area
		{[]string{"+49"}, "+43158858", "only numbers that begin with +49"},
		{[]string{"+49"}, "0043 1 58858", "only numbers that begin with +49"},
		{[]string{"+49"}, "00252 1234567", "only numbers that begin with +49"},
		{[]string{"+49", "+43"}, "+41446681800", "only numbers that begin with +49 or +43"},
		{[]string{"+49", "+43"}, "+43158858", fine},
		{[]string{"+49"}, "*21#", "can't be understood"},
		{[]string{"+49"}, "09001234567", "premium rate"},
		{[]string{"+49", "+49900"}, "09001234567", fine},
		{[]string{"+49", "+4990"}, "09001234567", "premium rate"},
		{[]string{"+"}, "+41446681800", fine},
		{[]string{"+"}, "09001234567", "premium rate"},
		{[]string{"+", "+49900", "+8816"}, "09001234567", fine},
		{[]string{"+", "+49900", "+8816"}, "+881612345678", fine},
		{[]string{"+", "+881"}, "+870773123456", "satellite"},
		{[]string{"+43"}, "112", fine}, // who calls for help is never refused
		{[]string{"+43"}, "110", fine},
		{[]string{"+43"}, "112#", fine},
		{[]string{"+43"}, "112/x09001234567", "premium rate"}, // more than a call for help
		{[]string{"+43"}, "x112", "can't be understood"},
		{nil, "09001234567#", "premium rate"}, // # is how many end a number; networks drop it
		{nil, "+499001234567#", "premium rate"},
		{nil, "*31#09001234567", "premium rate"}, // the number is not shown, and is called
		{nil, "*21*09001234567#", "premium rate"},
		{nil, "09001234567*1", "premium rate"},
		{nil, "0900a1234567", "premium rate"},
		{nil, "00881612345678#", "satellite"},
		{nil, "*31#030 1234567", fine},
		{nil, "0301234567#", fine},
		{nil, "*100#", fine},
		{[]string{"+", "+49900"}, "09001234567#", "can't be understood"},
	} {
		a.check(t)
	}
	require.Contains(t, dialplan.Limits{Country: "US"}.Refuse("*6719005551234"), "premium rate", "*67 is a service code without a mark behind it")
	for dialled, why := range map[string]string{"+493012345601": fine, "00493012345601": fine, "112": fine, "911": fine, "03012345601": "can't be understood", "+41446681800": "only numbers"} {
		got := dialplan.Limits{Allowed: []string{"+49"}}.Refuse(dialled)
		require.Equal(t, why == fine, got == "", "%s without a country: %s", dialled, got)
		require.Contains(t, got, why)
	}
}

func TestLimits_CodesThatChooseAnotherCarrier(t *testing.T) {
	t.Parallel()
	for _, a := range []attempt{
		{nil, "01013 09001234567", "call-by-call"}, // through another carrier, at its price
		{nil, "01013 030 1234567", "call-by-call"},
		{nil, "010012 030 1234567", "call-by-call"},
		{nil, "01013", "call-by-call"},
		{nil, "01013 0049 900 1234567 8901", "call-by-call"}, // too long for a number
		{nil, "+49 10 13 0301234567", "call-by-call"},
		{nil, "+49 (0)1013 0301234567", "call-by-call"},
		{nil, "00491013 0301234567", "call-by-call"},
		{nil, "*31#010130301234567", "call-by-call"},
		{nil, "010130301234567#", "call-by-call"},
		{nil, "01013x0301234567", "call-by-call"},
		{nil, "010/13/030/1234567", "call-by-call"},
		{[]string{"+"}, "01013 030 1234567", "call-by-call"},
		{[]string{"+49"}, "01013 030 1234567", "call-by-call"},
		{[]string{"+49", "+491013"}, "01013 030 1234567", fine},
		{[]string{"+49", "+491013"}, "010130301234567#", "can't be understood"},
		{[]string{"+49", "+491013"}, "01033 030 1234567", "call-by-call"},
		{[]string{"+49", "+4910"}, "010012 030 1234567", fine},
		{[]string{"+49", "+4910"}, "01013 09001234567", "premium rate"},
		{[]string{"+49", "+4910"}, "01013 0049 900 1234567 8901", "premium rate"},
		{[]string{"+49", "+4910"}, "01013 0043 1 58858", "only numbers that begin with +49"},
		{[]string{"+49", "+4910"}, "01013 01033 030 1234567", fine},
		{[]string{"+49", "+491013"}, "01013 01033 030 1234567", "call-by-call"},
		{nil, "+12125550123", fine},
		{nil, "+4315885810", fine},
		{nil, "0151 01012345", fine},
		{nil, "0310 123456", fine},
	} {
		a.check(t)
	}
	for country, dialled := range map[string]string{"US": "1010288 1 900 555 1234", "AT": "1002 0900 123456", "CH": "10700 0900 123456"} {
		require.Contains(t, dialplan.Limits{Country: country}.Refuse(dialled), "call-by-call", country)
	}
	for _, c := range [][2]string{{"AT", "100"}, {"AT", "1001"}, {"AT", "10012"}, {"CH", "101"}, {"CH", "1001"}, {"CH", "10700"}, {"US", "101"}, {"US", "10100"},
		{"DE", "010"}, {"DE", "1001"}, {"DE", "10130"}, {"AT", "133"}, {"CH", "117"}, {"US", "911"}, {"DE", "110"}, {"DE", "112"}, {"AT", "112"}, {"CH", "1414"}} {
		require.Empty(t, dialplan.Limits{Country: c[0]}.Refuse(c[1]), "a desk behind a private branch exchange, or help: %v", c)
	}
	require.Contains(t, dialplan.Limits{Country: "AT"}.Refuse("1002#0900123456"), "premium rate")
	require.Contains(t, dialplan.Limits{}.Refuse("00491013030123456"), "call-by-call")
	require.Contains(t, dialplan.Limits{Country: "FR"}.Refuse("+491013030123456"), "call-by-call")
	require.Empty(t, dialplan.Limits{Country: "GB"}.Refuse("01013 123456"))
}

func TestLimits_APrefix_IsDigitsWithAPlus(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{"+": true, "+49": true, "+4989": true, "49": false, "0049": false, "+0": false, "+49 30": false, "": false, "+1234567890123456": false} {
		require.Equal(t, ok, dialplan.Prefix(text), text)
	}
}

// A number inside is the same however it is written: who calls it from outside would come back.
func TestReach_ANumberOfTheTenantItself_IsNone(t *testing.T) {
	t.Parallel()
	n, err := dialplan.Parse("+49 30 12345601", "")
	require.NoError(t, err)
	for own, country := range map[string]string{"493012345601": "", "+493012345601": "", "03012345601": "DE", "00493012345601": "US", "01149301234561": "DE"} {
		plan := dialplan.Plan{Country: country, Trunks: []string{"a"}, Inside: dialplan.Inside([]string{"8000", own}, country)}
		_, err := plan.Reach(n)
		if own == "01149301234561" || own == "00493012345601" {
			require.NoError(t, err, "another number, or none there")
			continue
		}
		require.ErrorContains(t, err, "is a number of this tenant itself: a call to it would come back", own)
	}
}

// What may not be dialled can't be reached.
func TestReach_KeepsToTheLimits(t *testing.T) {
	t.Parallel()
	n, err := dialplan.Parse("+49 900 1234567", "")
	require.NoError(t, err)
	_, err = dialplan.Plan{Trunks: []string{"a"}}.Reach(n)
	require.ErrorContains(t, err, "premium rate")
	_, err = dialplan.Plan{Trunks: []string{"a"}, Allowed: []string{"+49900"}}.Reach(n)
	require.NoError(t, err)
}
