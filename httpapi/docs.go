package httpapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"holdfast/domain/fault"
)

//go:embed docs.html
var docsHTML string

var docs = template.Must(template.New("docs").Parse(docsHTML))

// reference is the description of the API as the page for people shows it. The
// page is plain HTML: it needs no script and nothing from elsewhere.
type reference struct {
	Title       string
	Version     string
	Description string
	Groups      []referenceGroup
	Schemas     []referenceSchema
}

type referenceGroup struct {
	Name   string
	Routes []referenceRoute
}

type referenceRoute struct {
	ID, Method, Path, Summary, Description, Access string
	Fields                                         []referenceField // parameters and body
	Answers                                        []referenceAnswer
}

type referenceField struct {
	Name, In, Type, Doc string
	Required            bool
}

type referenceAnswer struct {
	Status, Type string
	Schema       string // name of a schema on the page
}

type referenceSchema struct {
	Name   string
	Fields []referenceField
}

// groupOrder is the order of the page: as one meets them.
var groupOrder = []string{tagSignIn, tagEntrance, tagSession, tagCalls, tagWatch, tagPeople, tagService, tagRecords, tagWebhooks, tagCustomers, tagLogs, tagTenants, tagOperator}

func renderReference(api *huma.OpenAPI) ([]byte, error) {
	r := reference{Title: api.Info.Title, Version: api.Info.Version, Description: api.Info.Description}
	for _, tag := range groupOrder {
		g := referenceGroup{Name: tag}
		for _, route := range routes[tag] {
			if op := operationOf(api, route); op != nil {
				g.Routes = append(g.Routes, referenceOf(api, route, op))
			}
		}
		r.Groups = append(r.Groups, g)
	}
	for name, s := range api.Components.Schemas.Map() {
		r.Schemas = append(r.Schemas, referenceSchema{Name: name, Fields: fieldsOf(s, "")})
	}
	slices.SortFunc(r.Schemas, func(a, b referenceSchema) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	if err := docs.Execute(&b, r); err != nil {
		return nil, fault.E(fault.Internal, "render reference", err)
	}
	return b.Bytes(), nil
}

func operationOf(api *huma.OpenAPI, r route) *huma.Operation {
	item := api.Paths[r.path]
	if item == nil {
		return nil
	}
	switch r.method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodDelete:
		return item.Delete
	case http.MethodPatch:
		return item.Patch
	}
	return nil
}

func referenceOf(api *huma.OpenAPI, r route, op *huma.Operation) referenceRoute {
	v := referenceRoute{
		ID: r.name, Method: r.method, Path: r.path, Summary: op.Summary, Description: op.Description, Access: string(r.access),
	}
	for _, p := range op.Parameters {
		v.Fields = append(v.Fields, referenceField{Name: p.Name, In: p.In, Type: typeName(p.Schema), Doc: p.Description, Required: p.Required})
	}
	if op.RequestBody != nil {
		for _, media := range op.RequestBody.Content {
			s := media.Schema
			if s.Ref != "" {
				s = api.Components.Schemas.SchemaFromRef(s.Ref)
			}
			v.Fields = append(v.Fields, fieldsOf(s, "body")...)
		}
	}
	for status, response := range op.Responses {
		a := referenceAnswer{Status: status, Type: response.Description}
		for _, media := range response.Content {
			if media.Schema != nil && media.Schema.Ref != "" {
				a.Schema = refName(media.Schema.Ref)
			}
		}
		v.Answers = append(v.Answers, a)
	}
	slices.SortFunc(v.Answers, func(a, b referenceAnswer) int { return strings.Compare(a.Status, b.Status) })
	return v
}

func fieldsOf(s *huma.Schema, in string) []referenceField {
	var fields []referenceField
	for name, p := range s.Properties {
		fields = append(fields, referenceField{Name: name, In: in, Type: typeName(p), Doc: p.Description, Required: slices.Contains(s.Required, name)})
	}
	slices.SortFunc(fields, func(a, b referenceField) int {
		if a.Required != b.Required && a.Required {
			return -1
		} else if a.Required != b.Required {
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return fields
}

// typeName says in few words what a value is.
func typeName(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		return refName(s.Ref)
	case len(s.Enum) > 0:
		var words []string
		for _, e := range s.Enum {
			b, _ := json.Marshal(e) // words and numbers always marshal
			words = append(words, strings.Trim(string(b), `"`))
		}
		return strings.Join(words, " | ")
	case s.Type == huma.TypeArray:
		return "list of " + typeName(s.Items)
	case s.Format != "":
		return s.Format
	}
	return s.Type
}

func refName(ref string) string { return ref[strings.LastIndex(ref, "/")+1:] }
