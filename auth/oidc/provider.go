package oidc

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
)

// metadataAge is how long the provider's metadata is used before it is
// fetched again.
const metadataAge = 15 * time.Minute

// Provider is one OIDC connection. Its fields must not change once it is
// used. It implements auth.Provider and auth.Notified.
type Provider struct {
	Connection  config.Connection
	RedirectURI string // public_url + prefix + "/callback"

	// Store and Index remember which logout tokens have been used.
	Store store.Store
	Index *seal.IndexKey

	Log     *slog.Logger     // nil: no log
	Now     func() time.Time // nil: time.Now
	Timeout time.Duration    // of one request to the provider; 0: 5 s

	once     sync.Once
	log      *slog.Logger
	client   *http.Client
	metadata remote[*metadata]
	keys     *keySet
}

// ID is the connection's id in the configuration.
func (p *Provider) ID() string { return p.Connection.ID }

// Begin returns the authorization request (OpenID Connect Core 1.0, section
// 3.1.2.1) for a pending sign-in. Everything in it comes from the
// configuration and the pending sign-in, nothing from the browser. Errors:
// auth.ErrProviderDown, auth.ErrInvalidAnswer.
func (p *Provider) Begin(ctx context.Context, pending auth.Pending) (string, error) {
	if err := checkPending(pending); err != nil {
		return "", fmt.Errorf("begin at %s: %w", p.ID(), err)
	}
	m, err := p.discovered(ctx)
	if err != nil {
		return "", fmt.Errorf("begin at %s: %w", p.ID(), err)
	}
	u, err := url.Parse(m.AuthURL)
	if err != nil {
		return "", fmt.Errorf("begin at %s: %w: %w", p.ID(), auth.ErrInvalidAnswer, err)
	}
	// Set, not added: an endpoint that brings parameters of its own, as some
	// do, must not bring ours a second time.
	q := u.Query()
	q.Set("response_type", "code")
	q.Set("client_id", p.Connection.ClientID)
	q.Set("redirect_uri", p.RedirectURI)
	q.Set("scope", strings.Join(p.scopes(), " "))
	q.Set("state", pending.State)
	q.Set("nonce", pending.Nonce)
	q.Set("code_challenge", oauth2.S256ChallengeFromVerifier(pending.Verifier))
	q.Set("code_challenge_method", "S256")
	if len(pending.ACR) > 0 {
		q.Set("acr_values", strings.Join(pending.ACR, " "))
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Finish validates the callback's query, exchanges the code and validates all
// that comes back. Errors: auth.ErrMalformed (a parameter came twice),
// auth.ErrInvalidState, auth.ErrProviderDown, auth.ErrProviderRefused,
// auth.ErrInvalidAnswer.
func (p *Provider) Finish(ctx context.Context, pending auth.Pending, answer url.Values) (auth.Identity, auth.Tokens, error) {
	p.once.Do(p.prepare)
	// Each request has a time limit, and all of them together have this one:
	// a person waits.
	ctx, cancel := context.WithTimeout(ctx, 2*p.client.Timeout)
	defer cancel()
	id, tokens, err := p.finish(ctx, pending, answer)
	if err != nil {
		return auth.Identity{}, auth.Tokens{}, fmt.Errorf("finish at %s: %w", p.ID(), err)
	}
	return id, tokens, nil
}

func (p *Provider) finish(ctx context.Context, pending auth.Pending, answer url.Values) (auth.Identity, auth.Tokens, error) {
	if err := checkPending(pending); err != nil {
		return auth.Identity{}, auth.Tokens{}, err
	}
	code, err := p.readAnswer(ctx, pending, answer)
	if err != nil {
		return auth.Identity{}, auth.Tokens{}, err
	}
	m, err := p.discovered(ctx)
	if err != nil {
		return auth.Identity{}, auth.Tokens{}, err
	}
	granted, err := p.exchange(ctx, m, code, pending.Verifier)
	if err != nil {
		return auth.Identity{}, auth.Tokens{}, err
	}
	claims, err := p.verifyIDToken(ctx, m, granted.idToken, expected{
		nonce: pending.Nonce, code: code, accessToken: granted.accessToken,
	})
	if err != nil {
		return auth.Identity{}, auth.Tokens{}, err
	}
	session, err := sessionID(claims)
	if err != nil {
		return auth.Identity{}, auth.Tokens{}, err
	}
	if p.needsUserinfo(m, claims) {
		more, err := p.userinfo(ctx, m, granted.accessToken, claims["sub"].(string))
		if err != nil {
			return auth.Identity{}, auth.Tokens{}, err
		}
		claims = merge(p.Connection, claims, more)
	}
	if missing := distributed(p.Connection, claims); len(missing) > 0 {
		p.log.WarnContext(ctx, "the identity provider keeps claims elsewhere; they count as not sent", "claims", missing)
	}
	id, err := MapClaims(p.Connection, m.Issuer, claims)
	if err != nil {
		return auth.Identity{}, auth.Tokens{}, err
	}
	return id, auth.Tokens{IdPSession: session}, nil
}

// checkPending refuses a pending sign-in that carries no secrets: comparing
// an empty nonce with a missing one would find them equal.
func checkPending(pending auth.Pending) error {
	if pending.State == "" || pending.Nonce == "" || pending.Verifier == "" {
		return fmt.Errorf("%w: state, nonce or verifier is missing", auth.ErrInvalidState)
	}
	return nil
}

// readAnswer validates the authorization response (OpenID Connect Core 1.0,
// sections 3.1.2.5 to 3.1.2.7) and returns the code.
func (p *Provider) readAnswer(ctx context.Context, pending auth.Pending, answer url.Values) (string, error) {
	// Two values of one parameter could be read differently by two readers,
	// one of whom guards the other (RFC 6749, section 3.1).
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(answer[name]) > 1 {
			return "", fmt.Errorf("%w: %s was sent more than once", auth.ErrMalformed, name)
		}
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(pending.State)) != 1 {
		return "", fmt.Errorf("%w: state differs", auth.ErrInvalidState)
	}
	// The mix-up attack: one provider's code is sent to another's token
	// endpoint. Who sent the answer is known from its iss (RFC 9207).
	if answer.Has("iss") && answer.Get("iss") != p.Connection.Issuer {
		return "", fmt.Errorf("%w: the answer comes from another issuer", auth.ErrInvalidAnswer)
	}
	if answer.Has("error") {
		return "", fmt.Errorf("%w: error %s", auth.ErrProviderRefused, errorCode(answer.Get("error")))
	}
	m, err := p.discovered(ctx)
	if err != nil {
		return "", err
	}
	if m.IssInAnswer && !answer.Has("iss") {
		return "", fmt.Errorf("%w: the answer does not name its issuer", auth.ErrInvalidAnswer)
	}
	code := answer.Get("code")
	if code == "" {
		return "", fmt.Errorf("%w: neither code nor error", auth.ErrInvalidAnswer)
	}
	return code, nil
}

// errorCode makes an error code of the provider fit for a log. Anything that
// is not of the registered form is not quoted: it may hold anything.
func errorCode(s string) string {
	plain := func(r rune) bool { return r == '_' || r == '-' || r >= 'a' && r <= 'z' }
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return "(not a registered code)"
	}
	return s
}

// scopes are the configured ones, always with openid: without it the answer
// has no ID token.
func (p *Provider) scopes() []string {
	if slices.Contains(p.Connection.Scopes, "openid") {
		return p.Connection.Scopes
	}
	return append([]string{"openid"}, p.Connection.Scopes...)
}

// discovered returns the provider's metadata.
func (p *Provider) discovered(ctx context.Context) (*metadata, error) {
	p.once.Do(p.prepare)
	m, _, err := p.metadata.get(ctx)
	return m, err
}

func (p *Provider) prepare() {
	p.log = p.Log
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.log = p.log.With("connection", p.ID())
	timeout := p.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	p.client = newClient(timeout)
	p.metadata.fetch = func(ctx context.Context) (*metadata, error) {
		return discover(ctx, p.client, p.Connection)
	}
	p.metadata.maxAge = metadataAge
	p.metadata.failed = p.logFailure("metadata")
	p.keys = newKeySet(func(ctx context.Context) ([]jose.JSONWebKey, error) {
		m, _, err := p.metadata.get(ctx)
		if err != nil {
			return nil, err
		}
		return fetchKeys(ctx, p.client, m.KeysURL, p.log)
	})
	p.keys.failed = p.logFailure("keys")
	p.metadata.now, p.keys.now = p.now, p.now
	p.metadata.timeout, p.keys.timeout = timeout, timeout
}

func (p *Provider) logFailure(document string) func(error, bool) {
	return func(err error, kept bool) {
		p.log.Warn("cannot fetch from the identity provider", "document", document, "last_good_kept", kept, "error", err)
	}
}

func (p *Provider) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}
