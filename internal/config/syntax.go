package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// isDomain reports whether s is a host name in lower case (RFC 1123, section
// 2.1; underscores pass, since DNS and Docker have them). An internationalised
// name is written as browsers send it, xn--.
func isDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// isHost reports whether s is a host name or an IP address, without brackets.
func isHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}
	// What ends in a number is an address to a browser (WHATWG URL, host
	// parsing), not a name: 127.1 and 0x7f.1 are other ways to write 127.0.0.1.
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last != "" && (strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x")) {
		return false
	}
	return isDomain(s)
}

// isPort reports whether s is a TCP port; 0 lets the system choose.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// isLoopback reports whether a host can only be this machine.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// isUnder reports whether host is domain or one of its subdomains.
func isUnder(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}

// isToken reports whether s is a token, as names of headers, cookies and
// methods are (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if !isAlphanumeric(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isName reports whether s begins with a letter or digit and goes on with
// those and ". _ -": it is safe in a URL, a header name and a log.
func isName(s string) bool {
	for i, c := range []byte(s) {
		if !isAlphanumeric(c) && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// isEmail reports whether s could be the address of a person: one @, a domain
// after it, nothing that needs quotes or hides.
func isEmail(s string) bool {
	name, domain, ok := strings.Cut(s, "@")
	return ok && name != "" && isDomain(lower(domain)) && !strings.ContainsAny(name, "\" ()<>[]:;,\\")
}

// lower maps A-Z to a-z and nothing else, as the e-mail addresses of people are
// folded. Unicode's rules of case make different addresses one (the Kelvin sign
// becomes a k): a rule would admit somebody whom it does not name.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

// isClaimPath reports whether s names a claim; dots descend.
func isClaimPath(s string) bool {
	return s != "" && len(s) <= 256 && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".") && !strings.Contains(s, "..")
}

// plainURL parses an absolute URL that has a host and nothing that does not
// belong into a configured one. The second result says what is wrong; it does
// not show the URL, since there may be a password in it.
func plainURL(value string, schemes ...string) (*url.URL, string) {
	u, err := url.Parse(value)
	switch {
	case value == "":
		return nil, "is empty"
	case err != nil || u.Opaque != "":
		return nil, "is not a URL"
	case !slices.Contains(schemes, u.Scheme):
		return nil, "does not begin with " + oneOf(suffixed(schemes, "://"))
	case u.User != nil:
		return nil, "has a user name or password in it"
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(value, "#"):
		return nil, "has a query or a fragment"
	case !isHost(strings.ToLower(u.Hostname())):
		return nil, "has no valid host"
	case u.Port() != "" && !isPort(u.Port()), strings.HasSuffix(u.Host, ":"), u.Port() == "0":
		return nil, "has no valid port"
	}
	return u, ""
}

func suffixed(values []string, suffix string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v + suffix
	}
	return out
}
