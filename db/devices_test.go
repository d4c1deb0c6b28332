package db_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/cmd/tenantfile"
	"holdfast/db/dbtest"
	"holdfast/demo"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/record"
	"holdfast/domain/tenancy"
)

// everySetting is a device with every setting other than its default.
func everySetting() device.Settings {
	off := false
	return device.Settings{
		Transports: []device.Transport{"tls", "tcp", "udp"}, Host: "192.0.2.7:5070", NAT: "never", Type: "peer",
		Codecs: []device.Codec{"opus", "g722", "alaw"}, CallerID: "+41443332211", Context: "house",
		CallGroups: []string{"sales"}, PickupGroups: []string{"sales", "service"}, Monitoring: &off, Recording: "wav49", SRTP: true,
	}
}

// SEED-120 to SEED-128: applied, exported, read by the node, and shown to administrators.
func TestApply_EverySettingOfADevice_IsKept(t *testing.T) {
	t.Parallel()
	d := newDemo(t, outsideInChina, func(doc *tenancy.Document) { doc.Devices[0].Settings = everySetting() })
	got, err := d.Device(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.Equal(t, device.Device{Tenant: demoTenant, Name: "1001", Kind: leg.SIP, Agent: "1001", Settings: everySetting()}, got)
	got, err = d.Device(t.Context(), demoTenant, "carrier")
	require.NoError(t, err)
	require.Equal(t, device.Device{
		Tenant: demoTenant, Name: "carrier", Kind: leg.PSTN, Number: "+8641139735857", Extension: "5000", Owner: "admin",
		Settings: got.Settings,
	}, got)
	require.Equal(t, device.RecordingOff, got.Recording)
	_, err = d.Device(t.Context(), "other.example", "1001")
	require.Equal(t, fault.NotFound, fault.KindOf(err))

	exported, err := d.Export(t.Context(), demoTenant)
	require.NoError(t, err)
	file, err := tenantfile.Write(exported)
	require.NoError(t, err)
	read, err := tenantfile.Read(file)
	require.NoError(t, err, string(file))
	changes, err := d.Apply(t.Context(), read, false)
	require.NoError(t, err)
	require.Empty(t, changes, "what was exported is what is there")
}

// SEED-49, SEED-48, SEED-45: an extension leads to its device; an external one is dialled
// outside, in the form that the trunk's route has.
func TestRoute_AnExtension_LeadsToItsDevice(t *testing.T) {
	t.Parallel()
	d := newDemo(t, outsideInChina, func(doc *tenancy.Document) { doc.Devices[2].Extension = "5003" })
	for number, want := range map[string]call.Route{
		"5000": {Kind: call.ToTrunk, Targets: []leg.Address{{Device: "carrier", Kind: leg.PSTN, URI: "041139735857"}}, Method: "single", Name: "carrier"},
		"5001": {Kind: call.ToAgent, Targets: []leg.Address{{Device: "lobby", Kind: leg.SIP}}, Method: "single", Name: "lobby"},
		"5003": {Kind: call.ToAgent, Agent: "1003", Targets: []leg.Address{{Device: "1003", Kind: leg.SIP}}, Method: "single", Name: "Carol Clark"},
		"5004": {Kind: call.ToNobody},
	} {
		got, err := d.Route(t.Context(), demoTenant, number)
		require.NoError(t, err)
		require.Equal(t, want, got, number)
	}
	p, reachable, err := d.Profile(t.Context(), agent.Ref{Tenant: demoTenant, Agent: "1002"})
	require.NoError(t, err)
	require.Equal(t, leg.Address{Device: "mobile-1002", Kind: leg.PSTN, URI: "00491701234567"}, p.Addresses[1], "an agent's number as well")
	require.Equal(t, []id.Device{"mobile-1002"}, reachable)
}

// SEED-121, SEED-122: a phone at a fixed address is reachable without a registration, unless it
// may only call.
func TestProfile_APhoneAtAFixedAddress_IsReachable(t *testing.T) {
	t.Parallel()
	d := newDemo(t, func(doc *tenancy.Document) {
		doc.Devices[0].Host = "192.0.2.7"
		doc.Devices[1].Host, doc.Devices[1].Type = "192.0.2.8", device.User
	})
	for a, want := range map[id.Agent][]id.Device{"1001": {"1001"}, "1002": {}, "1003": {}} {
		_, reachable, err := d.Profile(t.Context(), agent.Ref{Tenant: demoTenant, Agent: a})
		require.NoError(t, err)
		require.Equal(t, want, reachable, a)
	}
	list, err := d.DeviceStatuses(t.Context(), demoTenant, record.DeviceQuery{})
	require.NoError(t, err)
	require.True(t, list[0].Reachable)
	require.False(t, list[1].Reachable)
}

// SEED-39: numbers are unique in the database too, whoever writes them; but not over tenants.
func TestTakenNumbers_OneNumberLeadsToOneThing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.configure()
	w.exec(`INSERT INTO tenants (tenant_id, organization, division) VALUES ('other.example', 'acme', 'main')`)
	w.exec(`INSERT INTO devices (tenant_id, name, kind, extension) VALUES ('other.example', 'x', 'sip', '8000')`)
	for _, sql := range []string{
		`INSERT INTO devices (tenant_id, name, kind, extension) VALUES ('acme.example', 'x', 'sip', '8000')`,
		`INSERT INTO devices (tenant_id, name, kind, extension) VALUES ('acme.example', 'x', 'sip', '1001')`,
		`INSERT INTO numbers (tenant_id, number, queue) VALUES ('acme.example', '1001', 'support')`,
		`UPDATE devices SET extension = '8000' WHERE tenant_id = 'acme.example' AND name = '1001'`,
	} {
		_, err := w.super.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "23505", sql)
	}
	w.exec(`UPDATE devices SET extension = '5000' WHERE tenant_id = 'acme.example'`)
	w.exec(`UPDATE devices SET extension = '5001' WHERE tenant_id = 'acme.example'`)
	w.exec(`DELETE FROM numbers WHERE tenant_id = 'acme.example'`)
	w.exec(`UPDATE devices SET extension = '8000' WHERE tenant_id = 'acme.example'`)
	w.exec(`DELETE FROM users WHERE tenant_id = 'acme.example'`) // the agent goes, and its device
	var left int
	w.one(&left, `SELECT count(*) FROM taken_numbers WHERE tenant_id = 'acme.example'`)
	require.Zero(t, left)
}

// A number changes hands within one apply.
func TestApply_ANumberChangesHands(t *testing.T) {
	t.Parallel()
	d := newDemo(t, outsideInChina)
	apply(t, d, outsideInChina, func(doc *tenancy.Document) { doc.Devices[5].Extension, doc.Devices[6].Extension = "5000", "5001" })
	r, err := d.Route(t.Context(), demoTenant, "5001")
	require.NoError(t, err)
	require.Equal(t, "carrier", r.Name)
	apply(t, d, outsideInChina, func(doc *tenancy.Document) {
		doc.Devices = doc.Devices[:6]
		doc.Devices[5].Extension = ""
		doc.Agents[1].Addresses = doc.Agents[1].Addresses[:1]
		doc.Numbers = append(doc.Numbers, tenancy.Number{Number: "5000", Queue: "support"}, tenancy.Number{Number: "5001", Agent: "1001"})
	})
}

// SEED-26: an external number that no trunk reaches is refused, with the reason.
func TestApply_AnUnreachableNumber_IsRefused(t *testing.T) {
	t.Parallel()
	doc, err := tenantfile.Read(demo.File)
	require.NoError(t, err)
	doc.Devices = append(doc.Devices, tenancy.Device{Name: "mobile", Kind: leg.PSTN, Number: "+491701234567"})
	_, err = dbtest.New(t).Apply(t.Context(), doc, false)
	require.Equal(t, fault.Invalid, fault.KindOf(err))
	require.ErrorContains(t, err, "devices[5].number: +491701234567 can't be reached: no trunk has a host to call out by")
}

// SEED-46: where a device is registered now, since when, as what, and how far away.
func TestDeviceStatuses_ShowTheLiveRegistrations(t *testing.T) {
	t.Parallel()
	d := newDemo(t, outsideInChina)
	now := t0
	d.SetClock(func() time.Time { return now })
	r := device.Registration{
		Tenant: demoTenant, Device: "1001", Instance: "i", Contact: "sip:1001@10.0.0.7", Transport: "tcp", Flow: "192.0.2.9:1234",
		Node: "node-1", UserAgent: "Desk 5", CallID: "c", CSeq: 1, Expires: t0.Add(time.Hour),
	}
	save := func() {
		_, _, err := d.SaveRegistration(t.Context(), r)
		require.NoError(t, err)
	}
	save()
	require.NoError(t, d.SavePulses(t.Context(), []device.Pulse{
		{Tenant: demoTenant, Device: "1001", Instance: "i", RoundTrip: 12345 * time.Microsecond, At: t0.Add(time.Minute)}}))
	require.NoError(t, d.SavePulses(t.Context(), []device.Pulse{
		{Tenant: demoTenant, Device: "1001", Instance: "i", RoundTrip: time.Second, At: t0}}), "an older one changes nothing")
	now = t0.Add(30 * time.Minute)
	r.CSeq, r.Expires = 2, now.Add(time.Hour)
	save()
	of := func() record.DeviceStatus {
		list, err := d.DeviceStatuses(t.Context(), demoTenant, record.DeviceQuery{Name: "1001"})
		require.NoError(t, err)
		require.Len(t, list, 1)
		return list[0]
	}
	require.Equal(t, []device.Contact{{
		Address: "192.0.2.9:1234", Transport: "tcp", UserAgent: "Desk 5", Node: "node-1", Since: t0, Expires: now.Add(time.Hour),
		RoundTrip: 12345 * time.Microsecond, Measured: t0.Add(time.Minute),
	}}, of().Contacts, "a refresh changes neither since nor the pulse")
	now = t0.Add(3 * time.Hour)
	require.False(t, of().Reachable, "it ran out")
	r.CSeq, r.Expires = 3, now.Add(time.Hour)
	save()
	require.Equal(t, now, of().Contacts[0].Since, "it came back")
	require.Zero(t, of().Contacts[0].RoundTrip, "the pulse was that of before")
}

// Lists of devices are paged and searched.
func TestDeviceStatuses_FilterAndPage(t *testing.T) {
	t.Parallel()
	d := newDemo(t, outsideInChina)
	for want, by := range map[string]record.DeviceQuery{
		"1001 1002":           {Limit: 2},
		"1003 1004":           {Limit: 2, After: "1002"},
		"carrier mobile-1002": {Kind: leg.PSTN},
		"1002 mobile-1002":    {Agent: "1002"},
		"lobby":               {Search: "500", After: "carrier"},
		"mobile-1002":         {Search: "MOBILE"},
		"":                    {Search: "%"},
	} {
		list, err := d.DeviceStatuses(t.Context(), demoTenant, by)
		require.NoError(t, err)
		names := ""
		for i, v := range list {
			if i > 0 {
				names += " "
			}
			names += string(v.Name)
		}
		require.Equal(t, want, names)
	}
}
