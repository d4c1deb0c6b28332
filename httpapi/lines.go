package httpapi

import "holdfast/domain/directory"

// The resources about lines: what rings, and the ways to carriers.
var (
	devices = resource{kind: directory.Device, path: "/v1/devices", plural: "devices", secrets: []string{"password"}}
	trunks  = resource{kind: directory.Trunk, path: "/v1/trunks", plural: "trunks", secrets: []string{"password"}}
)

type deviceThing struct {
	Name         string   `json:"name" example:"1001"`
	Kind         string   `json:"kind" enum:"sip,webrtc,external"`
	Agent        string   `json:"agent" doc:"Whose it is; empty: anybody's."`
	Owner        string   `json:"owner" doc:"The user that its calls are booked to; empty: the agent's."`
	Extension    string   `json:"extension" doc:"Its internal number."`
	Number       string   `json:"number" doc:"Of an external device: what is dialled, E.164."`
	Transports   []string `json:"transports"`
	Host         string   `json:"host"`
	NAT          string   `json:"nat"`
	Type         string   `json:"type"`
	Codecs       []string `json:"codecs"`
	CallerID     string   `json:"caller_id"`
	Context      string   `json:"context"`
	CallGroups   []string `json:"call_groups"`
	PickupGroups []string `json:"pickup_groups"`
	Monitoring   bool     `json:"monitoring" doc:"Whether calls at it may be monitored."`
	Recording    string   `json:"recording"`
	SRTP         bool     `json:"srtp"`
	Stamp
}

// DeviceFields are what can be set of a device (SEED-120 to SEED-128).
type DeviceFields struct {
	Agent        *line     `json:"agent,omitempty" maxLength:"32" doc:"Whose it is; empty: anybody's."`
	Owner        *line     `json:"owner,omitempty" maxLength:"64" doc:"The user that its calls are booked to."`
	Extension    *line     `json:"extension,omitempty" maxLength:"32" doc:"Its internal number."`
	Number       *line     `json:"number,omitempty" maxLength:"32" doc:"Of an external device: what is dialled; national where the tenant has a country."`
	Transports   *[]string `json:"transports,omitempty" enum:"udp,tcp,ws,wss,tls" maxItems:"5" doc:"Those that it may use, the favourite first; none: any."`
	Host         *line     `json:"host,omitempty" maxLength:"64" doc:"dynamic, or the address of a device that need not register."`
	NAT          *string   `json:"nat,omitempty" enum:"yes,no,force_rport,comedia,never,route"`
	Type         *string   `json:"type,omitempty" enum:"user,peer,friend"`
	Codecs       *[]string `json:"codecs,omitempty" enum:"ulaw,alaw,gsm,g722,g729,opus" maxItems:"6" doc:"The favourite first; none: alaw and ulaw."`
	CallerID     *line     `json:"caller_id,omitempty" maxLength:"32"`
	Context      *line     `json:"context,omitempty" maxLength:"64"`
	CallGroups   *[]line   `json:"call_groups,omitempty" maxItems:"64"`
	PickupGroups *[]line   `json:"pickup_groups,omitempty" maxItems:"64"`
	Monitoring   *bool     `json:"monitoring,omitempty"`
	Recording    *string   `json:"recording,omitempty" enum:"off,wav,wav49,gsm"`
	SRTP         *bool     `json:"srtp,omitempty"`
	Password     *string   `json:"password,omitempty" minLength:"10" maxLength:"256" doc:"With which it registers."`
}

type newDevice struct {
	Name line   `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -" doc:"It registers as sip:name@domain."`
	Kind string `json:"kind,omitempty" enum:"sip,webrtc,external" default:"sip"`
	DeviceFields
}

type listDevices struct {
	Listing
	Agent line   `query:"agent" maxLength:"32"`
	Owner line   `query:"owner" maxLength:"64"`
	Kind  string `query:"kind" enum:"sip,webrtc,external"`
}

type trunkView struct {
	Name      string   `json:"name" example:"carrier"`
	Host      string   `json:"host"`
	Transport string   `json:"transport" doc:"udp or tcp; empty: as the host's records say."`
	User      string   `json:"user"`
	Realm     string   `json:"realm"`
	Limit     int      `json:"limit" doc:"Calls at one time; 0: any number."`
	CallerID  string   `json:"caller_id"`
	Identity  string   `json:"identity" doc:"asserted or none."`
	Addresses []string `json:"addresses" doc:"Calls from these are the trunk's."`
	Stamp
}

// TrunkFields are what can be set of a trunk.
type TrunkFields struct {
	Host      *line   `json:"host,omitempty" maxLength:"259" doc:"Where calls go out: host[:port]."`
	Transport *string `json:"transport,omitempty" enum:"udp,tcp"`
	User      *line   `json:"user,omitempty" column:"user_name" maxLength:"64"`
	Realm     *line   `json:"realm,omitempty" maxLength:"253" doc:"In which the carrier asks for the password; the host's name, if left out."`
	Limit     *int    `json:"limit,omitempty" column:"call_limit" minimum:"0" maximum:"100000"`
	CallerID  *line   `json:"caller_id,omitempty" maxLength:"32" doc:"The number that calls show that go out by the trunk, where the device that calls has none."`
	Identity  *string `json:"identity,omitempty" enum:"asserted,none" doc:"Whether the carrier is told by P-Asserted-Identity who calls, also who does not want to be shown (RFC 3325)."`
	Addresses *[]line `json:"addresses,omitempty" maxItems:"100" doc:"Addresses or networks whose calls are the trunk's."`
	Password  *string `json:"password,omitempty" minLength:"1" maxLength:"256"`
}

type newTrunk struct {
	Name line `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	TrunkFields
}

type listTrunks struct{ Listing }

func (a *API) registerLines() {
	administer[deviceThing, *deviceThing, newDevice, DeviceFields, listDevices](a, devices)
	importable[newDevice, DeviceFields](a, devices)
	administer[trunkView, *trunkView, newTrunk, TrunkFields, listTrunks](a, trunks)
}
