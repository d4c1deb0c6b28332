package account_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
)

func ExampleUser_May() {
	u := account.User{Name: "sam", Permissions: account.PermissionsOf(account.Supervisor)}
	fmt.Println(u.May(account.CallsMonitor), u.May(account.TenantsApply))
	// Output: true false
}

// The password's hash never leaves by way of JSON.
func TestUser_InJSON_HoldsNoHash(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(account.User{Name: "sam", PasswordHash: "$argon2id$…"})
	require.NoError(t, err)
	require.NotContains(t, string(data), "argon2id")
}
