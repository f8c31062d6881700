package auth

import "time"

// LinkKind says what a link to choose a password is for.
type LinkKind string

// The kinds of links.
const (
	LinkSetup LinkKind = "setup" // an administrator made it, for a first password or a new one
	LinkReset LinkKind = "reset" // the person asked for it, who has a password and cannot remember it
)

// PasswordLink is a link by which the owner of an account chooses its password.
type PasswordLink struct {
	Account string    `json:"account"`
	Kind    LinkKind  `json:"kind"`
	Mailed  string    `json:"mailed,omitempty"` // the address to which it went; empty: an administrator hands it over
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
}
