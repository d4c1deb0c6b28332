package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/directory"
	"holdfast/domain/event"
	"holdfast/domain/webhook"
)

// The double of the directory keeps deliveries as well.

func oneDelivery(number int64) webhook.Delivery {
	return webhook.Delivery{Number: number, Message: "evt_7", Type: "call.queued", Subject: "call:c", Cause: webhook.ByEvent, State: webhook.Pending, Created: noon, Next: noon,
		Response: []byte("no \xff"), Event: event.Event{Seq: 7, Tenant: tenant, Stream: "call:c", Version: 1, Kind: "Queued", At: noon, View: json.RawMessage(`{"id":"c","phase":"Queued"}`)}}
}

func (d *things) Deliveries(_ context.Context, _ webhook.Ref, q webhook.DeliveryQuery) ([]webhook.Delivery, error) {
	var list []webhook.Delivery
	for n := range int64(q.Limit) {
		list = append(list, oneDelivery(100-n))
	}
	return list, d.refuse
}

func (d *things) Delivery(_ context.Context, _ webhook.Ref, number int64) (webhook.Delivery, error) {
	return oneDelivery(number), d.refuse
}

func (d *things) Redeliver(_ context.Context, by directory.Author, _ string, number int64) (webhook.Delivery, error) {
	return oneDelivery(number), d.refuse
}

func (d *things) Replay(_ context.Context, _ directory.Author, _ string, r webhook.Replay) (webhook.Replayed, error) {
	return webhook.Replayed{Queued: len(r.Events), Last: r.After}, d.refuse
}

func (d *things) PingWebhook(context.Context, directory.Author, string) (webhook.Delivery, error) {
	return oneDelivery(1), d.refuse
}

// The secret is ours: it is shown in the answer to the making and to the rotation, and
// nowhere else.
func TestWebhooks_TheSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	made := h.ask("admin", http.MethodPost, "/v1/webhooks", `{"name":"crm","url":"https://crm.example.com/hook","headers":{"Authorization":"Bearer x"}}`)
	require.Equal(t, http.StatusCreated, made.Code, made.Body)
	secret, _ := made.body["secret"].(string)
	require.True(t, strings.HasPrefix(secret, "whsec_"), made.Body)
	c := h.things.changes[0]
	kept := webhook.Target{Secrets: []string{c.Set["secret"].(string)}, Headers: c.Set["headers"].(map[string]string)}
	require.NotContains(t, fmt.Sprint(kept), secret)
	require.NotContains(t, fmt.Sprint(kept), "Bearer")
	of := webhook.Ref{Tenant: "demo.localhost", Name: "crm"}
	open, err := kept.Unsealed(h.api.seals, of)
	require.NoError(t, err)
	require.Equal(t, webhook.Target{Secrets: []string{secret}, Headers: map[string]string{"Authorization": "Bearer x"}}, open)
	require.Equal(t, []string{"secret", "headers"}, c.Secrets)
	rotated := h.ask("admin", http.MethodPost, "/v1/webhooks/crm/rotate-secret", `{"overlap_ms":0}`)
	require.Equal(t, http.StatusOK, rotated.Code, rotated.Body)
	require.True(t, strings.HasPrefix(rotated.body["secret"].(string), "whsec_"))
	require.NotEqual(t, secret, rotated.body["secret"])
	require.Equal(t, int64(0), h.things.changes[1].Set["overlap_ms"])
	open, err = webhook.Target{Secrets: []string{h.things.changes[1].Set["secret"].(string)}}.Unsealed(h.api.seals, of)
	require.NoError(t, err)
	require.Equal(t, []any{rotated.body["secret"]}, []any{open.Secrets[0]})
	require.Equal(t, http.StatusOK, h.ask("admin", http.MethodPost, "/v1/webhooks/crm/rotate-secret", "").Code)
	require.Equal(t, int64(86_400_000), h.things.changes[2].Set["overlap_ms"])
	for _, path := range []string{"/v1/webhooks", "/v1/webhooks/crm"} {
		require.NotContains(t, h.ask("admin", http.MethodGet, path, "").Body.String(), "whsec_", path)
	}
	require.NotContains(t, h.ask("admin", http.MethodPatch, "/v1/webhooks/crm", `{"enabled":false}`).Body.String(), "whsec_")
	require.NotContains(t, h.things.changes[3].Set, "secret")
}

// What can't be a receiver, or must not be, is refused when it is saved.
func TestWebhooks_WhatMustNotBeSavedIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.names = map[string][]netip.Addr{"inside.example.com": {netip.MustParseAddr("10.0.0.1")}, "both.example.com": {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("1.1.1.1")}}
	for body, field := range map[string]string{
		`{"name":"x","url":"http://crm.example.com/"}`:                                       "body:url",
		`{"name":"x","url":"https://127.0.0.1/"}`:                                            "body:url",
		`{"name":"x","url":"https://169.254.169.254/latest"}`:                                "body:url",
		`{"name":"x","url":"https://[::ffff:10.0.0.1]/"}`:                                    "body:url",
		`{"name":"x","url":"https://localhost/"}`:                                            "body:url",
		`{"name":"x","url":"https://inside.example.com/"}`:                                   "body:url",
		`{"name":"x","url":"https://a:b@crm.example.com/"}`:                                  "body:url",
		`{"name":"x","url":"ftp://crm.example.com/"}`:                                        "body:url",
		`{"name":"x","url":"https://crm.example.com/","events":["call.nonsense"]}`:           "body:events[0]",
		`{"name":"x","url":"https://crm.example.com/","headers":{"Webhook-Signature":"v1"}}`: "body:headers",
		`{"name":"x","url":"https://crm.example.com/","headers":{"Host":"other"}}`:           "body:headers",
		`{"name":"x","url":"https://crm.example.com/","headers":{"A b":"c"}}`:                "body:headers",
	} {
		got := h.ask("admin", http.MethodPost, "/v1/webhooks", body)
		require.Equal(t, http.StatusUnprocessableEntity, got.Code, body)
		require.Contains(t, got.fields(), field, body)
	}
	require.Empty(t, h.things.changes)
	require.Equal(t, http.StatusCreated, h.ask("admin", http.MethodPost, "/v1/webhooks", `{"name":"x","url":"https://both.example.com/"}`).Code)
	open := newHouse(t, func(c *Config) {
		c.Fence = loopback
	})
	require.Equal(t, http.StatusCreated, open.ask("admin", http.MethodPost, "/v1/webhooks", `{"name":"x","url":"http://127.0.0.1:9/"}`).Code)
	require.Equal(t, http.StatusUnprocessableEntity, open.ask("admin", http.MethodPost, "/v1/webhooks", `{"name":"x","url":"http://1.1.1.1/"}`).Code)
}

// Deliveries are listed by pages, and one is shown with what is sent, as the event stream
// shows it.
func TestWebhooks_DeliveriesArePagedAndShowTheirBody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	list := h.ask("admin", http.MethodGet, "/v1/webhooks/crm/deliveries?limit=2&state=pending&subject=call:c", "")
	require.Equal(t, http.StatusOK, list.Code, list.Body)
	require.Len(t, list.body["items"], 2)
	require.Equal(t, "99", list.body["next_cursor"])
	require.Equal(t, http.StatusUnprocessableEntity, h.ask("admin", http.MethodGet, "/v1/webhooks/crm/deliveries?cursor=x", "").Code)
	one := h.ask("admin", http.MethodGet, "/v1/webhooks/crm/deliveries/5", "")
	require.Equal(t, http.StatusOK, one.Code, one.Body)
	require.Equal(t, "no \ufffd", one.body["response"])
	sent := one.body["request_body"].(map[string]any)
	require.Equal(t, "evt_7", sent["id"])
	require.Equal(t, "call.queued", sent["type"])
	require.EqualValues(t, 7, sent["sequence"])
	require.Equal(t, []any{}, sent["data"].(map[string]any)["legs"], "the view of the API, not the machine's")
	require.Equal(t, http.StatusAccepted, h.ask("admin", http.MethodPost, "/v1/webhooks/crm/deliveries/5/redeliver", "").Code)
	require.Equal(t, http.StatusAccepted, h.ask("admin", http.MethodPost, "/v1/webhooks/crm/test", "").Code)
	again := h.ask("admin", http.MethodPost, "/v1/webhooks/crm/replay", `{"from":"2026-11-20T00:00:00Z","events":["call.*","agent.ready"],"after":9}`)
	require.Equal(t, http.StatusAccepted, again.Code, again.Body)
	require.EqualValues(t, 2, again.body["queued"])
	require.EqualValues(t, 9, again.body["last_sequence"])
	require.Equal(t, http.StatusUnprocessableEntity, h.ask("admin", http.MethodPost, "/v1/webhooks/crm/replay", `{"from":"2026-11-20T00:00:00Z","to":"2026-11-19T00:00:00Z"}`).Code)
}
