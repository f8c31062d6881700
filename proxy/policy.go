package proxy

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/clientip"
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

func (v verdict) String() string { return [...]string{"no", "unknown", "yes"}[v] }

// asker is whom an access rule judges.
type asker struct {
	person *auth.Person
	client netip.Addr // invalid: not known
}

// by is a person who asks from the other end of a connection. What a trusted
// proxy does not say of its client is not known: its own address is not the
// client's.
func by(p *auth.Person, peer clientip.Peer) asker {
	a := asker{person: p, client: peer.Client}
	if peer.Trusted && peer.Client == peer.Addr {
		a.client = netip.Addr{}
	}
	return a
}

// A rule is a compiled access rule, or a part of one: a requirement that tests
// the asker, or parts that are joined.
type rule struct {
	kind   string   // of an auth.Requirement
	values []string // as the configuration has them
	test   func(asker) verdict
	parts  []rule // of all, any and not
}

// judge evaluates the rule.
func (r *rule) judge(a asker) verdict {
	switch r.kind {
	case auth.RequireAll:
		v := yes
		for i := range r.parts {
			v = min(v, r.parts[i].judge(a))
		}
		return v
	case auth.RequireAny:
		v := no
		for i := range r.parts {
			v = max(v, r.parts[i].judge(a))
		}
		return v
	case auth.RequireNot:
		return yes - r.parts[0].judge(a)
	}
	return r.test(a)
}

// admits reports whether the rule lets the asker in. What cannot be evaluated
// denies.
func (r *rule) admits(a asker) bool { return r.judge(a) == yes }

// missing is what keeps the asker out, of a rule that does.
func (r *rule) missing(a asker) (all []auth.Requirement) {
	if r.admits(a) {
		return nil
	}
	if r.kind != auth.RequireAll {
		return []auth.Requirement{r.requirement()}
	}
	for i := range r.parts {
		all = append(all, r.parts[i].missing(a)...)
	}
	return all
}

// requirement is the rule as it stands.
func (r *rule) requirement() auth.Requirement {
	q := auth.Requirement{Kind: r.kind, Values: r.values}
	for i := range r.parts {
		q.Parts = append(q.Parts, r.parts[i].requirement())
	}
	return q
}

// forbids is the error of an asker whom the route's rule keeps out.
func (rt *route) forbids(a asker) *auth.Forbidden {
	return &auth.Forbidden{Route: rt.name, Missing: rt.access.missing(a), Contact: rt.contact, Raise: rt.access.raise(a)}
}

// isPublic reports whether the route asks nothing of who comes from there.
func (rt *route) isPublic(a asker) bool {
	return rt.public || rt.publicFrom != nil && rt.publicFrom(a) == yes
}

// admits reports whether the asker, who is somebody, may pass.
func (rt *route) admits(a asker) bool { return rt.isPublic(a) || rt.access.admits(a) }

// everybody is the rule that admits whoever is signed in.
func everybody() *rule { return &rule{kind: auth.RequireAll} }

// compileAccess compiles an access rule: every key that is set must hold. The
// zero rule admits every person. A list that is set and empty admits nobody.
func compileAccess(a config.Access) *rule {
	if a.Public {
		return everybody()
	}
	var every []rule
	leaf := func(kind string, values []string, test func(asker) verdict) {
		if values != nil {
			every = append(every, rule{kind: kind, values: values, test: test})
		}
	}
	leaf(auth.RequireGroups, a.Groups, matchGroups(a.Groups))
	leaf(auth.RequireUsers, a.Users, matchValue(a.Users, func(p *auth.Person) string { return p.User }))
	leaf(auth.RequireEmails, a.Emails, matchValue(lowered(a.Emails), email))
	leaf(auth.RequireEmailDomains, a.EmailDomains, matchDomain(lowered(a.EmailDomains)))
	leaf(auth.RequireConnections, a.Connections, matchValue(a.Connections, func(p *auth.Person) string { return p.Connection }))
	if a.Local != nil {
		leaf(auth.RequireLocal, []string{strconv.FormatBool(*a.Local)}, matchLocal(*a.Local))
	}
	leaf(auth.RequireAMR, a.AMR, matchAMR(a.AMR))
	leaf(auth.RequireACR, a.ACR, matchValue(a.ACR, func(p *auth.Person) string { return p.ACR }))
	leaf(auth.RequireAddresses, a.ClientAddresses, matchAddress(a.ClientAddresses))
	join := func(kind string, rules []config.Access) {
		switch {
		case rules == nil:
			return
		case len(rules) == 0:
			every = append(every, rule{kind: auth.RequireNobody, test: func(asker) verdict { return no }})
			return
		}
		r := rule{kind: kind}
		for _, part := range rules {
			r.parts = append(r.parts, *compileAccess(part))
		}
		every = append(every, r)
	}
	join(auth.RequireAll, a.All)
	join(auth.RequireAny, a.Any)
	if a.Not != nil {
		every = append(every, rule{kind: auth.RequireNot, parts: []rule{*compileAccess(*a.Not)}})
	}
	if len(every) == 1 {
		return &every[0]
	}
	return &rule{kind: auth.RequireAll, parts: every}
}

// narrower reports whether the rule admits fewer people than "authenticated".
func narrower(a config.Access) bool {
	return !a.Public && (a.Groups != nil || a.Users != nil || a.Emails != nil || a.EmailDomains != nil ||
		a.Connections != nil || a.Local != nil || a.AMR != nil || a.ACR != nil || a.ClientAddresses != nil ||
		a.All != nil || a.Any != nil || a.Not != nil)
}

// matchGroups: an account has exactly the groups that the user store says. A
// pass-through identity whose source sent no groups at all may be in any
// (Entra leaves the claim out when there are too many).
func matchGroups(groups []string) func(asker) verdict {
	return func(a asker) verdict {
		if a.person.Groups == nil && a.person.Account == "" {
			return unknown
		}
		for _, g := range a.person.Groups {
			if slices.Contains(groups, g) {
				return yes
			}
		}
		return no
	}
}

func matchAMR(methods []string) func(asker) verdict {
	return func(a asker) verdict {
		if len(a.person.AMR) == 0 {
			return unknown
		}
		for _, m := range a.person.AMR {
			if slices.Contains(methods, m) {
				return yes
			}
		}
		return no
	}
}

func matchLocal(want bool) func(asker) verdict {
	return func(a asker) verdict {
		switch {
		case a.person.Connection == "":
			return unknown
		case a.person.IsLocal() == want:
			return yes
		}
		return no
	}
}

// matchAddress looks at where the request comes from. CIDRs were validated: one
// that cannot be read has nobody in it.
func matchAddress(cidrs []string) func(asker) verdict {
	var ranges []netip.Prefix
	for _, c := range cidrs {
		if p, err := netip.ParsePrefix(c); err == nil {
			ranges = append(ranges, p)
		}
	}
	return func(a asker) verdict {
		if !a.client.IsValid() {
			return unknown
		}
		for _, p := range ranges {
			if p.Contains(a.client) {
				return yes
			}
		}
		return no
	}
}

// matchValue compares one value of the person byte for byte.
func matchValue(list []string, value func(*auth.Person) string) func(asker) verdict {
	return func(a asker) verdict {
		v := value(a.person)
		switch {
		case v == "":
			return unknown
		case slices.Contains(list, v):
			return yes
		}
		return no
	}
}

// matchDomain compares the domain of the person's e-mail. Of .example.com and
// *.example.com, which only a verdict can be asked with, it is any domain below.
func matchDomain(list []string) func(asker) verdict {
	exact := matchValue(list, emailDomain)
	return func(a asker) verdict {
		v := exact(a)
		if v == no && slices.ContainsFunc(list, func(entry string) bool {
			wide := strings.TrimPrefix(entry, "*")
			return len(wide) > 1 && wide[0] == '.' && strings.HasSuffix(emailDomain(a.person), wide)
		}) {
			return yes
		}
		return v
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
