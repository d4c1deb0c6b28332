package telephony

import "github.com/prometheus/client_golang/prometheus"

// metrics are the node's counters, and, read when asked for, what the layers below count.
type metrics struct {
	node *Node

	calls, answered, banned, unauthorized, ghosts prometheus.Counter
	ended, refused, rings, registrations          *prometheus.CounterVec

	levels []level
}

// level is a value that is read from the node.
type level struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(n *Node) float64
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "telephony", Name: name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "telephony", Name: name, Help: help}, []string{label})
	}
	return &metrics{
		calls:         counter("calls_total", "Calls that were opened."),
		answered:      counter("callers_answered_total", "Callers that acknowledged our answer."),
		banned:        counter("auth_banned_total", "Requests of addresses that failed too often."),
		unauthorized:  counter("auth_failed_total", "Requests with wrong credentials or a used nonce."),
		ghosts:        counter("stray_answers_total", "Answers to INVITEs of nobody that were acknowledged and ended."),
		ended:         vector("calls_ended_total", "Calls that ended, by cause.", "cause"),
		refused:       vector("requests_refused_total", "Requests that were refused, by status.", "code"),
		rings:         vector("rings_total", "Rings that ended, by outcome.", "outcome"),
		registrations: vector("registrations_total", "REGISTER requests, by status.", "code"),
		levels: []level{
			gauge("calls", "Live calls.", func(n *Node) float64 { return float64(n.Calls()) }),
		},
	}
}

func gauge(name, help string, f func(n *Node) float64) level {
	return level{prometheus.NewDesc("holdfast_telephony_"+name, help, nil, nil), prometheus.GaugeValue, f}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.calls, m.answered, m.banned, m.unauthorized, m.ghosts, m.ended, m.refused, m.rings, m.registrations}
}

// Describe implements prometheus.Collector.
func (n *Node) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range n.metrics.all() {
		c.Describe(ch)
	}
	for _, l := range n.metrics.levels {
		ch <- l.desc
	}
}

// Collect implements prometheus.Collector: register the node to publish its counters.
func (n *Node) Collect(ch chan<- prometheus.Metric) {
	for _, c := range n.metrics.all() {
		c.Collect(ch)
	}
	for _, l := range n.metrics.levels {
		ch <- prometheus.MustNewConstMetric(l.desc, l.kind, l.value(n))
	}
}
