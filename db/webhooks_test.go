package db_test

import (
	"context"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/webhook"
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

// Who may write webhooks has no contacts sent anywhere that it may not see itself.
func TestWebhooks_ContactsAreSentByThoseWhoMaySeeThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "support")
	it := w.author(nil, account.ITAdmin)
	change := func(do func(context.Context, directory.Author, directory.Change) (directory.Thing, error), name string, set map[string]any) error {
		_, err := do(t.Context(), it, directory.Change{Kind: directory.Webhook, Name: name, Set: set})
		return err
	}
	made := func(more map[string]any) map[string]any {
		set := map[string]any{"url": "https://it.example/", "secret": webhook.NewSecret()}
		maps.Copy(set, more)
		return set
	}
	for _, events := range [][]string{nil, {"*"}, {"call.*", "contact.created"}, {"contact.*"}} {
		more := map[string]any{}
		if events != nil {
			more["events"] = events
		}
		requireRefused(t, change(w.Create, "it", made(more)), fault.Forbidden, "contacts_forbidden")
	}
	require.NoError(t, change(w.Create, "it", made(map[string]any{"events": []string{"call.*", "agent.*"}})))
	require.NoError(t, change(w.Create, "queue", made(map[string]any{"queue": "support"})))
	requireRefused(t, change(w.Update, "queue", map[string]any{"queue": ""}), fault.Forbidden, "contacts_forbidden")
	requireRefused(t, change(w.Update, "it", map[string]any{"events": []string{"*"}}), fault.Forbidden, "contacts_forbidden")
	w.hook("crm", map[string]any{"events": []string{"contact.*"}})
	requireRefused(t, change(w.Update, "crm", map[string]any{"url": "https://it.example/"}), fault.Forbidden, "contacts_forbidden")
	require.NoError(t, change(w.Update, "crm", map[string]any{"enabled": false}), "to stop it takes no more than webhooks:write")
}
