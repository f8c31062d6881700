package proxy

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// fold appends name to buf as servers may compare header names that pass
// through CGI-like environments: letters in lower case, everything else but
// digits one class. X_Forwarded-User, x.forwarded.user and X-Forwarded-User
// are the same variable to them.
func fold(buf []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			buf = append(buf, c+'a'-'A')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			buf = append(buf, c)
		default:
			buf = append(buf, '-')
		}
	}
	return buf
}

func folded(name string) string { return string(fold(nil, name)) }

// nameSet is a set of folded header names and prefixes.
type nameSet struct {
	names    map[string]bool
	prefixes []string
}

func newNameSet(names, prefixes []string) nameSet {
	s := nameSet{names: map[string]bool{}}
	for _, n := range names {
		s.names[folded(n)] = true
	}
	for _, p := range prefixes {
		if p != "" {
			s.prefixes = append(s.prefixes, folded(p))
		}
	}
	return s
}

// has reports whether name, in any spelling, is in the set.
func (s *nameSet) has(name string) bool {
	var buf [64]byte
	f := fold(buf[:0], name)
	if s.names[string(f)] {
		return true
	}
	for _, p := range s.prefixes {
		if len(f) >= len(p) && string(f[:len(p)]) == p {
			return true
		}
	}
	return false
}

// The default identity headers. They are stripped even where others are
// configured: an application may still look at them.
var defaultIdentity = []string{
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
	"X-Forwarded-Access-Token", "X-Gatehouse-Assertion",
}

const (
	defaultAttributes = "X-Forwarded-Attr-"
	verdictPrefix     = "X-Auth-Request-"
)

// framing headers decide where a message ends or which connection it is on.
var framing = newNameSet([]string{
	"Connection", "Content-Length", "Host", "HTTP2-Settings", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
}, nil)

// misspelt reports whether name is a framing header in a spelling that
// net/http does not know as such (Transfer_Encoding) and some upstream may.
func misspelt(name string) bool {
	for i := 0; i < len(name); i++ {
		if !alphanumeric(name[i]) && name[i] != '-' {
			return framing.has(name)
		}
	}
	return false
}

// hopHeaders are never passed on, whoever sends them: we set them ourselves,
// they open a way around the rules, or they tell the upstream of another
// path or method than the one that was judged.
var hopHeaders = []string{
	"HTTP2-Settings", "Proxy", "X-Request-Id",
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
	"X-Forwarded-Method", "X-Forwarded-Uri", "X-Rewrite-URL",
}

const originalPrefix = "X-Original-"

// removal is what is taken out of a request before ours is set.
type removal struct{ trusted, untrusted nameSet }

// newRemoval takes the configured identity header names and attribute prefix.
func newRemoval(names []string, attributes string) removal {
	names = append(append(append([]string{}, names...), defaultIdentity...), hopHeaders...)
	prefixes := []string{defaultAttributes, attributes, verdictPrefix, originalPrefix}
	return removal{
		trusted:   newNameSet(names, prefixes),
		untrusted: newNameSet(append(names, "X-Real-IP"), append(prefixes, "X-Forwarded-")),
	}
}

// strip removes every header, in every spelling, that only Gatehouse or a
// trusted proxy may set.
func (r *removal) strip(h http.Header, trusted bool) {
	for name := range h {
		if r.has(name, trusted) {
			delete(h, name)
		}
	}
}

func (r *removal) has(name string, trusted bool) bool {
	set := &r.untrusted
	if trusted {
		set = &r.trusted
	}
	return set.has(name) || misspelt(name)
}

// reserved are names that no identity header may have.
var reserved = newNameSet([]string{
	"Accept", "Accept-Encoding", "Authorization", "Content-Encoding", "Content-Type", "Cookie", "Date", "Expect",
	"Origin", "Range", "Referer", "Set-Cookie", "User-Agent", "X-Real-IP", "X-Forwarded-Port",
}, nil)

func reservedName(name string) bool {
	if !httpguts.ValidHeaderFieldName(name) || reserved.has(name) || framing.has(name) {
		return true
	}
	f := folded(name)
	for _, h := range hopHeaders {
		if folded(h) == f {
			return true
		}
	}
	return strings.HasPrefix(f, folded(originalPrefix)) || strings.HasPrefix(f, folded(verdictPrefix))
}
