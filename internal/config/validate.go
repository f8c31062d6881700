package config

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// validate judges what was decoded and brings it into normal form (letter
// case, default ports, CIDRs), so that nothing that uses a Config needs to.
func (l *loader) validate(c *Config) {
	l.validateServer(&c.Server)
	l.validateStore(c)
	l.validateSecrets(c.Secrets)
	l.validateSession(&c.Session, c.Server.PublicURL)
	l.validateConnections(c)
	l.validateProvisioning(c)
	l.validateAttributeNames(c)
	l.validateHeaders(c)
	l.validateRoutes(c)
	l.validateAPIPaths(c.APIPaths)
	l.validateAdmin(c.Admin)
	l.validateMFA(c)
	l.validateMail(c.Mail)
	const shortest, longest = 8, 128 // NIST SP 800-63B, section 5.1.1.2, and what is still a sentence
	if n := c.Local.Password.MinLength; n < shortest || n > longest {
		l.problem("local.password.min_length", fmt.Sprintf("%d is not from %d to %d characters", n, shortest, longest), "write 12, or what your policy says within that")
	}
	if n := c.Local.Password.MinStrength; n < 0 || n > 4 {
		l.problem("local.password.min_strength", fmt.Sprintf("%d is not from 0 to 4", n), "write 3; 0 judges no strength")
	}
	if !c.offersConnection() && !c.Local.Enabled && !l.isUnread("connections") {
		for i, r := range c.Routes {
			if !r.Access.Public {
				l.problem(index("routes", i), "needs a session, and there is no way to sign in", "add or enable a connection, or set local.enabled: true")
			}
		}
	}
}

// offersConnection reports whether people can come in through a connection.
func (c *Config) offersConnection() bool {
	return slices.ContainsFunc(c.Connections, func(conn Connection) bool { return !conn.Disabled })
}

// minKey is the length of the shortest key in secrets.keys, in characters.
const minKey = 32

func (l *loader) validateSecrets(s Secrets) {
	for i, key := range s.Keys {
		n := utf8.RuneCountInString(key.Reveal())
		if n >= minKey {
			continue
		}
		path, which := index("secrets.keys", i), "the key"
		if l.places[path].line == 0 {
			path, which = "secrets.keys_file", fmt.Sprintf("key %d of the file", i+1)
		}
		l.problem(path, fmt.Sprintf("%s has %d characters, fewer than %d", which, n, minKey), "make one with: openssl rand -base64 32")
	}
}

// validateAdmin judges who administers accounts over HTTP.
func (l *loader) validateAdmin(a Admin) {
	l.validateGroups("admin.groups", a.Groups)
	l.refuseTwice("admin.groups", a.Groups)
	if a.AllowFederated && len(a.Groups) == 0 {
		l.problem("admin.allow_federated", "lets groups of connections administer, and admin.groups names none", "name the groups in admin.groups, or remove it")
	}
}
