package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

func (l *loader) validateSession(s *Session, publicURL string) {
	l.validateCookie(s, publicURL)
	// A browser keeps no cookie for longer than 400 days (RFC 6265bis,
	// section 5.5).
	const longest = 400 * 24 * time.Hour
	l.validateDuration("session.lifetime", s.Lifetime, time.Second, longest)
	l.validateDuration("session.idle_timeout", s.IdleTimeout, time.Second, longest)
	if s.IdleTimeout > s.Lifetime {
		if l.isSet("session.idle_timeout") {
			l.problem("session.idle_timeout", fmt.Sprintf("%s is longer than the lifetime of %s", short(s.IdleTimeout), short(s.Lifetime)), "make it shorter, or session.lifetime longer")
		}
		s.IdleTimeout = s.Lifetime
	}
	l.validateDuration("session.cache_ttl", s.CacheTTL, 0, time.Hour)
	for i, domain := range s.ReturnDomains {
		s.ReturnDomains[i] = l.validateReturnDomain(index("session.return_domains", i), domain)
	}
}

func (l *loader) validateCookie(s *Session, publicURL string) {
	switch path := "session.cookie_name"; {
	case !isToken(s.CookieName) || len(s.CookieName) > 64:
		l.problem(path, l.show(path, s.CookieName)+" is not the name of a cookie", "write letters, digits, - and _, at most 64")
	case hasPrefixFold(s.CookieName, "__Host-"), hasPrefixFold(s.CookieName, "__Secure-"):
		l.problem(path, "begins with __Host- or __Secure-, which Gatehouse adds where it can", "write the name without it")
	}
	if s.SameSite == "none" && !strings.HasPrefix(publicURL, "https:") {
		l.problem("session.same_site", "browsers keep a cookie with none on https only, and server.public_url is http", "write lax")
	}
	if s.CookieDomain == "" {
		return
	}
	const path = "session.cookie_domain"
	given := s.CookieDomain
	s.CookieDomain = strings.ToLower(strings.TrimPrefix(given, "."))
	_, err := netip.ParseAddr(s.CookieDomain)
	switch {
	case err == nil || !isDomain(s.CookieDomain) || !strings.Contains(s.CookieDomain, "."):
		l.problem(path, l.show(path, given)+" is not a domain that browsers accept for a cookie", "write a domain such as example.com, or remove it")
	case !isUnder(host(publicURL), s.CookieDomain):
		l.problem(path, "the host of server.public_url is not under it: browsers would drop the cookie", "write the domain that all your hosts share, or remove it")
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// validateReturnDomain judges one host that a sign-in may return to:
// a.example, .b.example, *.c.example, each with :port or :*.
func (l *loader) validateReturnDomain(path, value string) string {
	domain := strings.ToLower(value)
	name := domain
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasSuffix(name, "]") {
		port := name[i+1:]
		if port != "*" && (!isPort(port) || port == "0") {
			name = ""
		} else {
			name = name[:i]
		}
	}
	wide := strings.HasPrefix(name, ".") || strings.HasPrefix(name, "*.")
	if wide {
		name = strings.TrimPrefix(strings.TrimPrefix(name, "*"), ".")
	} else if inner, ok := strings.CutPrefix(name, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok && strings.Contains(inner, ":") {
			name = inner
		}
	} else if strings.Contains(name, ":") {
		name = ""
	}
	_, err := netip.ParseAddr(name)
	if !isHost(name) || wide && err == nil {
		l.problem(path, l.show(path, value)+" is not a host", "write a.example, .b.example or *.c.example, with :port or :* where it has one")
	}
	return domain
}
