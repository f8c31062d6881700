package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/auth"
)

// maxPath bounds the path of a target, in bytes. Its readings cost work that
// grows with its length.
const maxPath = 8 << 10

// target is what a request asks for, in the very bytes that were sent.
type target struct {
	path     string
	query    string
	hasQuery bool
}

// String returns the target in origin form (RFC 9112, section 3.2.1).
func (t target) String() string {
	if !t.hasQuery {
		return t.path
	}
	return t.path + "?" + t.query
}

// requestTarget returns the target of r. The path comes from RequestURI
// because r.URL has already lost how it was spelled. Errors wrap
// auth.ErrMalformed.
func requestTarget(r *http.Request) (target, error) {
	raw := r.RequestURI
	if !strings.HasPrefix(raw, "/") {
		// Absolute form (RFC 9112, section 3.2.2): net/http has taken Host
		// from it already. Anything else, such as "*", has no path to judge.
		rest, ok := cutScheme(raw)
		if !ok || r.URL.User != nil || r.URL.Opaque != "" {
			return target{}, fmt.Errorf("read the target: neither a path nor a URL: %w", auth.ErrMalformed)
		}
		i := strings.IndexAny(rest, "/?")
		switch {
		case i < 0:
			raw = "/"
		case rest[i] == '?':
			raw = "/" + rest[i:]
		default:
			raw = rest[i:]
		}
	}
	return parseTarget(raw)
}

// cutScheme cuts http:// or https:// off.
func cutScheme(s string) (string, bool) {
	for _, scheme := range []string{"http://", "https://"} {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return s[len(scheme):], true
		}
	}
	return "", false
}

// parseTarget reads a target in origin form and refuses what has no honest
// reading at all: a raw # (a proxy and an application disagree where the path
// ends), raw control characters, NUL in any form, broken escapes.
func parseTarget(raw string) (t target, err error) {
	if !strings.HasPrefix(raw, "/") {
		return t, fmt.Errorf("read the target: not a path: %w", auth.ErrMalformed)
	}
	for i := 0; i < len(raw); i++ {
		if c := raw[i]; c == '#' || c <= ' ' || c == 0x7f {
			return t, fmt.Errorf("read the target: byte %#02x: %w", c, auth.ErrMalformed)
		}
	}
	t.path, t.query, t.hasQuery = strings.Cut(raw, "?")
	if len(t.path) > maxPath {
		return t, fmt.Errorf("read the target: path longer than %d bytes: %w", maxPath, auth.ErrMalformed)
	}
	for i := 0; i < len(t.path); i++ {
		if t.path[i] != '%' {
			continue
		}
		c, ok := unescape(t.path[i:])
		if !ok || c == 0 {
			return t, fmt.Errorf("read the target: broken or NUL escape: %w", auth.ErrMalformed)
		}
	}
	return t, nil
}

// unescape reads the percent-escape at the start of s.
func unescape(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	hi, ok := unhex(s[1])
	lo, ok2 := unhex(s[2])
	return hi<<4 | lo, ok && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// url returns a URL whose RequestURI is the target byte for byte, since
// http.Transport writes the request line from it.
func (t target) url(scheme, host string) (*url.URL, error) {
	u := &url.URL{Scheme: scheme, Host: host, RawQuery: t.query, ForceQuery: t.hasQuery}
	if !strings.HasPrefix(t.path, "//") {
		u.Opaque = t.path // written as it is
		return u, nil
	}
	// An opaque part that begins with // would be written as a URL with
	// another host. RawPath is written as it is when it has only bytes that a
	// URL may have.
	decoded, err := url.PathUnescape(t.path)
	if err != nil {
		return nil, fmt.Errorf("forward the target: %v: %w", err, auth.ErrMalformed)
	}
	u.Path, u.RawPath = decoded, t.path
	if u.EscapedPath() != t.path {
		return nil, fmt.Errorf("forward the target: not a valid path: %w", auth.ErrMalformed)
	}
	return u, nil
}

var errHost = fmt.Errorf("read the host: %w", auth.ErrMalformed)

// normalHost returns host as routes compare it: lower case, without port and
// one trailing dot. Bytes that no host name or address has make it malformed:
// an application could read another host from them.
func normalHost(host string) (string, error) {
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
	}
	for i := 0; i < len(port); i++ {
		if port[i] < '0' || port[i] > '9' {
			return "", errHost
		}
	}
	if strings.HasPrefix(name, "[") != strings.HasSuffix(name, "]") {
		return "", errHost
	}
	bracketed := strings.HasPrefix(name, "[")
	lower := true
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_':
		case 'A' <= c && c <= 'Z':
			lower = false
		case bracketed && (c == ':' || c == '[' && i == 0 || c == ']' && i == len(name)-1):
		default:
			return "", errHost
		}
	}
	if !lower {
		name = strings.ToLower(name)
	}
	return strings.TrimSuffix(name, "."), nil
}
