package registrar

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"holdfast/telephony/headers"
	"holdfast/telephony/transaction"
)

// Policy are the registrar's limits.
type Policy struct {
	// Default is granted when the phone asks for nothing. Default 1 h.
	Default time.Duration
	// Min is the shortest granted; less gets 423. Default 60 s.
	Min time.Duration
	// Max is the longest granted. Default 2 h.
	Max time.Duration
	// NAT is the longest for a phone behind NAT on UDP, whose mapping must be kept open. Default 120 s.
	NAT time.Duration
	// Contacts is how many bindings an AOR may have; one more replaces the one not heard of for longest. Default 10.
	Contacts int
}

func (p Policy) orDefault() Policy {
	set := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&p.Min, time.Minute)
	set(&p.Max, 2*time.Hour)
	set(&p.Default, time.Hour)
	set(&p.NAT, 2*time.Minute)
	if p.Contacts <= 0 {
		p.Contacts = 10
	}
	return p
}

// Kind says what happened to a binding.
type Kind string

const (
	// Registered: a device came.
	Registered Kind = "registered"
	// Refreshed: it stays, possibly on another flow.
	Refreshed Kind = "refreshed"
	// Unregistered: it left by itself.
	Unregistered Kind = "unregistered"
	// Replaced: it had to make room for a newer one of the same AOR.
	Replaced Kind = "replaced"
	// Expired: its time ran out.
	Expired Kind = "expired"
	// Lost: its connection closed, or it was removed by us.
	Lost Kind = "lost"
)

// Change is one thing that happened to one binding.
type Change struct {
	Kind    Kind
	Binding Binding
	// Moved says that a refreshed binding has another flow than before.
	Moved bool
}

// Result is the response for a REGISTER.
type Result struct {
	Code    int
	Reason  string
	Headers []sip.Header
	// Changes are what the REGISTER did; empty for a query and for a refusal.
	Changes []Change
}

// Send answers with the result.
func (r *Result) Send(tx *transaction.Server) error {
	res := tx.NewResponse(r.Code, r.Reason)
	for _, h := range r.Headers {
		res.AppendHeader(h)
	}
	return tx.Respond(res)
}

func refuse(code int, reason string, hs ...sip.Header) *Result {
	return &Result{Code: code, Reason: reason, Headers: hs}
}

// registration is one REGISTER being judged.
type registration struct {
	req    *sip.Request
	aor    string
	from   transaction.Flow
	node   string
	policy Policy
	now    time.Time
}

// known are the extensions that a Require may name.
var known = map[string]bool{"path": true, "outbound": true}

// apply is RFC 3261 §10.3: from the bindings of the AOR and a REGISTER to the bindings after it. A result other than 200
// leaves them as they are.
func (r *registration) apply(old []Binding) ([]Binding, *Result) {
	for _, option := range headers.List(r.req, "Require") {
		if !known[strings.ToLower(option)] {
			return old, refuse(sip.StatusBadExtension, "", sip.NewHeader("Unsupported", option))
		}
	}
	contacts := r.req.GetHeaders("Contact")
	current := slices.DeleteFunc(slices.Clone(old), func(b Binding) bool { return !b.ExpiresAt.After(r.now) })
	var changes []Change
	var refused *Result
	if r.hasWildcard(contacts) {
		current, changes, refused = r.removeAll(current, contacts)
	} else {
		current, changes, refused = r.update(current, contacts)
	}
	if refused != nil {
		return old, refused
	}
	byPreference(current)
	return current, &Result{Code: sip.StatusOK, Headers: r.headers(current), Changes: changes}
}

func (r *registration) hasWildcard(contacts []sip.Header) bool {
	return slices.ContainsFunc(contacts, func(h sip.Header) bool {
		c, ok := h.(*sip.ContactHeader)
		return ok && c.Address.Wildcard
	})
}

// removeAll is Contact: *, step 6.
func (r *registration) removeAll(current []Binding, contacts []sip.Header) ([]Binding, []Change, *Result) {
	if len(contacts) != 1 || headers.Value(r.req, "Expires") != "0" {
		return nil, nil, refuse(sip.StatusBadRequest, "Contact * needs Expires 0")
	}
	var changes []Change
	for _, b := range current {
		if r.outOfOrder(b) {
			return nil, nil, refuse(sip.StatusInternalServerError, "Out of Order")
		}
		changes = append(changes, Change{Kind: Unregistered, Binding: b})
	}
	return nil, changes, nil
}

// outOfOrder reports a REGISTER older than the one that made the binding, step 7.
func (r *registration) outOfOrder(b Binding) bool {
	return b.CallID == string(*r.req.CallID()) && r.req.CSeq().SeqNo <= b.CSeq
}

func (r *registration) update(current []Binding, contacts []sip.Header) ([]Binding, []Change, *Result) {
	if len(contacts) > r.policy.Contacts {
		return nil, nil, refuse(sip.StatusForbidden, "Too Many Contacts")
	}
	var changes []Change
	touched := map[string]bool{}
	for _, h := range contacts {
		c, ok := h.(*sip.ContactHeader)
		if !ok || c.Address.Host == "" || c.Address.Scheme != "sip" && c.Address.Scheme != "sips" || headers.Clean(c.Address.String()) != nil {
			return nil, nil, refuse(sip.StatusBadRequest, "Bad Contact")
		}
		life, refused := r.life(c)
		if refused != nil {
			return nil, nil, refused
		}
		b := r.binding(c, life)
		touched[b.Key()] = true
		i := slices.IndexFunc(current, func(o Binding) bool { return o.Key() == b.Key() })
		switch {
		case i >= 0 && r.outOfOrder(current[i]):
			return nil, nil, refuse(sip.StatusInternalServerError, "Out of Order")
		case i >= 0 && life == 0:
			changes = append(changes, Change{Kind: Unregistered, Binding: current[i]})
			current = slices.Delete(current, i, i+1)
		case i >= 0:
			b.RegisteredAt = current[i].RegisteredAt
			changes = append(changes, Change{Kind: Refreshed, Binding: b, Moved: b.Flow != current[i].Flow})
			current[i] = b
		case life > 0:
			changes = append(changes, Change{Kind: Registered, Binding: b})
			current = append(current, b)
		}
	}
	return r.makeRoom(current, changes, touched)
}

// makeRoom takes out those not heard of for longest, but none of this request.
func (r *registration) makeRoom(current []Binding, changes []Change, keep map[string]bool) ([]Binding, []Change, *Result) {
	for len(current) > r.policy.Contacts {
		oldest := -1
		for i, b := range current {
			if !keep[b.Key()] && (oldest < 0 || b.RefreshedAt.Before(current[oldest].RefreshedAt)) {
				oldest = i
			}
		}
		changes = append(changes, Change{Kind: Replaced, Binding: current[oldest]})
		current = slices.Delete(current, oldest, oldest+1)
	}
	return current, changes, nil
}

// life is how long the contact may stay: its expires parameter, else the Expires header, else the default; 423 if less
// than the minimum and not 0.
func (r *registration) life(c *sip.ContactHeader) (time.Duration, *Result) {
	asked, given := deltaSeconds(c.Params.GetOr("expires", ""))
	if !given {
		asked, given = deltaSeconds(headers.Value(r.req, "Expires"))
	}
	switch {
	case !given:
		asked = r.policy.Default
	case asked == 0:
		return 0, nil
	case asked < r.policy.Min:
		least := strconv.Itoa(int(r.policy.Min / time.Second))
		return 0, refuse(sip.StatusIntervalToBrief, "", sip.NewHeader("Min-Expires", least))
	}
	limit := r.policy.Max
	if r.from.Transport == "UDP" && natted(&c.Address, r.from) {
		limit = min(limit, max(r.policy.NAT, r.policy.Min))
	}
	return min(asked, limit), nil
}

// deltaSeconds reads a delta-seconds; nonsense counts as not given (RFC 3261 §10.3: "malformed value is treated as 3600").
func deltaSeconds(s string) (time.Duration, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(min(n, math.MaxUint32)) * time.Second, true
}

func (r *registration) binding(c *sip.ContactHeader, life time.Duration) Binding {
	b := Binding{
		AOR: r.aor, Contact: c.Address.String(), Q: 1000, CallID: string(*r.req.CallID()), CSeq: r.req.CSeq().SeqNo,
		Flow: r.from, Node: r.node, NAT: natted(&c.Address, r.from), UserAgent: headers.Value(r.req, "User-Agent"),
		RegisteredAt: r.now, RefreshedAt: r.now, ExpiresAt: r.now.Add(life),
	}
	if len(b.UserAgent) > 128 || headers.Clean(b.UserAgent) != nil {
		b.UserAgent = ""
	}
	if q, err := strconv.ParseFloat(c.Params.GetOr("q", ""), 64); err == nil && q >= 0 && q <= 1 {
		b.Q = int(math.Round(q * 1000))
	}
	b.Instance, b.RegID = instance(c)
	for _, v := range headers.List(r.req, "Path") {
		var uri sip.Uri
		if _, err := sip.ParseAddressValue(v, &uri, nil); err == nil && headers.Clean(uri.String()) == nil {
			b.Path = append(b.Path, uri.String())
		}
	}
	return b
}

// instance reads +sip.instance and reg-id (RFC 5626 §4.1); names of parameters come in any case.
func instance(c *sip.ContactHeader) (id string, reg int) {
	for _, p := range c.Params {
		switch strings.ToLower(strings.TrimSpace(p.K)) {
		case "+sip.instance":
			id = strings.Trim(p.V, "\"<> ")
		case "reg-id":
			if n, err := strconv.ParseUint(p.V, 10, 31); err == nil {
				reg = int(n)
			}
		}
	}
	if len(id) > 128 || headers.Clean(id) != nil || strings.ContainsAny(id, `"<>|`) {
		return "", 0
	}
	return id, reg
}

// headers of the 200: all bindings, Path as it came (RFC 3327 §5.3), outbound if the phone uses it (RFC 5626 §6).
func (r *registration) headers(current []Binding) []sip.Header {
	var out []sip.Header
	outbound := false
	for i := range current {
		out = append(out, current[i].header(r.now))
		outbound = outbound || current[i].RegID > 0
	}
	for _, v := range headers.List(r.req, "Path") {
		out = append(out, sip.NewHeader("Path", v))
	}
	if outbound && headers.Has(r.req, "Supported", "outbound") {
		out = append(out, sip.NewHeader("Require", "outbound"))
	}
	return append(out, sip.NewHeader("Date", r.now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")))
}

// String is for logs.
func (c Change) String() string { return fmt.Sprintf("%s %s", c.Kind, c.Binding.AOR) }
