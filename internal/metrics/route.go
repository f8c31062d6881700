package metrics

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Route counts what one route sees. Its labels are resolved once, so that
// counting a request allocates nothing.
type Route struct {
	open      prometheus.Gauge
	duration  prometheus.Observer
	upstream  prometheus.Observer
	requests  *prometheus.CounterVec // verdict, code
	asked     *prometheus.CounterVec // verdict
	resolving sync.Mutex
	resolved  atomic.Pointer[map[seen]prometheus.Counter] // replaced, never changed
}

// seen is how a request went.
type seen struct {
	verdict string
	class   int // of the status
}

// Route returns what counts for the route of that name. Routes of one name,
// for other methods or of a later configuration, count together.
func (m *Metrics) Route(name string) *Route {
	label := prometheus.Labels{"route": name}
	rt := &Route{
		open: m.open.With(label), duration: m.durations.With(label), upstream: m.upstreams.With(label),
		requests: m.requests.MustCurryWith(label), asked: m.asked.MustCurryWith(label),
	}
	rt.resolved.Store(&map[seen]prometheus.Counter{})
	return rt
}

// Opened counts a request that has begun.
func (rt *Route) Opened() { rt.open.Inc() }

// Closed counts a request that is over. Upstream is the time until the head
// of the upstream's answer; 0: none was asked or none answered.
func (rt *Route) Closed(verdict string, status int, took, upstream time.Duration) {
	rt.open.Dec()
	if status != http.StatusSwitchingProtocols {
		// How long people keep a window open says nothing of the gateway.
		rt.duration.Observe(took.Seconds())
	}
	if upstream > 0 {
		rt.upstream.Observe(upstream.Seconds())
	}
	rt.counter(seen{verdict, status / 100}).Inc()
}

// Asked counts a verdict about a request that another proxy forwards.
func (rt *Route) Asked(verdict string) { rt.asked.WithLabelValues(verdict).Inc() }

func (rt *Route) counter(s seen) prometheus.Counter {
	if c, ok := (*rt.resolved.Load())[s]; ok {
		return c
	}
	rt.resolving.Lock()
	defer rt.resolving.Unlock()
	c := rt.requests.WithLabelValues(s.verdict, class(s.class))
	more := maps.Clone(*rt.resolved.Load())
	more[s] = c
	rt.resolved.Store(&more)
	return c
}

// class names a class of status codes. An upstream may send a status of no
// class at all.
func class(hundreds int) string {
	if hundreds < 1 || hundreds > 5 {
		return "other"
	}
	return string(rune('0'+hundreds)) + "xx"
}
