package httpapi

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"holdfast/domain/account"
	"holdfast/domain/fault"
	"holdfast/domain/record"
)

// maxBody bounds the body of a request in bytes: no request of this API needs more.
const maxBody = 64 << 10

// largeBodies are the bounds of routes that need more, in bytes.
var largeBodies = map[string]int64{"upload-client-log": record.MaxClientLog, "apply-tenant": maxDocument, "create-music": mostMusicBody, "update-music": mostMusicBody}

// register serves the route of that name by h. Validation, authorization and the
// form of refusals are the same for all.
func register[I, O any](a *API, name string, h func(context.Context, *I) (*O, error)) {
	_, r := routeNamed(name)
	huma.Register(a.huma, a.operation(name, reflect.TypeFor[I]()), func(ctx context.Context, in *I) (*O, error) {
		out, err := answered(ctx, a, r, in, h)
		if err != nil {
			return nil, a.refusal(ctx, name, err)
		}
		return out, nil
	})
}

// furtherRefusals are the statuses of refusals that routes give besides those that
// follow from who may use them.
var furtherRefusals = map[string][]int{
	"login":           {http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests},
	"refresh":         {http.StatusUnauthorized},
	"begin-oidc":      {http.StatusNotFound},
	"end-oidc":        {http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests},
	"change-password": {http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusTooManyRequests},
}

// operation describes a route for the reference, with the refusals that it may give.
func (a *API) operation(name string, input reflect.Type) huma.Operation {
	tag, r := routeNamed(name)
	op := huma.Operation{
		OperationID: r.name, Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{tag},
		DefaultStatus: r.status, MaxBodyBytes: cmp.Or(largeBodies[r.name], maxBody), Errors: []int{http.StatusUnprocessableEntity, http.StatusServiceUnavailable},
		Extensions: map[string]any{"x-access": string(r.access)},
	}
	if r.access != everyone {
		op.Security = []map[string][]string{{"bearer": {}}}
		// An API key may be refused by its address, and wrong ones slow down, at every route.
		op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests)
	}
	if p, ok := r.access.permission(); ok {
		op.Description = "Needs the permission `" + string(p) + "`."
		op.Errors = append(op.Errors, http.StatusNotFound)
	} else if strings.Contains(r.path, "{") {
		op.Errors = append(op.Errors, http.StatusNotFound)
	}
	if shape, ok := tables[r.name]; ok {
		op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: a.huma.OpenAPI().Components.Schemas.Schema(shape, true, "")},
			"text/csv":         {Schema: &huma.Schema{Type: huma.TypeString}},
		}}}
	}
	if strings.HasPrefix(r.name, "import-") {
		op.MaxBodyBytes = maxImport
		op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge)
	}
	if strings.HasPrefix(r.name, "export-") {
		op.Responses = fileResponse()
	}
	if r.name == "export-tenant" {
		op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{"application/yaml": {Schema: &huma.Schema{Type: huma.TypeString}}}}}
	}
	if actions := within[r.name]; len(actions) > 0 {
		op.Extensions["x-actions"] = actions
		op.Description += inWords(actions)
	}
	op.Errors = append(op.Errors, furtherRefusals[r.name]...)
	op.SkipValidateParams = r.name == "end-oidc" // providers add parameters of their own
	if _, body := input.FieldByName("Body"); body {
		op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if _, mutation := input.FieldByName("IdempotencyKey"); mutation {
		op.Errors = append(op.Errors, http.StatusConflict)
	}
	return op
}

// inWords says for people what the actions within an endpoint need.
func inWords(actions map[string]account.Permission) string {
	var words []string
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		words = append(words, action+": `"+string(actions[action])+"`")
	}
	return " Within it, more is needed for " + strings.Join(words, ", ") + "."
}

// refusal turns an error into its answer, and tells the operator what the client is not told.
func (a *API) refusal(ctx context.Context, name string, err error) error {
	p := problemOf(err)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		a.log.Debug("A client left before its answer.", "route", name, "err", err)
	case p.Status == http.StatusInternalServerError:
		a.log.Error("A request failed by our own defect.", "route", name, "err", err)
	case p.Status == http.StatusServiceUnavailable:
		a.log.Warn("A request could not be served.", "route", name, "err", err)
	}
	return p
}

// authorize lets a request pass if its route's access allows it.
func (a *API) authorize(ctx huma.Context, next func(huma.Context)) {
	r, ok := a.byName[ctx.Operation().OperationID]
	if !ok {
		r.access = "nobody:may" // an operation outside the table is closed
	}
	if r.access == everyone {
		next(ctx)
		return
	}
	g := humagin.Unwrap(ctx)
	p, err := a.persons.identify(ctx.Context(), ctx.Header("Authorization"), g.ClientIP())
	if err != nil {
		writeProblem(g.Writer, problemOf(err))
		return
	}
	g.Set(logUser, string(p.Name))
	if permission, ok := r.access.permission(); ok && !p.May(permission) {
		writeProblem(g.Writer, problemOf(&fault.Error{
			Kind: fault.Forbidden, Sentence: "You need the permission " + string(permission) + " for this.",
		}))
		return
	}
	next(huma.WithContext(ctx, withPerson(ctx.Context(), p)))
}
