package receiver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"holdfast/docs/examples/receiver"
	"holdfast/domain/webhook"
)

// told is a message as Holdfast sends it.
func told(secret, body string) *http.Request {
	now := time.Now()
	signature, _ := webhook.Sign([]string{secret}, "evt_1", now, []byte(body)) // the secret is one of ours
	r := httptest.NewRequest(http.MethodPost, "/holdfast", strings.NewReader(body))
	r.Header.Set(webhook.HeaderID, "evt_1")
	r.Header.Set(webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	r.Header.Set(webhook.HeaderSignature, signature)
	return r
}

func ExampleHandler() {
	secret := webhook.NewSecret()
	h, _ := receiver.Handler(secret, func(id, kind string, data json.RawMessage) error {
		fmt.Println(id, kind, string(data))
		return nil
	})
	for _, s := range []string{secret, webhook.NewSecret()} {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, told(s, `{"id":"evt_1","type":"call.queued","data":{"queue":"support"}}`))
		fmt.Println(answer.Code)
	}
	// Output:
	// evt_1 call.queued {"queue":"support"}
	// 204
	// 401
}

// The documentation shows this very file.
func TestExample_IsWhatTheDocumentationShows(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("receiver.go")
	require.NoError(t, err)
	page, err := os.ReadFile("../../webhooks.md")
	require.NoError(t, err)
	require.Contains(t, string(page), string(code))
}
