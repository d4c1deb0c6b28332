package httpapi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"holdfast/domain/fault"
)

// outcome is what a failure of one kind looks like over HTTP.
type outcome struct {
	status   int
	code     string // when the failure brings no code of its own
	sentence string // when the failure brings no sentence of its own
	retry    time.Duration
}

// outcomes maps every fault.Kind to its answer; a test holds it complete.
var outcomes = map[fault.Kind]outcome{
	fault.Invalid:         {status: http.StatusUnprocessableEntity, code: "invalid", sentence: "The request is not valid; see errors."},
	fault.Unauthenticated: {status: http.StatusUnauthorized, code: "unauthenticated", sentence: "Sign in first: the access token is missing, wrong or expired."},
	fault.Forbidden:       {status: http.StatusForbidden, code: "forbidden", sentence: "You have no permission for this."},
	fault.NotFound:        {status: http.StatusNotFound, code: "not_found", sentence: "There is no such thing here."},
	fault.Conflict:        {status: http.StatusConflict, code: "conflict", sentence: "The present state does not allow this."},
	fault.TooMany:         {status: http.StatusTooManyRequests, code: "too_many_requests", sentence: "Too many requests; try again later.", retry: time.Second},
	fault.Unavailable:     {status: http.StatusServiceUnavailable, code: "unavailable", sentence: "Something we need is away; try again in a moment.", retry: 2 * time.Second},
	fault.Internal:        {status: http.StatusInternalServerError, code: "internal", sentence: "Something went wrong on our side; tell the operator the request id."},
}

// problem is the body of every refusal (RFC 9457). It is always used as a pointer.
type problem struct {
	Type   string         `json:"type" doc:"Always about:blank; see code." example:"about:blank"`
	Title  string         `json:"title" doc:"The status in words." example:"Conflict"`
	Status int            `json:"status" doc:"The HTTP status." example:"409"`
	Code   string         `json:"code" doc:"A stable word for programs." example:"wrap_up_running"`
	Detail string         `json:"detail" doc:"One sentence for people: what happened and what to do."`
	Errors []problemField `json:"errors,omitempty" doc:"What is wrong with which field."`
	View   any            `json:"view,omitempty" doc:"With 409: the present view of what the command was for."`
	retry  time.Duration
	cause  error
}

// problemField names one wrong field of a request.
type problemField struct {
	Name   string `json:"name" doc:"Path of the field." example:"queues[0]"`
	In     string `json:"in" doc:"Where it stands: body, path, query, header or cookie." example:"body"`
	Detail string `json:"detail" doc:"What is wrong with it."`
}

// Error implements error; it is for the log.
func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.Detail
}

// Unwrap returns the failure that the problem tells of.
func (p *problem) Unwrap() error { return p.cause }

// GetStatus implements huma.StatusError.
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retry.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="holdfast"`)
	}
	return h
}

// busy is a refusal that says when to try again.
type busy struct {
	fault *fault.Error
	after time.Duration
}

// Error implements error.
func (b *busy) Error() string { return b.fault.Error() }

// Unwrap lets errors.As find the fault.
func (b *busy) Unwrap() error { return b.fault }

// slowDown is fault.TooMany with a time to wait.
func slowDown(after time.Duration, code, sentence string, args ...any) error {
	return &busy{&fault.Error{Kind: fault.TooMany, Code: code, Sentence: fmt.Sprintf(sentence, args...)}, after}
}

// problemOf turns any failure into its answer. What operators see of an internal
// failure (its chain) is never told to the client.
func problemOf(err error) *problem {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p
	}
	kind := fault.KindOf(err)
	if kind == fault.Internal && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		kind = fault.Unavailable
	}
	o, ok := outcomes[kind]
	if !ok {
		o = outcomes[fault.Internal]
	}
	p := &problem{
		Type: "about:blank", Title: http.StatusText(o.status), Status: o.status,
		Code: o.code, Detail: o.sentence, retry: o.retry, cause: err,
	}
	if o.status != http.StatusInternalServerError {
		p.tell(err)
	}
	var b *busy
	if errors.As(err, &b) {
		p.retry = b.after
	}
	return p
}

// tell takes code, sentence and fields from the failure's chain, the outermost first.
func (p *problem) tell(err error) {
	said := fault.Sentence(err)
	coded := false
	for e := (*fault.Error)(nil); errors.As(err, &e); err = e.Err {
		if e.Code != "" && !coded {
			p.Code, coded = e.Code, true
		}
		for _, f := range e.Fields {
			p.Errors = append(p.Errors, problemField{Name: f.Name, In: "body", Detail: f.Sentence})
		}
	}
	switch {
	case said != "":
		p.Detail = said
	case len(p.Errors) > 0:
		p.Detail = "The request is not valid: " + p.Errors[0].sentence() + "."
	}
}

// invalidField is a refusal of one field of the body.
func invalidField(name, sentence string, args ...any) error {
	f := fault.Field{Name: name, Sentence: fmt.Sprintf(sentence, args...)}
	return &fault.Error{Kind: fault.Invalid, Fields: []fault.Field{f}}
}

// forbidden is a refusal for want of a right.
func forbidden(code, sentence string, args ...any) error {
	return &fault.Error{Kind: fault.Forbidden, Code: code, Sentence: fmt.Sprintf(sentence, args...)}
}

// notFound is a refusal because there is nothing of that name.
func notFound(code, sentence string, args ...any) error {
	return &fault.Error{Kind: fault.NotFound, Code: code, Sentence: fmt.Sprintf(sentence, args...)}
}

func init() {
	// huma offers no other place than these two variables to bring its own refusals
	// (validation, negotiation) into our form.
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return validationProblem(status, message, errs)
	}
	huma.NewErrorWithContext = func(_ huma.Context, status int, message string, errs ...error) huma.StatusError {
		return validationProblem(status, message, errs)
	}
}

// frameworkCodes are the codes of refusals that never reach a handler.
var frameworkCodes = map[int]string{
	http.StatusUnprocessableEntity:   "invalid",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnsupportedMediaType:  "media_type",
	http.StatusNotAcceptable:         "not_acceptable",
	http.StatusRequestTimeout:        "timeout",
	http.StatusNotFound:              "not_found",
	http.StatusMethodNotAllowed:      "method_not_allowed",
	http.StatusForbidden:             "forbidden",
}

// validationProblem tells which fields are wrong. It never repeats values: one of
// them may be a password.
func validationProblem(status int, message string, errs []error) *problem {
	if status == http.StatusBadRequest {
		status = http.StatusUnprocessableEntity // invalid JSON is as invalid as a wrong field
	}
	p := &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: frameworkCodes[status]}
	for _, err := range errs {
		d := (*huma.ErrorDetail)(nil)
		if !errors.As(err, &d) {
			continue // without a place in the request it is nothing for the client
		}
		in, name, _ := strings.Cut(d.Location, ".")
		p.Errors = append(p.Errors, problemField{Name: nameOf(d, name), In: in, Detail: readable(d.Message)})
	}
	switch {
	case len(p.Errors) > 0:
		p.Detail = "The request is not valid: " + p.Errors[0].sentence() + "."
	case message != "":
		p.Detail = strings.ToUpper(message[:1]) + message[1:] + "."
	}
	if p.Code == "" {
		p.Code = "internal"
	}
	return p
}

func (f problemField) sentence() string {
	if f.Name == "" {
		return f.In + ": " + f.Detail
	}
	return f.Name + ": " + f.Detail
}

// nameOf returns the field's path; a missing or unknown property is named itself.
func nameOf(d *huma.ErrorDetail, path string) string {
	word, ok := strings.CutPrefix(d.Message, "expected required property ")
	if !ok {
		return path
	}
	word, _, _ = strings.Cut(word, " ")
	if path == "" {
		return word
	}
	return path + "." + word
}

// readable says what is wrong in our words where the framework's need knowledge of JSON Schema.
func readable(message string) string {
	switch {
	case strings.HasPrefix(message, "expected required property "):
		return "is required"
	case message == "unexpected property":
		return "is not known here"
	}
	at := strings.LastIndexByte(message, ' ') + 1
	if n, err := strconv.ParseFloat(message[at:], 64); err == nil && strings.Contains(message[at:], "e+") {
		return message[:at] + strconv.FormatFloat(n, 'f', -1, 64) // 3600000, not 3.6e+06
	}
	return message
}
