package provision

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gatehouse/internal/seal"
)

// name is something by which an account is found.
type name struct {
	key   string // of the index entry
	kind  nameKind
	value string // folded e-mail or username
	link  Link
}

type nameKind int

const (
	byLink nameKind = iota
	byEmail
	byUsername
)

// names makes index keys. They are keyed hashes: who picks a subject or an
// address cannot choose the key, and a key tells nothing about a person.
type names struct{ index *seal.IndexKey }

func (n names) link(l Link) name {
	return name{key: "link:" + n.index.Hash("link", l.Connection, l.Issuer, l.Subject), kind: byLink, link: l}
}

func (n names) email(address string) name {
	folded := foldEmail(address)
	return name{key: "email:" + n.index.Hash("email", folded), kind: byEmail, value: folded}
}

func (n names) username(username string) name {
	folded := foldUsername(username)
	return name{key: "username:" + n.index.Hash("username", folded), kind: byUsername, value: folded}
}

// of returns all names that the record has, whether or not it bears them yet.
func (n names) of(a *Account) []name {
	var all []name
	for _, l := range a.Links {
		all = append(all, n.link(l))
	}
	if email := a.verifiedEmail(); email != "" {
		all = append(all, n.email(email))
	}
	all = append(all, n.username(a.Username))
	for _, former := range a.Former {
		all = append(all, n.username(former))
	}
	return all
}

// announced returns the names that a change would give an account.
func (n names) announced(c *Change) []name {
	var all []name
	if c.Link != nil {
		all = append(all, n.link(*c.Link))
	}
	if c.Email != "" {
		all = append(all, n.email(c.Email))
	}
	if c.Username != "" {
		all = append(all, n.username(c.Username))
	}
	return all
}

// has reports whether the record has the name.
func (a *Account) has(n name) bool {
	switch n.kind {
	case byLink:
		return a.linked(n.link.Connection, n.link.Issuer, n.link.Subject)
	case byEmail:
		return foldEmail(a.verifiedEmail()) == n.value
	default:
		return a.answersTo(n) || slices.ContainsFunc(a.Former, func(former string) bool { return foldUsername(former) == n.value })
	}
}

// answersTo reports whether the account is the one that is meant by a name. A
// former username is its own, and means nobody: it is kept from others.
func (a *Account) answersTo(n name) bool {
	return n.kind != byUsername || foldUsername(a.Username) == n.value
}

// bears reports whether the name leads to the account.
func (a *Account) bears(n name) bool { return a.Status != Pending && a.has(n) }

// announces reports whether an unfinished change would give the account the
// name.
func (a *Account) announces(n name) bool {
	switch {
	case a.Change == nil:
		return false
	case a.Status == Pending:
		return a.has(n)
	case n.kind == byLink:
		return a.Change.Link != nil && a.Change.Link.is(n.link.Connection, n.link.Issuer, n.link.Subject)
	case n.kind == byEmail:
		return a.Change.Email == n.value
	case n.kind == byUsername:
		return a.Change.Username == n.value
	}
	return false
}

// entry is the record of an index key. Owner and Try stay in a confirmed entry:
// they make the bytes of each confirmation unique, so that who removes or takes
// over one that is no longer valid cannot do that to its successor, which may
// be of the same sign-in.
type entry struct {
	Account string    `json:"account"`
	Owner   string    `json:"owner"`
	Try     int       `json:"try,omitempty"`  // attempt of the owner
	Until   time.Time `json:"until,omitzero"` // of a reservation; confirmed: zero
	Tomb    *tomb     `json:"tomb,omitempty"` // the name is in quarantine
}

// tomb is the quarantine of a name. An entry that has one and no owner is a
// tombstone: it leads to nobody, and goes by itself. The entry of somebody who
// may have the name stands on the tomb: if they die before they bear it, the
// name is in quarantine as before.
type tomb struct {
	Until time.Time `json:"until"`
	// Links are the index keys of the identities that were linked to the
	// deleted account: whoever they are may have the name again.
	Links []string `json:"links"`
}

// tombOf is the quarantine of the names of an account that is deleted.
func (n names) tombOf(a *Account, until time.Time) *tomb {
	t := &tomb{Until: until, Links: []string{}}
	for _, l := range a.Links {
		t.Links = append(t.Links, n.link(l).key)
	}
	return t
}

// bars reports whether the name is kept from an identity (its link). An entry
// without a tomb has a nil one.
func (t *tomb) bars(link name, now time.Time) bool {
	return t.holds(now) && !slices.Contains(t.Links, link.key)
}

// holds reports whether the quarantine is not over.
func (t *tomb) holds(now time.Time) bool { return t != nil && now.Before(t.Until) }

// isTombstone reports whether the entry is that of a deleted account whose
// names are in quarantine: it is as it should be, although it leads to nobody.
func (e entry) isTombstone() bool { return e.Tomb != nil && e.Owner == "" }

// without is what stands under the name once the entry is removed: the
// tombstone that it stands on, or nil. It is what an Update writes.
func (e entry) without(now time.Time) (value []byte, ttl time.Duration) {
	if !e.Tomb.holds(now) {
		return nil, 0
	}
	return entry{Account: e.Account, Tomb: e.Tomb}.encode(), e.Tomb.Until.Sub(now)
}

func (e entry) encode() []byte {
	value, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and a time always encode
	}
	return value
}

func decodeEntry(value []byte) (e entry, err error) {
	if err := json.Unmarshal(value, &e); err != nil {
		return e, fmt.Errorf("decode index entry: %w", err)
	}
	return e, nil
}
