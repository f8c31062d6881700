package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// anyOther stands for every method that no route names.
const anyOther = "any other method"

// warnRoutes looks for requests that a reader would expect under the rule of
// a route and that fall under a laxer one: those below an exact path, and
// those with a method that the route leaves out.
func (l *loader) warnRoutes(routes []Route) {
	methods := []string{anyOther}
	for i := range routes {
		methods = append(methods, routes[i].Methods...)
	}
	slices.Sort(methods)
	methods = slices.Compact(methods)
	for i := range routes {
		r, at := &routes[i], index("routes", i)
		if r.Access.Public {
			continue
		}
		if !strings.HasSuffix(r.Path, "/") {
			for _, method := range methods {
				if s := pick(routes, r.Host, r.Path+"/", method); r.takes(method) && s != nil && !s.asStrict(r) {
					l.warning(at+".path", WarnSubtreeLaxer, fmt.Sprintf("%s is exactly that path; what is below it falls under the route on line %d, whose rule is not as strict; end the path in / to take it in", r.Path, s.Line))
					break
				}
			}
		}
		for _, method := range methods {
			if r.takes(method) {
				continue
			}
			if s := pick(routes, r.Host, r.Path, method); s != nil && !s.asStrict(r) {
				l.warning(at+".methods", WarnMethodLaxer, fmt.Sprintf("%s with %s falls under the route on line %d, whose rule is not as strict; leave out methods to take them all in", r.Path, method, s.Line))
				break
			}
		}
	}
}

// takes reports whether a request with that method is for the route.
func (r *Route) takes(method string) bool {
	return len(r.Methods) == 0 || slices.Contains(r.Methods, method)
}

// pick returns the route of a request as the proxy does: first the host
// decides, then the longest path, then whether the route names the method. A
// path that ends in a slash stands for what is below it.
func pick(routes []Route, host, path, method string) *Route {
	var best *Route
	for i := range routes {
		r := &routes[i]
		if r.Host != host && r.Host != "" || !r.takes(method) {
			continue
		}
		if path != r.Path && path+"/" != r.Path && (!strings.HasSuffix(r.Path, "/") || !strings.HasPrefix(path, r.Path)) {
			continue
		}
		if best == nil || r.precedes(best, path) {
			best = r
		}
	}
	return best
}

// precedes reports whether the route is taken before another one that is for
// the same request.
func (r *Route) precedes(other *Route, path string) bool {
	switch {
	case r.Host != other.Host:
		return other.Host == ""
	case r.Path == path || other.Path == path:
		return r.Path == path && (other.Path != path || len(r.Methods) > len(other.Methods))
	case len(r.Path) != len(other.Path):
		return len(r.Path) > len(other.Path)
	}
	return len(r.Methods) > len(other.Methods)
}

// asStrict reports whether whoever the route lets in, the other one lets in as well.
func (r *Route) asStrict(than *Route) bool {
	return (than.Access.Public || within(r.PublicFrom, than.PublicFrom)) && asStrict(r.Access, than.Access)
}

// asStrict reports whether whoever s lets in, r lets in as well, as far as
// that can be told from the rules alone.
func asStrict(s, r Access) bool {
	switch {
	case r.Public || reflect.DeepEqual(s, r):
		return true
	case s.Public:
		return false
	}
	lists := [...]struct{ s, r []string }{
		{s.Groups, r.Groups},
		{s.Users, r.Users},
		{s.Emails, r.Emails},
		{s.EmailDomains, r.EmailDomains},
		{s.Connections, r.Connections},
		{s.AMR, r.AMR},
		{s.ACR, r.ACR},
		{s.ClientAddresses, r.ClientAddresses},
	}
	for _, list := range lists {
		if len(list.r) > 0 && (len(list.s) == 0 || !within(list.s, list.r)) {
			return false
		}
	}
	if r.Local != nil && (s.Local == nil || *s.Local != *r.Local) {
		return false
	}
	if r.Not != nil && !reflect.DeepEqual(s.Not, r.Not) {
		return false
	}
	same := func(rule Access) func(Access) bool {
		return func(other Access) bool { return reflect.DeepEqual(rule, other) }
	}
	for _, rule := range r.All {
		if !slices.ContainsFunc(s.All, same(rule)) && !asStrict(s, rule) {
			return false
		}
	}
	return len(r.Any) == 0 || reflect.DeepEqual(s.Any, r.Any) ||
		slices.ContainsFunc(r.Any, func(rule Access) bool { return asStrict(s, rule) })
}

// within reports whether every entry of some is among all.
func within(some, all []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}
