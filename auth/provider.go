package auth

import (
	"context"
	"net/url"
)

// Provider is one connection to an external identity provider.
type Provider interface {
	// ID is the connection's id in the configuration.
	ID() string
	// Begin returns the URL at the identity provider that the browser is
	// sent to. It may need discovery: ErrProviderDown.
	Begin(ctx context.Context, p Pending) (redirectURL string, err error)
	// Finish turns the query of the callback into a fully validated identity.
	// Errors: ErrProviderDown, ErrProviderRefused (the identity provider
	// answered with an error), ErrInvalidAnswer.
	Finish(ctx context.Context, p Pending, answer url.Values) (Identity, Tokens, error)
}

// Notified is the optional ability of a Provider to receive back-channel
// logout (OpenID Connect Back-Channel Logout 1.0).
type Notified interface {
	// Logout validates a logout token, has act end the sessions that it names,
	// and returns how many. A token passes once; one for which act failed may
	// be sent again. Errors: ErrInvalidAnswer, also for a token that was used
	// before; ErrStoreDown, ErrProviderDown, those of act.
	Logout(ctx context.Context, logoutToken string, act func(context.Context, LogoutNotice) (int, error)) (int, error)
}

// LogoutNotice names the sessions that an identity provider has ended. Either
// Subject or IdPSession is set, or both.
type LogoutNotice struct {
	Connection, Issuer, Subject, IdPSession string
}

// Tokens is what a sign-in brings beside the identity.
type Tokens struct {
	IdPSession string `json:"idp_session,omitempty"` // the sid claim, if any
}
