package auth

import (
	"errors"
	"fmt"
	"time"
)

// Sentinel errors. One table in internal/web turns them into status and page.
var (
	ErrUnauthenticated  = errors.New("no session")
	ErrForbidden        = errors.New("not allowed")
	ErrStoreDown        = errors.New("the store does not answer")
	ErrProviderDown     = errors.New("the identity provider does not answer")
	ErrProviderRefused  = errors.New("the identity provider refused")
	ErrInvalidAnswer    = errors.New("the answer of the identity provider is not valid")
	ErrInvalidState     = errors.New("the sign-in is unknown, expired or was used before")
	ErrVoidLink         = errors.New("the link to choose a password is unknown, expired or was used before")
	ErrOvertaken        = errors.New("the account has changed since the sign-in began")
	ErrWrongPassword    = errors.New("wrong username or password") // known and unknown users alike
	ErrWrongCode        = errors.New("wrong or used code")
	ErrMalformed        = errors.New("malformed request")
	ErrMethodNotAllowed = errors.New("method not allowed")
	ErrNotFound         = errors.New("not found")
	ErrUpstreamDown     = errors.New("the application does not answer")
	ErrUpstreamSlow     = errors.New("the application answers too late")
	ErrCrossSite        = errors.New("cross-site request")
	ErrLastWay          = errors.New("it is the last way in to the account")
	ErrBarred           = errors.New("the password was set by a link that was mailed there") // with ErrNotFound
	ErrTooManySignIns   = errors.New("too many unfinished sign-ins")                         // with a *Throttled where it is known for how long
	ErrMailedLately     = errors.New("a code was mailed not long ago")                       // with a *Throttled that says when another can be; nobody has guessed
	ErrBusy             = errors.New("the account is being changed right now")               // with a *Throttled that says for how long; nobody has guessed
)

// Reason says why an identity was denied; it is stable and may be logged.
type Reason string

// The reasons of *Denied.
const (
	DeniedDisabled      Reason = "account_disabled"
	DeniedEmailDomain   Reason = "email_domain"         // email_domains: not one of them, or not verified
	DeniedRequirement   Reason = "requirement"          // require.groups or require.claims
	DeniedLink          Reason = "link_denied"          // an account has this e-mail and link_existing is deny
	DeniedTaken         Reason = "linked_elsewhere"     // the identity is linked to another account
	DeniedUnconfirmable Reason = "link_unconfirmable"   // it should be confirmed and has nothing to confirm with
	DeniedAmbiguous     Reason = "ambiguous"            // more than one account matches
	DeniedNoAccount     Reason = "no_account"           // jit.create is false and no account matches
	DeniedFactor        Reason = "factor_impossible"    // mfa.enforce: all and no account to hold a factor
	DeniedFactorLost    Reason = "factor_unusable"      // every factor that the account has is of no use now, or none can be enrolled
	DeniedTooLarge      Reason = "identity_too_large"   // user or e-mail does not fit a header
	DeniedProof         Reason = "not_a_proof"          // the identity does not prove the account that was to be confirmed
	DeniedQuarantine    Reason = "quarantined"          // the e-mail belonged to an account that was deleted lately
	DeniedGroups        Reason = "groups_withheld"      // the provider says that there are groups and does not send them
	DeniedConnection    Reason = "connection_not_known" // the identity's connection is not configured
)

// Denied is the refusal of an identity by a rule.
type Denied struct {
	Reason     Reason
	Connection string
	Detail     string // for the log; never shown to the person
	Decision   string // id of the decision; empty: it was made where none is kept
}

func (d *Denied) Error() string {
	return fmt.Sprintf("identity from %s denied: %s: %s", d.Connection, d.Reason, d.Detail)
}

// Is makes errors.Is(err, ErrForbidden) hold for every denial.
func (d *Denied) Is(target error) bool { return target == ErrForbidden }

// Unsuitable is the refusal of a new password; its text is for people.
type Unsuitable struct{ Reason string }

func (u *Unsuitable) Error() string { return u.Reason }

// Throttled is the refusal of an attempt because too many came before it.
type Throttled struct {
	RetryAfter time.Duration
	Client     bool // because of those from the same address, whatever account they were at
}

func (t *Throttled) Error() string {
	return fmt.Sprintf("too many attempts, retry after %s", t.RetryAfter)
}
