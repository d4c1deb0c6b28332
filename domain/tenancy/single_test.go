package tenancy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
	"holdfast/domain/leg"
	"holdfast/domain/tenancy"
)

func TestCompleteDevice_ByItself_IsCheckedAsInADocument(t *testing.T) {
	t.Parallel()
	d := outward()
	v, wrong := d.CompleteDevice(tenancy.Device{Name: "phone", Kind: leg.SIP, Agent: "1001", Password: "secret"})
	require.Empty(t, wrong)
	require.Equal(t, device.Dynamic, v.Host)
	v, wrong = d.CompleteDevice(tenancy.Device{Name: "mobile", Kind: leg.PSTN, Number: "041139735857"})
	require.Empty(t, wrong)
	require.Equal(t, "+8641139735857", v.Number)
	_, wrong = d.CompleteDevice(tenancy.Device{Name: "odd", Kind: leg.SIP, Number: "1", Settings: device.Settings{NAT: "perhaps"}})
	names := []string{}
	for _, f := range wrong {
		names = append(names, f.Name)
	}
	require.ElementsMatch(t, []string{"number", "nat"}, names)
}

func TestCompleteTrunk_ByItself_IsCheckedAsInADocument(t *testing.T) {
	t.Parallel()
	k, wrong := tenancy.Document{}.CompleteTrunk(tenancy.Trunk{Name: "c", Host: "sip.carrier.example:5070", User: "u", Password: "p", Addresses: []string{"192.0.2.9"}})
	require.Empty(t, wrong)
	require.Equal(t, "sip.carrier.example", k.Realm)
	require.Equal(t, []string{"192.0.2.9/32"}, k.Addresses)
	_, wrong = tenancy.Document{}.CompleteTrunk(tenancy.Trunk{Name: "c", Transport: "pigeon", Addresses: []string{"here"}})
	require.Len(t, wrong, 2)
}
