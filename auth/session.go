package auth

import (
	"slices"
	"time"
)

// Freshness is how long a proof counts: what changes the ways in of an account
// wants one that is not older.
const Freshness = 10 * time.Minute

// Session is a finished sign-in. Its id is the keyed hash of the value in the
// cookie: who reads the store cannot make a cookie of it.
type Session struct {
	ID      string `json:"-"`
	Account string `json:"account,omitempty"` // empty for a pass-through identity

	// JIT tells whether the connection provisioned accounts when the session
	// was made. A session made under another setting than today's ends.
	JIT bool `json:"jit"`

	// Rules is the fingerprint of the connection's rules by which the person
	// came in; empty for Local. A session made by others than today's ends.
	Rules string `json:"rules,omitempty"`

	// Identity is whole for a pass-through session. For an account's session
	// it holds only how the person came in (connection, issuer, subject, amr,
	// acr, auth_time) and, in Attributes, what no account keeps: the rest is
	// read from the account.
	Identity Identity `json:"identity"`

	IdPSession string    `json:"idp_session,omitempty"` // the sid claim (OpenID Connect Back-Channel Logout 1.0, section 2.1)
	Created    time.Time `json:"created"`               // absolute lifetime counts from here
	Seen       time.Time `json:"seen"`                  // idle time counts from here; written coarsely

	// Proved is when the person last gave the account's password and, where it
	// has one, a second factor; zero: not in this session. A sign-in at an
	// identity provider is no such proof.
	Proved time.Time `json:"proved,omitzero"`

	// ProvedFactor is the kind of the second factor of that proof; empty: the
	// account had none.
	ProvedFactor string `json:"proved_factor,omitempty"`

	// Asked are the levels that the provider was asked for when the session was
	// made: what it did not vouch for then is not asked for again by itself.
	Asked []string `json:"asked,omitempty"`

	Client Client `json:"client,omitzero"` // from where it was started
}

// Raise notes the second factor of a proof that was given in the session. How
// the person came in changes only where it was by the account's own sign-in: for
// another provider's Gatehouse does not speak.
func (s *Session) Raise(factor string) {
	s.ProvedFactor = factor
	if s.Identity.Connection == Local {
		s.Identity.AMR = WithFactor(s.Identity.AMR, factor)
	}
}

// FreshlyProved reports whether the person has lately given all that is
// enrolled for the account's own sign-in. A proof from before the first factor
// was enrolled is none any more: who is at a session that was left open could
// else add a factor of their own beside it.
func (s *Session) FreshlyProved(now time.Time, enrolled []Authenticator) bool {
	return fresh(s.Proved, now) &&
		(s.ProvedFactor != "" || !slices.ContainsFunc(enrolled, func(a Authenticator) bool { return !a.Barred }))
}

// FreshlyStarted reports whether the sign-in itself was not long ago: all that
// can be asked of a person whose account has no password.
func (s *Session) FreshlyStarted(now time.Time) bool { return fresh(s.Created, now) }

// fresh does not believe a time that is still to come, from a clock that was
// wrong.
func fresh(proved, now time.Time) bool {
	return !proved.IsZero() && now.Sub(proved) <= Freshness && !proved.After(now.Add(time.Minute))
}

// Pending is a sign-in that has begun and is not finished. It is nobody
// everywhere but at its exact next step.
type Pending struct {
	State      string    `json:"state"`    // handle of the record, at least 128 random bits
	Nonce      string    `json:"nonce"`    // OpenID Connect Core 1.0, section 3.1.2.1
	Verifier   string    `json:"verifier"` // PKCE code verifier, RFC 7636
	Connection string    `json:"connection"`
	ReturnTo   string    `json:"return_to"` // already judged; emitted as it is
	Browser    string    `json:"browser"`   // keyed hash of the cookie that binds the state to one browser
	Created    time.Time `json:"created"`

	// Confirms is the keyed hash of the handle of the sign-in whose account
	// this one is to prove; empty for a sign-in of its own.
	Confirms string `json:"confirms,omitempty"`

	// Proves is the keyed hash of the id of the session whose person shows once
	// more that it is them, and Links that of the session to whose account the
	// identity is to be linked; empty for other sign-ins.
	Proves string `json:"proves,omitempty"`
	Links  string `json:"links,omitempty"`

	// ACR are the levels that the provider is asked for, any of which is enough
	// (OpenID Connect Core 1.0, section 3.1.2.1).
	ACR []string `json:"acr,omitempty"`

	// Enrols says that the page to which the person returns wants a second
	// factor, and that the account had none: once the password is given, one is
	// enrolled.
	Enrols bool `json:"enrols,omitempty"`

	// What the first step proved; nil before it is done.
	Identity *Identity `json:"identity,omitempty"`
	Outcome  Outcome   `json:"outcome,omitzero"`
	Tokens   Tokens    `json:"tokens,omitzero"`

	// Challenge is what the person was asked last, and Enrolment what was
	// offered and is not confirmed yet.
	Challenge *Challenge `json:"challenge,omitempty"`
	Enrolment *Enrolment `json:"enrolment,omitempty"`

	// Factor is the kind that was proved already, "" for none: what is still
	// owed then is an enrolment. Recovery are the codes that the enrolment shows
	// and that count once it is confirmed.
	Factor   string   `json:"factor,omitempty"`
	Recovery []string `json:"recovery,omitempty"`
}
