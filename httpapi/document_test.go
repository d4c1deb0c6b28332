package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// paper is a double of documents: text that begins with the tenant's domain.
type paper struct{}

func (paper) Read(data []byte) (d tenancy.Document, err error) {
	if len(data) == 0 || strings.HasPrefix(string(data), "wrong") {
		return d, &fault.Error{Kind: fault.Invalid, Code: "tenant_file", Sentence: "line 3, agents[0].user: there is no user x", Fields: []fault.Field{{Name: "agents[0].user", Sentence: "there is no user x"}}}
	}
	d.Tenant.Domain = id.Tenant(strings.TrimSpace(string(data)))
	return d, nil
}

func (paper) Write(d tenancy.Document) ([]byte, error) { return []byte(d.Tenant.Domain), nil }

func (paper) ApplyBy(_ context.Context, by directory.Author, d tenancy.Document, dry bool) ([]tenancy.Change, error) {
	return []tenancy.Change{{Sign: "+", Object: "user " + string(by.Name)}}, nil
}

func (paper) ExportBy(_ context.Context, by directory.Author) (d tenancy.Document, err error) {
	d.Tenant.Domain = by.Tenant
	return d, nil
}

func TestDocuments_AreAppliedAndExportedByWhomMay_InTheirTenantOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ask := func(as id.User, path, body string) answer {
		return h.ask(as, http.MethodPost, path, body, "Content-Type", "application/yaml")
	}
	got := ask("admin", "/v1/tenants/demo.localhost/apply?dry_run=true", "demo.localhost")
	require.Equal(t, http.StatusOK, got.Code, got.Body)
	require.JSONEq(t, `{"tenant":"demo.localhost","dry_run":true,"changes":[{"sign":"+","object":"user admin"}]}`, got.Body.String())
	wrong := ask("admin", "/v1/tenants/demo.localhost/apply", "wrong")
	require.Equal(t, http.StatusUnprocessableEntity, wrong.Code)
	require.Contains(t, wrong.body["detail"], "line 3, agents[0].user")
	require.Contains(t, wrong.fields(), "body:agents[0].user")
	require.Contains(t, ask("admin", "/v1/tenants/demo.localhost/apply", "other.localhost").fields(), "body:tenant.domain")
	require.Equal(t, http.StatusNotFound, ask("admin", "/v1/tenants/other.localhost/apply", "other.localhost").Code)
	require.Equal(t, http.StatusForbidden, ask("supervisor", "/v1/tenants/demo.localhost/apply", "demo.localhost").Code)

	file := h.ask("admin", http.MethodGet, "/v1/tenants/demo.localhost/export", "")
	require.Equal(t, http.StatusOK, file.Code)
	require.Equal(t, "demo.localhost", file.Body.String())
	require.Equal(t, "no-store", file.Header().Get("Cache-Control"))
	require.Equal(t, http.StatusNotFound, h.ask("admin", http.MethodGet, "/v1/tenants/other.localhost/export", "").Code)
	require.Equal(t, http.StatusForbidden, h.ask("1001", http.MethodGet, "/v1/tenants/demo.localhost/export", "").Code)
}
