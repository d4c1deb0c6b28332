package db_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/stretchr/testify/require"

	"holdfast/cmd/tenantfile"
	"holdfast/db"
	"holdfast/db/dbtest"
	"holdfast/demo"
	"holdfast/domain/account"
	"holdfast/domain/agent"
	"holdfast/domain/call"
	"holdfast/domain/device"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
)

const demoTenant id.Tenant = "demo.localhost"

// newDemo is a database with the demo tenant; change may change the document first.
func newDemo(t *testing.T, change ...func(*tenancy.Document)) *db.DB {
	t.Helper()
	d := dbtest.New(t)
	apply(t, d, change...)
	return d
}

func apply(t *testing.T, d *db.DB, change ...func(*tenancy.Document)) {
	t.Helper()
	doc, err := tenantfile.Read(demo.File)
	require.NoError(t, err)
	for _, c := range change {
		c(&doc)
	}
	_, err = d.Apply(t.Context(), doc, false)
	require.NoError(t, err)
}

func outside(doc *tenancy.Document) {
	doc.Trunks = append(doc.Trunks, tenancy.Trunk{Name: "carrier", Host: "sip.carrier.example", Transport: "udp", User: "acct", Password: "secret-secret",
		CallerID: "+4930999", Identity: device.Unasserted})
	doc.Numbers = append(doc.Numbers,
		tenancy.Number{Number: "0*", Trunk: "carrier"}, tenancy.Number{Number: "00*", Trunk: "demo"},
		tenancy.Number{Number: "8001", Agent: "1002"})
	doc.Trunks[0].Host = "127.0.0.1:5090"
}

func TestRoute_LeadsWhereTheDirectorySays(t *testing.T) {
	t.Parallel()
	d := newDemo(t, outside)
	phone := func(n string) []leg.Address { return []leg.Address{{Device: id.Device(n), Kind: leg.SIP}} }
	for number, want := range map[string]call.Route{
		"8000":   {Kind: call.ToQueue, Queue: call.Queue{Name: "support", Ring: 15 * time.Second}, Name: "Support"},
		"1001":   {Kind: call.ToAgent, Agent: "1001", Targets: phone("1001"), Method: "all", Name: "Alice Adams"},
		"8001":   {Kind: call.ToAgent, Agent: "1002", Targets: phone("1002"), Method: "all", Name: "Bob Brown"},
		"0301":   {Kind: call.ToTrunk, Targets: []leg.Address{{Device: "carrier", Kind: leg.PSTN, URI: "0301"}}, Method: "single", Name: "carrier"},
		"00301":  {Kind: call.ToTrunk, Targets: []leg.Address{{Device: "demo", Kind: leg.PSTN, URI: "00301"}}, Method: "single", Name: "demo"},
		"9999":   {Kind: call.ToNobody},
		"":       {Kind: call.ToNobody},
		"8000 x": {Kind: call.ToNobody},
	} {
		for range 2 { // looked up, and kept
			got, err := d.Route(t.Context(), demoTenant, number)
			require.NoError(t, err)
			require.Equal(t, want, got, number)
		}
	}
	nobody, err := d.Route(t.Context(), "other.example", "8000")
	require.NoError(t, err)
	require.Equal(t, call.ToNobody, nobody.Kind)
}

func TestRoute_DirectoryChangesInAnotherProcess_IsLookedUpAnew(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	d, other := dbtest.Open(t, db.Config{URL: url}), dbtest.Open(t, db.Config{URL: url})
	apply(t, other)
	ring := func() time.Duration {
		r, err := d.Route(t.Context(), demoTenant, "8000")
		require.NoError(t, err)
		return r.Queue.Ring
	}
	require.Equal(t, 15*time.Second, ring())
	require.Eventually(t, func() bool { return d.Keeps(demoTenant, "8000") || ring() == 0 }, 20*time.Second, 5*time.Millisecond,
		"routes are kept once changes are heard of")
	apply(t, other, func(doc *tenancy.Document) { doc.Queues[0].Ring = tenancy.Duration(25 * time.Second) })
	require.Eventually(t, func() bool { return ring() == 25*time.Second }, 20*time.Second, 5*time.Millisecond)
}

func TestProfile_HasWhatTheSignInNeeds(t *testing.T) {
	t.Parallel()
	d := newDemo(t, func(doc *tenancy.Document) {
		doc.Trunks[0].Host = "127.0.0.1:5090"
		doc.Devices = append(doc.Devices, tenancy.Device{Name: "mobile-1001", Kind: leg.PSTN, Agent: "1001", Number: "+491701234567"})
		doc.Agents[0].Addresses = []id.Device{"1001", "mobile-1001"}
		doc.Queues[0].Members[0].Penalty, doc.Queues[0].Members[0].Static = 3, true
		doc.Queues = append(doc.Queues, tenancy.Queue{Name: "billing", Members: []tenancy.Member{{Agent: "1001", Manual: true}}})
		doc.Tenant.Policies.WrapUpEarlyExit = true
	})
	ref := agent.Ref{Tenant: demoTenant, Agent: "1001"}
	p, reachable, err := d.Profile(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, agent.Profile{
		Name: "Alice Adams", Team: "service", WrapUp: 10 * time.Second,
		Queues: []agent.Membership{
			{Queue: "billing"}, {Queue: "support", CheckedIn: true, Static: true, Penalty: 3},
		},
		Addresses:  []leg.Address{{Device: "1001", Kind: leg.SIP}, {Device: "mobile-1001", Kind: leg.PSTN, URI: "+491701234567"}},
		RingMethod: "all", OnNoAnswer: agent.FollowNotReady, OnReject: agent.FollowNotReady,
		EarlyExit: true, IdleLogout: 8 * time.Hour, TerminalGap: 30 * time.Second, Mode: "dynamic",
	}, p)
	require.Equal(t, []id.Device{"mobile-1001"}, reachable, "a number outside is always worth a try, a phone must be registered")

	register(t, d, "1001", time.Now().Add(time.Minute))
	_, reachable, err = d.Profile(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, []id.Device{"1001", "mobile-1001"}, reachable)

	_, _, err = d.Profile(t.Context(), agent.Ref{Tenant: demoTenant, Agent: "1009"})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}

// SEED-16, SEED-17: who is disabled has no agent, no phone and no calls.
func TestProfile_UserIsDisabled_AgentAndItsPhoneAreGone(t *testing.T) {
	t.Parallel()
	d := newDemo(t, func(doc *tenancy.Document) { doc.Users[2].Disabled = true })
	_, _, err := d.Profile(t.Context(), agent.Ref{Tenant: demoTenant, Agent: "1001"})
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	_, err = d.Credentials(t.Context(), demoTenant, "1001")
	require.Equal(t, fault.NotFound, fault.KindOf(err))
	r, err := d.Route(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.Equal(t, call.ToNobody, r.Kind)
	u, err := d.User(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.True(t, u.Disabled)
}

func registration(name id.Device, expires time.Time) device.Registration {
	return device.Registration{
		Tenant: demoTenant, Device: name, Contact: "sip:" + string(name) + "@192.0.2.7:5060", Instance: "i1", Transport: "udp",
		Flow: "192.0.2.7:5060", Node: "node-1", UserAgent: "Phone/1.0", CallID: "c1", CSeq: 10, Expires: expires.UTC().Truncate(time.Microsecond),
	}
}

func register(t *testing.T, d *db.DB, name id.Device, expires time.Time) (id.Agent, bool) {
	t.Helper()
	owner, reach, err := d.SaveRegistration(t.Context(), registration(name, expires))
	require.NoError(t, err)
	return owner, reach.Reachable
}

func TestRegistrations_ComeAndGoAndExpire(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Microsecond)
	url := dbtest.URL(t)
	d := dbtest.Open(t, db.Config{URL: url, Now: func() time.Time { return now }})
	apply(t, d)
	owner, reachable := register(t, d, "1001", now.Add(time.Minute))
	require.Equal(t, id.Agent("1001"), owner)
	require.True(t, reachable)

	want := registration("1001", now.Add(time.Minute))
	want.Agent = "1001"
	list, err := d.Registrations(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.Equal(t, []device.Registration{want}, list)

	second := registration("1001", now.Add(2*time.Minute))
	second.Instance, second.Contact = "i2", "sip:1001@192.0.2.8"
	_, _, err = d.SaveRegistration(t.Context(), second)
	require.NoError(t, err)
	list, err = d.Registrations(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "i2", list[0].Instance, "the freshest first")

	_, reachable = register(t, d, "1001", now.Add(-time.Second))
	require.True(t, reachable, "the second contact is still there")
	now = now.Add(3 * time.Minute)
	list, err = d.Registrations(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.Empty(t, list)
	status, err := d.Devices(t.Context(), agent.Ref{Tenant: demoTenant, Agent: "1001"})
	require.NoError(t, err)
	require.Len(t, status, 1, "other agents' phones are not for choice")
	require.False(t, status[0].Reachable)

	_, _, err = d.SaveRegistration(t.Context(), registration("nobody", now.Add(time.Hour)))
	require.Equal(t, fault.NotFound, fault.KindOf(err))
}

// RFC 3261 §10.3 step 7: a lower CSeq of the same Call-ID is out of order.
func TestRegistrations_OutOfOrder_ChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	later := time.Now().Add(time.Hour)
	register(t, d, "1001", later)
	late := registration("1001", later)
	late.CSeq, late.Contact = 9, "sip:old@192.0.2.9"
	_, reach, err := d.SaveRegistration(t.Context(), late)
	require.NoError(t, err)
	require.True(t, reach.Reachable)
	late.Expires = time.Now().Add(-time.Second)
	_, reach, err = d.SaveRegistration(t.Context(), late)
	require.NoError(t, err)
	require.True(t, reach.Reachable, "an old un-REGISTER does not remove the new binding")
	list, err := d.Registrations(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.Equal(t, "sip:1001@192.0.2.7:5060", list[0].Contact)
}

// MD5 and SHA-256 of acct:sip.carrier.example:secret-secret, computed by md5sum and sha256sum.
const (
	carrierMD5    = "73ab89068efec3b82634a1513a87f1eb"
	carrierSHA256 = "68eb8bbd4ecbcabd8a8d2a5546515d185df848d6507da685b9374adb14f50a31"
)

func TestDirectory_KnowsTenantsTrunksAndCredentials(t *testing.T) {
	t.Parallel()
	d := newDemo(t, outside)
	tenants, err := d.Tenants(t.Context())
	require.NoError(t, err)
	require.Equal(t, []id.Tenant{demoTenant}, tenants)
	trunks, err := d.Trunks(t.Context())
	require.NoError(t, err)
	require.Equal(t, []device.Trunk{
		{Tenant: demoTenant, Name: "carrier", Addresses: []netip.Prefix{}, Host: "sip.carrier.example", Transport: "udp", User: "acct",
			Realm: "sip.carrier.example", MD5: carrierMD5, SHA256: carrierSHA256, CallerID: "+4930999", Identity: device.Unasserted},
		{Tenant: demoTenant, Name: "demo", Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			Host: "127.0.0.1:5090", Identity: device.Asserted},
	}, trunks)

	// MD5 and SHA-256 of 1001:demo.localhost:holdfast-demo, computed by md5sum and sha256sum.
	c, err := d.Credentials(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	require.Equal(t, device.Credentials{Tenant: demoTenant, User: "1001", Device: "1001", Agent: "1001",
		MD5: demoMD5, SHA256: demoSHA256}, c)
	c, err = d.Credentials(t.Context(), demoTenant, "acct")
	require.NoError(t, err)
	require.Equal(t, "carrier", c.Trunk)
	require.Len(t, c.MD5, 32)
	for tenant, user := range map[id.Tenant]string{demoTenant: "9", "": "1001", "other.example": "1001"} {
		_, err = d.Credentials(t.Context(), tenant, user)
		require.Equal(t, fault.NotFound, fault.KindOf(err))
	}
}

func TestUser_HasRolesPermissionsAgentAndAHash(t *testing.T) {
	t.Parallel()
	d := newDemo(t)
	u, err := d.User(t.Context(), demoTenant, "1001")
	require.NoError(t, err)
	ok, err := argon2id.ComparePasswordAndHash("holdfast-demo", u.PasswordHash)
	require.NoError(t, err)
	require.True(t, ok)
	u.PasswordHash = ""
	require.Equal(t, account.User{Tenant: demoTenant, Name: "1001", DisplayName: "Alice Adams", Roles: []account.Role{account.Regular},
		Permissions: u.Permissions, Agent: "1001", Teams: u.Teams}, u)
	require.True(t, u.May(account.SessionUse))
	require.False(t, u.May(account.CallsMonitor))

	boss, err := d.User(t.Context(), demoTenant, "supervisor")
	require.NoError(t, err)
	require.Equal(t, []id.Team{"service"}, boss.Teams)
	require.Empty(t, boss.Agent)
	for tenant, name := range map[id.Tenant]id.User{demoTenant: "ghost", "": "1001", "other.example": "1001"} {
		_, err = d.User(t.Context(), tenant, name)
		require.Equal(t, fault.NotFound, fault.KindOf(err)) // SEED-66
	}
}

const (
	demoMD5    = "156dd17c2b217d32e4ba6128054ae5f4"
	demoSHA256 = "dc52caee77ea71a02192d6197d94ef6d3dd3b79d70aab08daa56061a966073e6"
)
