// Package registrar keeps who is reachable where: the bindings of REGISTER (RFC 3261 §10.3, RFC 5626 instances, RFC 3327
// paths). The rules are a pure function over the bindings of one address of record; Registrar holds the bindings of this
// process in memory, writes each change to a Store before it takes effect, expires them by deadline and tells of every
// change. Whether the sender may register at all is decided before, by whoever checks its credentials.
package registrar

import (
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/transaction"
)

// Binding is one contact of an address of record. It survives JSON.
type Binding struct {
	// AOR is user@domain, see AOR.
	AOR string `json:"aor"`
	// Contact is the URI to put into the Request-URI, as the phone gave it.
	Contact string `json:"contact"`
	// Instance and RegID name a device and its flow (RFC 5626); Instance is empty for phones without.
	Instance string `json:"instance,omitempty"`
	RegID    int    `json:"reg_id,omitempty"`
	// Q is the preference in thousandths, 1000 by default.
	Q int `json:"q"`
	// CallID and CSeq are those of the latest REGISTER.
	CallID string `json:"call_id"`
	CSeq   uint32 `json:"cseq"`
	// Flow is where the REGISTER came from, and where requests go; Node is the node that owns it.
	Flow transaction.Flow `json:"flow"`
	Node string           `json:"node"`
	// NAT says that the contact's address is not the one the REGISTER came from: on UDP the flow needs keep-alives.
	NAT bool `json:"nat,omitempty"`
	// Path are the URIs of proxies on the way, nearest first, for Route.
	Path []string `json:"path,omitempty"`
	// UserAgent is what the phone calls itself.
	UserAgent    string    `json:"user_agent,omitempty"`
	RegisteredAt time.Time `json:"registered_at"`
	RefreshedAt  time.Time `json:"refreshed_at"`
	ExpiresAt    time.Time `json:"expires_at"`
}

// Key tells bindings of one AOR apart: the device's instance and reg-id if it has one, else the contact (RFC 3261
// §19.1.4, reduced to scheme, user, host, port and transport). A phone that restarts on another port replaces itself.
func (b *Binding) Key() string {
	if b.Instance != "" {
		return b.Instance + "|" + strconv.Itoa(b.RegID)
	}
	var u sip.Uri
	if sip.ParseUri(b.Contact, &u) != nil {
		return b.Contact
	}
	transport := strings.ToLower(u.UriParams.GetOr("transport", ""))
	return strings.Join([]string{u.Scheme, u.User, strings.ToLower(u.Host), strconv.Itoa(u.Port), transport}, "|")
}

// header is the binding as a 200's Contact.
func (b *Binding) header(now time.Time) sip.Header {
	c := &sip.ContactHeader{}
	if sip.ParseUri(b.Contact, &c.Address) != nil {
		c.Address = sip.Uri{Scheme: "sip", Host: "invalid"} // only if a store spoiled it
	}
	left := max(0, int(b.ExpiresAt.Sub(now).Round(time.Second)/time.Second))
	c.Params.Add("expires", strconv.Itoa(left))
	if b.Q != 1000 {
		c.Params.Add("q", strconv.FormatFloat(float64(b.Q)/1000, 'f', -1, 64))
	}
	value := c.Value()
	if b.Instance != "" {
		value += `;+sip.instance="<` + b.Instance + `>"`
		if b.RegID > 0 {
			value += ";reg-id=" + strconv.Itoa(b.RegID)
		}
	}
	return sip.NewHeader("Contact", value)
}

// AOR is the address of record that a URI names: user@domain, escapes of the user taken off, the domain in lower case,
// no port or parameters (RFC 3261 §10.3, step 5). Empty if it has no user or host, or characters that no name has.
func AOR(uri sip.Uri) string {
	user := uri.User
	if plain, err := url.PathUnescape(user); err == nil {
		user = plain
	}
	if user == "" || uri.Host == "" || !utf8.ValidString(user+uri.Host) || strings.ContainsFunc(user, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return ""
	}
	return user + "@" + strings.ToLower(uri.Host)
}

// BehindNAT reports that a contact, a URI, can be reached only on the flow that its REGISTER came by.
func BehindNAT(contact string, from transaction.Flow) bool {
	var uri sip.Uri
	return sip.ParseUri(contact, &uri) != nil || natted(&uri, from)
}

// natted reports that a contact cannot be reached as written.
func natted(contact *sip.Uri, from transaction.Flow) bool {
	source, err := netip.ParseAddrPort(from.Remote)
	if err != nil {
		return true
	}
	host, err := netip.ParseAddr(strings.Trim(contact.Host, "[]"))
	if err != nil {
		return true // a name, .invalid among them
	}
	port := contact.Port
	if port == 0 {
		port = sip.DefaultPort(from.Transport)
	}
	return host.Unmap() != source.Addr() || from.Transport == "UDP" && port != int(source.Port())
}

// byPreference orders bindings for a call: higher q first, then the one heard from last.
func byPreference(list []Binding) {
	slices.SortStableFunc(list, func(a, b Binding) int {
		return cmp.Or(cmp.Compare(b.Q, a.Q), b.RefreshedAt.Compare(a.RefreshedAt), cmp.Compare(a.Key(), b.Key()))
	})
}
