package proxy

import "time"

// Meter counts what one route sees; *metrics.Route does. It is called by many
// requests at once.
type Meter interface {
	// Opened is called when the route of a request is found.
	Opened()
	// Closed is called once the same request is over, with the status as it is
	// logged, the time that it took and the time until the head of the
	// upstream's answer, 0 where there was none.
	Closed(verdict string, status int, took, upstream time.Duration)
	// Asked is called with the verdict about a request that another proxy
	// forwards and that falls under the route.
	Asked(verdict string)
}

// Unrouted stands for the route of requests that fall under none.
const Unrouted = "none"

// Measure has requests counted: meter is asked once for each route by its
// name, which is its host and path, for Gatehouse's own paths, and for
// Unrouted. Names of methods, hosts and paths that a request makes up are not
// among them, so what counts is as large as the configuration. It is called
// before the first request.
func (g *Gateway) Measure(meter func(route string) Meter) {
	g.unrouted = meter(Unrouted)
	for _, rt := range g.table.ownRoutes {
		rt.meter = meter(rt.name)
	}
	for _, rt := range g.table.routes {
		rt.meter = meter(rt.name)
	}
}

// unmeasured is the Meter where there is none.
type unmeasured struct{}

func (unmeasured) Opened()                                          {}
func (unmeasured) Closed(string, int, time.Duration, time.Duration) {}
func (unmeasured) Asked(string)                                     {}
