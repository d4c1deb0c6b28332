package described

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// document is what the test needs of an OpenAPI 3.1 document.
type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]schema }
}

type operation struct {
	ID         string `json:"operationId"`
	Access     string `json:"x-access"`
	Parameters []parameter
	Body       *struct {
		Required bool
		Content  map[string]struct{ Schema schema }
	} `json:"requestBody"`
	Responses map[string]struct{ Content map[string]json.RawMessage }

	method, path string
}

type parameter struct {
	Name, In string
	Required bool
	Schema   schema
}

// schema is a JSON Schema as the document uses it.
type schema struct {
	Ref        string          `json:"$ref"`
	Type       json.RawMessage // a word or several
	Enum       []any
	Properties map[string]schema
	Required   []string
	Items      *schema
	More       json.RawMessage `json:"additionalProperties"`
	Minimum    *float64
	Maximum    *float64
	MinLength  int
	MaxLength  *int
	MaxItems   *int
	Format     string
	Pattern    string
}

// kind is the schema's type, the first if there are several.
func (s schema) kind() string {
	var one string
	if json.Unmarshal(s.Type, &one) == nil {
		return one
	}
	var several []string
	if json.Unmarshal(s.Type, &several) == nil {
		for _, t := range several {
			if t != "null" {
				return t
			}
		}
	}
	return "object"
}

// served is the document that the running API serves.
func served(t *testing.T) *document {
	t.Helper()
	var d document
	require.NoError(t, hall.Anonymous().Into(t.Context(), &d, http.MethodGet, "/openapi.json", nil))
	return &d
}

// operations are all of the document, in order.
func (d *document) operations() []operation {
	var list []operation
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			op := d.Paths[path][method]
			op.method, op.path = strings.ToUpper(method), path
			list = append(list, op)
		}
	}
	return list
}

// resolved follows a reference.
func (d *document) resolved(s schema) schema {
	for s.Ref != "" {
		s = d.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]]
	}
	return s
}
