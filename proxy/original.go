package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// original is the request that another proxy asks about, as its headers
// describe it. An empty host, method or path was not told.
type original struct{ host, method, path string }

// originalHeaders describe the original request.
var originalHeaders = []string{
	"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri",
	"X-Original-Url", "X-Original-Uri", "X-Original-Method",
}

func describesOriginal(h http.Header) bool {
	return slices.ContainsFunc(originalHeaders, func(name string) bool { return h[name] != nil })
}

// originalRequest reads the description. Everything that is there must be
// readable and agree: where two headers differ, one was set by the client, and
// nobody can tell which.
func originalRequest(h http.Header) (o original, err error) {
	get := func(name string) (string, bool) {
		v, ok := single(h, name)
		if h[name] != nil && !ok && err == nil {
			err = fmt.Errorf("%s was sent more than once", name)
		}
		return v, ok
	}
	agree := func(what string, have *string, say string, sayErr error) {
		switch {
		case err != nil:
		case sayErr != nil || say == "":
			err = fmt.Errorf("the original %s cannot be read", what)
		case *have != "" && *have != say:
			err = fmt.Errorf("the headers disagree about the %s", what)
		default:
			*have = say
		}
	}
	// Traefik says ws or wss of a handshake.
	if v, ok := get("X-Forwarded-Proto"); ok && !slices.Contains([]string{"http", "https", "ws", "wss"}, v) {
		err = errors.New("the original scheme cannot be read")
	}
	for _, name := range []string{"X-Forwarded-Method", "X-Original-Method"} {
		if v, ok := get(name); ok {
			agree("method", &o.method, v, methodError(v))
		}
	}
	if v, ok := get("X-Forwarded-Host"); ok {
		host, e := normalHost(v)
		agree("host", &o.host, host, e)
	}
	for _, name := range []string{"X-Forwarded-Uri", "X-Original-Uri"} {
		if v, ok := get(name); ok {
			t, e := parseTarget(v)
			agree("path", &o.path, t.path, e)
		}
	}
	if v, ok := get("X-Original-Url"); ok {
		host, path, e := readOriginalURL(v)
		if agree("path", &o.path, path, e); host != "" {
			name, e := normalHost(host)
			agree("host", &o.host, name, e)
		}
	}
	return o, err
}

func methodError(method string) error {
	if !httpguts.ValidHeaderFieldName(method) || strings.EqualFold(method, http.MethodConnect) || strings.EqualFold(method, http.MethodTrace) {
		return errors.New("no method that may pass")
	}
	return nil
}

// readOriginalURL reads X-Original-URL: a URL, or a path where the asking
// proxy sends no more.
func readOriginalURL(s string) (host, path string, err error) {
	rest, absolute := cutScheme(s)
	if absolute {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if host, rest = rest[:end], rest[end:]; host == "" {
			return "", "", errors.New("no host")
		}
		if !strings.HasPrefix(rest, "/") {
			rest = "/" + rest
		}
	}
	t, err := parseTarget(rest)
	return host, t.path, err
}

// route returns the route of an original request. What was not told may be
// anything: the answer stands only if it makes no difference. Of the asking
// request's headers h, those count that override the method: they are the
// client's, and the application will see them too.
func (t *table) route(o original, h http.Header) (*route, error) {
	var found *route
	first := true
	for _, host := range t.candidates(o.host) {
		for _, method := range t.methodsFor(o.method) {
			var all []*route
			if o.path == "" {
				all = t.anyPath(host, method)
			} else {
				rt, err := t.judge(host, method, o.path)
				if err == nil {
					err = t.judgeOverrides(rt, host, o.path, h)
				}
				if err != nil {
					return nil, errors.New("the original request has two readings")
				}
				all = []*route{rt}
			}
			for _, rt := range all {
				if !first && !same(found, rt) {
					return nil, errors.New("rules differ by what the asking proxy does not tell: host, path or method")
				}
				found, first = rt, false
			}
		}
	}
	return found, nil
}

// candidates returns the hosts that an original request may be for: the one
// that was told, or every one of the routes and one that is none of them.
func (t *table) candidates(host string) []string {
	if host != "" {
		return []string{host}
	}
	return append(slices.Collect(maps.Keys(t.hosts)), "")
}

// methodsFor returns the methods that an original request may have.
func (t *table) methodsFor(method string) []string {
	if method != "" {
		return []string{method}
	}
	all := []string{""} // none that a route names
	for _, rt := range t.routes {
		all = append(all, rt.methods...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// anyPath returns the routes that some path of the host falls under, nil
// standing for a path that has none.
func (t *table) anyPath(host, method string) (all []*route) {
	whole := false
	for _, rt := range t.routes {
		if (rt.host == host || rt.host == "") && rt.allows(method) {
			all = append(all, rt)
			whole = whole || rt.subtree && rt.path == ""
		}
	}
	if !whole {
		all = append(all, nil)
	}
	return all
}
