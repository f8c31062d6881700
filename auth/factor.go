package auth

import (
	"context"
	"encoding/json"
	"time"
)

// Kinds of factors, as mfa.methods names them.
const (
	KindTOTP      = "totp"          // a time-based one-time password (RFC 6238)
	KindPasskey   = "passkey"       // WebAuthn Level 3
	KindEmailCode = "email_code"    // a code by mail
	KindRecovery  = "recovery_code" // one of ten, on paper; beside another factor only
)

// MaxAnswer is the longest answer to a factor that is looked at, in bytes: that
// of a passkey is a JSON document.
const MaxAnswer = 16 << 10

// Factor is one kind of second proof, of which an account may have several.
// Factors are keyed on the account's id, never on a name.
type Factor interface {
	// Kind is one of the kinds above.
	Kind() string
	// Enrolled returns what the account has of this kind, oldest first.
	// Errors: ErrStoreDown.
	Enrolled(ctx context.Context, account string) ([]Authenticator, error)
	// Challenge makes what the person is asked, and sends it where it has to be
	// sent. Errors: *Throttled, with ErrMailedLately where that is why;
	// ErrNotFound when nothing of this kind can be asked for now, ErrStoreDown.
	Challenge(ctx context.Context, c Claimant) (Challenge, error)
	// Verify checks an answer to a challenge. One answer passes once, across
	// replicas. Errors: ErrWrongCode, *Throttled, ErrStoreDown.
	Verify(ctx context.Context, c Claimant, asked Challenge, answer string) error
}

// Enroller is the optional ability of a Factor to be enrolled by a person.
type Enroller interface {
	Factor
	// Enrollable tells whether the account can enrol one more of this kind now:
	// nil when it can. Nothing is sent. Errors: ErrNotFound when it cannot, with
	// ErrBarred when it could but for the way its password was set, ErrStoreDown.
	Enrollable(ctx context.Context, account string) error
	// Offer makes what a new enrolment needs; nothing of it counts yet. Errors:
	// those of Enrollable, and *Throttled, with ErrMailedLately where that is why.
	Offer(ctx context.Context, c Claimant) (Enrolment, error)
	// Confirm stores the enrolment once the answer proves that the person
	// holds it. Errors: ErrWrongCode, *Throttled, ErrInvalidState when the
	// offer no longer stands or the account has too many, ErrStoreDown.
	Confirm(ctx context.Context, c Claimant, e Enrolment, answer string) error
}

// Authenticator is one thing that an account has enrolled.
type Authenticator struct {
	ID    string    // within the account and kind
	Kind  string    // of the Factor
	Name  string    // as the person calls it
	Since time.Time // enrolled
	Used  time.Time // last; zero: never
	Left  int       // recovery codes: how many are not used
	// Barred says that it cannot prove anything now: a code by mail to the
	// address at which the password was reset.
	Barred bool
}

// Claimant is who is to prove a factor, and for what.
type Claimant struct {
	Account string // id
	Label   string // how the person knows the account, such as its username
	Purpose string // what the proof is for; an answer is worth nothing for another
	Binding string // hash of the handle of that sign-in or session; an answer is worth nothing at another
}

// Purposes of a proof.
const (
	PurposeSignIn = "sign_in" // the second step of a local sign-in, and of a link's confirmation
	PurposeProve  = "prove"   // a person who is signed in shows that it is them
	PurposeEnrol  = "enrol"   // a factor is added
	PurposeEntry  = "entry"   // a passkey is the whole sign-in
)

// Challenge is what a person is asked. It is sealed wherever it rests.
type Challenge struct {
	Kind    string          `json:"kind"`
	State   json.RawMessage `json:"state,omitempty"`   // for Verify alone
	Options json.RawMessage `json:"options,omitempty"` // for the browser: PublicKeyCredentialRequestOptions as JSON (WebAuthn Level 3, section 5.1.9)
	Hint    string          `json:"hint,omitempty"`    // for the person: where a code was sent, in part
}

// Enrolment is an offered authenticator that is not confirmed yet. It is sealed
// wherever it rests.
type Enrolment struct {
	Kind    string          `json:"kind"`
	Name    string          `json:"name,omitempty"`    // as the person calls it; "": the factor finds one
	Secret  string          `json:"secret,omitempty"`  // base32, of TOTP
	URL     string          `json:"url,omitempty"`     // otpauth:// key URI, the content of the QR code
	State   json.RawMessage `json:"state,omitempty"`   // for Confirm alone
	Options json.RawMessage `json:"options,omitempty"` // for the browser: PublicKeyCredentialCreationOptions as JSON (WebAuthn Level 3, section 5.1.8)
	Hint    string          `json:"hint,omitempty"`    // for the person: where a code was sent, in part
}
