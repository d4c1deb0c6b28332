package httpapi

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the API's own figures.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	logins   *prometheus.CounterVec
}

func newMetrics(r *prometheus.Registry) *metrics {
	m := &metrics{
		registry: r,
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_http_request_duration_seconds", Help: "Time to answer a request, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .02, .04, .1, .25, 1, 5},
		}, []string{"method", "route", "status"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_logins_total", Help: "Sign-ins by result: ok, wrong, slowed, refused (right, but not let in), reused (a refresh token that came twice).",
		}, []string{"result"}),
	}
	r.MustRegister(m.requests, m.logins)
	return m
}
