package auth

import "context"

// Resolver answers which account an identity is, creating, updating or
// linking one where the connection's rules say so.
type Resolver interface {
	// Resolve errors with *Denied when the rules refuse the identity and with
	// ErrStoreDown when the store cannot take the account.
	Resolve(ctx context.Context, id Identity) (Outcome, error)
}

// Verdict is what Resolve did.
type Verdict string

// The verdicts of Resolve.
const (
	PassThrough Verdict = "pass_through" // JIT off: nothing read or written
	Created     Verdict = "created"
	Updated     Verdict = "updated"
	Linked      Verdict = "linked"    // an existing account got this identity and was updated
	Unchanged   Verdict = "unchanged" // known link, nothing to write; also every local sign-in
)

// Outcome is the answer of a Resolver.
type Outcome struct {
	Verdict  Verdict  `json:"verdict,omitempty"`
	Account  string   `json:"account,omitempty"` // empty for PassThrough
	Identity Identity `json:"identity,omitzero"` // the identity after the connection's rules (trust_email, groups_allowed)
	Rules    string   `json:"rules,omitempty"`   // fingerprint of those rules, for Session.Rules
}
