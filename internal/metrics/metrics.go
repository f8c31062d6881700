package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the series of one process. All methods are safe for concurrent
// use.
type Metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec   // route, verdict, code
	durations *prometheus.HistogramVec // route
	upstreams *prometheus.HistogramVec // route
	open      *prometheus.GaugeVec     // route
	asked     *prometheus.CounterVec   // route, verdict

	signIns      *prometheus.CounterVec // connection, outcome
	provisioning *prometheus.CounterVec // connection, verdict
	sessions     prometheus.Counter
	mails        *prometheus.CounterVec // outcome

	operations *prometheus.HistogramVec // operation
	failures   *prometheus.CounterVec   // operation, reason

	reloads    *prometheus.CounterVec // result
	reloadOK   prometheus.Gauge
	reloadedAt prometheus.Gauge
}

// requestSeconds are the buckets of requests and upstreams: from what the
// gateway itself takes to the usual routes[].timeout.
var requestSeconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// storeSeconds are the buckets of store operations: the embedded store answers
// a read in microseconds, Redis is given up after store.redis.timeout.
var storeSeconds = []float64{.00001, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}

// New returns the metrics of a process of that version, which has read its
// configuration at the time started.
func New(version string, started time.Time) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),

		requests: counters("http_requests_total",
			"Requests of the public listener that are over, by route, by what was decided about them, and by class of status.", "route", "verdict", "code"),
		durations: histograms("http_request_duration_seconds",
			"Time from the head of a request to the end of its answer, without upgraded connections.", requestSeconds, "route"),
		upstreams: histograms("http_upstream_duration_seconds",
			"Time that upstreams took to send the head of their answer.", requestSeconds, "route"),
		open: gauges("http_requests_open",
			"Requests of the public listener that are not over yet, WebSockets and event streams among them.", "route"),
		asked: counters("forward_auth_verdicts_total",
			"Verdicts about requests that other proxies forward, by the route that the original request falls under.", "route", "verdict"),

		signIns: counters("sign_ins_total",
			"Sign-ins, and attempts and proofs that failed, by connection and by outcome: success, or the reason that the log gives.", "connection", "outcome"),
		provisioning: counters("provisioning_decisions_total",
			"Decisions about which account an identity is.", "connection", "verdict"),
		sessions: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "sessions_ended_total",
			Help: "Sessions that somebody or something ended before their time, at this process.",
		}),
		mails: counters("mails_total",
			"What happened to mails at this process: queued, sent, retried, refused, expired, or rejected by a full queue.", "outcome"),

		operations: histograms("store_operation_duration_seconds",
			"Time that operations on the store took, retries included; of a scan with the work on what it finds.", storeSeconds, "operation"),
		failures: counters("store_errors_total",
			"Operations on the store that failed, because it does not answer (down) or a record is fought for (contention).", "operation", "reason"),

		reloads: counters("config_reloads_total",
			"Attempts to take over a changed configuration, by result: applied or refused.", "result"),
		reloadOK: gauge("config_last_reload_successful",
			"Whether the configuration as it was last read is in use (1), or was refused and an earlier one is (0)."),
		reloadedAt: gauge("config_last_reload_success_timestamp_seconds",
			"When the configuration in use was read, as a Unix time."),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info",
		Help: "Always 1; the labels say which version runs, and what built it.",
	}, []string{"version", "goversion"})
	build.WithLabelValues(version, runtime.Version()).Set(1)

	m.registry.MustRegister(
		m.requests, m.durations, m.upstreams, m.open, m.asked,
		m.signIns, m.provisioning, m.sessions, m.mails,
		m.operations, m.failures, m.reloads, m.reloadOK, m.reloadedAt, build,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	// A rate needs the zero before the one.
	for _, result := range []string{applied, refused} {
		m.reloads.WithLabelValues(result)
	}
	m.reloadOK.Set(1)
	m.reloadedAt.Set(unix(started))
	return m
}

const namespace = "gatehouse"

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// Handler answers a scrape. Some at once are answered, and no more: each costs
// memory in proportion to the routes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
