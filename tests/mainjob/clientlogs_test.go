package mainjob

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/tests/stage"
)

// SEED-129: an agent's browser reports what it noted; an administrator finds it by the
// user, and downloads it as a file. Agents see nobody's, and other tenants nothing.
func TestSEED129_ClientLogs_AreReported_ListedAndDownloaded(t *testing.T) {
	t.Parallel()
	ten, other := hall.Tenant(t, stage.Plan{}), hall.Tenant(t, stage.Plan{})
	agent, admin := ten.Login("1001"), ten.Login("admin")
	made := asked(t, agent, http.StatusCreated, http.MethodPost, "/v1/client-logs?version=0.9", map[string]any{"entries": []map[string]any{
		{"time": "2026-11-21T09:00:00Z", "level": "error", "message": "ICE failed", "context": map[string]any{"candidates": 0}}}})
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write([]byte("a long trace"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	ans, err := agent.Do(t.Context(), http.MethodPost, "/v1/client-logs", z.Bytes(), "Content-Type", "application/gzip")
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, ans.Status, string(ans.Body))

	items := asked(t, admin, http.StatusOK, http.MethodGet, "/v1/client-logs?user=1001", nil)["items"].([]any)
	require.Len(t, items, 2)
	first := items[1].(map[string]any)
	require.Equal(t, []any{made["id"], "1001", "0.9", "application/x-ndjson"}, []any{first["id"], first["user"], first["version"], first["media_type"]})
	require.NotEmpty(t, first["address"])
	file, err := admin.Do(t.Context(), http.MethodGet, "/v1/client-logs/"+made["id"].(string), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, file.Status)
	require.Contains(t, string(file.Body), "ICE failed")
	require.Contains(t, file.Header.Get("Content-Disposition"), "attachment")
	asked(t, agent, http.StatusForbidden, http.MethodGet, "/v1/client-logs", nil)
	asked(t, other.Login("admin"), http.StatusNotFound, http.MethodGet, "/v1/client-logs/"+made["id"].(string), nil)
	trail(t, admin, "admin@ client_log.read client_log:"+made["id"].(string)+" ok")
}
