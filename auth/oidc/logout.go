package oidc

import (
	"context"
	"errors"
	"fmt"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

const (
	// logoutEvent names what a logout token tells (OpenID Connect
	// Back-Channel Logout 1.0, section 2.4).
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// maxTokenID bounds the jti claim, in bytes.
	maxTokenID = 1024
)

// Logout validates a logout token (OpenID Connect Back-Channel Logout 1.0,
// section 2.6) and has act end the sessions that it names. Each token passes
// once, on all replicas together. Errors: auth.ErrInvalidAnswer,
// auth.ErrProviderDown, auth.ErrStoreDown, those of act.
func (p *Provider) Logout(ctx context.Context, logoutToken string, act func(context.Context, auth.LogoutNotice) (int, error)) (int, error) {
	ended, err := p.logout(ctx, logoutToken, act)
	if err != nil {
		return 0, fmt.Errorf("logout from %s: %w", p.ID(), err)
	}
	return ended, nil
}

func (p *Provider) logout(ctx context.Context, raw string, act func(context.Context, auth.LogoutNotice) (int, error)) (int, error) {
	notice, used, err := p.judgeLogout(ctx, raw)
	if err != nil {
		return 0, err
	}
	if err := p.reserve(ctx, used); err != nil {
		return 0, err
	}
	// The token is taken: its sender hanging up must not stop half-way.
	ctx = context.WithoutCancel(ctx)
	ended, err := act(ctx, notice)
	if err == nil {
		err = p.useUp(ctx, used)
	}
	return ended, err
}

// judgeLogout returns what a valid token says, and how its use is remembered.
func (p *Provider) judgeLogout(ctx context.Context, raw string) (auth.LogoutNotice, use, error) {
	m, err := p.discovered(ctx)
	if err != nil {
		return auth.LogoutNotice{}, use{}, err
	}
	sig := &signed{keys: p.keys, allowance: p.keys.logouts, algs: m.Algorithms}
	if len(raw) > maxToken {
		return auth.LogoutNotice{}, use{}, fmt.Errorf("%w: logout token: too long", auth.ErrInvalidAnswer)
	}
	if _, err := gooidc.NewVerifier(m.Issuer, sig, p.verifierConfig(m)).VerifyLogout(ctx, raw); err != nil {
		return auth.LogoutNotice{}, use{}, sig.cause(err)
	}
	claims, err := DecodeClaims(sig.payload)
	if err == nil {
		err = p.checkLogoutToken(sig, claims)
	}
	if err != nil {
		return auth.LogoutNotice{}, use{}, fmt.Errorf("%w: logout token: %w", auth.ErrInvalidAnswer, err)
	}
	notice, err := logoutNotice(claims)
	if err != nil {
		return auth.LogoutNotice{}, use{}, err
	}
	notice.Connection, notice.Issuer = p.ID(), m.Issuer
	return notice, p.useOf(m.Issuer, claims), nil
}

func (p *Provider) checkLogoutToken(sig *signed, claims map[string]any) error {
	if err := checkType(sig.typ, "logout+jwt", "JWT"); err != nil {
		return err
	}
	if err := p.checkParties(claims); err != nil {
		return err
	}
	if err := p.checkTimes(claims); err != nil {
		return err
	}
	if jti, _ := claims["jti"].(string); jti == "" || len(jti) > maxTokenID {
		return errors.New("jti: missing, empty, too long or not a string")
	}
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return errors.New("events: does not tell of a logout")
	}
	// An ID token must not pass for a logout token.
	if _, sent := claims["nonce"]; sent {
		return errors.New("nonce: must not be there")
	}
	return nil
}

func logoutNotice(claims map[string]any) (auth.LogoutNotice, error) {
	var notice auth.LogoutNotice
	var err error
	if notice.IdPSession, err = sessionID(claims); err != nil {
		return auth.LogoutNotice{}, err
	}
	if _, sent := claims["sub"]; sent {
		if notice.Subject, err = subject(claims); err != nil {
			return auth.LogoutNotice{}, fmt.Errorf("%w: logout token: %w", auth.ErrInvalidAnswer, err)
		}
	}
	if notice.Subject == "" && notice.IdPSession == "" {
		return auth.LogoutNotice{}, fmt.Errorf("%w: logout token: neither sub nor sid", auth.ErrInvalidAnswer)
	}
	return notice, nil
}

// use is the record of a token's use, which lives for as long as the token's
// times let it pass. Who records a logout token must not be able to end that
// person's sessions with it again and again.
type use struct {
	key string
	ttl time.Duration
}

// reserved is how long a token is kept from passing while its sessions are
// being ended. It is shorter than the Retry-After that its sender is told when
// that fails: with the store in trouble, nothing could take back a longer one.
const reserved = 4 * time.Second

func (p *Provider) useOf(issuer string, claims map[string]any) use {
	iat, _ := numericDate(claims["iat"])
	jti, _ := claims["jti"].(string)
	// checkTimes refuses the token once iat is maxAge+leeway ago.
	ttl := iat.Add(maxAge + 2*leeway).Sub(p.now())
	return use{"jti:" + p.Index.Hash("jti", p.ID(), issuer, jti), max(ttl, time.Second)}
}

func (p *Provider) reserve(ctx context.Context, u use) error {
	err := p.Store.Create(ctx, u.key, []byte{'1'}, min(u.ttl, reserved))
	switch {
	case errors.Is(err, store.ErrExists):
		return fmt.Errorf("%w: logout token: used before", auth.ErrInvalidAnswer)
	case err != nil:
		return fmt.Errorf("remember a logout token: %w: %w", auth.ErrStoreDown, err)
	}
	return nil
}

func (p *Provider) useUp(ctx context.Context, u use) error {
	err := p.Store.Update(ctx, u.key, func([]byte) ([]byte, time.Duration, error) { return []byte{'1'}, u.ttl, nil })
	if err != nil {
		return fmt.Errorf("remember a logout token: %w: %w", auth.ErrStoreDown, err)
	}
	return nil
}
