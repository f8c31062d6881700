package provision

import (
	"slices"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// synced returns the account as it is after an answer of the connection: the
// table of attribute_sync and that of group_sync. It is pure, and applying it
// twice is applying it once: what has not changed keeps its time. locked says
// that the account's e-mail is not the connection's to change.
//
// Never touched: id, status, username, links.
func synced(a *Account, conn *connection, id admitted, locked bool, now time.Time) *Account {
	b := a.clone()
	if id.silent() {
		return b
	}
	if conn.JIT.AttributeSync != config.SyncNone {
		syncAttributes(b, conn, id, now)
		if !locked {
			syncEmail(b, conn, id, now)
		}
	}
	if conn.JIT.GroupSync != config.GroupsNone {
		syncGroups(b, conn, id.Groups, now)
	}
	return b
}

// provisioned returns a new account, without id and username: everything that
// the answer has is written, whatever the sync modes say of later ones.
func provisioned(conn *connection, id admitted, now time.Time) *Account {
	a := &Account{
		Version: accountVersion, Status: Pending, Created: now, Source: conn.ID,
		Attributes: map[string]Attribute{},
		Links:      []Link{linkOf(id.Identity, now)},
	}
	syncAttributes(a, conn, id, now)
	syncEmail(a, conn, id, now)
	syncGroups(a, conn, id.Groups, now)
	return a
}

func linkOf(id auth.Identity, now time.Time) Link {
	return Link{Connection: id.Connection, Issuer: id.Issuer, Subject: id.Subject, Time: now}
}

// syncAttributes writes what was sent. Of the rest, override_all deletes all,
// and preserve_local what this connection itself had given.
func syncAttributes(b *Account, conn *connection, id admitted, now time.Time) {
	for name, attribute := range b.Attributes {
		_, sent := id.Attributes[name]
		if !sent && (conn.JIT.AttributeSync == config.SyncOverrideAll || attribute.Source == conn.ID) {
			delete(b.Attributes, name)
		}
	}
	for name, values := range id.Attributes {
		old, had := b.Attributes[name]
		if had && old.Source == conn.ID && slices.Equal(old.Values, values) {
			continue
		}
		b.Attributes[name] = Attribute{Values: append([]string{}, values...), Source: conn.ID, Time: now}
	}
}

// syncEmail writes the address that was sent. An unverified one never takes
// the place of a verified one: else anybody who can type an address at the
// provider could take the account's own away. Silence removes only what the
// connection gave itself; an address is how an account is found, so whoever
// else vouched for it keeps their word under override_all too.
func syncEmail(b *Account, conn *connection, id admitted, now time.Time) {
	switch {
	case id.Email == "":
		if !id.badEmail && b.Email.Source == conn.ID {
			b.Email = Email{}
		}
	case b.Email.Verified && !id.EmailVerified:
	case b.Email.Verified == id.EmailVerified && sameAddress(b.Email, id.Email, conn):
	default:
		b.Email = Email{Address: id.Email, Verified: id.EmailVerified, Source: conn.ID, Time: now}
	}
}

// sameAddress reports whether an answer leaves the address as it is. Another
// spelling of it is written only where it was this connection that gave it:
// two connections that spell it differently would otherwise take turns.
func sameAddress(e Email, sent string, conn *connection) bool {
	return e.Address == sent || e.Source != conn.ID && foldEmail(e.Address) == foldEmail(sent)
}

// syncGroups writes the groups of one connection; nil: it sent none at all. A
// group that the connection gave earlier and does not give now is gone under
// sync and override: a removed group is a removed right. Override takes away
// those of others as well, if the connection spoke of groups.
func syncGroups(b *Account, conn *connection, groups []string, now time.Time) {
	var kept []Group
	had := map[string]bool{}
	given := make(map[string]bool, len(groups))
	for _, name := range groups {
		given[name] = true
	}
	for _, g := range b.Groups {
		own := g.Source == conn.ID
		switch {
		case own && !given[g.Name] && conn.JIT.GroupSync != config.GroupsMerge:
			continue
		case !own && groups != nil && conn.JIT.GroupSync == config.GroupsOverride:
			continue
		}
		had[g.Name] = had[g.Name] || own
		kept = append(kept, g)
	}
	for _, name := range groups {
		if !had[name] {
			had[name] = true
			kept = append(kept, Group{Name: name, Source: conn.ID, Time: now})
		}
	}
	b.Groups = kept
}
