package seal_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/seal"
)

// What is closed opens for the same use, with whichever of the keys closed it, and else not.
func TestKeys_OpenWhatTheyClosed_ForItsUse(t *testing.T) {
	t.Parallel()
	_, first, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	_, second, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	old, err := seal.New([]ed25519.PrivateKey{first})
	require.NoError(t, err)
	both, err := seal.New([]ed25519.PrivateKey{second, first})
	require.NoError(t, err)
	sealed := old.Close("hunter2", "door")
	require.NotContains(t, sealed, "hunter2")
	require.NotEqual(t, sealed, old.Close("hunter2", "door"), "nobody sees that two are the same")
	open, err := both.Open(sealed, "door")
	require.NoError(t, err)
	require.Equal(t, "hunter2", open)
	for name, c := range map[string]struct {
		keys        seal.Keys
		sealed, use string
	}{
		"another use": {both, sealed, "window"}, "the key is gone": {both[:1], sealed, "door"}, "no key": {nil, sealed, "door"},
		"changed": {both, "A" + sealed, "door"}, "cut": {both, sealed[:8], "door"}, "no base64": {both, "?", "door"}, "empty": {both, "", "door"},
	} {
		_, err := c.keys.Open(c.sealed, c.use)
		require.ErrorIs(t, err, seal.ErrSealed, name)
	}
}
