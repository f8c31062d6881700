package oidc

import (
	"slices"
	"strings"

	"gatehouse/internal/claim"
	"gatehouse/internal/config"
)

// firstOf returns the first of the paths that the answer has, and its claim.
func firstOf(paths []string, claims map[string]any) (path string, value any, sent bool) {
	for _, path := range paths {
		if value, sent := claim.Lookup(claims, path); sent {
			return path, value, true
		}
	}
	return "", nil, false
}

// missing are the claim paths that would count and that the answer lacks: of a
// list of paths those before the one that it has, and the requirements.
func missing(conn config.Connection, claims map[string]any) []string {
	var paths []string
	for _, a := range conn.Attributes {
		for _, path := range a.From {
			if _, sent := claim.Lookup(claims, path); sent {
				break
			}
			paths = append(paths, path)
		}
	}
	for path := range conn.Require.Claims {
		if _, sent := claim.Lookup(claims, path); !sent {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// distributed are the missing claims of which the provider says that it keeps
// them elsewhere.
func distributed(conn config.Connection, claims map[string]any) []string {
	return slices.DeleteFunc(missing(conn, claims), func(path string) bool { return !keptElsewhere(claims, path) })
}

// keptElsewhere reports whether a claim that the answer lacks is kept elsewhere
// (OpenID Connect Core 1.0, section 5.6.2). Its address comes from a token and
// is not followed.
//
// Entra has signs of its own for people in more groups than fit (200 in a JWT;
// see "ID token claims reference" of the Microsoft identity platform):
// hasgroups in place of the list, or a claim groups:src1.
func keptElsewhere(claims map[string]any, path string) bool {
	names, _ := claims["_claim_names"].(map[string]any)
	heads := append(claim.Heads(path), path)
	if slices.ContainsFunc(heads, func(name string) bool { return names[name] != nil }) {
		return true
	}
	if !slices.Contains(heads, "groups") {
		return false
	}
	if has := claims["hasgroups"]; has == any(true) || has == any("true") {
		return true
	}
	for name := range claims {
		if strings.HasPrefix(name, "groups:src") {
			return true
		}
	}
	return false
}

// withheld reports whether there are groups that the answer does not have: to
// take that for "no groups" would take rights away that the person has, and
// open what is for those without.
func withheld(conn config.Connection, claims map[string]any) bool {
	groups, _ := conn.Attribute(config.AttrGroups)
	_, value, sent := firstOf(groups.From, claims)
	if sent {
		// Entra's documentation has groups as the name of a source, too.
		source, isText := value.(string)
		sources, _ := claims["_claim_sources"].(map[string]any)
		return isText && sources[source] != nil
	}
	return slices.ContainsFunc(groups.From, func(path string) bool { return keptElsewhere(claims, path) })
}
