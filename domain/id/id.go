// Package id names the things of a contact center. Every id is a readable,
// immutable natural key inside its tenant, so that the same word stands in Go,
// JSON, SQL and the Temporal Web UI, and nothing has to be looked up to be read.
package id

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strconv"
	"strings"
)

// Tenant is the domain of a tenant, e.g. "demo.localhost" (SEED-66). It never changes.
type Tenant string

// Agent is an agent's number, unique inside a tenant, e.g. "1001" (SEED-39).
type Agent string

// User is a user's sign-in name, unique inside a tenant.
type User string

// Queue is a queue's name, unique inside a tenant, e.g. "support".
type Queue string

// Team is a team's name, unique inside a tenant.
type Team string

// Device is a device's name, unique inside a tenant; for a SIP device it is the
// user part of its address-of-record.
type Device string

// Call is one conversation with all its legs; see NewCall.
type Call string

// Contact is a customer of the tenant; see NewContact. It says nothing about the person.
type Contact string

// Leg is one SIP dialog of a call, unique inside its call: "customer", "agent-1", …
type Leg string

// Offer is one presentation of a call to one agent: "<call>/<n>", n counting from 1.
type Offer string

// Node is one telephony process, e.g. "node-1".
type Node string

// Terminal is one open client of an agent session.
type Terminal string

var callEncoding = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// NewCall derives a call's id from the Call-ID and From tag of its first INVITE, so
// that a retransmission, however late, opens nothing twice; and from the run of the node
// that takes it. Of what an earlier run took, nothing lives: the same INVITE that comes
// again after a node's death, here or by a proxy's choice at another node, is a new call
// and is served, while the former is recorded as lost. The result is 20 characters
// without vowels' confusion, no caller number and no "/".
func NewCall(sipCallID, fromTag, boot string) Call {
	sum := sha256.Sum256([]byte(sipCallID + "\x00" + fromTag + "\x00" + boot))
	return Call(callEncoding.EncodeToString(sum[:])[:20])
}

// NewContact makes the id of a new contact: 20 characters as of NewCall, by chance.
func NewContact() Contact {
	b := make([]byte, 13)
	_, _ = rand.Read(b) // never fails
	return Contact(callEncoding.EncodeToString(b)[:20])
}

// NewOffer names the n-th offer of a call.
func NewOffer(c Call, n int) Offer { return Offer(fmt.Sprintf("%s/%d", c, n)) }

// Call returns the call that the offer presents.
func (o Offer) Call() Call {
	c, _, _ := strings.Cut(string(o), "/")
	return Call(c)
}

// N returns which of its call's offers it is, counting from 1; 0 if o was not made by NewOffer.
func (o Offer) N() int {
	_, n, _ := strings.Cut(string(o), "/")
	i, err := strconv.Atoi(n)
	if err != nil {
		return 0
	}
	return i
}

// AgentWorkflow is the Temporal workflow id of an agent's session: "agent:<tenant>:<number>".
func AgentWorkflow(t Tenant, a Agent) string { return fmt.Sprintf("agent:%s:%s", t, a) }

// CallWorkflow is the Temporal workflow id of a call: "call:<tenant>:<id>".
func CallWorkflow(t Tenant, c Call) string { return fmt.Sprintf("call:%s:%s", t, c) }

// NodeWorkflow is the Temporal workflow id of a node's guard: "node:<node>".
func NodeWorkflow(n Node) string { return fmt.Sprintf("node:%s", n) }

// WebhookWorkflow is the Temporal workflow id of what sends for a webhook: "webhook:<tenant>:<name>".
func WebhookWorkflow(t Tenant, name string) string { return fmt.Sprintf("webhook:%s:%s", t, name) }

// NodeTaskQueue is the Temporal task queue of a node's phone activities: "telephony:<node>".
func NodeTaskQueue(n Node) string { return fmt.Sprintf("telephony:%s", n) }

// SessionOf is whose session a workflow is; false if it is none.
func SessionOf(workflow string) (Tenant, Agent, bool) {
	rest, ok := strings.CutPrefix(workflow, "agent:")
	t, a, found := strings.Cut(rest, ":")
	return Tenant(t), Agent(a), ok && found && t != "" && a != ""
}
