package provision

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// rules is a fingerprint of what a connection asks of people and leaves of what
// their provider says. A session bears that of its sign-in: once an
// administrator has written others, whoever is in by the former ones must be
// judged anew, because what they were judged by (claims, groups) is not kept.
//
// It is the same on every replica and in whatever order the file names things.
// Of the mapped attributes, an account's session depends on those that decide
// rights and on those that it holds itself; one that passes through has nothing
// but what was mapped.
func rules(conn *connection) string {
	r := struct {
		Groups       []string
		Claims       map[string][]string
		EmailDomains []string
		TrustEmail   string
		Allowed      *[]string
		Mapped       map[string]config.Attribute
		User         string
		Mapping      map[string][]string
		Protected    [2][]string         // groups, and those of the mapped attributes
		Sources      map[string][]string // of what the session holds
	}{
		Groups:       set(conn.Require.Groups),
		Claims:       map[string][]string{},
		EmailDomains: set(conn.EmailDomains),
		TrustEmail:   conn.TrustEmail,
		Mapped:       map[string]config.Attribute{},
		Mapping:      map[string][]string{},
		Protected:    [2][]string{set(conn.all.ProtectedGroups), {}},
		Sources:      map[string][]string{},
	}
	for name, here := range conn.GroupMapping {
		r.Mapping[name] = set(here)
	}
	for path, values := range conn.Require.Claims {
		r.Claims[path] = set(values)
	}
	if conn.Groups != nil {
		allowed := set(*conn.Groups)
		r.Allowed = &allowed
	}
	for _, a := range conn.Attributes {
		mode, _ := conn.Policy(a.Name)
		held := conn.JIT.Enabled && mode == config.ModeSessionOnly
		if !held {
			a.Mode, a.OnAbsent = "", "" // when an account is written, they say
		}
		if held || !conn.JIT.Enabled || a.Name == config.AttrEmail || a.Name == config.AttrGroups {
			r.Mapped[a.Name] = a
			if slices.Contains(conn.all.ProtectedAttributes, a.Name) {
				r.Protected[1] = append(r.Protected[1], a.Name)
			}
		}
		if ranking, ranked := conn.all.AttributeSources[a.Name]; held && ranked {
			r.Sources[a.Name] = ranking
		}
	}
	slices.Sort(r.Protected[1])
	if !conn.JIT.Enabled {
		r.User = conn.User
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and maps of them always encode
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func set(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return slices.Compact(list)
}

// groupsOf are the groups of an account that are in force: those that an
// administrator assigned, and of those that a connection gave the ones that it
// may give today. What a connection gave that is gone or disabled, or has
// another issuer than the one that the account is linked to, nobody could take
// away any more. Each is named once, in the order in which they were first
// given.
func (r *Resolver) groupsOf(a *Account) []string {
	b := *a
	b.Groups = slices.DeleteFunc(slices.Clone(a.Groups), func(g Group) bool {
		if g.Source == auth.Local {
			return false
		}
		conn := r.connections[g.Source]
		return conn == nil || !allows(conn, g.Name) || !slices.ContainsFunc(a.Links, func(l Link) bool {
			return l.Connection == g.Source && l.Issuer == conn.Issuer
		})
	})
	return b.GroupNames()
}

// attributesOf are the values of an account's attributes that are in force: a
// connection may have given what is protected now, also under a name that has
// the same header and that the file does not have any more.
func (r *Resolver) attributesOf(a *Account) map[string][]string {
	all := make(map[string][]string, len(a.Attributes))
	for name, attribute := range a.Attributes {
		protected := func(p string) bool { return p == name || foldHeader(p) == foldHeader(name) }
		if attribute.Source == auth.Local || !slices.ContainsFunc(r.all.ProtectedAttributes, protected) {
			all[name] = attribute.Values
		}
	}
	return all
}

// emailOf is the address of an account that applications may see: a verified
// one, unless the connection that vouched for it is no longer believed.
func (r *Resolver) emailOf(a *Account) string {
	if r.disbelieved[a.Email.Source] {
		return ""
	}
	return a.verifiedEmail()
}
