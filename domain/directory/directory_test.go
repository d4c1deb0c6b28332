package directory_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
)

func ExampleInUse_Refuse() {
	use := &directory.InUse{By: []directory.Ref{{Kind: directory.Number, Name: "8000"}, {Kind: directory.Agent, Name: "1001"}}}
	fmt.Println(fault.Sentence(use.Refuse(directory.Queue, "support")))
	// Output: queue support is used by number 8000, agent 1001; change these first.
}

// SEED-37: tenants are of a division, divisions of an organization; a division of the
// same name in another organization is another one.
func TestSharedLevel_TheClosestOfBoth(t *testing.T) {
	t.Parallel()
	a := directory.Neighbor{Tenant: "a.example", Organization: "acme", Division: "north"}
	for want, b := range map[account.Scope]directory.Neighbor{
		account.Tenant:       a,
		account.Division:     {Tenant: "b.example", Organization: "acme", Division: "north"},
		account.Organization: {Tenant: "b.example", Organization: "acme", Division: "south"},
		account.System:       {Tenant: "b.example", Organization: "other", Division: "north"},
	} {
		require.Equal(t, want, directory.SharedLevel(a, b))
		require.Equal(t, want, directory.SharedLevel(b, a))
	}
}

func TestNewer_CarriesWhatIsNow(t *testing.T) {
	t.Parallel()
	err := (&directory.Newer{Now: directory.Thing{Kind: directory.Team, Name: "blue", Version: 7}}).Refuse()
	var newer *directory.Newer
	require.True(t, errors.As(err, &newer))
	require.EqualValues(t, 7, newer.Now.Version)
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	require.Contains(t, err.Error(), "team blue has version 7")
}
