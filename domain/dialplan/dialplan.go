// Package dialplan understands telephone numbers as people write them: in the national
// form of a tenant's country or in the international one (E.164), and says by which
// trunk and in which form a number can be dialled.
package dialplan

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Country reports whether code is a country of telephony, as ISO 3166-1 alpha-2: "DE".
func Country(code string) bool { return phonenumbers.GetSupportedRegions()[code] }

// Number is a valid telephone number.
type Number struct {
	E164     string // +8641139735857
	National string // as it is dialled within its country: 041139735857
	Abroad   string // as it is dialled from the tenant's country, if that is another one: 008641139735857
}

// mostDigits is how many digits a number has at most, the country code among them (E.164 §6.2.1).
const mostDigits = 15

// written is what a number may look like: digits and the usual signs between them.
var written = regexp.MustCompile(`^\+?[0-9 ()/.-]+$`)

// Parse reads a number that was written in a country (ISO 3166-1 alpha-2), or, with + in
// front, anywhere. The error is a sentence for whoever wrote it. An empty country takes
// the international form only.
func Parse(text, country string) (Number, error) {
	text = strings.TrimSpace(text)
	if !written.MatchString(text) {
		return Number{}, fmt.Errorf("%q is not a telephone number", text)
	}
	if country == "" && !strings.HasPrefix(text, "+") {
		return Number{}, fmt.Errorf("%q can't be understood without the tenant's country: write it with + and the country code, or set tenant.country", text)
	}
	n, err := phonenumbers.Parse(text, country)
	if err != nil {
		return Number{}, fmt.Errorf("%q is not a telephone number: %w", text, err)
	}
	if !phonenumbers.IsPossibleNumber(n) || len(phonenumbers.Format(n, phonenumbers.E164)) > 1+mostDigits {
		return Number{}, fmt.Errorf("%q is too short or too long for a telephone number (E.164)", text)
	}
	if !phonenumbers.IsValidNumber(n) {
		return Number{}, fmt.Errorf("%q, which is %s, is not a number that exists in its country", text, phonenumbers.Format(n, phonenumbers.E164))
	}
	out := Number{E164: phonenumbers.Format(n, phonenumbers.E164), National: digits(phonenumbers.Format(n, phonenumbers.NATIONAL))}
	if country != "" && !sameCountry(n, country) {
		out.Abroad = digits(phonenumbers.FormatOutOfCountryCallingNumber(n, country))
	}
	return out, nil
}

// sameCountry also holds for countries that share a code, such as +1.
func sameCountry(n *phonenumbers.PhoneNumber, country string) bool {
	return int(n.GetCountryCode()) == phonenumbers.GetCountryCodeForRegion(country)
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '*' || r == '#' {
			return r
		}
		return -1
	}, s)
}

// forms are the ways to dial the number from a country, the clearest first.
func (n Number) forms(country string) []string {
	list := []string{n.E164}
	switch {
	case n.Abroad != "":
		list = append(list, n.Abroad)
	case country != "":
		list = append(list, n.National)
	}
	return list
}

// Plan is what a tenant knows of the way out.
type Plan struct {
	Country string            // of the tenant, may be empty
	Routes  []Route           // numbers that lead to trunks
	Trunks  []string          // those that can be dialled by: they have a host
	Inside  func(string) bool // reports a number that leads to somebody inside; nil: none does
	Allowed []string          // as in Limits
}

// Route leads a number, or all that begin so if it ends in "*", to a trunk.
type Route struct{ Number, Trunk string }

// Way is how a number is dialled.
type Way struct {
	Dial  string // the number as the trunk gets it
	Trunk string
}

// Reach finds the way by which a number can be dialled: in the first of its forms (E.164,
// then as it is dialled from the tenant's country) that a route leads to a trunk with a
// host; or, if no route says anything, by the only trunk that has one. The error is a
// sentence that says why there is none (SEED-26).
func (p Plan) Reach(n Number) (Way, error) {
	if why := (Limits{p.Country, p.Allowed}).Refuse(n.E164); why != "" {
		return Way{}, errors.New(why)
	}
	var dead string
	for _, dial := range n.forms(p.Country) {
		if p.Inside != nil && p.Inside(dial) {
			return Way{}, fmt.Errorf("%s is a number of this tenant itself: a call to it would come back", dial)
		}
		trunk, found := p.route(dial)
		switch {
		case !found:
		case slices.Contains(p.Trunks, trunk):
			return Way{Dial: dial, Trunk: trunk}, nil
		case dead == "":
			dead = trunk
		}
	}
	switch {
	case dead != "":
		return Way{}, fmt.Errorf("%s can't be reached: its route leads to trunk %q, which has no host to call out by", n.E164, dead)
	case len(p.Trunks) == 1:
		return Way{Dial: n.E164, Trunk: p.Trunks[0]}, nil
	case len(p.Trunks) == 0:
		return Way{}, fmt.Errorf("%s can't be reached: no trunk has a host to call out by", n.E164)
	}
	return Way{}, fmt.Errorf("%s can't be reached: no number such as %q leads to one of the trunks %s", n.E164, n.forms(p.Country)[len(n.forms(p.Country))-1][:2]+"*", strings.Join(p.Trunks, ", "))
}

// route is the trunk that a dialled number leads to: the number itself, else the longest prefix.
func (p Plan) route(dial string) (trunk string, found bool) {
	best := -1
	for _, r := range p.Routes {
		prefix, open := strings.CutSuffix(r.Number, "*")
		switch {
		case r.Number == dial:
			return r.Trunk, true
		case open && strings.HasPrefix(dial, prefix) && len(prefix) > best:
			best, trunk = len(prefix), r.Trunk
		}
	}
	return trunk, best >= 0
}

// Caller is the number of an outside party as a trunk tells it, E.164: international with
// +, with 00 or without either, or national where there is a country. Empty if it is none
// that exists, such as an extension or a withheld number.
func Caller(text, country string) string {
	text = strings.TrimSpace(text)
	if !written.MatchString(text) {
		return ""
	}
	bare := digits(text)
	if strings.HasPrefix(text, "+") {
		n, _ := Parse(text, "")
		return n.E164
	}
	if country == "" {
		n, _ := Parse("+"+strings.TrimPrefix(bare, "00"), "")
		return n.E164
	}
	// What isn't written as it is dialled in the country, is rather international without +.
	inside, err := Parse(text, country)
	if err == nil && slices.Contains(inside.forms(country), bare) {
		return inside.E164
	}
	if n, err := Parse("+"+bare, ""); err == nil {
		return n.E164
	}
	return inside.E164
}

// International is the E.164 form of a number as somebody in a country dialled it; empty if
// it has none, such as 110. Unlike Parse and Caller it takes numbers that
// nobody knows to exist: whoever reached one pays for it.
func International(text, country string) string {
	text = strings.TrimSpace(text)
	if !written.MatchString(text) || country == "" && !strings.HasPrefix(text, "+") {
		return ""
	}
	n, err := phonenumbers.Parse(text, country)
	if err != nil || phonenumbers.IsPossibleNumberWithReason(n) != phonenumbers.IS_POSSIBLE {
		return ""
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	if len(e164) > 1+mostDigits {
		return ""
	}
	return e164
}
