package proxy

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"reflect"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/config"
)

// route is a compiled rule: which requests it is for, who may pass, where
// they go. A route of Gatehouse's own (prefix, /ping, ...) has no upstream.
type route struct {
	name    string // host and path, for logs
	line    int    // in the configuration
	host    string
	path    string // as spelled() compares it, without the slash of a subtree
	subtree bool
	methods []string // empty: any
	rule    int      // routes of the same rule may be confused without harm
	own     bool

	public       bool
	publicFrom   func(asker) verdict // who comes from there is as on a public route; nil: nobody
	narrow       bool                // admits fewer people than "authenticated"
	access       *rule
	contact      string // whom to ask who is refused
	rewrite      rewrite
	way          way
	upstreamHost string // Host for the upstream; empty: the client's
	idle         time.Duration
	request      *changes // of headers; nil: none
	response     *changes

	proxy   *httputil.ReverseProxy // nil for static and file
	handler http.Handler           // nil for a proxied upstream
	meter   Meter
}

// compileRoute compiles what does not depend on other routes.
func compileRoute(c config.Route) (*route, error) {
	fail := func(format string, args ...any) (*route, error) {
		return nil, fmt.Errorf("route %s%s (line %d): %s", c.Host, c.Path, c.Line, fmt.Sprintf(format, args...))
	}
	t, err := parseTarget(strings.NewReplacer(" ", "%20").Replace(c.Path))
	if err != nil || t.hasQuery {
		return fail("path is not a path")
	}
	rt := &route{
		name:    c.Host + c.Path,
		line:    c.Line,
		public:  c.Access.Public,
		access:  compileAccess(c.Access),
		host:    strings.TrimSuffix(strings.ToLower(c.Host), "."),
		path:    spelled(t.path),
		methods: c.Methods,
		narrow:  narrower(c.Access),
		contact: c.Contact,
		meter:   unmeasured{},
		idle:    c.IdleTimeout,

		request:  compileChanges(c.Headers.Request),
		response: compileChanges(c.Headers.Response),
	}
	// A path with a second reading could match no request at all: each would
	// be ambiguous.
	err = readings(rt.path, func(reading string) error {
		if spelled(reading) != rt.path {
			return fmt.Errorf("an upstream may read it as %q", reading)
		}
		return nil
	})
	if err != nil {
		return fail("path is not in its plain form: %v", err)
	}
	rt.path, rt.subtree = strings.CutSuffix(rt.path, "/")
	if c.StripPrefix {
		c.RewritePath = "/"
	}
	if c.RewritePath != "" {
		rt.rewrite = newRewrite(c.RewritePath, rt.subtree)
	}
	if c.StripPrefix && !rt.subtree {
		return fail("strip_prefix needs a path that ends in a slash")
	}
	address, err := parseUpstream(c.Upstream)
	if err != nil {
		return fail("upstream: %v", err)
	}
	rt.way = way{address, c.UpstreamTLS, min(c.ConnectTimeout, c.Timeout), c.Timeout}
	if c.PublicFrom != nil {
		rt.publicFrom = matchAddress(c.PublicFrom)
	}
	if c.HostHeader == config.HostUpstream {
		rt.upstreamHost = address.host
	}
	return rt, nil
}

// ownRoute is a route of Gatehouse itself.
func ownRoute(path string) *route {
	rt := &route{name: path, own: true, rule: -1, meter: unmeasured{}}
	rt.path, rt.subtree = strings.CutSuffix(path, "/")
	return rt
}

// allows reports whether the route is for the method.
func (rt *route) allows(method string) bool {
	return len(rt.methods) == 0 || slices.Contains(rt.methods, method)
}

// alike groups routes into rules. Two routes are one rule when it does not
// matter which of them a request falls under: the same people, the same
// upstream, the same treatment. What is not looked at is named here, so that
// whatever a route learns to do makes a difference.
func alike(routes []config.Route, compiled []*route) {
	treatment := func(r config.Route) config.Route {
		r.Line, r.Host, r.Path, r.Methods, r.Contact = 0, "", "", nil, ""
		return r
	}
	for i := range compiled {
		compiled[i].rule = i + 1
		if compiled[i].rewrite.on {
			continue // by its own path, too
		}
		for j := range i {
			if reflect.DeepEqual(treatment(routes[i]), treatment(routes[j])) {
				compiled[i].rule = compiled[j].rule
				break
			}
		}
	}
}
