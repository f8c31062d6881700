package oidc

import (
	"context"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"

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
	elsewhere := distributed(p.Connection, claims)
	for _, path := range wanted(p.Connection) {
		if _, sent := claim.Lookup(claims, path); !sent && !slices.Contains(elsewhere, path) {
			return true
		}
	}
	return false
}

// wanted are the claim paths that a connection's configuration names.
func wanted(conn config.Connection) []string {
	var paths []string
	for _, a := range conn.Attributes {
		paths = append(paths, a.From...)
	}
	for path := range conn.Require.Claims {
		paths = append(paths, path)
	}
	return paths
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
	claims, err := decodeClaims(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrInvalidAnswer, err)
	}
	return claims, nil
}

// merge adds to the ID token's claims those that only userinfo has. The
// e-mail address, the standard email claim and email_verified come as one
// from one document, the ID token if it has the address.
func merge(conn config.Connection, token, userinfo map[string]any) map[string]any {
	all := maps.Clone(token)
	for name, value := range userinfo {
		if _, sent := all[name]; !sent && !slices.Contains(tokenOnly, name) {
			all[name] = value
		}
	}
	if _, mapped := conn.Attribute(config.AttrEmail); !mapped {
		return all
	}
	from, path := token, emailPath(conn, token)
	if path == "" {
		from, path = userinfo, emailPath(conn, userinfo)
	}
	together := []string{"email", "email_verified"}
	if at, ok := claim.Locate(from, path); ok {
		together = append(together, at.Top)
	}
	for _, name := range together {
		if value, sent := from[name]; sent {
			all[name] = value
		} else {
			delete(all, name)
		}
	}
	return all
}
