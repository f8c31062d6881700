package auth

import (
	"slices"
	"time"
)

// Local is the connection id of people who signed in with a password that
// Gatehouse itself keeps. No configured connection may take it.
const Local = "local"

// AttributeName is the attribute that holds a person's display name.
const AttributeName = "name"

// Authentication method references that Gatehouse asserts itself (RFC 8176,
// section 2).
const (
	MethodPassword = "pwd"
	MethodOTP      = "otp"
	MethodUser     = "user" // somebody was there
	MethodMFA      = "mfa"
	MethodKey      = "pop" // a key whose possession was proved, such as a passkey
)

// WithFactor adds to how somebody was authenticated what a second factor of a
// kind adds (RFC 8176, section 2); "" adds nothing. The list of the caller is
// left alone.
func WithFactor(amr []string, kind string) []string {
	var more []string
	switch kind {
	case "":
	case KindPasskey:
		more = []string{MethodKey, MethodMFA}
	default:
		more = []string{MethodOTP, MethodMFA}
	}
	amr = slices.Clone(amr)
	for _, m := range more {
		if !slices.Contains(amr, m) {
			amr = append(amr, m)
		}
	}
	return amr
}

// Identity is what one sign-in proved, before any account is looked for.
//
// Absent and blank differ: an attribute that the source did not send is
// missing from Attributes, one that it sent blank is present and empty.
// Likewise Groups is nil when the source sent no groups and empty, not nil,
// when it sent an empty list.
type Identity struct {
	Connection string `json:"connection"` // id of the connection, or Local
	Issuer     string `json:"issuer"`     // empty for Local
	Subject    string `json:"subject"`    // compared byte for byte; the account id for Local

	Email         string              `json:"email,omitempty"`
	EmailVerified bool                `json:"email_verified,omitempty"` // as the source claims; provision applies trust_email
	Username      string              `json:"username,omitempty"`
	Groups        []string            `json:"groups"`
	Withheld      bool                `json:"-"`                    // there are groups, and the source keeps them elsewhere (Entra's overage): Groups says nothing
	Attributes    map[string][]string `json:"attributes,omitempty"` // AttributeName and the free ones

	AMR      []string  `json:"amr,omitempty"`
	ACR      string    `json:"acr,omitempty"`
	AuthTime time.Time `json:"auth_time,omitzero"`

	// Claims are the raw claims of the answer, for rules that name a claim
	// path. They are judged at sign-in and never stored.
	Claims map[string]any `json:"-"`
}

// Person is who a request comes from, as policies and identity headers see
// it: an account as it is now, or a pass-through identity. A value that is
// not known is empty. A Person is shared between requests and must not be
// changed.
type Person struct {
	User              string              // the user header
	Email             string              // verified, or empty
	PreferredUsername string              //
	Groups            []string            //
	Attributes        map[string][]string // AttributeName and the free ones
	Connection        string              // how this session came in; Local for a password
	AMR               []string            //
	ACR               string              //
	Account           string              // account id; empty for a pass-through identity
}

// IsLocal reports whether the person signed in with a local password.
func (p *Person) IsLocal() bool { return p.Connection == Local }
