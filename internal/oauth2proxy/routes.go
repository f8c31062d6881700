package oauth2proxy

import (
	"regexp"
	"slices"
	"strings"
)

// route is a route of config.yaml that is being put together.
type route struct {
	path    string
	to      target
	of      upstream
	public  bool     // for all methods
	methods []string // for which it is public
	from    origin   // the patterns that make it so
	own     bool     // an upstream has this very path
	guard   bool     // it keeps the path without its slash protected
}

// routes writes the upstreams, and what is public of them.
func (t *translation) routes() {
	n := t.root.in("routes")
	all := t.applications(n)
	for _, rule := range t.skipped(n) {
		all = apply(all, rule)
	}
	preflight, preflightShown := t.truth("skip_auth_preflight")
	for _, r := range all {
		if r.public || len(r.methods) > 0 && slices.Contains(r.methods, "OPTIONS") || !preflight {
			continue
		}
		r.methods = append(r.methods, "OPTIONS")
		r.from = joined(r.from, preflightShown)
	}
	for _, r := range all {
		if r.public || len(r.methods) > 0 {
			t.write(n, r, true)
		}
		if !r.public && (r.own || r.guard) {
			t.write(n, r, false)
		}
	}
	t.programs(n)
}

// applications returns a route for each upstream.
func (t *translation) applications(n *node) (all []*route) {
	for _, u := range t.upstreams() {
		at, to, why := u.target()
		switch {
		case why != "":
			n.note("%s: %s", u.shown, why)
		case slices.ContainsFunc(all, func(r *route) bool { return r.path == at }):
			n.note("%s: %.80q had no effect after another upstream of that path", u.shown, u.spelled)
		default:
			all = append(all, &route{path: at, to: to, of: u, own: true})
		}
	}
	if len(all) == 0 {
		n.note("There is no upstream: Gatehouse answers sign-ins and verdicts only.")
		all = append(all, &route{path: "/", to: target{to: "static:404"}, own: true})
	}
	return all
}

// rule is what one pattern makes public.
type rule struct {
	place  place
	method string // empty: all
	from   origin
}

// skipped returns what needs no session, and says of each pattern what of it
// stays protected.
func (t *translation) skipped(n *node) (rules []rule) {
	prefix, _ := t.text("proxy_prefix")
	add := func(shown origin, spelled, method, pattern string) {
		found, whole := places(pattern)
		found = slices.DeleteFunc(found, func(p place) bool {
			own := isOwn(p.path, prefix)
			whole = whole && !own
			return own
		})
		for _, p := range found {
			rules = append(rules, rule{p, method, shown})
		}
		switch {
		case len(found) == 0:
			n.note("%s: %.120q is no plain path or beginning of one. Whatever it takes in STAYS PROTECTED; write a route with access: public for the paths that are meant", shown, spelled)
		case !whole:
			n.note("%s: %.120q takes in more than the routes from it below: what is not below one of them STAYS PROTECTED", shown, spelled)
		}
	}
	patterns, shown := t.list("skip_auth_regex")
	for _, p := range patterns {
		add(shown, p, "", p)
	}
	patterns, shown = t.list("skip_auth_routes")
	for _, p := range patterns {
		method, pattern, ok := strings.Cut(p, "=")
		switch {
		case strings.Contains(p, "!="): // wherever it stands
			n.note("%s: %.120q says what is not public. All of it STAYS PROTECTED; write a route with access: public for the paths that are meant", shown, p)
		case !ok:
			add(shown, p, "", p)
		case !isMethod.MatchString(method):
			n.note("%s: %.120q had no effect: what stands before the first = is a method, and no request has that", shown, p)
		case strings.EqualFold(method, "CONNECT"), strings.EqualFold(method, "TRACE"):
			n.note("%s: %.120q: such requests are never forwarded", shown, p)
		default:
			add(shown, p, strings.ToUpper(method), pattern)
		}
	}
	return rules
}

// isMethod is a method, or none: then all are meant.
var isMethod = regexp.MustCompile(`^[A-Za-z-]*$`)

// isOwn reports whether a path is one that Gatehouse answers itself.
func isOwn(path, prefix string) bool {
	for _, own := range []string{"/ping", "/ready", "/.well-known/gatehouse", strings.TrimSuffix(prefix, "/")} {
		if path == own || strings.HasPrefix(path, own+"/") {
			return true
		}
	}
	return false
}

// apply makes what a rule takes in public, at its own path and at those of
// upstreams below it.
func apply(all []*route, r rule) []*route {
	has := func(path string) bool {
		return slices.ContainsFunc(all, func(r *route) bool { return r.path == path })
	}
	if from := covering(all, r.place.path); from != nil && !has(r.place.path) {
		all = append(all, &route{path: r.place.path, to: from.to.below(from.path, r.place.path), of: from.of})
	}
	bare := strings.TrimSuffix(r.place.path, "/")
	if from := covering(all, bare); r.place.guard && from != nil && !has(bare) {
		all = append(all, &route{
			path: bare, to: from.to.below(from.path, bare), of: from.of, guard: true,
			public: from.public, methods: slices.Clone(from.methods), from: from.from,
		})
	}
	for _, one := range all {
		below := one.path == r.place.path || strings.HasSuffix(r.place.path, "/") && strings.HasPrefix(one.path, r.place.path)
		if !below || one.public {
			continue
		}
		if r.method == "" {
			one.public = true
		} else if !slices.Contains(one.methods, r.method) {
			one.methods = append(one.methods, r.method)
		}
		if !strings.Contains(string(one.from), string(r.from)) {
			one.from = joined(one.from, r.from)
		}
	}
	return all
}

// covering returns the route of an upstream under which a path falls.
func covering(all []*route, path string) (best *route) {
	for _, r := range all {
		covers := r.path == path || strings.HasSuffix(r.path, "/") && (strings.HasPrefix(path, r.path) || path+"/" == r.path)
		if r.own && covers && (best == nil || len(r.path) > len(best.path)) {
			best = r
		}
	}
	return best
}

func (t *translation) write(n *node, r *route, public bool) {
	one := n.item()
	if r.guard && !public {
		one.note("the pattern does not match it without the slash. gatehouse check warns that what is below is public: so it was")
	}
	one.set("path", t.quoted(r.path, r.of.shown), "")
	if public && !r.public {
		one.set("methods", flow(r.methods), r.from)
	}
	if r.to.adjust != "" {
		one.note("%s: %s", r.of.shown, r.to.adjust)
	}
	one.set("upstream", t.quoted(r.to.to, r.of.shown), r.of.shown)
	if public {
		one.set("access", "public", r.from)
	} else {
		one.set("access", "authenticated", "")
	}
	switch {
	case r.to.rewrite == "/" && strings.HasSuffix(r.path, "/"):
		one.set("strip_prefix", "true", "")
	case r.to.rewrite != "":
		one.set("rewrite_path", t.quoted(r.to.rewrite, r.of.shown), "")
	}
	if ips, shown := t.list("trusted_ips"); !public && t.believable() {
		one.set("public_from", flow(ips), shown)
	}
	if strings.HasPrefix(r.to.to, "static:") || strings.HasPrefix(r.to.to, "file:") {
		return
	}
	if r.of.ownHost {
		_, shown := t.truth("pass_host_header")
		if shown == "" {
			shown = "passHostHeader"
		}
		one.set("host_header", "upstream", shown)
	}
	if d, err := parseSpan(r.of.timeout); err == nil && d > 0 {
		_, shown := t.text("upstream_timeout")
		if shown != "" || r.of.timeout != "30s" {
			one.set("timeout", written(d), shown)
		}
	}
	if r.of.insecure && strings.HasPrefix(r.to.to, "https:") {
		_, shown := t.truth("ssl_upstream_insecure_skip_verify")
		if shown == "" {
			shown = "insecureSkipTLSVerify"
		}
		one.set("upstream_tls", "{insecure_skip_verify: true}", shown)
	}
}

// programs writes which paths answer 401 in place of a redirect.
func (t *translation) programs(n *node) {
	var paths []string
	var from origin
	if force, shown := t.truth("force_json_errors"); force {
		paths, from = []string{"/"}, shown
	}
	patterns, shown := t.list("api_routes")
	for _, pattern := range patterns {
		found, whole := places(pattern)
		for _, p := range found {
			if !slices.Contains(paths, p.path) {
				paths, from = append(paths, p.path), shown
			}
		}
		if !whole {
			n.note("%s: %.120q takes in more paths than api_paths can say. Elsewhere programs get 401 by what they send: Accept without text/html, X-Requested-With, or another method than GET", shown, pattern)
		}
	}
	if len(paths) > 0 {
		t.root.in("api_paths").value, t.root.in("api_paths").from = flow(paths), from
	}
	if ips, shown := t.list("trusted_ips"); len(ips) > 0 && !t.believable() {
		n.note("%s: %q needed no session, by an address that everybody could claim, or could claim here. They STAY PROTECTED; list the proxies in front in server.trusted_proxies, let them write X-Forwarded-For themselves, and write public_from to the routes that are meant", shown, ips)
	}
}

// believable reports whether trusted_ips can be taken over: there are some,
// and the address of a client is not what anybody says. Behind a proxy that is
// not named everybody would come from the proxy's address. A proxy that writes
// another header than X-Forwarded-For may pass on the one of the client, who
// would choose an address there.
func (t *translation) believable() bool {
	ips, _ := t.list("trusted_ips")
	behind, _ := t.truth("reverse_proxy")
	return len(ips) > 0 && (!behind || len(t.proxies) > 0 && t.chained())
}
