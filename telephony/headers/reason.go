package headers

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Reason tells why a leg was ended or cancelled (RFC 3326).
type Reason struct {
	// Protocol is SIP (Cause is a status code) or Q.850 (Cause is a cause value).
	Protocol string `json:"protocol"`
	// Cause is the number, 0 when none was given.
	Cause int `json:"cause"`
	// Text is for people, may be empty.
	Text string `json:"text,omitempty"`
}

// AnsweredElsewhere goes into the CANCEL of addresses that lost: phones then show no missed call.
var AnsweredElsewhere = Reason{Protocol: "SIP", Cause: 200, Text: "Call completed elsewhere"}

// String is the header's value.
func (r Reason) String() string {
	s := fmt.Sprintf("%s;cause=%d", r.Protocol, r.Cause)
	if text := DisplayName(r.Text); text != "" {
		s += `;text="` + text + `"`
	}
	return s
}

// Header is the Reason header.
func (r Reason) Header() sip.Header { return sip.NewHeader("Reason", r.String()) }

// Reasons reads all Reason values of a message; what has no protocol is left out.
func Reasons(m sip.Message) []Reason {
	var out []Reason
	for _, v := range List(m, "Reason") {
		parts := split(v, ';')
		protocol := strings.TrimSpace(parts[0])
		if !isToken(protocol) {
			continue
		}
		p := params(parts[1:])
		cause, _ := strconv.Atoi(p["cause"]) // none or nonsense counts as 0
		out = append(out, Reason{Protocol: protocol, Cause: cause, Text: p["text"]})
	}
	return out
}

// IsAnsweredElsewhere reports that a CANCEL says the call was answered by another phone.
func IsAnsweredElsewhere(cancel sip.Message) bool {
	for _, r := range Reasons(cancel) {
		if strings.EqualFold(r.Protocol, "SIP") && r.Cause == sip.StatusOK {
			return true
		}
	}
	return false
}
