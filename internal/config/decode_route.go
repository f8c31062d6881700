package config

import (
	"time"

	"go.yaml.in/yaml/v3"
)

// maxAccessDepth bounds how deep all, any and not may nest: a rule that
// nobody can read protects nothing.
const maxAccessDepth = 8

func routes(o *object) []Route {
	objects := o.objects("routes")
	if len(objects) == 0 {
		return nil
	}
	all := make([]Route, len(objects))
	for i, object := range objects {
		all[i] = route(object)
	}
	return all
}

func route(o *object) Route {
	defer o.done()
	return Route{
		Line:        o.l.line(o.path),
		Path:        o.text("path", "/"),
		Host:        o.text("host", ""),
		Methods:     o.texts("methods"),
		Upstream:    o.text("upstream", ""),
		Access:      o.access("access"),
		StripPrefix: o.flag("strip_prefix", false),
		RewritePath: o.text("rewrite_path", ""),
		HostHeader:  o.choice("host_header", HostPass, HostPass, HostUpstream),
		UpstreamTLS: upstreamTLS(o.object("upstream_tls")),
		Headers:     routeHeaders(o.object("headers")),

		ConnectTimeout: o.duration("connect_timeout", 10*time.Second),
		Timeout:        o.duration("timeout", 30*time.Second),
		IdleTimeout:    o.duration("idle_timeout", 0),
		Contact:        o.text("contact", ""),
		PublicFrom:     o.needed("public_from"),
	}
}

func upstreamTLS(o *object) UpstreamTLS {
	defer o.done()
	return UpstreamTLS{
		CAFile:             o.file("ca_file", ""),
		CertFile:           o.file("cert_file", ""),
		KeyFile:            o.file("key_file", ""),
		ServerName:         o.text("server_name", ""),
		InsecureSkipVerify: o.flag("insecure_skip_verify", false),
	}
}

func routeHeaders(o *object) RouteHeaders {
	defer o.done()
	return RouteHeaders{Request: headerChanges(o.object("request")), Response: headerChanges(o.object("response"))}
}

func headerChanges(o *object) HeaderChanges {
	defer o.done()
	h := HeaderChanges{Remove: o.texts("remove")}
	for _, e := range o.entries("set") {
		if h.Set == nil {
			h.Set = map[string]Secret{}
		}
		h.Set[e.name] = NewSecret(o.l.text(e.node, e.path, ""))
	}
	return h
}

// access reads the rule of a route: a word, or a mapping.
func (o *object) access(key string) Access {
	n, path := o.take(key)
	if blank, there := o.nodes[key]; there && isNull(blank) {
		// Read as the default it would open the route to everybody who is
		// signed in, and who began to write a rule meant fewer.
		o.l.problem(path, "has no value", "write public, authenticated or a rule such as {groups: [staff]}, or remove the key")
		return Access{}
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return Access{Public: o.choice(key, "authenticated", "public", "authenticated") == "public"}
	}
	return o.l.access(n, path, 1)
}

// access reads a rule that is a mapping. An empty list, or no key at all, is
// a problem and not a rule: read as "anybody" it would open the route, and
// who wrote it meant something else.
func (l *loader) access(n *yaml.Node, path string, depth int) Access {
	if depth > maxAccessDepth {
		l.problem(path, "is nested too deep", "write a rule that nests less")
		return Access{}
	}
	if isNull(n) || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		l.problem(path, "says nothing", "write a key such as groups: [staff]; to let in everybody who is signed in, write access: authenticated")
		return Access{}
	}
	o := l.object(n, path)
	defer o.done()
	a := Access{
		Groups:          o.needed("groups"),
		Users:           o.needed("users"),
		Emails:          o.needed("emails"),
		EmailDomains:    o.needed("email_domains"),
		Connections:     o.needed("connections"),
		AMR:             o.needed("amr"),
		ACR:             o.needed("acr"),
		ClientAddresses: o.needed("client_addresses"),
		All:             o.rules("all", depth),
		Any:             o.rules("any", depth),
	}
	if n, path := o.take("local"); n != nil {
		local := l.flag(n, path, true)
		a.Local = &local
	}
	if n, path := o.take("not"); n != nil {
		not := l.access(n, path, depth+1)
		a.Not = &not
	}
	for _, name := range o.names {
		if isNull(o.nodes[name]) {
			l.problem(child(path, name), "has no value", "give it one, or remove the key")
		}
	}
	return a
}

// needed returns a list that may not be empty.
func (o *object) needed(key string) []string {
	items, path, ok := o.list(key)
	if !ok {
		return nil
	}
	if len(items) == 0 {
		o.l.problem(path, "is an empty list, which nobody is in", "name someone, or remove the key")
	}
	return o.l.texts(items, path)
}

// rules returns a list of rules that may not be empty.
func (o *object) rules(key string, depth int) []Access {
	items, path, ok := o.list(key)
	if !ok {
		return nil
	}
	if len(items) == 0 {
		o.l.problem(path, "is an empty list", "write a rule such as {groups: [staff]}, or remove the key")
	}
	all := make([]Access, len(items))
	for i, item := range items {
		all[i] = o.l.access(item, index(path, i), depth+1)
	}
	return all
}
