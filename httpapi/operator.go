package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/domain/fault"
	"holdfast/web"
)

// checkTimeout bounds each check of /readyz.
const checkTimeout = time.Second

// Check is one thing that the process needs.
type Check struct {
	Name string                      // as /readyz names it: database, temporal …
	Run  func(context.Context) error // nil: it is there
}

type healthView struct {
	Status string `json:"status" example:"ok"`
}

type healthOutput struct{ Body healthView }

type readyView struct {
	Status  string   `json:"status" enum:"ready,not_ready"`
	Missing []string `json:"missing" doc:"What is away: database, temporal, …; draining: it was asked to stop."`
	Detail  string   `json:"detail,omitempty" doc:"Why, where there is more to say."`
}

type readyOutput struct {
	Status     int
	RetryAfter string `header:"Retry-After"`
	Body       readyView
}

func (a *API) registerOperator() {
	register(a, "healthz", func(context.Context, *struct{}) (*healthOutput, error) {
		return &healthOutput{Body: healthView{Status: "ok"}}, nil
	})
	register(a, "readyz", a.ready)
	a.metrics.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "holdfast_event_streams", Help: "Open event streams.",
	}, func() float64 { return float64(a.streams.count()) }))
	a.plain("metrics", "text/plain", gin.WrapH(promhttp.HandlerFor(a.metrics.registry, promhttp.HandlerOpts{})))
	reference := sync.OnceValues(func() ([]byte, error) { return renderReference(a.huma.OpenAPI()) })
	document := sync.OnceValues(a.OpenAPI)
	a.plain("openapi", "application/openapi+json", serve("application/openapi+json", document))
	a.plain("docs", "text/html", serve("text/html; charset=utf-8", reference))
	a.plain("page", "text/html", gin.WrapH(web.Handler(web.Index{Version: a.config.Version, TemporalUI: a.config.TemporalUI})))
}

// plain serves a route whose answer is no JSON of ours.
func (a *API) plain(name, mediaType string, h gin.HandlerFunc) {
	op := a.operation(name, reflect.TypeFor[struct{}]())
	op.Errors = nil
	op.Responses = map[string]*huma.Response{"200": {
		Description: http.StatusText(http.StatusOK),
		Content:     map[string]*huma.MediaType{mediaType: {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	a.huma.OpenAPI().AddOperation(&op)
	a.gin.Handle(op.Method, op.Path, h)
}

// serve answers with a document that is made once.
func serve(mediaType string, document func() ([]byte, error)) gin.HandlerFunc {
	return func(c *gin.Context) {
		b, err := document()
		if err != nil {
			writeProblem(c.Writer, problemOf(err))
			return
		}
		c.Data(http.StatusOK, mediaType, b)
	}
}

// ready names what is missing.
func (a *API) ready(ctx context.Context, _ *struct{}) (*readyOutput, error) {
	out := &readyOutput{Status: http.StatusOK, Body: examine(ctx, a.config.Checks, a.log)}
	if len(out.Body.Missing) > 0 {
		out.Status, out.RetryAfter = http.StatusServiceUnavailable, "2"
	}
	return out, nil
}

// examine runs all checks at once and names those that fail.
func examine(ctx context.Context, checks []Check, log *slog.Logger) readyView {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	failed := make([]error, len(checks))
	var wait sync.WaitGroup
	for i, c := range checks {
		wait.Go(func() { failed[i] = c.Run(ctx) })
	}
	wait.Wait()
	v := readyView{Status: "ready", Missing: []string{}}
	for i, err := range failed {
		if err == nil {
			continue
		}
		log.Debug("A check failed.", "check", checks[i].Name, "err", err)
		v.Status, v.Missing = "not_ready", append(v.Missing, checks[i].Name)
		if v.Detail == "" {
			v.Detail = fault.Sentence(err) // written for people; the rest of the error is for operators
		}
	}
	return v
}

// Readiness answers as /readyz of the API does, for a process without it.
func Readiness(checks []Check, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, status := examine(r.Context(), checks, log), http.StatusOK
		if len(v.Missing) > 0 {
			status = http.StatusServiceUnavailable
			w.Header().Set("Retry-After", "2")
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // the client left: nobody to tell
	})
}
