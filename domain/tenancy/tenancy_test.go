package tenancy_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// small is the smallest tenant with an agent.
func small() tenancy.Document {
	return tenancy.Document{
		Organization: tenancy.Unit{Name: "o"}, Division: tenancy.Unit{Name: "d"}, Tenant: tenancy.Tenant{Domain: "a.localhost"},
		Users:   []tenancy.User{{Name: "1001", Roles: []account.Role{account.Regular}}},
		Agents:  []tenancy.Agent{{Number: "1001", User: "1001", Addresses: []id.Device{"1001"}}},
		Devices: []tenancy.Device{{Name: "1001", Agent: "1001"}},
		Queues:  []tenancy.Queue{{Name: "support", Members: []tenancy.Member{{Agent: "1001"}}}},
		Trunks:  []tenancy.Trunk{{Name: "t", Addresses: []string{"127.0.0.1"}}},
		Numbers: []tenancy.Number{{Number: "8000", Queue: "support"}},
	}
}

func TestValidate_ASmallTenantIsValid(t *testing.T) {
	t.Parallel()
	require.Empty(t, small().Validate())
}

// SEED-6, SEED-15, SEED-39: what the file may not say.
func TestValidate_RefusesWhatBreaksTheRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(*tenancy.Document)
		field string
	}{
		"SEED-15: a second agent of a user":      {func(d *tenancy.Document) { d.Agents = append(d.Agents, tenancy.Agent{Number: "1002", User: "1001"}) }, "agents[1].user"},
		"SEED-6: an agent without an agent role": {func(d *tenancy.Document) { d.Users[0].Roles = []account.Role{account.ITAdmin} }, "agents[0].user"},
		"SEED-39: a number twice":                {func(d *tenancy.Document) { d.Agents = append(d.Agents, d.Agents[0]) }, "agents[1].number"},
		"no domain":                              {func(d *tenancy.Document) { d.Tenant.Domain = "Not A Domain" }, "tenant.domain"},
		"a device that is not there":             {func(d *tenancy.Document) { d.Agents[0].Addresses = []id.Device{"9"} }, "agents[0].addresses[0]"},
		"an unknown role":                        {func(d *tenancy.Document) { d.Users[0].Roles = []account.Role{"king"} }, "users[0].roles[0]"},
		"negative wrap-up":                       {func(d *tenancy.Document) { d.Agents[0].WrapUp = -1 }, "agents[0].wrap_up"},
		"a line break":                           {func(d *tenancy.Document) { d.Queues[0].DisplayName = "a\r\nb" }, "queues[0].display_name"},
		"a number that leads to two":             {func(d *tenancy.Document) { d.Numbers[0].Agent = "1001" }, "numbers[0]"},
		"a prefix to a queue":                    {func(d *tenancy.Document) { d.Numbers[0].Number = "49*" }, "numbers[0].number"},
		"a realm that breaks a header":           {func(d *tenancy.Document) { d.Trunks[0].Realm = `a"b` }, "trunks[0].realm"},
		"no number to show":                      {func(d *tenancy.Document) { d.Trunks[0].CallerID = "Acme" }, "trunks[0].caller_id"},
		"no way to say it":                       {func(d *tenancy.Document) { d.Trunks[0].Identity = "maybe" }, "trunks[0].identity"},
		"a hash that is none":                    {func(d *tenancy.Document) { d.Trunks[0].CarrierMD5 = "x" }, "trunks[0].carrier_md5"},
		"a webhook to nowhere":                   {func(d *tenancy.Document) { d.Webhooks = []tenancy.Webhook{{Name: "crm", URL: "crm.example.com"}} }, "webhooks[0].url"},
		"a webhook of no such queue":             {func(d *tenancy.Document) { d.Webhooks = []tenancy.Webhook{{Name: "crm", URL: "https://x", Queue: "q"}} }, "webhooks[0].queue"},
		"a webhook of no such event": {func(d *tenancy.Document) {
			d.Webhooks = []tenancy.Webhook{{Name: "crm", URL: "https://x", Events: []string{"call.*", "call"}}}
		}, "webhooks[0].events[1]"},
		"a webhook twice": {func(d *tenancy.Document) {
			d.Webhooks = []tenancy.Webhook{{Name: "crm", URL: "https://x"}, {Name: "crm", URL: "https://x"}}
		}, "webhooks[1].name"},
		"a webhook that waits for long": {func(d *tenancy.Document) {
			d.Webhooks = []tenancy.Webhook{{Name: "crm", URL: "https://x", Timeout: tenancy.Duration(time.Hour)}}
		}, "webhooks[0].timeout"},
		"a user named as a word of the API":   {func(d *tenancy.Document) { d.Users = append(d.Users, tenancy.User{Name: "export"}) }, "users[1].name"},
		"a device named as a word of the API": {func(d *tenancy.Document) { d.Devices = append(d.Devices, tenancy.Device{Name: "import"}) }, "devices[1].name"},
		"days below none":                     {func(d *tenancy.Document) { d.Tenant.Policies.CallDays = -1 }, "tenant.policies.call_days"},
		"days without end":                    {func(d *tenancy.Document) { d.Tenant.Policies.EventDays = 36_501 }, "tenant.policies.event_days"},
		"no address":                          {func(d *tenancy.Document) { d.Trunks[0].Addresses = []string{"x"} }, "trunks[0].addresses[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := small()
			c.spoil(&d)
			var names []string
			for _, f := range d.Validate() {
				require.NotEmpty(t, f.Sentence)
				names = append(names, f.Name)
			}
			require.Contains(t, names, c.field)
		})
	}
}

func TestCompare_SaysWhatIsCreatedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	old, wanted := small().Complete(), small()
	wanted.Queues[0].Ring = tenancy.Duration(20 * time.Second)
	wanted.Users[0].PasswordHash = "$argon2id$x"
	wanted.Numbers = []tenancy.Number{{Number: "8001", Queue: "support"}}
	var lines []string
	for _, c := range tenancy.Compare(old, wanted.Complete()) {
		lines = append(lines, c.String())
	}
	require.Equal(t, []string{
		"~ user 1001: password_hash changes", `~ queue support: ring "15s" → "20s"`, "+ number 8001", "- number 8000",
	}, lines)
	require.Empty(t, tenancy.Compare(old, small().Complete()))
	require.Len(t, tenancy.Compare(tenancy.Document{}, old), 9, "a new tenant is all creation")
}

func TestDuration_IsWrittenAndReadAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	for text, d := range map[string]time.Duration{"10s": 10 * time.Second, "1m30s": 90 * time.Second, "8h": 8 * time.Hour, "5m": 5 * time.Minute, "0s": 0, "1h0m5s": time.Hour + 5*time.Second} {
		out, err := json.Marshal(tenancy.Duration(d))
		require.NoError(t, err)
		require.Equal(t, `"`+text+`"`, string(out))
		var back tenancy.Duration
		require.NoError(t, json.Unmarshal(out, &back))
		require.Equal(t, d, time.Duration(back))
	}
	var bad tenancy.Duration
	require.ErrorContains(t, bad.UnmarshalText([]byte("soon")), "not a duration")
}

func TestComplete_ATrunkWithAnAccount_HasTheCarriersRealm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		trunk tenancy.Trunk
		realm string
	}{
		{tenancy.Trunk{Host: "sip.carrier.example:5070", User: "acct"}, "sip.carrier.example"},
		{tenancy.Trunk{Host: "sip.carrier.example", User: "acct"}, "sip.carrier.example"},
		{tenancy.Trunk{Host: "sip.carrier.example", User: "acct", Realm: "carrier"}, "carrier"},
		{tenancy.Trunk{Host: "sip.carrier.example"}, ""},
		{tenancy.Trunk{User: "acct"}, ""},
	} {
		require.Equal(t, c.realm, tenancy.Document{Trunks: []tenancy.Trunk{c.trunk}}.Complete().Trunks[0].Realm)
	}
}
