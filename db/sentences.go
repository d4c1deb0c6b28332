package db

import (
	"fmt"
	"strings"
	"time"

	"holdfast/domain/call"
	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// detail is what programs read of an entry of a time line; each kind has its own part.
type detail struct {
	From      string         `json:"from,omitempty"`
	To        string         `json:"to,omitempty"`
	Class     leg.CallClass  `json:"class,omitempty"`
	Direction call.Direction `json:"direction,omitempty"`
	Queue     id.Queue       `json:"queue,omitempty"`
	Offer     id.Offer       `json:"offer,omitempty"`
	Agent     id.Agent       `json:"agent,omitempty"`
	Leg       id.Leg         `json:"leg,omitempty"`
	Party     string         `json:"party,omitempty"`
	Device    id.Device      `json:"device,omitempty"`
	Cause     leg.Cause      `json:"cause,omitempty"`
	SIPCode   int            `json:"sip_code,omitempty"`
	SIPPhrase string         `json:"sip_phrase,omitempty"` // of RFC 3261 §21
	EndedBy   string         `json:"ended_by,omitempty"`
	TalkMS    int64          `json:"conversation_ms,omitempty"` // with what was held
	Until     *time.Time     `json:"until,omitempty"`
	WrapUpMS  int64          `json:"wrap_up_ms,omitempty"`
}

// sentence says an entry in words.
func (d detail) sentence(kind string) string {
	words := d.words(kind)
	return strings.ToUpper(words[:1]) + words[1:]
}

func (d detail) words(kind string) string {
	switch kind {
	case "Initiated":
		return d.initiated()
	case "Queued":
		return fmt.Sprintf("The call entered queue %s.", d.Queue)
	case "Offered":
		return fmt.Sprintf("Offered to %s.", d.whom())
	case "Delivered":
		return fmt.Sprintf("The phone of %s rings.", d.whom())
	case "Established":
		return fmt.Sprintf("Connected with %s%s.", d.whom(), on(d.Device, string(d.Agent)))
	case "OfferExpired":
		return fmt.Sprintf("%s did not answer.%s", d.whom(), d.place())
	case "OfferRejected":
		return fmt.Sprintf("%s did not take the call: %s%s%s.%s", d.whom(), d.Cause.Words(), on(d.Device, string(d.Agent)), d.sip(), d.place())
	case "OfferRescinded":
		return fmt.Sprintf("The offer to %s was taken back: %s.", d.whom(), d.Cause.Words())
	case "Held":
		return fmt.Sprintf("%s put the call on hold.", d.whom())
	case "Retrieved":
		return fmt.Sprintf("%s took the call back from hold.", d.whom())
	case "ConnectionCleared":
		return fmt.Sprintf("The connection with %s ended: %s.", d.whom(), d.Cause.Words())
	case "Abandoned", "Diverted", "CallCleared":
		return d.ending(kind)
	case "WrapUpStarted":
		return fmt.Sprintf("%s works after the call.", d.whom())
	case "WrapUpEnded":
		return fmt.Sprintf("%s finished the work after the call, after %s.", d.whom(), (time.Duration(d.WrapUpMS) * time.Millisecond).Round(time.Second))
	}
	return kind + "."
}

func (d detail) initiated() string {
	if d.Agent != "" {
		return fmt.Sprintf("Agent %s called %s%s.", d.Agent, d.To, on(d.Device, string(d.Agent)))
	}
	return fmt.Sprintf("A call from %s to %s arrived.", named(d.From), named(d.To))
}

// whom is whom an entry is about: an agent, else a number.
func (d detail) whom() string {
	if d.Agent != "" {
		return "agent " + string(d.Agent)
	}
	return named(d.Party)
}

func named(number string) string {
	if number == "" {
		return "a withheld number"
	}
	return number
}

// on names a device, unless its name says no more than what was said.
func on(d id.Device, said string) string {
	if d == "" || string(d) == said {
		return ""
	}
	return " on device " + string(d)
}

// place is what follows from an offer that came to nothing, if the call waits for others.
func (d detail) place() string {
	if d.Queue == "" {
		return ""
	}
	return " The caller keeps the place in line."
}

func (d detail) sip() string {
	switch {
	case d.SIPCode == 0:
		return ""
	case d.SIPPhrase == "":
		return fmt.Sprintf(" (SIP %d)", d.SIPCode)
	}
	return fmt.Sprintf(" (SIP %d %s)", d.SIPCode, d.SIPPhrase)
}

// ending says how a call ended.
func (d detail) ending(kind string) string {
	switch kind {
	case "Abandoned":
		return "The caller left before anybody answered."
	case "Diverted":
		return fmt.Sprintf("Taken out of the queue: %s.", d.Cause.Words())
	}
	sentence := "The call ended"
	if d.TalkMS > 0 {
		sentence += fmt.Sprintf(" after %s of conversation", (time.Duration(d.TalkMS) * time.Millisecond).Round(time.Second))
	}
	if d.Cause != "" {
		sentence += ": " + d.Cause.Words()
	}
	if by := strings.Replace(d.EndedBy, ":", " ", 1); by != "" && by != "system" {
		sentence += " (by " + by + ")"
	}
	return sentence + "."
}

// phrases are the reason phrases of final responses (RFC 3261 §21, RFC 4320, RFC 5393, RFC 8197 and others that phones send).
var phrases = map[int]string{
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service",
	400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
	407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
	415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small", 423: "Interval Too Brief",
	480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous",
	486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending", 493: "Undecipherable",
	500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large",
	600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}
