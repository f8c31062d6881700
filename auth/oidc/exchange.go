package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"gatehouse/auth"
)

// grant is what the token endpoint gave for a code.
type grant struct{ idToken, accessToken string }

// exchange redeems a code (OpenID Connect Core 1.0, section 3.1.3). Errors:
// auth.ErrProviderDown, auth.ErrProviderRefused, auth.ErrInvalidAnswer; none
// of them quotes from the answer.
func (p *Provider) exchange(ctx context.Context, m *metadata, code, verifier string) (grant, error) {
	token, err := p.redeem(ctx, m, code, verifier)
	if err != nil {
		return grant{}, fmt.Errorf("exchange the code: %w", exchangeError(err))
	}
	// RFC 6749, section 7.1: a client must not use a token whose type it does
	// not understand, and OpenID Connect knows Bearer only.
	if !strings.EqualFold(token.TokenType, "Bearer") {
		return grant{}, fmt.Errorf("exchange the code: %w: token_type is not Bearer", auth.ErrInvalidAnswer)
	}
	if strings.ContainsFunc(token.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return grant{}, fmt.Errorf("exchange the code: %w: access_token is not of printable characters", auth.ErrInvalidAnswer)
	}
	idToken, ok := token.Extra("id_token").(string)
	if !ok || idToken == "" {
		return grant{}, fmt.Errorf("exchange the code: %w: no id_token", auth.ErrInvalidAnswer)
	}
	return grant{idToken: idToken, accessToken: token.AccessToken}, nil
}

// redeem sends the code with the client authentication that worked last. A
// provider that does not accept it has not looked at the code yet, so the
// other one, if the provider has it, gets its turn.
func (p *Provider) redeem(ctx context.Context, m *metadata, code, verifier string) (token *oauth2.Token, err error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, p.client)
	first := int(m.usable.Load())
	for n := range m.authStyles {
		i := (first + n) % len(m.authStyles)
		client := oauth2.Config{
			ClientID:     p.Connection.ClientID,
			ClientSecret: p.Connection.ClientSecret.Reveal(),
			Endpoint:     oauth2.Endpoint{TokenURL: m.TokenURL, AuthStyle: m.authStyles[i]},
			RedirectURL:  p.RedirectURI,
		}
		token, err = client.Exchange(ctx, code, oauth2.VerifierOption(verifier))
		if refused := (*oauth2.RetrieveError)(nil); !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" {
			m.usable.Store(int32(i))
			break
		}
	}
	return token, err
}

// exchangeError sorts the errors of x/oauth2. Its own texts hold the whole
// answer, which may hold tokens, and so go no further.
func exchangeError(err error) error {
	if refused := (*oauth2.RetrieveError)(nil); errors.As(err, &refused) {
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		switch {
		case status >= 500 || status == http.StatusTooManyRequests:
			return fmt.Errorf("%w: status %d", auth.ErrProviderDown, status)
		case refused.ErrorCode != "" || status >= 400:
			return fmt.Errorf("%w: status %d, error %s", auth.ErrProviderRefused, status, errorCode(refused.ErrorCode))
		}
		return fmt.Errorf("%w: status %d", auth.ErrInvalidAnswer, status)
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return networkError(err)
	}
	return fmt.Errorf("%w: not a token response", auth.ErrInvalidAnswer)
}
