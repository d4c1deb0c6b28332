package telephony

import (
	"github.com/prometheus/client_golang/prometheus"

	"holdfast/telephony/media"
	"holdfast/telephony/transaction"
)

// metrics are the node's counters, and, read when asked for, what the layers below count.
type metrics struct {
	calls, answered, banned, unauthorized, ghosts, lost prometheus.Counter
	keepalive                                           prometheus.Histogram
	ended, refused, rings, registrations                *prometheus.CounterVec

	levels []level
}

// level is a value that is read from the node.
type level struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(r reading) float64
}

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "telephony", Name: name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "holdfast", Subsystem: "telephony", Name: name, Help: help}, []string{label})
	}
	return &metrics{
		calls:        counter("calls_total", "Calls that were opened."),
		answered:     counter("callers_answered_total", "Callers that acknowledged our answer."),
		banned:       counter("auth_banned_total", "Requests of addresses that failed too often."),
		unauthorized: counter("auth_failed_total", "Requests with wrong credentials or a used nonce."),
		ghosts:       counter("stray_answers_total", "Answers to INVITEs of nobody that were acknowledged and ended."),
		lost:         counter("phones_lost_total", "Registrations whose phone answered no keep-alive any more."),
		keepalive: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "holdfast", Subsystem: "telephony", Name: "keepalive_seconds", Help: "How long phones take to answer a keep-alive.",
			Buckets: []float64{0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5},
		}),
		ended:         vector("calls_ended_total", "Calls that ended, by cause.", "cause"),
		refused:       vector("requests_refused_total", "Requests that were refused, by status.", "code"),
		rings:         vector("rings_total", "Rings that ended, by outcome.", "outcome"),
		registrations: vector("registrations_total", "REGISTER requests, by status.", "code"),
		levels:        levels(),
	}
}

// reading is what the layers below count, read once for all levels.
type reading struct {
	calls int
	sip   transaction.Stats
	rtp   media.EngineStats
}

func (n *Node) read() reading {
	r := reading{calls: n.Calls()}
	if n.layer != nil {
		r.sip = n.layer.Stats()
	}
	if n.engine != nil {
		r.rtp, _ = n.engine.Stats() // of a closed engine there is nothing to say
	}
	return r
}

// shards adds up a value of the media engine's event loops.
func (r reading) shards(f func(s media.ShardStats) float64) (sum float64) {
	for _, s := range r.rtp.Shards {
		sum += f(s)
	}
	return sum
}

// worst is the largest value of the media engine's event loops.
func (r reading) worst(f func(s media.ShardStats) float64) (most float64) {
	for _, s := range r.rtp.Shards {
		most = max(most, f(s))
	}
	return most
}

func levels() []level {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	return []level{
		newLevel(gauge, "calls", "Live calls.", func(r reading) float64 { return float64(r.calls) }),
		newLevel(counter, "sip_received_total", "SIP messages received.", func(r reading) float64 { return float64(r.sip.Received) }),
		newLevel(counter, "sip_malformed_total", "SIP messages that could not be read.", func(r reading) float64 { return float64(r.sip.Malformed) }),
		newLevel(counter, "sip_repeated_total", "SIP messages that we sent again.", func(r reading) float64 { return float64(r.sip.RepeatedOut) }),
		newLevel(counter, "sip_timeouts_total", "SIP transactions without an answer.", func(r reading) float64 { return float64(r.sip.Timeouts) }),
		newLevel(counter, "sip_overloaded_total", "SIP requests shed for lack of room.", func(r reading) float64 { return float64(r.sip.Overloaded) }),
		newLevel(gauge, "sip_transactions", "Live SIP transactions.", func(r reading) float64 { return float64(r.sip.ServersAlive + r.sip.ClientsAlive) }),
		newLevel(gauge, "sip_connections", "Open SIP connections.", func(r reading) float64 { return float64(r.sip.ConnsAlive) }),
		newLevel(gauge, "rtp_ports_used", "Pairs of RTP ports in use.", func(r reading) float64 { return float64(r.rtp.Ports.Used) }),
		newLevel(gauge, "rtp_ports_resting", "Pairs of RTP ports in quarantine.", func(r reading) float64 { return float64(r.rtp.Ports.Quarantined) }),
		newLevel(counter, "rtp_packets_in_total", "Audio packets received.", func(r reading) float64 {
			return r.shards(func(s media.ShardStats) float64 { return float64(s.PacketsIn) })
		}),
		newLevel(counter, "rtp_packets_out_total", "Audio packets sent.", func(r reading) float64 {
			return r.shards(func(s media.ShardStats) float64 { return float64(s.PacketsOut) })
		}),
		newLevel(counter, "rtp_ticks_missed_total", "Ticks of 20 ms that a stall has cost.", func(r reading) float64 {
			return r.shards(func(s media.ShardStats) float64 { return float64(s.TicksMissed) })
		}),
		newLevel(gauge, "rtp_tick_late_p99_seconds", "99 % of the ticks were less late than this.", func(r reading) float64 {
			return r.worst(func(s media.ShardStats) float64 { return s.TickLateP99.Seconds() })
		}),
	}
}

func newLevel(kind prometheus.ValueType, name, help string, f func(r reading) float64) level {
	return level{prometheus.NewDesc("holdfast_telephony_"+name, help, nil, nil), kind, f}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.calls, m.answered, m.banned, m.unauthorized, m.ghosts, m.lost, m.keepalive, m.ended, m.refused, m.rings, m.registrations}
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
	r := n.read()
	for _, l := range n.metrics.levels {
		ch <- prometheus.MustNewConstMetric(l.desc, l.kind, l.value(r))
	}
}
