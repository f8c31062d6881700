package provision

import (
	"encoding/json"
	"fmt"
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
	return append(all, n.username(a.Username))
}

// has reports whether the record has the name.
func (a *Account) has(n name) bool {
	switch n.kind {
	case byLink:
		return a.linked(n.link.Connection, n.link.Issuer, n.link.Subject)
	case byEmail:
		return foldEmail(a.verifiedEmail()) == n.value
	default:
		return foldUsername(a.Username) == n.value
	}
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
	}
	return false
}

// entry is the record of an index key. Owner stays in a confirmed entry: it
// makes the bytes of each confirmation unique, so that who removes one that is
// no longer valid cannot remove its successor.
type entry struct {
	Account string    `json:"account"`
	Owner   string    `json:"owner"`
	Until   time.Time `json:"until,omitzero"` // of a reservation; confirmed: zero
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
