package device_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/device"
)

// Secrets never leave by way of JSON: a log, a view, a signal.
func TestCredentials_InJSON_HoldNoSecret(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(device.Credentials{Tenant: "demo.localhost", User: "1001", MD5: "f00d", SHA256: "beef"})
	require.NoError(t, err)
	require.JSONEq(t, `{"tenant":"demo.localhost","user":"1001"}`, string(data))
}
