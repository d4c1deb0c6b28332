package telephony

import (
	"cmp"
	"net"
	"strings"

	"github.com/emiago/sipgo/sip"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/telephony/headers"
)

// anonymous is how a caller without a number is shown; nowhere is its domain (RFC 3323 §4.1.1.3).
const (
	anonymous = "anonymous"
	nowhere   = "anonymous.invalid"
)

// hides reports that a caller does not want to be shown: Privacy, or an anonymous From (RFC 3323).
func hides(req *sip.Request) bool { return headers.Caller(req, false).Anonymous }

// claimed is who a caller says that it is: From or, if that says nothing, P-Preferred-Identity (RFC 3325 §9.2), or its
// Contact in the domain that it calls: that is a guess, for a carrier's Contact may have the name of a device of ours. It
// proves nothing.
func claimed(req *sip.Request) (who sip.Uri, guessed bool) {
	from := req.From().Address
	if !strings.EqualFold(from.Host, nowhere) && !strings.EqualFold(from.User, anonymous) {
		return from, false
	}
	var uri sip.Uri
	for _, v := range headers.List(req, "P-Preferred-Identity") {
		if _, err := sip.ParseAddressValue(v, &uri, nil); err == nil && uri.User != "" {
			return uri, false
		}
	}
	if c := req.Contact(); c != nil && c.Address.User != "" {
		return sip.Uri{Scheme: "sip", User: c.Address.User, Host: req.Recipient.Host}, true
	}
	return from, false
}

// shows is what of a caller a carrier is shown.
type shows struct {
	host     string // the carrier's: whose domain our numbers are in
	callerID string // where who calls has none of its own
	asserted bool   // it is told who calls, as one whom we trust (RFC 3325)
}

func showsOf(t device.Trunk) *shows {
	host := t.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return &shows{host: host, callerID: t.CallerID, asserted: t.Identity != device.Unasserted}
}

// showing is who calls, as an INVITE says it.
type showing struct {
	uri, name string // of From
	headers   []sip.Header
}

// shownTo is what a leg shows of who calls: inside its number (SEED-75); outside that which is set for the device that
// calls (SEED-124) or for the trunk, in the carrier's domain. Who does not want to be shown is anonymous everywhere; the
// carrier is asked to keep it so, and, if it is trusted, told by which number of ours the call is made. Only such a
// number is asserted, one that is set as a caller id: an extension means nothing outside, and a stranger's number is not
// ours to vouch for.
func (a *actor) shownTo(c contact, o call.Ring) showing {
	private := o.Private || a.in.Private || o.From == "" || o.From == anonymous
	if c.shows == nil {
		return callerURI(o.From, string(a.ref.Tenant), private)
	}
	own := cmp.Or(a.from.CallerID, c.shows.callerID)
	number := o.From
	if a.in.Trunk == "" {
		number = cmp.Or(own, number)
	}
	w := callerURI(number, c.shows.host, private)
	if private {
		w.headers = append(w.headers, sip.NewHeader("Privacy", "id")) // RFC 3325 §9.3
	}
	if own != "" && c.shows.asserted {
		w.headers = append(w.headers, sip.NewHeader("P-Asserted-Identity", "<sip:"+escapeUser(own)+"@"+c.shows.host+">"))
	}
	return w
}

// callerURI is the From by which a number is shown.
func callerURI(number, host string, private bool) showing {
	if private {
		return showing{uri: "sip:" + anonymous + "@" + nowhere, name: "Anonymous"}
	}
	return showing{uri: "sip:" + escapeUser(number) + "@" + host, name: number}
}
