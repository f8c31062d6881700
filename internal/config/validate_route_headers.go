package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// maxRouteHeader is the length of the longest value that a route sets, in
// bytes: many servers take no header that is longer.
const maxRouteHeader = 8 << 10

// family is headers that are for the same. A name that ends in a hyphen
// stands for all that begin with it.
type family struct {
	names   []string
	why, do string // why a route does not change them, and what to do instead
}

// kept are headers that no route changes.
var kept = [...]family{
	{
		[]string{
			"Connection", "Content-Length", "Expect", "HTTP2-Settings", "Keep-Alive", "Proxy", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
			"Sec-WebSocket-", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
		},
		"says how a message is framed or a connection used, which Gatehouse decides", "remove it",
	},
	{[]string{"Host"}, "says whom a request is for", "use host_header"},
	{[]string{"Cookie", "Cookie2", "Set-Cookie", "Set-Cookie2"}, "may hold the session", "remove it: the application never sees Gatehouse's cookies, nor can it set one"},
	{
		[]string{
			"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-URI", "X-Original-", "X-Real-IP",
			"X-Request-Id", "X-Rewrite-URL",
		},
		"says where a request comes from, which Gatehouse does itself", "remove it",
	},
	{
		[]string{
			"X-Auth-Request-", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
			"X-Gatehouse-Assertion", "X-Forwarded-Attr-",
		},
		identityWhy, identityDo,
	},
}

// keptFromSet are headers that a route may remove and not set.
var keptFromSet = [...]family{
	{[]string{"X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override"}, "renames the method that the rules have judged", "remove it"},
	{[]string{"Clear-Site-Data"}, "could sign people out", "remove it"},
}

const (
	identityWhy = "says who a person is"
	identityDo  = "use identity_headers"
)

// validateRouteHeaders judges what a route changes. Nobody may be made
// somebody, nor a message another one, by a line of the file that was meant
// for something else.
func (l *loader) validateRouteHeaders(at string, r *Route, c *Config) {
	l.validateHeaderChanges(at+".request", r.Headers.Request, c)
	l.validateHeaderChanges(at+".response", r.Headers.Response, c)
}

func (l *loader) validateHeaderChanges(at string, h HeaderChanges, c *Config) {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(h.Set)) {
		path := child(at+".set", name)
		value := h.Set[name].Reveal()
		l.validateChanged(path, name, c, taken)
		why, do := keptFrom(keptFromSet[:], name)
		switch {
		case why != "":
			l.problem(path, quote(name)+" "+why, do)
		case value == "":
			l.problem(path, "has no value", "write one, or put the name under remove")
		case len(value) > maxRouteHeader:
			l.problem(path, "the value is longer than "+strconv.Itoa(maxRouteHeader)+" bytes", "write a shorter one")
		case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' }) || strings.TrimSpace(value) != value:
			l.problem(path, "the value has a character outside ASCII, or a space at an end", "write it in ASCII")
		}
	}
	for i, name := range h.Remove {
		l.validateChanged(index(at+".remove", i), name, c, taken)
	}
}

// validateChanged judges the name of a header that a route sets or removes.
func (l *loader) validateChanged(path, name string, c *Config, taken map[string]string) {
	why, do := keptFrom(kept[:], name)
	if why == "" && c.IdentityHeaders.has(name) {
		why, do = identityWhy, identityDo
	}
	other, twice := taken[fold(name)]
	switch {
	case !isToken(name):
		l.problem(path, quote(name)+" is not the name of a header", "write letters, digits and -, such as X-Api-Version")
	case why != "":
		l.problem(path, quote(name)+" "+why, do)
	case twice:
		l.problem(path, quote(name)+" is the same header as "+quote(other)+": letter case and punctuation make no difference", "remove one of them")
	default:
		taken[fold(name)] = name
	}
}

// keptFrom returns why a header is in a list, and what to do; nothing where
// it is not.
func keptFrom(list []family, name string) (why, do string) {
	folded := fold(name)
	for _, k := range list {
		for _, n := range k.names {
			if f := fold(n); folded == f || strings.HasSuffix(n, "-") && strings.HasPrefix(folded, f) {
				return k.why, k.do
			}
		}
	}
	return "", ""
}

// has reports whether a header, in any spelling, tells who a person is.
func (h *IdentityHeaders) has(name string) bool {
	folded := fold(name)
	if h.Attributes != "" && strings.HasPrefix(folded, fold(h.Attributes)) {
		return true
	}
	names := append(slices.Collect(maps.Values(h.AttributeNames)), h.User, h.Email, h.Groups, h.PreferredUsername)
	return slices.ContainsFunc(names, func(n string) bool { return n != "" && fold(n) == folded })
}
