package provision

import (
	"slices"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// synced returns the account as it is after an answer of the connection: the
// policy of each attribute and the table of group_sync. It is pure, and
// applying it twice is applying it once: what has not changed keeps its time.
// locked says that the account's e-mail is not the connection's to change.
//
// Never touched: id, status, username, links, and what is protected.
func synced(a *Account, conn *connection, id admitted, locked bool, now time.Time) *Account {
	b := a.clone()
	if id.silent(conn) {
		return b
	}
	syncAttributes(b, conn, id, false, now)
	if !locked {
		syncEmail(b, conn, id, false, now)
	}
	if conn.JIT.GroupSync != config.GroupsNone {
		syncGroups(b, conn, id.Groups, now)
	}
	return b
}

// provisioned returns a new account, without id and username: everything that
// the answer has is written, whatever the policies say of later ones, but what
// is for sessions only and what attribute_sources leaves to others.
func provisioned(conn *connection, id admitted, now time.Time) *Account {
	a := &Account{
		Version: accountVersion, Status: Pending, Created: now, Source: conn.ID,
		Attributes: map[string]Attribute{},
		Links:      []Link{linkOf(id.Identity, now)},
	}
	syncAttributes(a, conn, id, true, now)
	syncEmail(a, conn, id, true, now)
	syncGroups(a, conn, id.Groups, now)
	return a
}

func linkOf(id auth.Identity, now time.Time) Link {
	return Link{Connection: id.Connection, Issuer: id.Issuer, Subject: id.Subject, Time: now}
}

// syncAttributes does with each attribute what its policy says: of those that
// were sent by its mode, of the others by on_absent. created tells that the
// account is being made.
func syncAttributes(b *Account, conn *connection, id admitted, created bool, now time.Time) {
	for name, old := range b.Attributes {
		mode, onAbsent := conn.Policy(name)
		_, sent := id.Attributes[name]
		switch own := old.Source == conn.ID; {
		case sent && mode != config.ModeSessionOnly, !conn.supplies(name):
		case sent && own, // what is for sessions only was stored before it was
			own && onAbsent != config.AbsentKeep,
			!sent && onAbsent == config.AbsentDelete && !conn.ranks(b, name, old.Source):
			delete(b.Attributes, name)
		}
	}
	for name, values := range id.Attributes {
		old, had := b.Attributes[name]
		mode, _ := conn.Policy(name)
		if !conn.writes(b, name, mode, created, had, old.Source) || had && old.Source == conn.ID && slices.Equal(old.Values, values) {
			continue
		}
		b.Attributes[name] = Attribute{Values: append([]string{}, values...), Source: conn.ID, Time: now}
	}
}

// syncEmail writes the address that was sent. An unverified one never takes
// the place of a verified one: else anybody who can type an address at the
// provider could take the account's own away. Silence removes only what the
// connection gave itself, whatever on_absent says: an address is how an account
// is found, so whoever else vouched for it keeps their word.
func syncEmail(b *Account, conn *connection, id admitted, created bool, now time.Time) {
	mode, onAbsent := conn.Policy(config.AttrEmail)
	switch {
	case id.Email == "":
		if !id.badEmail && b.Email.Source == conn.ID && onAbsent != config.AbsentKeep && conn.supplies(config.AttrEmail) {
			b.Email = Email{}
		}
	case !conn.writes(b, config.AttrEmail, mode, created, b.Email.Address != "", b.Email.Source):
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
// those of others as well, if the connection spoke of groups. What is protected
// stays as it stands: no provider's answer speaks of it.
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
		case slices.Contains(conn.all.ProtectedGroups, g.Name):
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
