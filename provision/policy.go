package provision

import (
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// supplies reports whether the connection may give an attribute at all: it is
// not protected, and attribute_sources does not leave it to others.
func (c *connection) supplies(name string) bool {
	if slices.Contains(c.all.ProtectedAttributes, name) {
		return false
	}
	ranking, ranked := c.all.AttributeSources[name]
	return !ranked || slices.Contains(ranking, c.ID)
}

// ranks reports whether attribute_sources lets a source of the account supply
// an attribute: local always, a connection while the account is linked to it.
// Where nothing is ranked no source is.
func (c *connection) ranks(a *Account, name, source string) bool {
	return slices.Contains(c.all.AttributeSources[name], source) &&
		(source == auth.Local || slices.ContainsFunc(a.Links, func(l Link) bool { return l.Connection == source }))
}

// outranked reports whether a value of that source is stronger than any of the
// connection.
func (c *connection) outranked(a *Account, name, source string) bool {
	ranking := c.all.AttributeSources[name]
	return c.ranks(a, name, source) && slices.Index(ranking, source) < slices.Index(ranking, c.ID)
}

// writes reports whether the connection writes what it sends for an attribute
// where the account has a value of that source, or none. created tells that the
// account is being made.
func (c *connection) writes(a *Account, name, mode string, created, had bool, source string) bool {
	others := had && source != c.ID
	switch {
	case !c.supplies(name), mode == config.ModeSessionOnly,
		mode == config.ModeImportOnce && !created,
		mode == config.ModePreserve && others:
		return false
	}
	return !others || !c.outranked(a, name, source)
}

// sessionOnly are the attributes of an answer that reach the headers of this
// session and no account. Where attribute_sources puts what the account has
// above the connection, they do not.
func sessionOnly(conn *connection, id admitted, a *Account) map[string][]string {
	var only map[string][]string
	for name, values := range id.Attributes {
		if mode, _ := conn.Policy(name); mode != config.ModeSessionOnly || !conn.supplies(name) {
			continue
		}
		if old, had := a.Attributes[name]; had && old.Source != conn.ID && conn.outranked(a, name, old.Source) {
			continue
		}
		if only == nil {
			only = map[string][]string{}
		}
		only[name] = values
	}
	return only
}
