package proxy

import (
	"slices"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// verdict is three-valued: a matcher that has nothing to look at is neither
// true nor false. Otherwise "not" would turn missing knowledge into admission
// (an identity provider that leaves out groups or amr, an e-mail that is not
// verified).
type verdict int8

const (
	no verdict = iota
	unknown
	yes
)

// A matcher is one compiled part of an access rule.
type matcher func(*auth.Person) verdict

// admits reports whether the rule lets the person in. What cannot be
// evaluated denies.
func (m matcher) admits(p *auth.Person) bool { return m(p) == yes }

// compileAccess compiles an access rule: every key that is set must hold. The
// zero rule admits every person. A list that is set and empty admits nobody.
func compileAccess(a config.Access) matcher {
	if a.Public {
		return func(*auth.Person) verdict { return yes }
	}
	var every []matcher
	if a.Groups != nil {
		every = append(every, matchGroups(a.Groups))
	}
	if a.Users != nil {
		every = append(every, matchValue(a.Users, func(p *auth.Person) string { return p.User }))
	}
	if a.Emails != nil {
		every = append(every, matchValue(lowered(a.Emails), email))
	}
	if a.EmailDomains != nil {
		every = append(every, matchValue(lowered(a.EmailDomains), emailDomain))
	}
	if a.Connections != nil {
		every = append(every, matchValue(a.Connections, func(p *auth.Person) string { return p.Connection }))
	}
	if a.Local != nil {
		every = append(every, matchLocal(*a.Local))
	}
	if a.AMR != nil {
		every = append(every, matchAMR(a.AMR))
	}
	if a.All != nil {
		every = append(every, matchAll(compileAll(a.All)))
	}
	if a.Any != nil {
		every = append(every, matchAny(compileAll(a.Any)))
	}
	if a.Not != nil {
		every = append(every, matchNot(compileAccess(*a.Not)))
	}
	if len(every) == 0 {
		return func(*auth.Person) verdict { return yes }
	}
	return matchAll(every)
}

// narrower reports whether the rule admits fewer people than "authenticated".
func narrower(a config.Access) bool {
	return !a.Public && (a.Groups != nil || a.Users != nil || a.Emails != nil || a.EmailDomains != nil ||
		a.Connections != nil || a.Local != nil || a.AMR != nil || a.All != nil || a.Any != nil || a.Not != nil)
}

func compileAll(rules []config.Access) []matcher {
	all := make([]matcher, len(rules))
	for i, a := range rules {
		all[i] = compileAccess(a)
	}
	return all
}

func matchAll(all []matcher) matcher {
	return func(p *auth.Person) verdict {
		v := yes
		for _, m := range all {
			v = min(v, m(p))
		}
		if len(all) == 0 {
			return no
		}
		return v
	}
}

func matchAny(any []matcher) matcher {
	return func(p *auth.Person) verdict {
		v := no
		for _, m := range any {
			v = max(v, m(p))
		}
		return v
	}
}

func matchNot(m matcher) matcher {
	return func(p *auth.Person) verdict { return yes - m(p) }
}

// matchGroups: an account has exactly the groups that the user store says. A
// pass-through identity whose source sent no groups at all may be in any
// (Entra leaves the claim out when there are too many).
func matchGroups(groups []string) matcher {
	return func(p *auth.Person) verdict {
		if p.Groups == nil && p.Account == "" {
			return unknown
		}
		for _, g := range p.Groups {
			if slices.Contains(groups, g) {
				return yes
			}
		}
		return no
	}
}

func matchAMR(methods []string) matcher {
	return func(p *auth.Person) verdict {
		if len(p.AMR) == 0 {
			return unknown
		}
		for _, m := range p.AMR {
			if slices.Contains(methods, m) {
				return yes
			}
		}
		return no
	}
}

func matchLocal(want bool) matcher {
	return func(p *auth.Person) verdict {
		switch {
		case p.Connection == "":
			return unknown
		case p.IsLocal() == want:
			return yes
		}
		return no
	}
}

// matchValue compares one value of the person byte for byte.
func matchValue(list []string, value func(*auth.Person) string) matcher {
	return func(p *auth.Person) verdict {
		v := value(p)
		switch {
		case v == "":
			return unknown
		case slices.Contains(list, v):
			return yes
		}
		return no
	}
}

// email returns the person's e-mail as rules compare it: ASCII letters in
// lower case and no other folding, which would make two addresses one.
func email(p *auth.Person) string { return lowerASCII(p.Email) }

// emailDomain returns the whole domain, or "" where there is no honest one.
func emailDomain(p *auth.Person) string {
	local, domain, _ := strings.Cut(p.Email, "@")
	if local == "" || strings.IndexByte(domain, '@') >= 0 {
		return ""
	}
	return lowerASCII(domain)
}

func lowered(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = lowerASCII(s)
	}
	return out
}

func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
