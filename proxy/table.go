package proxy

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// table finds the route of a request: first the host, then the longest path,
// among the routes that allow the method. It is built once and only read.
type table struct {
	own    *site // Gatehouse's own paths, on every host
	hosts  map[string]*site
	any    *site    // host: ""
	routes []*route // in the order of the file

	ownRoutes []*route

	oneCase  bool // no route has a letter that folding changes
	byMethod bool // some route is for some methods only
}

// site is the routes of one host, by path, once as written and once with the
// letter case folded.
type site struct {
	exact, folded paths
}

type paths struct {
	single, subtree map[string][]*route // the most particular methods first
	longest         int                 // length of the longest key
}

// newTable compiles routes. Prefix is that of Gatehouse's own endpoints.
func newTable(routes []config.Route, prefix string) (*table, error) {
	t := &table{hosts: map[string]*site{}, own: newSite(), any: newSite(), oneCase: true}
	// What other proxies ask is a path of its own for those who count requests.
	for _, path := range []string{prefix + "/", prefix + "/auth", "/ping", "/ready", "/.well-known/gatehouse/"} {
		rt := ownRoute(path)
		t.own.add(rt)
		t.ownRoutes = append(t.ownRoutes, rt)
		t.oneCase = t.oneCase && foldCase(rt.path) == rt.path
	}
	for _, c := range routes {
		rt, err := compileRoute(c)
		if err != nil {
			return nil, err
		}
		t.routes = append(t.routes, rt)
		t.byMethod = t.byMethod || len(rt.methods) > 0
		s := t.any
		if rt.host != "" {
			if s = t.hosts[rt.host]; s == nil {
				s = newSite()
				t.hosts[rt.host] = s
			}
		}
		if other := s.clash(rt); other != nil {
			return nil, fmt.Errorf("route %s (line %d): another route has the same host, path and method", rt.name, c.Line)
		}
		s.add(rt)
		t.oneCase = t.oneCase && foldCase(rt.path) == rt.path
	}
	alike(routes, t.routes)
	return t, nil
}

func newSite() *site {
	empty := func() paths { return paths{single: map[string][]*route{}, subtree: map[string][]*route{}} }
	return &site{exact: empty(), folded: empty()}
}

func (s *site) add(rt *route) {
	s.exact.add(rt.path, rt)
	s.folded.add(foldCase(rt.path), rt)
}

func (p *paths) add(path string, rt *route) {
	m := p.single
	if rt.subtree {
		m = p.subtree
	}
	m[path] = append(m[path], rt)
	slices.SortStableFunc(m[path], func(a, b *route) int { return cmp.Compare(len(b.methods), len(a.methods)) })
	p.longest = max(p.longest, len(path))
	// Routes without methods come last: they take what the others leave.
}

// clash returns a route that is for the very same requests.
func (s *site) clash(rt *route) *route {
	m := s.exact.single
	if rt.subtree {
		m = s.exact.subtree
	}
	for _, other := range m[rt.path] {
		if len(other.methods) == 0 && len(rt.methods) == 0 {
			return other
		}
		for _, method := range rt.methods {
			if slices.Contains(other.methods, method) {
				return other
			}
		}
	}
	return nil
}

// find calls try with the routes of each key that path falls under, the
// longest first, until try is content.
func (p *paths) find(path string, try func([]*route) bool) {
	if len(path) <= p.longest {
		if try(p.single[path]) || try(p.subtree[path]) {
			return
		}
	}
	for i := min(len(path)-1, p.longest); i >= 0; i-- {
		if path[i] == '/' && try(p.subtree[path[:i]]) {
			return
		}
	}
}

// asWritten returns the route that path falls under, or nil.
func (s *site) asWritten(method, path string) (found *route) {
	s.exact.find(path, func(routes []*route) bool {
		for _, rt := range routes {
			if rt.allows(method) {
				found = rt
				return true
			}
		}
		return false
	})
	return found
}

// ignoringCase returns the route that path falls under for an upstream that
// ignores letter case. Where routes differ in case alone, who wrote them
// wants the case to count: the one that is spelled like the path wins, and
// without such a one the path is not clear.
func (s *site) ignoringCase(method, path string) (found *route, clear bool) {
	clear = true
	exact := s.asWritten(method, path)
	s.folded.find(foldCase(path), func(routes []*route) bool {
		for _, rt := range routes {
			switch {
			case !rt.allows(method) || found != nil && found.path == rt.path:
			case rt == exact:
				found, clear = rt, true
				return true
			case found == nil:
				found = rt
			default:
				clear = clear && found.rule == rt.rule
			}
		}
		return found != nil
	})
	return found, clear
}

// resolve returns the route of a path as it stands: Gatehouse's own, that of
// the host, that of any host.
func (t *table) resolve(host, method, path string) *route {
	for _, s := range [...]*site{t.own, t.hosts[host], t.any} {
		if s != nil {
			if rt := s.asWritten(method, path); rt != nil {
				return rt
			}
		}
	}
	return nil
}

// resolveFolded is resolve for an upstream that ignores letter case.
func (t *table) resolveFolded(host, method, path string) (*route, bool) {
	for _, s := range [...]*site{t.own, t.hosts[host], t.any} {
		if s != nil {
			if rt, clear := s.ignoringCase(method, path); rt != nil {
				return rt, clear
			}
		}
	}
	return nil, true
}

// judge returns the route of the path as it was sent, nil when there is none.
// If any reading of the path, or of the method in capitals, falls under
// another rule, some upstream would serve what that rule protects: malformed.
func (t *table) judge(host, method, path string) (*route, error) {
	written := spelled(path)
	rt := t.resolve(host, method, written)
	if !t.agreesFolded(rt, host, method, written) {
		return nil, errAmbiguous
	}
	err := readings(path, func(reading string) error {
		reading = spelled(reading)
		if !same(rt, t.resolve(host, method, reading)) || !t.agreesFolded(rt, host, method, reading) {
			return errAmbiguous
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if upper := strings.ToUpper(method); upper != method && !same(rt, t.resolve(host, upper, written)) {
		return nil, errAmbiguous
	}
	return rt, nil
}

// routeOf returns the route of a request whose path has been read. Errors:
// auth.ErrMalformed, auth.ErrNotFound.
func (t *table) routeOf(r *http.Request, path string) (*route, error) {
	host, err := normalHost(r.Host)
	if err != nil {
		return nil, err
	}
	rt, err := t.judge(host, r.Method, path)
	if err == nil && rt == nil {
		err = auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return rt, t.judgeOverrides(rt, host, path, r.Header)
}

// agreesFolded reports whether an upstream that ignores letter case finds the
// same rule.
func (t *table) agreesFolded(rt *route, host, method, path string) bool {
	if t.oneCase && foldCase(path) == path {
		return true // the folded lookup would be the same one again
	}
	other, clear := t.resolveFolded(host, method, path)
	return clear && same(rt, other)
}

var errAmbiguous = fmt.Errorf("judge the request: two readings fall under different rules: %w", auth.ErrMalformed)

// same reports whether it does not matter which of two routes a request falls
// under. No route at all is a rule of its own.
func same(a, b *route) bool {
	return a == b || a != nil && b != nil && a.rule == b.rule
}
