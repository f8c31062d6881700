package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (l *loader) validateConnections(all *Config) {
	seen := map[string]int{} // line, by id in lower case
	for i := range all.Connections {
		c, at := &all.Connections[i], index("connections", i)
		id := strings.ToLower(c.ID)
		switch path := at + ".id"; {
		case c.ID == "":
			l.problem(path, "is missing", "name the connection: letters, digits, - and _; it stays in the links of accounts")
		case !isName(c.ID):
			l.problem(path, l.show(path, c.ID)+" is not fit for a URL", "write letters, digits and - . _, beginning with a letter or digit, at most 64")
		case id == "local":
			l.problem(path, "local is the name of people who sign in with a password", "choose another id")
		case seen[id] > 0:
			l.problem(path, fmt.Sprintf("%s is the id of the connection on line %d", l.show(path, c.ID), seen[id]), "choose another id")
		default:
			seen[id] = c.Line
		}
		l.validateConnection(at, c)
		l.validateFixtures(at+".tests", c.Tests, all)
	}
}

func (l *loader) validateConnection(at string, c *Connection) {
	if c.Type != "oidc" {
		// What the other types need is not known yet, so nothing more is said.
		l.problem(at+".type", quote(c.Type)+" is not supported by this version", "use oidc where the provider speaks it")
		return
	}
	l.validateIssuer(at+".issuer", c)
	if c.ClientID == "" {
		l.problem(at+".client_id", "is missing", "write the client id that the identity provider gave")
	}
	if path := at + ".client_secret"; c.ClientSecret.IsZero() && !l.places[path+"_file"].bad {
		l.problem(path, "is missing", "set client_secret_file, or client_secret: ${VARIABLE}")
	}
	l.validateScopes(at+".scopes", c.Scopes)
	for i, value := range c.ACRValues {
		l.validateLevel(index(at+".step_up.acr_values", i), value)
	}
	for i, domain := range c.EmailDomains {
		c.EmailDomains[i] = l.validateEmailDomain(index(at+".email_domains", i), domain)
	}
	l.validateGate(at, c)
	l.validateGroups(at+".require.groups", c.Require.Groups)
	for _, name := range slices.Sorted(maps.Keys(c.Require.Claims)) {
		path := child(at+".require.claims", name)
		if !isClaimPath(name) {
			l.problem(path, "is not the path of a claim", "write the names of claims, with dots between them where they nest")
		}
		if len(c.Require.Claims[name]) == 0 {
			l.problem(path, "names no value, so that nobody could come in", "write one value, or a list of values of which one is enough")
		}
	}
	l.validateGroupMapping(at+".group_mapping", c)
	if c.Groups != nil {
		l.validateGroups(at+".groups_allowed", *c.Groups)
	}
	l.validateGroups(at+".jit.link_protected_groups", c.JIT.LinkProtectedGroups)
	l.validateUserTemplate(at+".user", c.User)
	for _, a := range c.Attributes {
		l.validateAttribute(child(at+".attributes", a.Name), a)
	}
}

// validateGate refuses a gate that nobody could pass.
func (l *loader) validateGate(at string, c *Connection) {
	if path := at + ".email_domains"; len(c.EmailDomains) > 0 {
		const do = "remove email_domains, or let an e-mail address count"
		switch {
		case c.TrustEmail == TrustNever:
			l.problem(path, "lets in verified e-mail addresses only, and trust_email: never takes none for verified, so that nobody could come in", do)
		case !c.maps(AttrEmail):
			l.problem(path, "lets in verified e-mail addresses only, and attributes.email is empty, so that nobody could come in", do)
		}
	}
	if len(c.Require.Groups) > 0 && !c.maps(AttrGroups) {
		l.problem(at+".require.groups", "asks for a group, and attributes.groups is empty, so that nobody could come in", "name the claim that has the groups, or remove it")
	}
}

func (l *loader) validateIssuer(path string, c *Connection) {
	u, wrong := plainURL(c.Issuer, "https", "http")
	switch {
	case c.Issuer == "":
		l.problem(path, "is missing", "write the URL that the identity provider calls its issuer, such as https://id.example.com")
	case wrong != "":
		l.problem(path, wrong, "write the URL that the identity provider calls its issuer, such as https://id.example.com")
	case strings.Contains(u.Path, "/.well-known/"):
		l.problem(path, "is the address of the discovery document", `write the value of "issuer" in that document`)
	case u.Scheme == "http" && !isLoopback(strings.ToLower(u.Hostname())) && !c.InsecureHTTP:
		// Who is on the way could hand out keys of its own and be anybody.
		l.problem(path, "is http, and not on this machine", "write https, or set insecure_http: true for this connection where the way to it is trusted")
	}
}

func (l *loader) validateScopes(path string, scopes []string) {
	for i, scope := range scopes {
		// RFC 6749, section 3.3.
		if scope == "" || strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			l.problem(index(path, i), l.show(index(path, i), scope)+" is not a scope", "write one scope for each item of the list")
		}
	}
	if !slices.Contains(scopes, "openid") {
		l.problem(path, "openid is missing, without which there is no ID token", "add openid")
	}
}

// validateLevel judges an authentication context class reference, of which a
// request has a list with spaces between (OpenID Connect Core 1.0, section
// 3.1.2.1).
func (l *loader) validateLevel(path, level string) {
	if level == "" || strings.ContainsFunc(level, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		l.problem(path, l.show(path, level)+" is not a level", "write one acr value of the provider for each item of the list, without spaces")
	}
}

// validateEmailDomain returns the domain in lower case.
func (l *loader) validateEmailDomain(path, value string) string {
	domain := lower(value)
	if !isDomain(domain) {
		l.problem(path, l.show(path, value)+" is not a domain", "write what stands after the @, such as acme.example; there are no wildcards")
	}
	return domain
}

// validateGroupMapping judges what the provider's groups are called here. A
// group is left out by groups_allowed, which names what may come in: an empty
// list here would let in whatever is not in it.
func (l *loader) validateGroupMapping(path string, c *Connection) {
	if len(c.GroupMapping) > 0 && !c.maps(AttrGroups) {
		l.problem(path, "names groups, and attributes.groups is empty, so that there are none", "name the claim that has the groups, or remove it")
	}
	for _, name := range slices.Sorted(maps.Keys(c.GroupMapping)) {
		at, here := child(path, name), c.GroupMapping[name]
		switch {
		case name == "":
			l.problem(at, "the provider's name of the group is empty", "write it, or remove the line")
		case len(here) == 0:
			l.problem(at, "names no group here", "write one or more; to leave a group out, write groups_allowed without it")
		}
		for i, group := range here {
			if group == "" {
				l.problem(l.item(at, i), "is empty", "name a group, or remove it")
			}
		}
		l.refuseTwice(at, here)
	}
}

// validateConnectionID refuses an id that no connection has. shown is how a
// problem shows it.
func (l *loader) validateConnectionID(path, shown, id string, c *Config, others ...string) {
	if c.Connection(id) != nil || slices.Contains(others, id) {
		return
	}
	do := "write the id of a connection"
	if len(c.Connections) > 0 {
		do = "write " + oneOf(append(connectionIDs(c), others...))
	}
	l.problem(path, shown+" is not a connection", do)
}

func connectionIDs(c *Config) []string {
	ids := make([]string, len(c.Connections))
	for i := range c.Connections {
		ids[i] = c.Connections[i].ID
	}
	return ids
}

func (l *loader) validateGroups(path string, groups []string) {
	for i, group := range groups {
		if group == "" {
			l.problem(index(path, i), "is empty", "name a group, or remove it")
		}
	}
}

// placeholders of Connection.User. All but the first tell people apart.
var placeholders = [...]string{"connection", "subject", "email", "username"}

// validateUserTemplate judges a template. One that is the same for everybody
// would make all people of the connection one user.
func (l *loader) validateUserTemplate(path, template string) {
	const do = "use {connection}, {subject}, {email} and {username}, such as {connection}:{subject}"
	personal := false
	for rest := template; ; {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			break
		}
		name, after, closed := strings.Cut(rest[open+1:], "}")
		if rest[open] == '}' || !closed || strings.Contains(name, "{") {
			l.problem(path, "has a brace without its other half", do)
			return
		}
		if !slices.Contains(placeholders[:], name) {
			l.problem(path, "{"+strings.Trim(quote(name), `"`)+"} is not known", do)
			return
		}
		personal = personal || name != "connection"
		rest = after
	}
	if !personal {
		l.problem(path, "is the same for every person", do)
	}
}
