package auth

import "time"

// Profile is an account as its owner sees it.
type Profile struct {
	ID             string
	Username       string
	UsernameSource string    // id of a connection, or Local
	UsernameTime   time.Time // since when it is theirs
	Name           string
	Email          Value // of one value, or none
	Verified       bool  // the e-mail is
	Active         bool
	Groups         []Value          // each of one value; a group that two sources gave stands twice
	Attributes     map[string]Value // AttributeName and the free ones
	Links          []LinkedIdentity
	Created        time.Time
}

// Value is what one source gave, and when it last changed.
type Value struct {
	Values []string
	Source string // id of a connection, or Local
	Time   time.Time
}

// LinkedIdentity is an identity that is linked to an account.
type LinkedIdentity struct {
	Connection string
	Issuer     string
	Subject    string
	Time       time.Time
}

// VerifiedEmail is the address that counts, or "".
func (p *Profile) VerifiedEmail() string {
	if !p.Verified || len(p.Email.Values) == 0 {
		return ""
	}
	return p.Email.Values[0]
}

// Activity is something that happened to an account, as its owner sees it.
type Activity struct {
	Time   time.Time
	Event  string // as in the account's history, such as an Event
	By     string // "" where it was the person
	Detail string
}
