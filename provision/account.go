package provision

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gatehouse/auth"
)

// Status is what an account may do.
type Status string

// The statuses of an account.
const (
	Pending  Status = "pending"  // being made: nobody, and gone after a day
	Active   Status = "active"   //
	Disabled Status = "disabled" // by an administrator or a rule; no sign-in changes that
	Deleting Status = "deleting" // refused for ever; what is left is being removed
)

// Account is a person's record. The store holds it as JSON under
// account:<id>. Sources are connection ids, or auth.Local for what an
// administrator assigned.
type Account struct {
	Version    int                  `json:"v"`
	ID         string               `json:"id"` // random, never reused
	Status     Status               `json:"status"`
	Username   string               `json:"username"`
	Former     []string             `json:"former_usernames,omitempty"` // stay reserved; never the present one
	Email      Email                `json:"email,omitzero"`
	Attributes map[string]Attribute `json:"attributes,omitempty"`
	Groups     []Group              `json:"groups,omitempty"` // one entry for each name and source
	Links      []Link               `json:"links,omitempty"`
	Renamed    time.Time            `json:"renamed,omitzero"` // last, by an administrator
	Created    time.Time            `json:"created"`
	Enabled    time.Time            `json:"enabled,omitzero"`   // by an administrator, after it was disabled
	Unused     bool                 `json:"unused,omitempty"`   // the rule for inactive accounts has disabled it
	Deleted    time.Time            `json:"deleted,omitzero"`   // when that began
	Source     string               `json:"source"`             // who made it
	MadeBy     string               `json:"made_by,omitempty"`  // the administrator who did, where Source is auth.Local; "": not known
	Origin     string               `json:"origin,omitempty"`   // decision by which it was made
	Decision   string               `json:"decision,omitempty"` // of its last change; see historyLog
	Change     *Change              `json:"change,omitempty"`

	raw []byte // as it was read; what a compare-and-swap compares
}

// Email is an account's address. Only a verified one is indexed, shown to
// applications, or matched.
type Email struct {
	Address  string    `json:"address"` // normalized
	Verified bool      `json:"verified"`
	Source   string    `json:"source"`
	Time     time.Time `json:"time"`
}

// Attribute is the values of one attribute and where they come from. It may be
// blank: sent, and without values.
type Attribute struct {
	Values []string  `json:"values"`
	Source string    `json:"source"`
	Time   time.Time `json:"time"` // of the last change
}

// Group is a group that one source assigned.
type Group struct {
	Name   string    `json:"name"`
	Source string    `json:"source"`
	Time   time.Time `json:"time"`
}

// Link is the tie of an identity to the account.
type Link struct {
	Connection string    `json:"connection"`
	Issuer     string    `json:"issuer"`
	Subject    string    `json:"subject"` // compared byte for byte
	Time       time.Time `json:"time"`
}

// Change announces names that the account does not bear yet. For a pending
// account it stands for all its names.
type Change struct {
	Owner string    `json:"owner"` // the sign-in that is at work
	Until time.Time `json:"until"` // how long others wait for it
	Link  *Link     `json:"link,omitempty"`
	Email string    `json:"email,omitempty"`
	// Username is what an administrator is renaming the account to, folded.
	Username string `json:"username,omitempty"`
}

const (
	accountVersion = 1
	accountPrefix  = "account:"
)

func accountKey(id string) string { return accountPrefix + id }

func (a *Account) encode() []byte {
	value, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings, times and maps of them always encode
	}
	return value
}

// decodeAccount refuses records of versions that this binary does not know: to
// read them by half and write them back would lose the other half.
func decodeAccount(value []byte) (*Account, error) {
	a := &Account{}
	if err := json.Unmarshal(value, a); err != nil {
		return nil, fmt.Errorf("decode account: %w", err)
	}
	if a.Version != accountVersion {
		return nil, fmt.Errorf("decode account: version %d is not known", a.Version)
	}
	a.raw = value
	return a, nil
}

// clone returns a copy that shares nothing that is ever changed in place.
func (a *Account) clone() *Account {
	b := *a
	b.Attributes = make(map[string]Attribute, len(a.Attributes))
	for name, attribute := range a.Attributes {
		b.Attributes[name] = attribute
	}
	b.Former = slices.Clone(a.Former)
	b.Groups = slices.Clone(a.Groups)
	b.Links = slices.Clone(a.Links)
	return &b
}

// equal reports whether both would be the same record.
func (a *Account) equal(b *Account) bool { return bytes.Equal(a.encode(), b.encode()) }

// refused reports whether nobody may come in as this account.
func (a *Account) refused() bool { return a.Status != Active }

// verifiedEmail is the address that counts, or "".
func (a *Account) verifiedEmail() string {
	if a.Email.Verified {
		return a.Email.Address
	}
	return ""
}

// GroupNames are the groups in force: those of all sources, each once, in the
// order in which they were first given.
func (a *Account) GroupNames() []string {
	names := make([]string, 0, len(a.Groups))
	seen := make(map[string]bool, len(a.Groups))
	for _, g := range a.Groups {
		if !seen[g.Name] {
			seen[g.Name] = true
			names = append(names, g.Name)
		}
	}
	return names
}

// Name is the display name, or "".
func (a *Account) Name() string {
	if values := a.Attributes[auth.AttributeName].Values; len(values) > 0 {
		return values[0]
	}
	return ""
}

// linked reports whether the identity of s is one of the account's.
func (a *Account) linked(connection, issuer, subject string) bool {
	return slices.ContainsFunc(a.Links, func(l Link) bool { return l.is(connection, issuer, subject) })
}

func (l Link) is(connection, issuer, subject string) bool {
	return l.Connection == connection && l.Issuer == issuer && l.Subject == subject
}
