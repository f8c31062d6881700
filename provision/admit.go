package provision

import (
	"fmt"
	"maps"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/claim"
	"gatehouse/internal/config"
)

// admitted is an identity after its connection's rules.
type admitted struct {
	auth.Identity
	badEmail bool // an e-mail was sent and is none: nothing is known, and nothing is concluded from it
}

// silent reports whether the answer had no mapped attributes at all. Such an
// answer says nothing, so it wipes nothing. A constant is the file's word, not
// the answer's.
func (id admitted) silent(conn *connection) bool {
	said := func(name string) bool {
		a, _ := conn.Attribute(name)
		return len(a.Constant) == 0
	}
	for name := range id.Attributes {
		if said(name) {
			return false
		}
	}
	return id.Email == "" && !id.badEmail && id.Username == "" && (id.Groups == nil || !said(config.AttrGroups))
}

// admit applies what holds for a connection with JIT on and off alike. It is
// pure. The answer is the identity as it counts from here on: e-mail
// normalized, EmailVerified decided, groups named as here and filtered, and
// nothing that is protected. Errors: *auth.Denied.
func admit(conn *connection, identity auth.Identity) (admitted, error) {
	id := admitted{Identity: identity}
	given := identity.Email
	if email, err := NormalizeEmail(given); err == nil {
		id.Email = email
	} else {
		id.Email, id.badEmail = "", given != ""
	}
	id.EmailVerified = id.Email != "" && trusts(conn.TrustEmail, identity.EmailVerified)
	if sameMail(id.Username, given) && !id.EmailVerified {
		// The unverified address in another place: an application that knows
		// people by username would sign in the wrong one.
		id.Username = ""
	}
	if len(conn.EmailDomains) > 0 {
		if !id.EmailVerified {
			return admitted{}, denied(conn, auth.DeniedEmailDomain, "the e-mail is missing or not verified")
		}
		if !slices.ContainsFunc(conn.EmailDomains, func(d string) bool { return lower(d) == mailDomain(id.Email) }) {
			return admitted{}, denied(conn, auth.DeniedEmailDomain, "the e-mail is in another domain")
		}
	}
	if err := require(conn, id); err != nil {
		return admitted{}, err
	}
	id.Groups = allowedGroups(conn, localGroups(conn, identity.Groups))
	id.Attributes = unprotected(conn, identity.Attributes)
	return id, nil
}

func trusts(trust string, claimed bool) bool {
	switch trust {
	case config.TrustAlways:
		return true
	case config.TrustNever:
		return false
	}
	return claimed
}

func sameMail(username, email string) bool {
	if username == "" || email == "" {
		return false
	}
	if username == email {
		return true
	}
	a, err := NormalizeEmail(username)
	if err != nil {
		return false
	}
	b, err := NormalizeEmail(email)
	return err == nil && foldEmail(a) == foldEmail(b)
}

// require judges the gate of the connection on what the provider sent, before
// group_mapping and groups_allowed: they say which groups applications see, not
// who comes in.
func require(conn *connection, id admitted) error {
	if id.Withheld {
		// Before require.groups: nobody knows whether the person is in one.
		return denied(conn, auth.DeniedGroups, "the provider says that it keeps the person's groups elsewhere (_claim_names or hasgroups), "+
			"as Entra does with more than fit into a token. Have it send only the groups that are assigned to the application, or map no groups")
	}
	if wanted := conn.Require.Groups; len(wanted) > 0 {
		if !slices.ContainsFunc(id.Groups, func(g string) bool { return slices.Contains(wanted, g) }) {
			return denied(conn, auth.DeniedRequirement, "none of require.groups")
		}
	}
	for path, wanted := range conn.Require.Claims {
		value, sent := claim.Lookup(id.Claims, path)
		if !sent || !claimHas(value, wanted) {
			return denied(conn, auth.DeniedRequirement, fmt.Sprintf("require.claims: %s is not as required", path))
		}
		if isEmailPath(conn, path) && !(id.EmailVerified && isAddress(value, id.Email)) {
			// Otherwise whoever may type an address at the provider would come
			// in with it. What is verified is the one address that counts; the
			// answer may have others, under the other paths of a list.
			return denied(conn, auth.DeniedRequirement, fmt.Sprintf("require.claims: %s is an e-mail that is not verified", path))
		}
	}
	return nil
}

func isEmailPath(conn *connection, path string) bool {
	return path == "email" || slices.ContainsFunc(conn.Attributes, func(a config.Attribute) bool {
		return a.Name == config.AttrEmail && slices.Contains(a.From, path)
	})
}

// isAddress reports whether a claim is an e-mail address, alone.
func isAddress(value any, email string) bool {
	if list, isList := value.([]any); isList && len(list) == 1 {
		value = list[0]
	}
	text, _ := value.(string)
	return sameMail(text, email)
}

// localGroups are the provider's groups by the names that they have here.
func localGroups(conn *connection, groups []string) []string {
	if groups == nil || len(conn.GroupMapping) == 0 {
		return groups
	}
	local := make([]string, 0, len(groups))
	for _, g := range groups {
		if names, mapped := conn.GroupMapping[g]; mapped {
			local = append(local, names...)
		} else {
			local = append(local, g)
		}
	}
	return local
}

// allowedGroups keeps what the connection may supply, each once. That the
// source sent no groups (nil) stays visible.
func allowedGroups(conn *connection, groups []string) []string {
	if groups == nil {
		return nil
	}
	kept := make([]string, 0, len(groups))
	seen := make(map[string]bool, len(groups))
	for _, g := range groups {
		if g == "" || seen[g] || !allows(conn, g) {
			continue
		}
		seen[g] = true
		kept = append(kept, g)
	}
	return kept
}

// allows reports whether the connection may supply a group today.
func allows(conn *connection, group string) bool {
	return !slices.Contains(conn.all.ProtectedGroups, group) && (conn.Groups == nil || slices.Contains(*conn.Groups, group))
}

// unprotected leaves out the attributes that only administrators assign.
func unprotected(conn *connection, attributes map[string][]string) map[string][]string {
	if !slices.ContainsFunc(conn.all.ProtectedAttributes, func(name string) bool { _, sent := attributes[name]; return sent }) {
		return attributes
	}
	kept := maps.Clone(attributes)
	for _, name := range conn.all.ProtectedAttributes {
		delete(kept, name)
	}
	return kept
}

func denied(conn *connection, reason auth.Reason, detail string) *auth.Denied {
	return &auth.Denied{Reason: reason, Connection: conn.ID, Detail: detail}
}
