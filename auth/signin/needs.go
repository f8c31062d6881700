package signin

import (
	"context"
	"net/http"
	"time"

	"gatehouse/auth"
)

// Passwords judges local passwords.
type Passwords interface {
	// Authenticate returns the identity of a login and its password. The
	// context carries the device (throttle.WithDevice). Errors:
	// auth.ErrWrongPassword, *auth.Throttled, auth.ErrStoreDown.
	Authenticate(ctx context.Context, login, password string) (auth.Identity, error)
	// Remember makes the device known to the account and returns what the
	// browser keeps for it. The context carries the device it had. It is new to
	// an account that knows others and not this one. Errors: auth.ErrStoreDown.
	Remember(ctx context.Context, account string) (device string, isNew bool, err error)
	HasPassword(ctx context.Context, account string) (bool, error)
}

// Recovery makes the codes that get a lost factor back.
type Recovery interface {
	Generate() []string
	// Keep makes those codes the account's. Errors: auth.ErrStoreDown.
	Keep(ctx context.Context, account string, codes []string) error
}

// Turns lets the factors of an account be changed by one request at a time.
type Turns interface {
	// Alone errors with auth.ErrBusy and a *auth.Throttled while somebody else
	// changes them, with auth.ErrStoreDown, and with what change errors with.
	Alone(ctx context.Context, account string, change func(context.Context) error) error
}

// Demands are the enrolments that administrators ask for. Errors:
// auth.ErrStoreDown.
type Demands interface {
	Demanded(ctx context.Context, account string) (bool, error)
	Met(ctx context.Context, account string) error
}

// Passkeys are whole sign-ins (*mfa.Passkeys).
type Passkeys interface {
	// Discover asks for any passkey whose authenticator verifies the person.
	Discover(ctx context.Context) (auth.Challenge, error)
	// Identify returns the account whose passkey has answered. Errors:
	// auth.ErrWrongCode, auth.ErrStoreDown.
	Identify(ctx context.Context, asked auth.Challenge, answer string) (account string, err error)
}

// Resets puts people who have forgotten their password in line for a link.
type Resets interface {
	// Ask never waits, and never tells whether there is such an account.
	Ask(ctx context.Context, login string)
}

// Links are links to choose a password.
type Links interface {
	// LookAtLink uses nothing up. Errors: auth.ErrInvalidState,
	// auth.ErrStoreDown.
	LookAtLink(ctx context.Context, token string) (auth.PasswordLink, error)
	// SetByLink uses the link up. The names are the person's own, which make bad
	// passwords. Errors: those of LookAtLink, *auth.Unsuitable, *auth.Throttled.
	SetByLink(ctx context.Context, token, password string, names ...string) (auth.PasswordLink, error)
}

// Linker links identities to accounts whose owners ask for it.
type Linker interface {
	// LinkOwn errors with *auth.Denied and auth.ErrStoreDown; then nothing has
	// changed.
	LinkOwn(ctx context.Context, id auth.Identity, account string) (auth.Outcome, error)
}

// Rules are those of the routes (*proxy.Gateway).
type Rules interface {
	// Forbids returns what keeps a person, who makes the request, from opening a
	// URL of the site, and nil where nothing does.
	Forbids(r *http.Request, address string, p *auth.Person) *auth.Forbidden
}

// Accounts shows accounts.
type Accounts interface {
	// Profile returns the account with that id. Errors: auth.ErrNotFound,
	// auth.ErrStoreDown.
	Profile(ctx context.Context, account string) (auth.Profile, error)
}

// Sessions makes, reads and ends sessions.
type Sessions interface {
	// Start takes as n.Created when the sign-in was proved, and errors with
	// auth.ErrUnauthenticated when the account's sessions were ended since.
	Start(w http.ResponseWriter, r *http.Request, n auth.Session) (*auth.Session, error)
	Authenticate(r *http.Request) (*auth.Session, *auth.Person, error)
	End(w http.ResponseWriter, r *http.Request) (*auth.Session, error)
	// Renew puts a session under a new id: Proved and AMR of n are new. Errors:
	// auth.ErrUnauthenticated when it has ended, or its account's sessions were
	// ended since n.Proved.
	Renew(w http.ResponseWriter, r *http.Request, n auth.Session) (*auth.Session, error)
	// EndAccount ends all sessions of an account.
	EndAccount(ctx context.Context, account string) (int, error)
	EndNotified(ctx context.Context, n auth.LogoutNotice) (int, error)
	// EndedSince reports whether the account's sessions were ended after t.
	EndedSince(ctx context.Context, account string, t time.Time) (bool, error)
}
