package telephony

import (
	"context"

	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/id"
)

// Handler is told what happens on the node; *dispatch.Dispatcher satisfies it.
type Handler interface {
	// Incoming opens a call; its effects come back through the node's methods
	// (Ring, Treat, Drop …), some of them before Incoming returns. An error refuses
	// the INVITE: fault.NotFound 404, Forbidden 403, Unavailable 503, TooMany 486/503.
	//
	// ctx ends when the caller hangs up meanwhile: then what was begun for it is taken
	// back at once, by Incoming or by what Incoming leaves running, and facts about the
	// call are for nobody.
	Incoming(ctx context.Context, in call.Incoming) error
	// Report delivers a fact about a call. It returns at once; delivery is retried
	// until it is taken, in order per call.
	Report(ref call.Ref, e call.Event)
	// Registered happens when a device's registration appeared, was refreshed or
	// went (Expires in the past).
	Registered(ctx context.Context, r device.Registration) error
	// Rejected happens when a REGISTER for a device was rejected, at once and then at most
	// every ten seconds of each device and reason. What fails is told to nobody.
	Rejected(ctx context.Context, r device.Rejection) error
}

// Directory is what the node looks up; *db.DB satisfies it.
type Directory interface {
	// Tenants lists the tenants' domains that this node serves (realms).
	Tenants(ctx context.Context) ([]id.Tenant, error)
	// Credentials returns the digest secrets of a SIP user of a tenant; fault.NotFound.
	Credentials(ctx context.Context, t id.Tenant, user string) (device.Credentials, error)
	// Device returns a device with its settings; fault.NotFound.
	Device(ctx context.Context, t id.Tenant, d id.Device) (device.Device, error)
	// SavePulses writes how long phones took to answer, once in a while for all of them.
	SavePulses(ctx context.Context, list []device.Pulse) error
	// Trunks lists all trunks, to recognise them by address.
	Trunks(ctx context.Context) ([]device.Trunk, error)
	// Route looks a number up in a tenant: which trunk it goes out by.
	Route(ctx context.Context, t id.Tenant, number string) (call.Route, error)
	// Registrations lists the live registrations of a device.
	Registrations(ctx context.Context, t id.Tenant, d id.Device) ([]device.Registration, error)
	// Nodes lists the registry, lost nodes excepted.
	Nodes(ctx context.Context) ([]device.Node, error)
	// NodeSecret is what only the nodes know, the same for all of them (package hop).
	NodeSecret(ctx context.Context) ([]byte, error)
	// Beat writes the node's row of the registry, and reports whether this run of the
	// node was given up: its calls are closed.
	Beat(ctx context.Context, n device.Node) (lost bool, err error)
}
