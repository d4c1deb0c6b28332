package dialplan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Limits say which numbers outside a tenant lets be dialled.
type Limits struct {
	Country string // of the tenant, may be empty
	// Allowed are the beginnings of numbers in the international form that may be
	// dialled: "+49"; "+" is any. None: any, too.
	Allowed []string
}

var prefixForm = regexp.MustCompile(`^\+([1-9][0-9]{0,14})?$`)

// Prefix reports whether text can stand in Limits.Allowed.
func Prefix(text string) bool { return prefixForm.MatchString(text) }

// longerThanCountry is how many digits an allowed beginning must have behind the country
// code to name a range of premium rate numbers: "+49900". "+49" means ordinary numbers.
const longerThanCountry = 3

// beyond are the country codes of networks that belong to no country (ITU-T E.164.D):
// satellites, and others that share codes. They are where stolen calls go.
var beyond = []int{870, 878, 881, 882, 883}

// Refuse says why a number may not be dialled from the tenant's country; empty: it may.
// Numbers at premium rate and of satellites, and codes that choose another carrier, need to
// be allowed by a beginning of their own; calls for help are never refused. What can't be understood, such as a service
// code, may be dialled if nothing is excluded, or as a number of the own country.
func (l Limits) Refuse(dialled string) string {
	dialled = strings.TrimSpace(dialled)
	if l.help(dialled) {
		return ""
	}
	if why, chosen := l.byCarrier(dialled); chosen {
		return why
	}
	n, ok := l.understand(dialled)
	if !ok {
		for _, part := range within(dialled) {
			if why, chosen := l.byCarrier(part); chosen && why != "" {
				return why
			}
			if n, ok := l.understand(part); ok {
				if why := l.dear(n); why != "" {
					return why
				}
			}
		}
		if len(l.Allowed) == 0 {
			return ""
		}
		return fmt.Sprintf("%q can't be understood, and %s", dialled, l.sentence())
	}
	if why := l.dear(n); why != "" {
		return why
	}
	if e164 := phonenumbers.Format(n, phonenumbers.E164); len(l.Allowed) > 0 && !l.named(e164, 1) {
		return e164 + " may not be dialled: " + l.sentence()
	}
	return ""
}

// byCarrier says why a number may not be dialled by way of a carrier that is chosen call by
// call, and whether it would be. The carrier needs to be allowed by a beginning of its own,
// and the number that follows is one like any other.
func (l Limits) byCarrier(dialled string) (why string, chosen bool) {
	s, code, rest, chosen := l.carrier(dialled)
	switch least := s.calling + s.begins; {
	case !chosen:
		return "", false
	case !l.named(code, len(least)):
		return fmt.Sprintf("%s chooses another carrier for one call (call-by-call), at its price: it has to be allowed by its own prefix, such as %s", s.dialled(code), least), true
	case rest == "":
		return "", true
	}
	return l.Refuse(rest), true
}

// dear says why a number may not be dialled that costs more than others.
func (l Limits) dear(n *phonenumbers.PhoneNumber) string {
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	country := len(fmt.Sprint(n.GetCountryCode())) + 1
	switch {
	case slices.Contains(beyond, int(n.GetCountryCode())) && !l.named(e164, country):
		return fmt.Sprintf("%s is a number of a satellite, or of another network without a country: it has to be allowed by its own prefix, such as %s", e164, e164[:country])
	case n.GetCountryCode() == 979 && !l.named(e164, country), premium(n) && !l.named(e164, country+longerThanCountry) && n.GetCountryCode() != 979:
		return fmt.Sprintf("%s is a premium rate number: it has to be allowed by its own prefix, such as %s", e164, e164[:min(len(e164), country+longerThanCountry)])
	}
	return ""
}

// named reports an allowed beginning of a number, of that length at least.
func (l Limits) named(e164 string, length int) bool {
	return slices.ContainsFunc(l.Allowed, func(p string) bool { return len(p) >= length && strings.HasPrefix(e164, p) })
}

// serviceCode is how many digits a service code has that a number follows without a mark
// between them: *67 in North America.
const serviceCode = 2

// within are the numbers that a network may find in what is no number as a whole: before #,
// which many dial at the end, behind a service code (*31#, *67), or with all else left out.
func within(dialled string) []string {
	list := strings.FieldsFunc(dialled, func(r rune) bool { return !strings.ContainsRune("+0123456789 ()/.-", r) })
	for _, part := range slices.Clone(list) {
		if len(part) > serviceCode && !strings.HasPrefix(dialled, part) { // which is no service code
			list = append(list, part[serviceCode:])
		}
	}
	return append(list, strings.NewReplacer("*", "", "#", "").Replace(digits(dialled)))
}

func (l Limits) sentence() string {
	return "only numbers that begin with " + strings.Join(l.Allowed, " or ") + " may be dialled"
}

// help reports a number by which help is called: its digits and nothing else, but for the #
// that many dial at the end.
func (l Limits) help(dialled string) bool {
	dialled = strings.TrimSuffix(dialled, "#")
	if dialled == "" || strings.Trim(dialled, "0123456789") != "" {
		return false
	}
	return dialled == "112" || dialled == "911" && l.Country == "" || phonenumbers.IsEmergencyNumber(dialled, l.Country)
}

// understand reads what is dialled, whether or not such a number exists.
func (l Limits) understand(dialled string) (*phonenumbers.PhoneNumber, bool) {
	if !written.MatchString(dialled) {
		return nil, false
	}
	if known := Caller(dialled, l.Country); known != "" {
		dialled = known // also without + in front
	}
	if l.Country == "" && !strings.HasPrefix(dialled, "+") {
		dialled = "+" + strings.TrimPrefix(digits(dialled), "00")
	}
	n, err := phonenumbers.Parse(dialled, l.Country)
	return n, err == nil
}

// premium reports a number at premium rate, also with digits too many: networks ignore those.
func premium(n *phonenumbers.PhoneNumber) bool {
	const shortest = 6
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	for len(e164) > shortest {
		switch phonenumbers.GetNumberType(n) {
		case phonenumbers.PREMIUM_RATE:
			return true
		case phonenumbers.UNKNOWN:
		default:
			return false
		}
		e164 = e164[:len(e164)-1]
		var err error
		if n, err = phonenumbers.Parse(e164, ""); err != nil {
			return false
		}
	}
	return false
}

// Inside reports the numbers of a list, in whatever form they are written there; in the
// international form it reports any.
func Inside(list []string, country string) func(string) bool {
	own := map[string]bool{}
	for _, number := range list {
		own[number] = true
		if e164 := Caller(number, country); e164 != "" {
			own[e164] = true
		}
	}
	return func(number string) bool { return own[number] }
}
