package config

import (
	"maps"
	"slices"
	"strings"
)

// standardHeaders have a meaning of their own: as an identity header, the
// application or a proxy in between would read the person as that.
var standardHeaders = [...]string{
	"Age", "Allow", "Alt-Svc", "Authorization", "Cache-Control", "Connection", "Cookie", "Cookie2", "Date", "DNT", "Early-Data",
	"ETag", "Expect", "Expires", "Forwarded", "From", "Host", "HTTP2-Settings", "Keep-Alive", "Last-Modified", "Link", "Location",
	"Max-Forwards", "Origin", "Pragma", "Priority", "Range", "Referer", "Retry-After", "Server", "Set-Cookie", "Set-Cookie2", "TE",
	"Trailer", "Transfer-Encoding", "Upgrade", "Upgrade-Insecure-Requests", "User-Agent", "Vary", "Via", "Warning",
	"WWW-Authenticate", "Traceparent", "Tracestate", "Baggage", "X-Real-IP", "X-Client-IP", "X-Request-Id", "X-Correlation-Id",
	"X-Rewrite-URL", "X-Requested-With",
	"X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override", "X-CSRF-Token", "X-Forwarded",
	"X-Forwarded-By", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Path", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Protocol", "X-Forwarded-Scheme", "X-Forwarded-Server",
	"X-Forwarded-Ssl", "X-Forwarded-URI", "X-Url-Scheme",
}

// standardFamilies begin the names of headers that have a meaning of their
// own, such as Content-Length and Sec-Fetch-Mode. X-Auth-Request- are the
// headers of a forward-auth verdict.
var standardFamilies = [...]string{"Accept", "Access-Control-", "Content-", "If-", "Proxy-", "Sec-", "X-Auth-Request-", "X-Original-"}

// fold makes names that an application could take for one another equal:
// CGI, WSGI and their kin turn every other character than a letter or digit
// into the same one.
func fold(name string) string {
	return strings.Map(func(c rune) rune {
		if c > '~' || !isAlphanumeric(byte(c)) {
			return '-'
		}
		return c
	}, strings.ToLower(name))
}

func isStandard(name string) bool {
	folded := fold(name)
	return slices.ContainsFunc(standardHeaders[:], func(h string) bool { return fold(h) == folded }) ||
		slices.ContainsFunc(standardFamilies[:], func(f string) bool { return strings.HasPrefix(folded, fold(f)) })
}

func (l *loader) validateHeaders(c *Config) {
	h, at := &c.IdentityHeaders, "identity_headers."
	taken := map[string]string{}
	prefix := fold(h.Attributes)
	for _, named := range [...]struct{ key, name string }{
		{"user", h.User},
		{"email", h.Email},
		{"groups", h.Groups},
		{"preferred_username", h.PreferredUsername},
	} {
		l.validateHeader(at+named.key, named.name, named.key, taken)
		if prefix != "" && strings.HasPrefix(fold(named.name), prefix) {
			l.problem(at+named.key, l.show(at+named.key, named.name)+" begins with the prefix of attributes, so that an attribute could take its place", "choose another name, or another prefix in identity_headers.attributes")
		}
	}
	if h.Attributes != "" {
		l.validatePrefixOfHeaders(at+"attributes", h.Attributes)
	}
	for _, attribute := range slices.Sorted(maps.Keys(h.AttributeNames)) {
		path := child(at+"attributes", attribute)
		switch {
		case attribute == AttrUsername || attribute == AttrEmail || attribute == AttrGroups:
			l.problem(path, "is no attribute: it has a header of its own", "use preferred_username, email or groups of identity_headers")
		case !isName(attribute):
			l.problem(path, "is not the name of an attribute", "write letters, digits and - . _, beginning with a letter or digit")
		case h.AttributeNames[attribute] == "":
			l.problem(path, "names no header", "write the name of a header, or remove it")
		default:
			l.validateHeader(path, h.AttributeNames[attribute], "attributes."+attribute, taken)
		}
	}
}

// validateHeader judges the name of one header; an empty one is off.
func (l *loader) validateHeader(path, name, key string, taken map[string]string) {
	if name == "" {
		return
	}
	folded := fold(name)
	switch other, ok := taken[folded]; {
	case !isToken(name):
		l.problem(path, l.show(path, name)+" is not the name of a header", "write letters, digits and -, such as X-Forwarded-User")
	case isStandard(name):
		l.problem(path, l.show(path, name)+" has a meaning of its own", "choose another name, such as X-Forwarded-User")
	case ok:
		l.problem(path, l.show(path, name)+" is the same header as identity_headers."+other+": letter case and punctuation make no difference", "choose another name")
	default:
		taken[folded] = key
	}
}

// validatePrefixOfHeaders judges the prefix of attribute headers. Every
// header of a request that begins with it is removed, so it may not take in
// what has a meaning of its own.
func (l *loader) validatePrefixOfHeaders(path, prefix string) {
	if !isToken(prefix) {
		l.problem(path, l.show(path, prefix)+" is not the beginning of a header's name", "write letters, digits and -, such as X-Forwarded-Attr-")
		return
	}
	const do = "write another prefix, such as X-Forwarded-Attr-"
	if isStandard(prefix) {
		l.problem(path, l.show(path, prefix)+" has a meaning of its own", do)
	}
	for _, h := range slices.Concat(standardHeaders[:], standardFamilies[:]) {
		if strings.HasPrefix(fold(h), fold(prefix)) {
			l.problem(path, l.show(path, prefix)+" takes in "+h+", which has a meaning of its own", do)
		}
	}
}
