package httpapi

import (
	"maps"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// describe gives every property and parameter of the reference that says nothing of
// itself its words. Those that mean something of their own in one place say it there, by
// the doc of their field; what means the same everywhere is said here, once.
func describe(api *huma.OpenAPI) {
	schemas := api.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		for property, s := range schemas[name].Properties {
			if s.Description == "" {
				s.Description = wordsOf(name, property)
			}
		}
	}
	for _, path := range api.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Put, path.Post, path.Patch, path.Delete} {
			if op == nil {
				continue
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					p.Description = parameterWords[p.Name]
				}
			}
		}
	}
}

// wordsOf describes a property of a schema: by its own words, else by those that it has
// wherever it stands.
func wordsOf(schema, property string) string {
	if w, own := ownWords[schema+"."+property]; own {
		return w
	}
	return propertyWords[property]
}

// ownWords describe properties whose name means something else elsewhere.
var ownWords = map[string]string{
	"AddressView.kind": "What kind of device it is.", "BookingDayView.kind": "Dialled by an internal device, or through an external one.",
	"UserOf.kind": "What sort of account it is, by what its permissions reach.", "MeView.kind": "What sort of account it is, by what its permissions reach.",
	"DeliveryView.type":   "The event's name.",
	"DeliveryView.cause":  "Why it is sent: something happened, or it was asked for.",
	"DeliveryView.state":  "Whether it is still to be sent, has arrived, or was given up.",
	"PendingView.state":   "The state that is asked for.",
	"PendingView.reason":  "The reason that was given with it.",
	"OrderView.reason":    "Why, in the supervisor's words.",
	"AuditLine.user":      "Who did it: a user's name.",
	"AuditLine.at":        "When it was done.",
	"AuditLine.detail":    "What else is known of it; by action.",
	"AuditLine.action":    "What was done: the kind of thing, a dot, and the verb.",
	"AuditLine.object":    "To what: its kind, a colon, and its name.",
	"ClientLogView.agent": "The agent who worked there.", "ClientLogView.at": "When it was uploaded.",
	"OfferView.at": "When it was made.", "OrderView.at": "When it was ordered.", "NoteView.at": "When it was written.", "TimelineEntry.at": "When it happened.",
	"TimelineEntry.detail": "What programs read of it; each kind has its own fields.",
	"NewTrunk.user":        "The name by which we sign in at the carrier.", "TrunkFields.user": "The name by which we sign in at the carrier.", "TrunkView.user": "The name by which we sign in at the carrier.",
	"NewTrunk.password": "The password for it; it is never shown.", "TrunkFields.password": "The password for it; it is never shown.",
	"NewTrunk.transport": "How SIP is carried to it.", "TrunkFields.transport": "How SIP is carried to it.", "RegistrationView.transport": "How SIP is carried to it.",
	"DeviceThing.host":  "The address at which the device always is, if it does not register.",
	"TrunkView.host":    "The carrier's server, as a name or an address, with a port if it is not the usual one.",
	"HealthView.status": "ok: the process lives.", "ReadyView.status": "ok: it has what it needs.",
	"LogEntry.context": "What the browser knew besides.", "LogEntry.level": "How serious it is.", "SkillLevel.level": "How well, from 1 to 10.",
	"MeView.agent": "The number of one's agent, if one has one.", "MemberView.agent": "The agent's number.",
	"MeView.tenant": "The domain of the tenant in which one works.", "TokenView.tenant": "The domain of the tenant for which the token is.", "NewTenant.tenant": "Its domain, by which it is known.",
	"MeView.permissions": "What one may do, each with its scope.", "TokenView.permissions": "What one may do, each with its scope.",
	"MeView.roles": "The names of one's roles.", "UserView.roles": "The names of its roles.",
	"MeView.name": "One's user name.", "CustomerView.name": "The customer's name.", "PresenceView.name": "The agent's name.", "PresenceView.user": "Whose session it is: a user's name.",
	"NewReason.code": "The code by which agents give it.", "ReasonView.code": "The code by which agents give it.",
	"WaitingView.position": "Its place in line, from 1.", "ContactFieldView.position": "Its place among the fields, on forms and in files.",
	"BindingInputBody.interface": "By what the agent works.", "WrapUpInputBody.action": "finish: it is over; extend: it lasts longer.",
	"ReadyView.missing": "What it lacks.", "SessionView.state": "What the agent does now.", "SessionView.binding": "The devices on which the session rings.",
	"ClientLogView.id": "The upload's name.", "ContactView.id": "The contact's name, given by us.", "DeliveryView.id": "The message's name; the same when it is sent again.",
	"DeviceView.id": "The device's name.", "LoginView.id": "The login's name, to end it by.", "NoteView.id": "The note's name.", "OfferView.id": "The call and which of its offers it is.",
	"MembershipView.queue": "The queue's name.", "ClientLogView.version": "Of the pages that ran.", "ContactFieldView.type": "What its values are.", "NewContactField.type": "What its values are.",
	"Translation.language": "Of this translation.", "ContactCallView.phase": "Where the call stands.",
	"RegistrationsOutputBody.device": "The device's name.", "TakenView.device": "The device's name.",
	"BookingView.user": "Whose account it is booked to.", "BookingDayView.user": "Whose account these are booked to.", "LoginView.user_agent": "The browser, as it calls itself.",
	"DeviceThing.type": "How the phone of the device behaves.", "DeviceFields.type": "How the phone of the device behaves.", "NewDevice.type": "How the phone of the device behaves.",
}

// propertyWords describe properties that mean the same wherever they stand.
var propertyWords = map[string]string{
	"action": "What is to be done.", "address": "From where it signals: an address and a port.", "at": "When it happened.", "change": "What happened to it.", "contact": "Where it asked to be reached, as a SIP address.", "addresses": "The devices, in the order in which they are asked.", "agent": "An agent's number.", "answered_at": "When it was answered.",
	"arrived_at": "When it began.", "attached_data": "What travels with the call.", "attempts": "How often it was tried.", "author": "Who wrote it: a user's name.",
	"begun_at": "When it began.", "binding": "On which devices it rings.", "binding_mode": "Who chooses the devices of a session, and when.", "by": "Who did it.",
	"call_groups": "The groups whose calls ring it.", "call_id": "The call's name.", "call_ids": "The calls in which the agent takes part; in wrap-up, the one that is worked on.",
	"caller_id": "The number that it shows outside.", "calls": "How many calls.", "cause": "Why it ended.", "changed": "How many things were changed.",
	"checked_in": "Whether the agent takes the queue's calls.", "choices": "What can be chosen, if its type is choice.", "class": "What kind of call it is.",
	"client_id": "By which the provider knows us.", "code": "Its code.", "codecs": "The codecs that it may use, the best first.", "command": "What was ordered.",
	"company": "The customer's company.", "contact_id": "The contact's name, given by us.", "context": "A word by which the tenant sorts its devices.", "created": "How many things were made.",
	"created_at": "When it was made.", "created_by": "Who made it: a user's name.", "currency": "By its ISO 4217 code; empty: nothing was priced.", "day": "A day of the tenant's time zone.",
	"detail": "What else is known of it.", "device": "A device's name.", "direction": "As the tenant sees it.", "disabled": "Whether it is locked: nobody signs in by it.",
	"display_name": "What people read instead of the name.", "division": "The division's name.", "done_at": "When it arrived, or was given up.", "dry_run": "Whether nothing was changed.",
	"edited_at": "When its text was last changed.", "emails": "The customer's e-mail addresses.", "enabled": "Whether events are sent to it.", "ended_at": "When it ended.",
	"entries": "The lines, the oldest first.", "events": "Which events are sent: names, or beginnings with a star.", "expires_at": "Until when it counts.", "fields": "The tenant's own fields, by their keys.",
	"from": "The number that calls.", "host": "Where it is, as a name or an address.", "id": "Its name.", "interface": "By what the agent works: in a browser, by a phone alone, or on the move.",
	"issuer": "The provider's address, from which its description is read.", "items": "What is on this page.", "key": "The name by which programs know it; it stays.", "kind": "What kind it is.",
	"label": "What people read instead of the key.", "language": "A language, as BCP 47 has it.", "last_address": "From where it was last used.", "last_sequence": "The last event that will be sent again.",
	"level": "How much of it.", "limit": "How many calls it carries at once; 0: as many as there are.", "max_wait_ms": "How long a caller waits at most.", "measured_at": "When that was measured.",
	"media_type": "What the lines are, as uploaded.", "members": "Who serves the queue.", "memberships": "The queues in which the agent may work.", "message": "What happened, in words.",
	"mode": "Who chose the devices, and when.", "monitoring": "Whether the device is asked now and then whether it is there.", "music": "The name of the music that waiting callers hear; empty: the platform's.",
	"name": "Its name.", "nat": "How it is reached behind a router.", "node": "The telephony node's name.", "number": "Its number.", "object": "Of what.",
	"on_no_answer": "What becomes of the agent's session when an offer runs out.", "on_reject": "What becomes of the agent's session when the agent declines an offer.", "organization": "The organization's name.",
	"password": "The password in clear; it is never shown, and kept only as a hash.", "password_min_length": "How long a new password must be at least.", "per_minute": "What a minute costs, as a decimal.",
	"permission": "Its name, without a scope.", "permissions": "What it permits, each with its scope.", "phase": "Where it stands.", "pickup_groups": "The groups whose ringing calls it may take.",
	"position": "Its place, from 1.", "prefix": "How the numbers begin, as international numbers.", "priority": "Higher is served first.", "queue": "A queue's name.", "queued_at": "When it came to the queue.",
	"reachable": "Whether it would ring now.", "realm": "The realm of its sign-in; empty: whichever it names.", "reason": "Why.", "recording": "Whether calls of the device are recorded.",
	"required": "Whether a contact must have it.", "ring_method": "All devices at once, one after the other, or the first only.", "ring_ms": "How long an offer rings.", "roles": "Names of roles.",
	"scopes": "What the provider is asked for.", "sequence": "The event's place in the tenant's log.", "shift_end": "When the agent's day ends, in the tenant's time zone.", "since": "Since when.",
	"skill": "The skill's name.", "srtp": "Whether its sound is encrypted.", "state": "How it stands.", "status": "How it stands.", "strategy": "Which of the agents is asked first.",
	"subject": "What the event is about: its kind, a colon, and its name.", "talk_ms": "How long was talked.", "team": "A team's name.", "tenant": "The tenant's domain.", "terminal_id": "The terminal's name.",
	"terminals": "The clients that are open for the session.", "text": "The text.", "time": "When it happened, by the browser's clock.", "timeout_ms": "How long an answer is waited for.",
	"transport": "How SIP is carried.", "transports": "How SIP may be carried, the best first.", "tried_at": "When it was last tried.", "trunk": "A trunk's name.", "type": "What kind it is.",
	"updated_at": "When it was last changed.", "url": "Where events are sent.", "user": "A user's name.", "user_agent": "What it calls itself.", "username": "The user's name.",
	"version": "Counts the changes.", "vip": "Whether the customer is to be treated with particular care.", "wait_ms": "How long it has waited.", "wrap_up_ms": "How long wrap-up lasts; 0: there is none.",
	"wrap_up_until": "When wrap-up ends.",
}

// parameterWords describe parameters, wherever they stand.
var parameterWords = map[string]string{
	"limit": "How many at most.", "id": "Its name.", "team": "Of this team.", "user": "Of this user.", "made_by": "Made by this user.", "object": "To this thing.", "result": "With this result.",
	"holdfast_refresh": "The refresh cookie, which the sign-in sets.", "holdfast_oidc": "The cookie of a sign-in that is under way.", "tenant": "The tenant's domain.", "device": "By this device.",
	"Content-Type": "What the lines are.", "User-Agent": "The browser.", "type": "Of this type.", "vip": "Only those, or only others.", "language": "Who speak this language.", "note": "The note's name.",
	"agent": "Of this agent.", "owner": "Of this user.", "kind": "Of this kind.", "organization": "Of this organization.", "queue": "Of this queue.", "trunk": "Of this trunk.",
	"state": "In this state.", "division": "Of this division, with its organization.", "role": "With this role.", "disabled": "Only those, or only others.", "login": "The login's name.",
	"enabled": "Only those, or only others.", "delivery": "The message's name.",
}
