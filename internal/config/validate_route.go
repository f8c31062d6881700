package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatehouse/auth"
)

func (l *loader) validateRoutes(c *Config) {
	places := map[string][]int{} // routes, by host and path
	for i := range c.Routes {
		r, at := &c.Routes[i], index("routes", i)
		l.validatePath(at+".path", r.Path)
		if own := ownPath(r.Path, c.Server.Prefix); own != "" {
			l.problem(at+".path", l.show(at+".path", r.Path)+" is Gatehouse's own: it answers "+own+" itself", "choose another path, or move Gatehouse with server.prefix")
		}
		l.validateRouteHost(at+".host", r, c)
		l.validateMethods(at+".methods", r.Methods)
		l.validateUpstream(at+".upstream", r, c)
		l.validateAccess(at+".access", &r.Access, c)
		l.validatePublicFrom(at+".public_from", r)
		if r.Contact == "" {
			r.Contact = c.Contact
		}
		l.validateRewrite(at, r)
		l.validateUpstreamTLS(at+".upstream_tls", r)
		l.validateRouteHeaders(at+".headers", r, c)
		l.validateTimeouts(at, r)
		l.refuseUnused(at, r)
		if l.isUnread(at) {
			continue
		}
		where := r.Host + r.Path
		for _, j := range places[where] {
			if methodsMeet(r.Methods, c.Routes[j].Methods) {
				l.problem(at, fmt.Sprintf("has the host, the path and a method of the route on line %d", c.Routes[j].Line), "remove one of them, or give them different methods")
				break
			}
		}
		places[where] = append(places[where], i)
	}
}

// validatePublicFrom brings the networks into the form in which requests are
// compared.
func (l *loader) validatePublicFrom(path string, r *Route) {
	for i, addresses := range r.PublicFrom {
		r.PublicFrom[i] = l.validateRange(index(path, i), addresses)
		if strings.HasSuffix(r.PublicFrom[i], "/0") {
			l.problem(index(path, i), "is everybody", "write access: public, or a network")
		}
	}
	if r.Access.Public && r.PublicFrom != nil {
		l.problem(path, "says nothing on a route that is public to everybody", "remove it, or say in access who else may come in")
	}
}

// methodsMeet reports whether both name a method, or both name none. A route
// without methods takes what those with methods leave it.
func methodsMeet(a, b []string) bool {
	return len(a) == 0 && len(b) == 0 || slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}

func (l *loader) validateAPIPaths(paths []string) {
	for i, path := range paths {
		l.validatePath(index("api_paths", i), path)
	}
}

// validatePath judges the path of a rule. It is compared with decoded paths,
// so what only an encoded or unclean one could have would never match, and a
// rule that never matches leaves its path to a laxer one.
func (l *loader) validatePath(at, path string) {
	const do = "write a path such as /app, or /app/ for it and everything below"
	switch {
	case !strings.HasPrefix(path, "/"):
		l.problem(at, l.show(at, path)+" does not begin with /", do)
	case strings.Contains(path, "*"):
		l.problem(at, l.show(at, path)+" has a *, and there are no wildcards", "end the path in / to take in everything below it")
	case strings.ContainsAny(path, "?#%;\\") || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		l.problem(at, l.show(at, path)+" has a space or one of ? # % ; \\", "write the path decoded, without query and parameters")
	case strings.Contains(path, "//") || slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return strings.HasSuffix(s, ".") }):
		l.problem(at, l.show(at, path)+" has an empty segment or one that ends in a dot", do)
	}
}

// ownPath returns which of Gatehouse's own endpoints a path belongs to, if
// any. Letter case is ignored, as when requests are judged.
func ownPath(path, prefix string) string {
	path = strings.ToLower(strings.TrimSuffix(path, "/"))
	for _, own := range [...]string{"/ping", "/ready"} {
		if path == own {
			return own
		}
	}
	for _, own := range [...]string{prefix, "/.well-known/gatehouse"} {
		if own != "" && (path == strings.ToLower(own) || strings.HasPrefix(path, strings.ToLower(own)+"/")) {
			return own + "/"
		}
	}
	return ""
}

// validateRouteHost brings the host into the form in which requests are
// compared, and refuses one where the session's cookie never arrives: people
// would sign in and still be nobody.
func (l *loader) validateRouteHost(path string, r *Route, c *Config) {
	if r.Host == "" {
		return
	}
	given := r.Host
	r.Host = strings.TrimSuffix(strings.ToLower(given), ".")
	if inner, ok := strings.CutPrefix(r.Host, "["); ok {
		r.Host = strings.TrimSuffix(inner, "]")
	}
	public := host(c.Server.PublicURL)
	switch {
	case !isHost(r.Host):
		l.problem(path, l.show(path, given)+" is not a host", "write a name such as app.example.com, without scheme, port and wildcards")
	case r.Host != public && !isUnder(r.Host, c.Session.CookieDomain):
		l.problem(path, fmt.Sprintf("%s is neither the host of server.public_url nor under session.cookie_domain: the session's cookie would not reach it", l.show(path, given)), "set session.cookie_domain to a domain that both are under")
	}
}

func (l *loader) validateMethods(path string, methods []string) {
	for i, method := range methods {
		methods[i] = strings.ToUpper(method)
		at := index(path, i)
		switch {
		case !isToken(method):
			l.problem(at, l.show(at, method)+" is not a method", "write a method such as GET or POST")
		case methods[i] == "CONNECT" || methods[i] == "TRACE":
			l.problem(at, methods[i]+" is never forwarded", "remove it")
		}
	}
}

func (l *loader) validateUpstream(path string, r *Route, c *Config) {
	const do = "write http://host:port, https://host, h2c://host:port, unix:///path, static:202 or file:directory"
	scheme, rest, _ := strings.Cut(r.Upstream, ":")
	switch scheme {
	case "http", "https", "h2c":
		u, wrong := plainURL(r.Upstream, "http", "https", "h2c")
		if wrong == "" && u.Path != "" && u.Path != "/" {
			wrong = "has a path, and the path of the request is forwarded as it is"
		}
		switch {
		case wrong != "":
			l.problem(path, wrong, do)
		case isSelf(u.Hostname(), u.Port(), c.Server.Listen):
			l.problem(path, "is Gatehouse itself, which would call itself without end", "write where the application listens")
		}
	case "unix":
		socket := strings.TrimPrefix(rest, "//")
		l.validateSocket(path, socket)
		r.Upstream = "unix://" + socket
	case "static":
		// 1xx is no final answer; what has no body and no meaning without a
		// request of its own kind is left to the application.
		if code, err := strconv.Atoi(rest); err != nil || code < 200 || code > 599 {
			l.problem(path, "is not a status that can be answered", "write static: and a number from 200 to 599, such as static:202")
		}
	case "file":
		dir := rest
		if after, ok := strings.CutPrefix(rest, "//"); ok && strings.HasPrefix(after, "/") {
			dir = after
		}
		if dir = l.resolve(dir); dir == "" {
			l.problem(path, "names no directory", do)
		} else if info, err := l.stat(dir); err != nil {
			l.problem(path, fmt.Sprintf("the directory %s cannot be read: %v", l.show(path, rest), cause(err)), "correct the name, or let the user that runs Gatehouse read it")
		} else if !info.IsDir() {
			l.problem(path, "is not a directory", "name the directory that holds the file")
		}
		r.Upstream = "file:" + dir
	case "":
		l.problem(path, "is missing", do)
	default:
		l.problem(path, "is none of the kinds of upstream", do)
	}
}

// isSelf reports whether an upstream is the very address that Gatehouse
// listens on.
func isSelf(name, port, listen string) bool {
	listenHost, listenPort, err := net.SplitHostPort(listen)
	if err != nil || port != listenPort {
		return false
	}
	addr, err := netip.ParseAddr(listenHost)
	everywhere := listenHost == "" || err == nil && addr.IsUnspecified()
	return name == listenHost || isLoopback(name) && (everywhere || isLoopback(listenHost))
}

// validateAccess judges a rule and all rules in it.
func (l *loader) validateAccess(path string, a *Access, c *Config) {
	for i, email := range a.Emails {
		if !isEmail(email) {
			at := index(path+".emails", i)
			l.problem(at, l.show(at, email)+" is not an e-mail address", "write an address such as ann@acme.example")
		}
		a.Emails[i] = lower(email)
	}
	for i, domain := range a.EmailDomains {
		a.EmailDomains[i] = l.validateEmailDomain(index(path+".email_domains", i), domain)
	}
	for i, id := range a.Connections {
		at := index(path+".connections", i)
		l.validateConnectionID(at, l.show(at, id), id, c, auth.Local)
	}
	l.validateGroups(path+".groups", a.Groups)
	l.validateGroups(path+".users", a.Users)
	l.validateGroups(path+".amr", a.AMR)
	for i, level := range a.ACR {
		l.validateLevel(index(path+".acr", i), level)
	}
	for i, addresses := range a.ClientAddresses {
		a.ClientAddresses[i] = l.validateRange(index(path+".client_addresses", i), addresses)
	}
	for i := range a.All {
		l.validateAccess(index(path+".all", i), &a.All[i], c)
	}
	for i := range a.Any {
		l.validateAccess(index(path+".any", i), &a.Any[i], c)
	}
	if a.Not != nil {
		l.validateAccess(path+".not", a.Not, c)
	}
}
