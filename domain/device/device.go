// Package device holds the words about what rings and what calls are carried by:
// devices with their credentials and registrations, trunks, and nodes.
package device

import (
	"net/netip"
	"time"

	"holdfast/domain/id"
	"holdfast/domain/leg"
)

// Device is something that rings (SEED-21, SEED-22).
type Device struct {
	Tenant id.Tenant `json:"tenant"`
	Name   id.Device `json:"name"` // user part of the address-of-record for sip and webrtc
	Kind   leg.Kind  `json:"kind"`
	Agent  id.Agent  `json:"agent,omitempty"`  // owner, if it is an agent's
	Number string    `json:"number,omitempty"` // external: the number to dial (E.164)

	Extension string  `json:"extension,omitempty"` // its internal number (SEED-49)
	Owner     id.User `json:"owner,omitempty"`     // whom its calls are booked to; none: the agent's user
	Settings
}

// Credentials are the digest secrets of a SIP user: H(A1) per algorithm, never the password.
type Credentials struct {
	Tenant id.Tenant `json:"tenant"`
	User   string    `json:"user"`
	Device id.Device `json:"device,omitempty"` // set for a device
	Agent  id.Agent  `json:"agent,omitempty"`  // the device's owner
	Trunk  string    `json:"trunk,omitempty"`  // set for a trunk
	MD5    string    `json:"-"`                // hex of MD5(user:realm:password)
	SHA256 string    `json:"-"`                // hex of SHA-256(user:realm:password), RFC 8760
}

// Trunk is a carrier connection. Calls from its addresses, or with its credentials, are its.
type Trunk struct {
	Tenant    id.Tenant      `json:"tenant"`
	Name      string         `json:"name"`
	Addresses []netip.Prefix `json:"addresses"`           // from these source addresses
	Host      string         `json:"host,omitempty"`      // outbound: where INVITEs go, host[:port]
	Transport string         `json:"transport,omitempty"` // udp or tcp
	User      string         `json:"user,omitempty"`
	Realm     string         `json:"realm,omitempty"` // in which the carrier asks us for credentials …
	MD5       string         `json:"-"`               // … and H(A1) for it
	SHA256    string         `json:"-"`
	Limit     int            `json:"limit,omitempty"`     // concurrent calls in and out, 0 = no limit
	CallerID  string         `json:"caller_id,omitempty"` // shown on calls out where the device that calls has none
	Identity  string         `json:"identity,omitempty"`  // Asserted (default) or Unasserted
}

// What a carrier is told of who calls, besides From.
const (
	// Asserted: P-Asserted-Identity, as between networks that trust each other (RFC 3325): the carrier knows who
	// calls, also who does not want to be shown, and is trusted to show nobody.
	Asserted = "asserted"
	// Unasserted: nothing.
	Unasserted = "none"
)

// Registration is one contact of a device, as the registrar keeps it (RFC 3261 §10, RFC 5626).
type Registration struct {
	Tenant    id.Tenant `json:"tenant"`
	Device    id.Device `json:"device"`
	Agent     id.Agent  `json:"agent,omitempty"`
	Contact   string    `json:"contact"`   // URI as registered
	Instance  string    `json:"instance"`  // +sip.instance;reg-id, or the contact: what makes it the same binding
	Transport string    `json:"transport"` // udp, tcp, ws …
	Flow      string    `json:"flow"`      // ip:port that the REGISTER came from; requests go there
	Node      id.Node   `json:"node"`
	Boot      string    `json:"boot,omitempty"` // the node's run that holds the flow
	Path      []string  `json:"path,omitempty"` // proxies on the way, nearest first (RFC 3327)
	UserAgent string    `json:"user_agent,omitempty"`
	CallID    string    `json:"call_id"`
	CSeq      uint32    `json:"cseq"`
	Expires   time.Time `json:"expires"`
	Change    Change    `json:"change,omitempty"` // what happened to it, as its node says
}

// Change is what happened to a registration of a device.
type Change string

// What can happen to registrations. A refresh from where the phone was before is told to
// nobody and kept nowhere.
const (
	Registered   Change = "registered"
	Refreshed    Change = "refreshed"
	Moved        Change = "moved"        // refreshed from another address, or by another transport
	Unregistered Change = "unregistered" // the phone left by itself
	Replaced     Change = "replaced"     // it made room for a newer one: there were too many
	Expired      Change = "expired"
	Lost         Change = "lost" // its connection closed, it answered no more, or its node is gone
	Rejected     Change = "rejected"
)

// Reason is why a REGISTER was rejected.
type Reason string

// The reasons.
const (
	WrongPassword   Reason = "wrong_password"
	Banned          Reason = "banned"       // for too many wrong passwords
	OtherDevice     Reason = "other_device" // registered as somebody else than who the password is of
	NotAllowed      Reason = "not_allowed"  // by the device's settings: its type, transport, host
	TooManyContacts Reason = "too_many_contacts"
	BadRequest      Reason = "bad_request"
)

// Rejection is a REGISTER for a device that was rejected.
type Rejection struct {
	Tenant    id.Tenant `json:"tenant"`
	Device    id.Device `json:"device"`
	At        time.Time `json:"at"`
	Reason    Reason    `json:"reason"`
	Times     int       `json:"times"` // so often since the last that was told, this one included
	Address   string    `json:"address"`
	Transport string    `json:"transport"`
	UserAgent string    `json:"user_agent,omitempty"`
	Node      id.Node   `json:"node"`
}

// MostHistory is how many lines of its history each device has at most.
const MostHistory = 50

// HistoryLine is one thing that happened to a device's registrations.
type HistoryLine struct {
	At        time.Time `bun:"at" json:"at"`
	Change    Change    `bun:"change" json:"change"`
	Reason    Reason    `bun:"reason" json:"reason,omitempty"` // of a rejection
	Times     int       `bun:"times" json:"times"`             // beyond a few in an hour, one line stands for all of a kind; the rest of it is of the last
	Contact   string    `bun:"contact" json:"contact,omitempty"`
	Address   string    `bun:"address" json:"address"` // ip:port; of several the last
	Transport string    `bun:"transport" json:"transport"`
	UserAgent string    `bun:"user_agent" json:"user_agent"`
	Node      id.Node   `bun:"node" json:"node"`
}

// Pulse is how long a registered phone took to answer our question whether it is there.
type Pulse struct {
	Tenant    id.Tenant     `json:"tenant"`
	Device    id.Device     `json:"device"`
	Instance  string        `json:"instance"` // that of its Registration
	RoundTrip time.Duration `json:"round_trip"`
	At        time.Time     `json:"at"`
}

// Contact is where a device is registered now, as people see it.
type Contact struct {
	Address   string        `json:"address"` // ip:port that it signals from
	Transport string        `json:"transport"`
	UserAgent string        `json:"user_agent,omitempty"`
	Node      id.Node       `json:"node"`
	Since     time.Time     `json:"since"`
	Expires   time.Time     `json:"expires"`
	RoundTrip time.Duration `json:"round_trip,omitempty"` // the latest that was written down; 0: not measured
	Measured  time.Time     `json:"measured,omitzero"`
}

// Node is one telephony process in the registry.
type Node struct {
	Name    id.Node   `json:"name"`
	Boot    string    `json:"boot"`    // random per process start
	Address string    `json:"address"` // SIP host:port that peers reach it by
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
	Calls   int       `json:"calls"`
	Drain   bool      `json:"drain,omitempty"`
}

// Sight is what the registry of nodes says of a node, by the clock of the database.
type Sight struct {
	Boot string    `json:"boot"` // the run that wrote it
	Seen time.Time `json:"seen"` // its latest heartbeat
	Lost bool      `json:"lost,omitempty"`
}

// Loss names what is given up of a node: run Boot, or every run but Alive.
type Loss struct {
	Node  id.Node `json:"node"`
	Boot  string  `json:"boot,omitempty"`
	Alive string  `json:"alive,omitempty"`
	// Seen is the last heartbeat that Boot is known to have written: if it has beaten
	// since, it is not given up. Zero: it is given up in any case.
	Seen time.Time `json:"seen,omitzero"`
}

// Stranded is a registration by which a device can't be reached any more.
type Stranded struct {
	Tenant   id.Tenant `json:"tenant"`
	Device   id.Device `json:"device"`
	Instance string    `json:"instance"`
	Node     id.Node   `json:"node"`
	Boot     string    `json:"boot,omitempty"`
	Until    time.Time `json:"until"` // when it runs out, or ran out; another time: it was renewed
}

// Reach is what is known of a device when a registration of it was written.
type Reach struct {
	Reachable bool // by this registration or another
	Unheard   bool // it is reachable, and the session that is bound to it has not taken that in
}
