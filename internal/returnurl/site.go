package returnurl

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Site is what a return URL may lead to. It is safe for concurrent use.
type Site struct {
	public  origin
	prefix  string
	domains []domain
}

// origin is a scheme, host and port; all three decide (RFC 6454).
type origin struct {
	scheme string // http or https
	host   string // lower case; IPv6 in brackets
	port   string // decimal; the scheme's own where none was given
}

// domain is an entry of session.return_domains.
type domain struct {
	host    string // without the leading dot
	subtree bool   // hosts below it too
	port    string // decimal, "*" for any, "" for the scheme's own
}

// New reads public_url, the prefix of Gatehouse's own endpoints and
// session.return_domains: "a.example" is that host, ".b.example" and
// "*.b.example" are b.example and every host below it, as in oauth2-proxy;
// ":8443" adds a port, ":*" any port, and without it only the scheme's own
// port is meant.
func New(publicURL, prefix string, domains []string) (*Site, error) {
	u, err := url.Parse(publicURL)
	if err != nil {
		return nil, fmt.Errorf("return URLs: public URL: %w", err)
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("return URLs: public URL %q is neither http nor https", publicURL)
	}
	host, port, ok := splitAuthority(u.Host)
	if !ok {
		return nil, fmt.Errorf("return URLs: public URL %q has no usable host", publicURL)
	}
	s := &Site{public: origin{scheme, host, portOr(port, scheme)}, prefix: prefix}
	for _, entry := range domains {
		d, err := parseDomain(entry)
		if err != nil {
			return nil, err
		}
		s.domains = append(s.domains, d)
	}
	return s, nil
}

func parseDomain(entry string) (domain, error) {
	rest, d := entry, domain{}
	if after, ok := strings.CutPrefix(rest, "*."); ok {
		rest, d.subtree = after, true
	} else if after, ok := strings.CutPrefix(rest, "."); ok {
		rest, d.subtree = after, true
	}
	if before, ok := strings.CutSuffix(rest, ":*"); ok {
		rest, d.port = before, "*"
	}
	host, port, ok := splitAuthority(rest)
	if !ok || (d.port == "*" && port != "") {
		return domain{}, fmt.Errorf("return URLs: %q is no host", entry)
	}
	d.host = host
	if port != "" {
		d.port = port
	}
	return d, nil
}

// Origin is the origin of public_url as browsers write it: lower case, and
// without the port where it is the scheme's own.
func (s *Site) Origin() string {
	o := s.public.scheme + "://" + s.public.host
	if s.public.port != defaultPort(s.public.scheme) {
		o += ":" + s.public.port
	}
	return o
}

// SignIn is the absolute URL of the sign-in page, on public_url, that leads
// back to returnTo.
func (s *Site) SignIn(returnTo string) string {
	return s.Origin() + s.prefix + "/sign_in?rd=" + url.QueryEscape(returnTo)
}

// Public reports whether a Host header names the host of public_url.
func (s *Site) Public(host string) bool {
	name, port, ok := splitAuthority(host)
	return ok && name == s.public.host && portOr(port, s.public.scheme) == s.public.port
}

// Knows reports whether a Host header names a host of the site: that of
// public_url or one of return_domains.
func (s *Site) Knows(host string) bool {
	name, port, ok := splitAuthority(host)
	if !ok {
		return false
	}
	return s.allows(origin{s.public.scheme, name, portOr(port, s.public.scheme)})
}

func (s *Site) allows(o origin) bool {
	if o == s.public {
		return true
	}
	for _, d := range s.domains {
		if d.hasHost(o.host) && d.hasPort(o) {
			return true
		}
	}
	return false
}

// hasHost compares on a label boundary: notb.example is not below b.example.
func (d domain) hasHost(host string) bool {
	if host == d.host {
		return true
	}
	return d.subtree && strings.HasSuffix(host, "."+d.host)
}

func (d domain) hasPort(o origin) bool {
	switch d.port {
	case "*":
		return true
	case "":
		return o.port == defaultPort(o.scheme)
	}
	return o.port == d.port
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

func portOr(port, scheme string) string {
	if port == "" {
		return defaultPort(scheme)
	}
	return port
}

// splitAuthority splits host[:port] and lowers the host. It takes only what
// every parser reads alike: letters, digits, dots, hyphens and underscores, or
// an address in brackets, and a port without leading zeros. User information,
// percent escapes and anything beyond ASCII are refused.
func splitAuthority(authority string) (host, port string, ok bool) {
	host, rest := authority, ""
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 || !only(authority[1:end], "0123456789abcdefABCDEF:.") {
			return "", "", false
		}
		host, rest = authority[:end+1], authority[end+1:]
	} else {
		if i := strings.IndexByte(authority, ':'); i >= 0 {
			host, rest = authority[:i], authority[i:]
		}
		if !plainHost(host) {
			return "", "", false
		}
	}
	if rest != "" {
		port = rest[1:]
		n, err := strconv.Atoi(port)
		if rest[0] != ':' || err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != port {
			return "", "", false
		}
	}
	return strings.ToLower(host), port, true
}

// plainHost refuses empty labels too: "b.example." is another host than
// "b.example" to cookies, and ".b.example" is none.
func plainHost(host string) bool {
	for label := range strings.SplitSeq(host, ".") {
		if !only(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") {
			return false
		}
	}
	return true
}

// only reports whether s is not empty and made of the alphabet.
func only(s, alphabet string) bool {
	return s != "" && strings.Trim(s, alphabet) == ""
}
