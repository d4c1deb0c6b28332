// Package receiver shows how an outside system takes the messages of a Holdfast webhook.
package receiver

import (
	"encoding/json"
	"io"
	"net/http"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Handler verifies each message and hands it to store, which keeps it for good, once per id:
// an id that it knows already is a repeat, and is dropped without an error.
func Handler(secret string, store func(id, kind string, data json.RawMessage) error) (http.Handler, error) {
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil || wh.Verify(body, r.Header) != nil {
			http.Error(w, "not from Holdfast", http.StatusUnauthorized)
			return
		}
		var m struct {
			ID   string          `json:"id"`
			Type string          `json:"type"`
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(body, &m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := store(m.ID, m.Type, m.Data); err != nil { // it comes again
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}), nil
}
