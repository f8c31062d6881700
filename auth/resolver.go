package auth

import "context"

// Resolver answers which account an identity is, creating, updating or
// linking one where the connection's rules say so.
type Resolver interface {
	// Resolve errors with *Denied when the rules refuse the identity and with
	// ErrStoreDown when the store cannot take the account.
	//
	// Where an account must first be proved to be the person's, the verdict is
	// Confirm, and nothing has changed.
	Resolve(ctx context.Context, id Identity) (Outcome, error)
	// ResolveConfirmed is Resolve for an identity whose person has proved the
	// account that Resolve named to be theirs.
	ResolveConfirmed(ctx context.Context, id Identity, account string) (Outcome, error)
	// Proves reports whether a sign-in with this identity is a proof of the
	// account: an identity that its connection admits and that is linked to it.
	// It reads and writes nothing else. Errors: *Denied, ErrStoreDown.
	Proves(ctx context.Context, id Identity, account string) error
	// SignedIn notes that a sign-in as an account is finished: a session has
	// started. Until then somebody who has only the password has used nothing.
	// Made says that this very request has made the account, which spares a
	// look for an earlier sign-in. Errors: ErrStoreDown.
	SignedIn(ctx context.Context, account string, made bool) error
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
	Confirm     Verdict = "confirm"   // an account must be proved first; nothing has changed
)

// Outcome is the answer of a Resolver.
type Outcome struct {
	Verdict  Verdict  `json:"verdict,omitempty"`
	Account  string   `json:"account,omitempty"`  // empty for PassThrough and Confirm
	Identity Identity `json:"identity,omitzero"`  // the identity after the connection's rules (trust_email, groups_allowed)
	Rules    string   `json:"rules,omitempty"`    // fingerprint of those rules, for Session.Rules
	Decision string   `json:"decision,omitempty"` // id of this decision: in logs, on pages, in the account's history

	// SessionOnly are the attributes of the identity that the session keeps and
	// no account does.
	SessionOnly map[string][]string `json:"session_only,omitempty"`

	Confirmation *Confirmation `json:"confirmation,omitempty"` // of Confirm
}

// Confirmation is an account that a person must prove to be theirs before
// their identity is linked to it.
type Confirmation struct {
	Account     string   `json:"account"`               // id
	Username    string   `json:"username"`              // of the account: what its password is asked for by
	Email       string   `json:"email"`                 // the verified address of both
	Password    bool     `json:"password,omitempty"`    // it has a password, and perhaps a second factor
	Connections []string `json:"connections,omitempty"` // through which identities are linked that can prove it
	Why         string   `json:"why"`                   // for the log
}
