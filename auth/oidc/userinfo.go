package oidc

import (
	"context"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/claim"
	"gatehouse/internal/config"
)

// tokenOnly are claims that only the ID token may make: they tell of the
// sign-in, not of the person, and userinfo is not signed.
var tokenOnly = []string{
	"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash",
	"auth_time", "acr", "amr", "sid",
}

// needsUserinfo reports whether the ID token lacks a claim that the mapping
// or the connection's requirements name, and there is somewhere to ask.
func (p *Provider) needsUserinfo(m *metadata, claims map[string]any) bool {
	if m.UserinfoURL == "" {
		return false
	}
	for _, path := range missing(p.Connection, claims) {
		if !keptElsewhere(claims, path) {
			return true
		}
	}
	return false
}

// userinfo asks the userinfo endpoint (OpenID Connect Core 1.0, section 5.3).
// Errors: auth.ErrProviderDown, auth.ErrProviderRefused,
// auth.ErrInvalidAnswer.
func (p *Provider) userinfo(ctx context.Context, m *metadata, accessToken, sub string) (map[string]any, error) {
	claims, err := p.fetchUserinfo(ctx, m, accessToken)
	if err != nil {
		return nil, fmt.Errorf("fetch userinfo: %w", err)
	}
	// The token substitution attack: another person's access token beside a
	// good ID token would fetch that person's claims (section 5.3.2).
	if got, _ := claims["sub"].(string); got != sub {
		return nil, fmt.Errorf("fetch userinfo: %w: sub: missing or another person's", auth.ErrInvalidAnswer)
	}
	return claims, nil
}

func (p *Provider) fetchUserinfo(ctx context.Context, m *metadata, accessToken string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.UserinfoURL, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: address", auth.ErrInvalidAnswer)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Authorization", "Bearer "+accessToken)
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, networkError(err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("%w: status %d", auth.ErrProviderDown, resp.StatusCode)
	case resp.StatusCode >= 400:
		return nil, fmt.Errorf("%w: status %d", auth.ErrProviderRefused, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: status %d", auth.ErrInvalidAnswer, resp.StatusCode)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "application/jwt" {
		return nil, fmt.Errorf("%w: a signed or encrypted userinfo; let the provider answer this client in plain JSON", auth.ErrInvalidAnswer)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, networkError(err)
	}
	claims, err := DecodeClaims(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalidAnswer, err)
	}
	return claims, nil
}

// merge adds to the ID token's claims those that only userinfo has, inside
// objects too. The claim that the e-mail address comes from, the standard email
// claim and email_verified, which stand side by side, come as one from one
// document: the ID token if it has that claim.
func merge(conn config.Connection, token, userinfo map[string]any) map[string]any {
	more := maps.Clone(userinfo)
	for _, name := range tokenOnly {
		delete(more, name)
	}
	all := united(token, more)
	email, _ := conn.Attribute(config.AttrEmail)
	path, _, sent := firstOf(email.From, all)
	if !sent {
		return all
	}
	from, ok := claim.Locate(token, path)
	if !ok {
		from, ok = claim.Locate(more, path)
	}
	to, _ := claim.Locate(all, path)
	if !ok {
		return all
	}
	for _, name := range []string{"email", "email_verified", from.Name} {
		if value, sent := from.Object[name]; sent {
			to.Object[name] = value
		} else {
			delete(to.Object, name)
		}
	}
	return all
}

// united is a new object of what a has and, where it has none, of what b has.
func united(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	for name, value := range b {
		first, firstIs := all[name].(map[string]any)
		second, secondIs := value.(map[string]any)
		switch {
		case all[name] == nil:
			all[name] = value
		case firstIs && secondIs:
			all[name] = united(first, second)
		}
	}
	return all
}
