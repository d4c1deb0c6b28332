package httpapi

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// served is the served document, as far as these tests read it.
type served struct {
	Paths map[string]map[string]struct {
		ID         string `json:"operationId"`
		Parameters []struct {
			Name        string `json:"name"`
			Description string `json:"description"`
		} `json:"parameters"`
	} `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Properties map[string]struct {
				Description string `json:"description"`
			} `json:"properties"`
		} `json:"schemas"`
	} `json:"components"`
}

func servedBy(h *house) (doc served) {
	h.t.Helper()
	require.NoError(h.t, json.Unmarshal(h.ask("", http.MethodGet, "/openapi.json", "").Body.Bytes(), &doc))
	return doc
}

// keyless are the mutations without Idempotency-Key; docs/integrating.md says why.
var keyless = map[string]bool{"login": true, "refresh": true, "logout": true, "change-password": true, "switch-tenant": true}

// Every mutation takes Idempotency-Key, but for those whose repeat has rules of its own.
func TestOpenAPI_EveryMutationTakesAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/integrating.md")
	require.NoError(t, err)
	mutations := 0
	for path, operations := range servedBy(newHouse(t)).Paths {
		for method, op := range operations {
			if method == "get" {
				continue
			}
			mutations++
			takes := false
			for _, p := range op.Parameters {
				takes = takes || p.Name == "Idempotency-Key"
			}
			require.Equal(t, !keyless[op.ID], takes, op.ID)
			if keyless[op.ID] {
				require.Contains(t, string(guide), "| `"+strings.ToUpper(method)+" "+path+"` | ", "the guide says why %s takes none", op.ID)
			}
		}
	}
	require.Greater(t, mutations, 80)
}

// The reference says of everything what it is.
func TestOpenAPI_NothingIsWithoutWords(t *testing.T) {
	t.Parallel()
	doc := servedBy(newHouse(t))
	properties := 0
	for name, s := range doc.Components.Schemas {
		for property, p := range s.Properties {
			properties++
			require.NotEmpty(t, p.Description, "%s.%s", name, property)
		}
	}
	require.Greater(t, properties, 700)
	for _, operations := range doc.Paths {
		for _, op := range operations {
			for _, p := range op.Parameters {
				require.NotEmpty(t, p.Description, "%s %s", op.ID, p.Name)
			}
		}
	}
}

// A repeat of ending logins is answered as the first was.
func TestEndLogins_ARepeatWithTheKeyHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, path := range []string{"/v1/me/logins", "/v1/users/1001/logins"} {
		for range 2 {
			require.Equal(t, http.StatusNoContent, h.ask("admin", http.MethodDelete, path, "", "Idempotency-Key", "out").Code, path)
		}
	}
	require.Equal(t, http.StatusUnprocessableEntity, h.ask("admin", http.MethodDelete, "/v1/users/1002/logins", "", "Idempotency-Key", "out").Code, "the key of another request")
}
