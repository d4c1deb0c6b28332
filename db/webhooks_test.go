package db_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
)

// Headers hold what only the receiver is to know. Nobody is shown them, and nobody who
// may change the address gets them sent to a receiver of their own.
func TestWebhooks_AnotherReceiverDoesNotGetTheHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook("crm", map[string]any{"headers": map[string]string{"Authorization": "Bearer hidden"}})
	w.hook("plain", nil)
	set := func(name string, fields map[string]any) error {
		_, err := w.Update(t.Context(), w.ada(), directory.Change{Kind: directory.Webhook, Name: name, Set: fields, Secrets: []string{"headers"}})
		return err
	}
	for _, address := range []string{"https://evil.example/", "http://crm.example.com/", "https://crm.example.com:8443/", "https://crm.example.com.evil.example/"} {
		requireRefused(t, set("crm", map[string]any{"url": address}), fault.Invalid, "invalid")
		require.NoError(t, set("plain", map[string]any{"url": address}))
	}
	require.NoError(t, set("crm", map[string]any{"url": "https://CRM.example.com:443/other?x=1"}))
	require.NoError(t, set("crm", map[string]any{"url": "https://new.example/", "headers": map[string]string{"Authorization": "Bearer new"}}))
	work, _ := w.take(1)
	require.Equal(t, map[string]string{"Authorization": "Bearer new"}, work.Target.Headers)
}
