package returnurl

import (
	"net/url"
	"path"
	"strings"
)

// maxLength bounds what is stored with a pending sign-in and sent in a
// Location header, in bytes.
const maxLength = 4096

// maxReadings bounds how often a path is decoded to find what it hides.
const maxReadings = 8

// loops are the endpoints to which nobody may be returned: they would begin a
// sign-in again, or end the session that was just made.
var loops = [...]string{"sign_in", "start", "callback", "mfa", "step_up", "sign_out"}

// Judge returns the URL to emit for raw, or false when a browser could be led
// off the site by it or back into the sign-in. The answer is raw, byte for
// byte, but for spaces and bytes beyond ASCII, which are percent-encoded: in a
// header they would mean different things to different readers.
func (s *Site) Judge(raw string) (string, bool) {
	if raw == "" || len(raw) > maxLength || hasControl(raw) {
		return "", false
	}
	target, absolute := raw, raw[0] != '/'
	if absolute {
		o, rest, ok := splitAbsolute(raw)
		if !ok || !s.allows(o) {
			return "", false
		}
		target = rest
	}
	if !s.plainTarget(target, absolute) {
		return "", false
	}
	emitted := encode(raw)
	return emitted, len(emitted) <= maxLength
}

// hasControl finds what browsers strip (TAB, CR, LF) or refuse: "/\t/evil" is
// "//evil" to them.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7F {
			return true
		}
	}
	return false
}

// splitAbsolute takes exactly "http://host..." and "https://host...".
// Browsers also read "https:host", "https:/host" and "https:///host" as that
// host, and "//host" with the present scheme.
func splitAbsolute(raw string) (o origin, rest string, ok bool) {
	scheme, after, found := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !found || (scheme != "http" && scheme != "https") {
		return origin{}, "", false
	}
	authority := after
	if i := strings.IndexAny(after, `/\?#`); i >= 0 {
		authority, rest = after[:i], after[i:]
	}
	host, port, ok := splitAuthority(authority)
	return origin{scheme, host, portOr(port, scheme)}, rest, ok
}

// plainTarget judges path, query and fragment. A path on its own must not turn
// into a scheme-relative URL ("//evil", "/\evil", "/.//evil" after the dots are
// gone); behind a host it cannot. Neither may lead to an endpoint of the
// sign-in, however it is spelled.
func (s *Site) plainTarget(target string, absolute bool) bool {
	p := target
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		p = target[:i]
	}
	if p == "" {
		return true
	}
	// Browsers take the backslash for a slash up to the query.
	if p[0] != '/' || strings.Contains(p, `\`) {
		return false
	}
	if !absolute && strings.HasPrefix(withoutDots(p), "//") {
		return false
	}
	return !s.leadsBack(p)
}

// withoutDots resolves dot segments as browsers do (WHATWG URL, section 4.4):
// empty segments stay, and "%2e" is a dot.
func withoutDots(p string) string {
	var kept []string
	segments := strings.Split(p[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
			if last {
				kept = append(kept, "")
			}
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// leadsBack reads the path as any server behind us might, decoding it until
// nothing is left to decode. A path that never comes to rest leads nowhere.
func (s *Site) leadsBack(p string) bool {
	for range maxReadings {
		reading := path.Clean(strings.ToLower(strings.ReplaceAll(p, `\`, "/")))
		for _, endpoint := range loops {
			own := strings.ToLower(s.prefix) + "/" + endpoint
			if reading == own || strings.HasPrefix(reading, own+"/") {
				return true
			}
		}
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return true // a broken escape: the front would refuse it
		}
		if decoded == p {
			return false
		}
		p = decoded
	}
	return true
}

func encode(raw string) string {
	const digits = "0123456789ABCDEF"
	clean := true
	for i := range len(raw) {
		clean = clean && raw[i] > ' ' && raw[i] < 0x80
	}
	if clean {
		return raw
	}
	var b strings.Builder
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c >= 0x80 {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
