package proxy

import (
	"net/http"
	"strings"
)

// ownCookies are the cookies that Gatehouse sets: every name that begins with
// the configured one, with or without a cookie name prefix.
type ownCookies struct{ name string }

// is reports whether a cookie name is ours. Browsers compare the prefixes
// without case (RFC 6265bis, section 4.1.3), so this does too.
func (o ownCookies) is(name string) bool {
	for _, prefix := range [...]string{"__Host-", "__Secure-"} {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			name = name[len(prefix):]
			break
		}
	}
	return o.name != "" && strings.HasPrefix(name, o.name)
}

// strip takes our cookies out of a request: an application that reads its log
// or its environment must not find a session in it. Lines without one of ours
// stay byte for byte; of the others, each remaining cookie does.
func (o ownCookies) strip(h http.Header) {
	lines := h["Cookie"]
	mine := false
	for _, line := range lines {
		mine = mine || o.in(line)
	}
	if !mine {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if line = o.without(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

func (o ownCookies) in(line string) bool {
	for pair := range strings.SplitSeq(line, ";") {
		if o.is(pairName(pair)) {
			return true
		}
	}
	return false
}

func (o ownCookies) without(line string) string {
	if !o.in(line) {
		return line
	}
	var kept []string
	for pair := range strings.SplitSeq(line, ";") {
		if !o.is(pairName(pair)) {
			kept = append(kept, pair)
		}
	}
	return strings.TrimLeft(strings.Join(kept, ";"), " \t")
}

// pairName returns the name of a cookie. A cookie whose name is empty is sent
// back as its bare value, so what follows leading equals signs is the name
// that the next reader sees.
func pairName(pair string) string {
	name, _, _ := strings.Cut(strings.TrimLeft(pair, " \t="), "=")
	return strings.TrimRight(name, " \t")
}

// refuse drops the cookies of an answer that would set or delete ours: an
// application could sign its visitor in as somebody else, or out.
func (o ownCookies) refuse(h http.Header) {
	keepCookies(h)
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	kept := lines[:0]
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		if !o.is(pairName(pair)) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}

// keepCookies drops from Clear-Site-Data what makes a browser forget cookies
// (W3C Clear Site Data, section 3.1): an application could sign its visitor
// out, also of the other applications of this site, whose cookies are one.
// The other directives stand.
func keepCookies(h http.Header) {
	lines := h["Clear-Site-Data"]
	if len(lines) == 0 {
		return
	}
	kept := lines[:0]
	for _, line := range lines {
		var rest []string
		for directive := range strings.SplitSeq(line, ",") {
			directive = strings.TrimSpace(directive)
			switch strings.ToLower(strings.Trim(directive, `"' \t`)) {
			case "", "*", "cookies":
			default:
				rest = append(rest, directive)
			}
		}
		if len(rest) > 0 {
			kept = append(kept, strings.Join(rest, ", "))
		}
	}
	if len(kept) == 0 {
		delete(h, "Clear-Site-Data")
		return
	}
	h["Clear-Site-Data"] = kept
}
