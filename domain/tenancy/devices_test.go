package tenancy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
)

// outward is a tenant in China with a trunk for all that begins with 0, and an external
// device with an internal number: the example of SEED-49.
func outward() tenancy.Document {
	d := small()
	d.Tenant.Country = "CN"
	d.Trunks = append(d.Trunks, tenancy.Trunk{Name: "carrier", Host: "sip.carrier.example"}, tenancy.Trunk{Name: "other", Host: "sip.other.example"})
	d.Numbers = append(d.Numbers, tenancy.Number{Number: "0*", Trunk: "carrier"})
	d.Devices = append(d.Devices, tenancy.Device{Name: "ordinary", Kind: leg.PSTN, Number: "041139735857", Extension: "5000", Owner: "1001"})
	return d
}

// SEED-26, SEED-49: a number in the form of the tenant's country, and its internal number.
func TestValidate_AnExternalDevice_IsKeptAsE164(t *testing.T) {
	t.Parallel()
	d := outward()
	require.Empty(t, d.Validate())
	got := d.Complete()
	require.Equal(t, "+8641139735857", got.Devices[1].Number)
	require.Empty(t, got.Validate(), "what is complete is as valid as what was written")
	require.Equal(t, got, got.Complete())
}

func TestValidate_RefusesDevicesThatCanNotWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil    func(*tenancy.Document)
		field    string
		sentence string
	}{
		"SEED-26: malformed":   {func(d *tenancy.Document) { d.Devices[1].Number = "04-wrong" }, "devices[1].number", `"04-wrong" is not a telephone number`},
		"SEED-26: unreachable": {func(d *tenancy.Document) { d.Numbers = d.Numbers[:1] }, "devices[1].number", `+8641139735857 can't be reached: no number such as "04*" leads to one of the trunks carrier, other`},
		"SEED-26: no country":  {func(d *tenancy.Document) { d.Tenant.Country = "" }, "devices[1].number", `"041139735857" can't be understood without the tenant's country: write it with + and the country code, or set tenant.country`},
		"SEED-26: no number":   {func(d *tenancy.Document) { d.Devices[1].Number = "" }, "devices[1].number", "an external device needs the number that is dialled"},
		"a number of its own": {func(d *tenancy.Document) {
			d.Numbers = append(d.Numbers, tenancy.Number{Number: "8641139735857", Agent: "1001"})
		}, "devices[1].number", "+8641139735857 is a number of this tenant itself: a call to it would come back"},
		"not to be dialled":            {func(d *tenancy.Document) { d.Tenant.Policies.DialAllowed = []string{"+49", "+43"} }, "devices[1].number", "+8641139735857 may not be dialled: only numbers that begin with +49 or +43 may be dialled"},
		"at premium rate":              {func(d *tenancy.Document) { d.Devices[1].Number = "+499001234567" }, "devices[1].number", "+499001234567 is a premium rate number: it has to be allowed by its own prefix, such as +49900"},
		"no prefix":                    {func(d *tenancy.Document) { d.Tenant.Policies.DialAllowed = []string{"+86", "0049"} }, "tenant.policies.dial_allowed[1]", `"0049" is not the beginning of an international number, such as +49, nor + for all`},
		"SEED-48: it can't register":   {func(d *tenancy.Document) { d.Devices[1].Password = "secret-secret" }, "devices[1].password", "an external device can't register or call, so it has no password"},
		"SEED-39: an agent's number":   {func(d *tenancy.Document) { d.Devices[1].Extension = "1001" }, "devices[1].extension", "1001 is the number of agent 1001 already"},
		"SEED-39: a queue's number":    {func(d *tenancy.Document) { d.Devices[1].Extension = "8000" }, "numbers[0].number", "8000 is the number of device ordinary already"},
		"SEED-39: two devices":         {func(d *tenancy.Document) { d.Devices[0].Extension = "5000" }, "devices[1].extension", "5000 is the number of device 1001 already"},
		"SEED-39: an agent's as route": {func(d *tenancy.Document) { d.Numbers[0].Number = "1001" }, "numbers[0].number", "1001 is the number of agent 1001 already"},
		"no owner":                     {func(d *tenancy.Document) { d.Devices[1].Owner = "nobody" }, "devices[1].owner", `there is no user "nobody" in this file`},
		"a prefix as extension":        {func(d *tenancy.Document) { d.Devices[1].Extension = "5*" }, "devices[1].extension", `"5*" is not a number to dial`},
		"a setting":                    {func(d *tenancy.Document) { d.Devices[0].Type = "foe" }, "devices[0].type", `"foe" is not allowed: user, peer or friend`},
		"no such country":              {func(d *tenancy.Document) { d.Tenant.Country = "China"; d.Devices[1].Number = "+8641139735857" }, "tenant.country", `"China" is not a country: two capital letters of ISO 3166-1, such as DE`},
		"a phone with a number":        {func(d *tenancy.Document) { d.Devices[0].Number = "+8641139735857" }, "devices[0].number", "only an external device has a number; extension is the internal one"},
		"a kind that is none":          {func(d *tenancy.Document) { d.Devices[0].Kind = "iax" }, "devices[0].kind", `"iax" is not allowed: sip, webrtc or external`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := outward()
			c.spoil(&d)
			found := ""
			for _, f := range d.Validate() {
				if f.Name == c.field {
					found = f.Sentence
				}
			}
			require.Equal(t, c.sentence, found)
		})
	}
}

// A setting that is left out and its default are the same.
func TestCompare_DevicesDefaults_AreNoDifference(t *testing.T) {
	t.Parallel()
	said := small()
	said.Devices[0].Settings = device.Settings{Host: device.Dynamic, NAT: device.NATYes, Type: device.Friend, Context: "from-sip", Recording: "off"}
	require.Empty(t, tenancy.Compare(small().Complete(), said.Complete()))
	said.Devices[0].Codecs = []device.Codec{device.ULaw}
	said.Devices[0].Recording = device.RecordWAV
	changes := tenancy.Compare(small().Complete(), said.Complete())
	require.Len(t, changes, 1)
	require.Equal(t, `~ device 1001: codecs none → ["ulaw"], recording "off" → "wav"`, changes[0].String())
}
