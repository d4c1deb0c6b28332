package headers

import (
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/stretchr/testify/require"
)

// invite is an INVITE with further header lines.
func invite(t testing.TB, lines ...string) *sip.Request {
	t.Helper()
	all := append([]string{"INVITE sip:+49-30-123@demo.localhost;user=phone SIP/2.0", "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1",
		"To: <sip:8000@demo.localhost>", "Call-ID: c", "CSeq: 1 INVITE"}, lines...)
	if !strings.Contains(strings.Join(lines, "\n"), "From:") {
		all = append(all, `From: "Anna" <sip:anna@10.0.0.9>;tag=a`)
	}
	m, err := sip.ParseMessage([]byte(strings.Join(all, "\r\n") + "\r\n\r\n"))
	require.NoError(t, err)
	return m.(*sip.Request)
}

func TestNew_WhatWouldBreakOutOfTheHeader_IsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, value string }{
		{"X-A", "v\r\nX-Evil: 1"}, {"X-A", "v\n"}, {"X-A", "a\rb"}, {"X-A", "a\x00b"}, {"X-A", "a\x7fb"}, {"X-A", "\xff"},
		{"X-A", strings.Repeat("a", 1025)}, {"X A", "v"}, {"X-A:", "v"}, {"", "v"}, {"X\r\n", "v"},
		{"Via", "v"}, {"ROUTE", "v"}, {"l", "5"}, {"Contact", "v"}, {"Replaces", "v"},
	} {
		_, err := New(test.name, test.value)
		require.ErrorIs(t, err, ErrUnsafe, "%q: %q", test.name, test.value)
	}
	h, err := New("X-ok", "Grüße,\t\"1\"")
	require.NoError(t, err)
	require.Equal(t, "X-ok: Grüße,\t\"1\"", h.String())
}

func TestDisplayName_StaysWithinItsQuotes(t *testing.T) {
	t.Parallel()
	require.Equal(t, `A \"B\" \\C`, DisplayName("A \"B\"\r\n \\C"))
	require.LessOrEqual(t, len(DisplayName(strings.Repeat("ü\\", 100))), 128)
	require.Equal(t, `A \"B\" \\C`, EchoName(`A \"B\" \\C`))
	require.Equal(t, `a\\`, EchoName(`a\`), "an unquoted name with a backslash at its end")
	from := &sip.FromHeader{DisplayName: DisplayName(`x" <sip:evil@h>;tag=1, "`), Address: sip.Uri{Scheme: "sip", Host: "h"}}
	m := invite(t, "From: "+from.Value())
	require.Equal(t, "h", m.From().Address.Host)
	require.Empty(t, m.From().Address.User)
}

func TestLists_AreReadOverLinesWithoutCase(t *testing.T) {
	t.Parallel()
	m := invite(t, "Supported: timer, 100rel", "SUPPORTED: Replaces,,", "X-One:  a ")
	require.Equal(t, []string{"timer", "100rel", "Replaces"}, List(m, "supported"))
	require.True(t, Has(m, "Supported", "replaces"))
	require.False(t, Has(m, "Supported", "time"))
	require.Equal(t, "a", Value(m, "x-one"))
	Remove(m, "supported")
	require.Empty(t, List(m, "Supported"))
	require.Equal(t, "a", Value(m, "X-One"))
}

func TestReason_IsReadAndWritten(t *testing.T) {
	t.Parallel()
	require.Equal(t, `SIP;cause=200;text="Call completed elsewhere"`, AnsweredElsewhere.Header().Value())
	m := invite(t, `Reason: Q.850 ;cause=16 ; text="Normal; \"clearing\", ok", SIP;cause=x`, "Reason: , ;cause=1")
	require.Equal(t, []Reason{{"Q.850", 16, `Normal; "clearing", ok`}, {"SIP", 0, ""}}, Reasons(m))
	require.False(t, IsAnsweredElsewhere(m))
	require.True(t, IsAnsweredElsewhere(invite(t, "Reason: "+AnsweredElsewhere.String())))
	require.Equal(t, `SIP;cause=5;text="a\"b"`, Reason{"SIP", 5, "a\"\r\nb"}.String())
}

func TestCaller_AssertedOnlyFromATrustedSource(t *testing.T) {
	t.Parallel()
	pai := `P-Asserted-Identity: "Berta" <sip:+4930123@carrier.test>, <tel:+49-40-9>`
	require.Equal(t, Party{Number: "anna", Name: "Anna", Host: "10.0.0.9"}, Caller(invite(t, pai), false))
	require.Equal(t, Party{Number: "+4930123", Name: "Berta", Host: "carrier.test", Asserted: true}, Caller(invite(t, pai), true))
	require.Equal(t, Party{Number: "+49409", Name: "Anna", Asserted: true}, Caller(invite(t, "P-Asserted-Identity: <urn:x>", "P-Asserted-Identity: <tel:+49(40)9;ext=1>"), true))
	require.Equal(t, "anna", Caller(invite(t, "P-Asserted-Identity: <sip:broken"), true).Number)
}

func TestCaller_WhoHidesIsAnonymous(t *testing.T) {
	t.Parallel()
	hidden := Caller(invite(t, `From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=a`), false)
	require.True(t, hidden.Anonymous)
	require.Empty(t, hidden.Number)
	known := Caller(invite(t, `From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=a`, "Privacy: id;critical", "P-Asserted-Identity: <sip:+4930123@c>"), true)
	require.True(t, known.Anonymous)
	require.Equal(t, "+4930123", known.Number)
	require.False(t, Caller(invite(t, "Privacy: none"), false).Anonymous)
}

func TestCalled_NumbersLoseSeparatorsNamesDoNot(t *testing.T) {
	t.Parallel()
	require.Equal(t, "+4930123", Called(invite(t)).Number)
	for user, want := range map[string]string{
		"anna.b-c": "anna.b-c", "1.2": "12", "%2B491": "+491", "*21#": "*21#", "+49301;npdi;rn=5": "+49301", "a%0D%0Ab": "", "x%zz": "x%zz",
	} {
		require.Equal(t, want, number(&sip.Uri{Scheme: "sip", User: user, Host: "h"}), user)
	}
}

func TestMask_HidesTheMiddle(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "1001": "1001", "12345": "12345", "123456": "123*56", "+4930123456": "+49******56"} {
		require.Equal(t, want, Mask(in))
	}
}

func TestAttached_AllWaysIn(t *testing.T) {
	t.Parallel()
	text := `{"order":"A 1","vip":true,"n":7}`
	for name, test := range map[string]struct {
		line string
		want map[string]string
	}{
		"single headers": {"X-CC-Customer-ID: 42\r\nx-cc-Note: a%20b", map[string]string{"customer_id": "42", "note": "a b"}},
		"whole":          {"X-CC-Data: %7B%22order%22%3A%22A%201%22%7D", map[string]string{"order": "A 1"}},
		"uui hex json":   {"User-to-User: " + hex.EncodeToString([]byte(text)) + ";encoding=hex;purpose=isdn-uui", map[string]string{"order": "A 1", "vip": "true", "n": "7"}},
		"uui pairs":      {`User-to-User: "k=v%201;l=2"`, map[string]string{"k": "v 1", "l": "2"}},
		"uui text":       {`User-to-User: hello`, map[string]string{"user_to_user": "hello"}},
		"uui q.931":      {"User-to-User: 04" + hex.EncodeToString([]byte("abc=1")) + ";encoding=HEX", map[string]string{"abc": "1"}},
		"uui broken":     {"User-to-User: xyz;encoding=hex", map[string]string{}},
		"uui binary":     {"User-to-User: ff00ff;encoding=hex", map[string]string{"user_to_user": "ff00ff"}},
		"ours":           {"X-CC-Call-ID: 1\r\nX-CC-Queue: vip\r\nX-CC-Data: {broken", map[string]string{}},
		"first wins":     {"X-CC-A: 1\r\nX-CC-A: 2\r\nUser-to-User: a=3", map[string]string{"a": "1"}},
	} {
		got, dropped := Attached(invite(t, test.line))
		require.Equal(t, test.want, got, name)
		require.Zero(t, dropped, name)
	}
}

func TestAttached_TenPairsAtMostAndOnlyCleanOnes(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 12 {
		lines = append(lines, fmt.Sprintf("X-CC-K%d: %d", i, i))
	}
	got, dropped := Attached(invite(t, lines...))
	require.Len(t, got, MaxPairs)
	require.Equal(t, 2, dropped)
	got, dropped = Attached(invite(t, "X-CC-A: a%0D%0Ab", "X-CC-B!: 1", "X-CC-C: "+strings.Repeat("x", 257), "X-CC-"+strings.Repeat("k", 65)+": 1"))
	require.Empty(t, got)
	require.Equal(t, 4, dropped)
}

func TestAttachedHeaders_ComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	data := map[string]string{"name": "Åse \"x\", y; 100%", "order_id": "7", "empty": ""}
	hs, err := AttachedHeaders(data)
	require.NoError(t, err)
	require.Len(t, hs, 2)
	for _, h := range hs {
		got, dropped := Attached(invite(t, h.String()))
		require.Equal(t, data, got, h.String())
		require.Zero(t, dropped)
	}
	hs, err = AttachedHeaders(nil)
	require.NoError(t, err)
	require.Empty(t, hs)
	_, err = AttachedHeaders(map[string]string{"a": "x\r\ny"})
	require.ErrorIs(t, err, ErrUnsafe)
	_, err = AttachedHeaders(map[string]string{"Bad Key": "x"})
	require.ErrorIs(t, err, ErrUnsafe)
	many := map[string]string{}
	for i := range 11 {
		many[fmt.Sprint("k", i)] = ""
	}
	_, err = AttachedHeaders(many)
	require.ErrorIs(t, err, ErrUnsafe)
}

func FuzzAttached(f *testing.F) {
	f.Add("A", "1", `7b2261223a2262227d;encoding=hex`)
	f.Add("Data", "%7B%22a%22%3A%22%0D%0A%22%7D", "a=b;c=d")
	f.Add("x", "\x01", `"a\"`)
	f.Fuzz(func(t *testing.T, key, value, uui string) {
		m, err := sip.ParseMessage([]byte("INVITE sip:a@b SIP/2.0\r\nX-CC-" + key + ": " + value + "\r\nUser-to-User: " + uui + "\r\n\r\n"))
		req, ok := m.(*sip.Request)
		if err != nil || !ok {
			return
		}
		data, _ := Attached(req)
		hs, err := AttachedHeaders(data)
		require.NoError(t, err, "what came in can go out")
		if len(hs) == 0 {
			return
		}
		again := sip.NewRequest(sip.INVITE, sip.Uri{Host: "x"})
		again.AppendHeader(hs[0])
		back, dropped := Attached(again)
		require.Zero(t, dropped)
		require.True(t, maps.Equal(data, back), "%q %q", data, back)
	})
}

func FuzzReasons(f *testing.F) {
	f.Add(`SIP;cause=200;text="a"`)
	f.Add(`;;,"`)
	f.Fuzz(func(t *testing.T, value string) {
		req := sip.NewRequest(sip.BYE, sip.Uri{Host: "x"})
		req.AppendHeader(sip.NewHeader("Reason", value))
		for _, r := range Reasons(req) {
			require.NoError(t, Clean(DisplayName(r.Text)))
			require.True(t, isToken(r.Protocol))
		}
	})
}
