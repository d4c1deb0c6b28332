package dialplan

import (
	"slices"
	"strings"
)

// selection is how callers in a country choose a carrier for one call: by a code before the
// number, which is then called at that carrier's price, whatever it is.
type selection struct {
	regions []string // ISO 3166-1 alpha-2
	calling string   // country code
	trunk   string   // what is dialled within the country before begins
	begins  string   // how all codes begin
	length  func(rest string) int
}

// selections are the countries where carriers are chosen by codes that nothing else begins
// with: 010xy and 0100yy (Bundesnetzagentur), 10xx (RTR), 10xxx (BAKOM), 101xxxx (NANPA).
var selections = []selection{
	{[]string{"DE"}, "+49", "0", "10", func(rest string) int {
		if strings.HasPrefix(rest, "0") {
			return 3
		}
		return 2
	}},
	{[]string{"AT"}, "+43", "", "10", func(string) int { return 2 }},
	{[]string{"CH"}, "+41", "", "10", func(string) int { return 3 }},
	{[]string{"US", "CA"}, "+1", "", "101", func(string) int { return 4 }},
}

// longestInternal is how many digits the number of a private branch exchange has at most
// where it may look like a code: no number outside is as short, code and all.
const longestInternal = 5

// dialled is a code as it is dialled within the country.
func (s selection) dialled(code string) string {
	return s.trunk + strings.TrimPrefix(code, s.calling)
}

// carrier recognises a number with the code of a carrier before it; code is in the
// international form, rest what follows as it was dialled.
func (l Limits) carrier(dialled string) (s selection, code, rest string, chosen bool) {
	if !written.MatchString(dialled) {
		return s, "", "", false
	}
	d := digits(dialled)
	abroad := ""
	switch {
	case strings.HasPrefix(strings.TrimSpace(dialled), "+"):
		abroad = "+" + d
	case strings.HasPrefix(d, "00"):
		abroad = "+" + d[2:]
	}
	for _, s := range selections {
		if abroad == "" && s.trunk == "" && len(d) <= longestInternal {
			continue // 1001 is a desk, and the code of a carrier only before a number
		}
		for _, begins := range []string{s.calling + s.begins, s.calling + s.trunk + s.begins} {
			number := abroad
			if abroad == "" && slices.Contains(s.regions, l.Country) {
				number, begins = d, s.trunk+s.begins
			}
			tail, found := strings.CutPrefix(number, begins)
			if n := s.length(tail); found && n <= len(tail) { // the beginning of a code is none
				return s, s.calling + s.begins + tail[:n], tail[n:], true
			}
		}
	}
	return s, "", "", false
}
