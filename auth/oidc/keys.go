package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"gatehouse/auth"
)

const (
	// maxKeys bounds how many keys a set may have, and with it what a forged
	// token without a key id costs.
	maxKeys = 64
	// keysAge is how long a key that the provider has withdrawn may live on.
	keysAge = 15 * time.Minute
	// minRSABits is the smallest RSA key that may sign (RFC 7518, section 3.3).
	minRSABits = 2048
)

// keySet is the provider's public keys. A token that no known key has signed
// may be the first one after a rotation, so the keys are then fetched again;
// but anybody can send such tokens, so that costs an allowance. Sign-ins and
// logout tokens have one each: the latter come from anybody, and must not use
// up what the former need.
type keySet struct {
	remote[[]jose.JSONWebKey]
	signIns, logouts *rate.Limiter
}

func newKeySet(fetch func(context.Context) ([]jose.JSONWebKey, error)) *keySet {
	return &keySet{
		remote:  remote[[]jose.JSONWebKey]{fetch: fetch, maxAge: keysAge},
		signIns: rate.NewLimiter(rate.Every(5*time.Second), 3),
		logouts: rate.NewLimiter(rate.Every(10*time.Second), 2),
	}
}

// verify returns the payload of a token that one of the keys has signed.
// Errors: auth.ErrInvalidAnswer, auth.ErrProviderDown.
func (s *keySet) verify(ctx context.Context, token *jose.JSONWebSignature, allowance *rate.Limiter) ([]byte, error) {
	keys, asked, err := s.get(ctx)
	if err != nil {
		return nil, err
	}
	if payload, ok := verifyWith(keys, token); ok {
		return payload, nil
	}
	if !asked && allowance.AllowN(s.now(), 1) {
		if keys, err = s.refresh(ctx); err != nil {
			return nil, err
		}
		if payload, ok := verifyWith(keys, token); ok {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("%w: no key of the provider has signed the token", auth.ErrInvalidAnswer)
}

// verifyWith tries the keys that the token's key id allows. The id is a hint:
// some providers leave it out on one side or the other.
func verifyWith(keys []jose.JSONWebKey, token *jose.JSONWebSignature) ([]byte, bool) {
	head := token.Signatures[0].Protected
	for i := range keys {
		k := &keys[i]
		if head.KeyID != "" && k.KeyID != "" && k.KeyID != head.KeyID {
			continue
		}
		if k.Algorithm != "" && k.Algorithm != head.Algorithm || !fits(k.Key, head.Algorithm) {
			continue
		}
		if payload, err := token.Verify(k); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// fits reports whether a key is of the algorithm's kind.
func fits(key any, algorithm string) bool {
	switch key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(algorithm, "ES")
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}

// fetchKeys reads a key set. A key that cannot be used is left out, logged,
// and does not keep the others from being used.
func fetchKeys(ctx context.Context, client *http.Client, address string, log *slog.Logger) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := getJSON(ctx, client, address, &set); err != nil {
		return nil, fmt.Errorf("fetch the keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("fetch the keys: %w: more than %d", auth.ErrInvalidAnswer, maxKeys)
	}
	keys := make([]jose.JSONWebKey, 0, len(set.Keys))
	for i, raw := range set.Keys {
		key, err := parseKey(raw)
		if errors.Is(err, errOtherPurpose) {
			continue
		}
		if err != nil {
			log.WarnContext(ctx, "a key of the identity provider is not used", "index", i, "error", err)
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("fetch the keys: %w: none that can be used", auth.ErrInvalidAnswer)
	}
	return keys, nil
}

var errOtherPurpose = errors.New("not for signatures")

// parseKey reads one key that may sign (RFC 7517, section 4).
func parseKey(raw json.RawMessage) (jose.JSONWebKey, error) {
	// The purpose is read first: keys for encryption may be of kinds that
	// go-jose does not know, and are no reason to warn.
	var purpose struct {
		Use string `json:"use"`
	}
	var key jose.JSONWebKey
	if json.Unmarshal(raw, &purpose) != nil {
		return key, errors.New("not a key")
	}
	if purpose.Use != "" && purpose.Use != "sig" {
		return key, errOtherPurpose
	}
	if key.UnmarshalJSON(raw) != nil || !key.Valid() {
		return key, errors.New("broken or of an unknown kind")
	}
	// A private key in public is everybody's key. A symmetric one would make
	// each client an issuer.
	if !key.IsPublic() {
		return key, errors.New("not a public key")
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return key, fmt.Errorf("RSA key shorter than %d bits", minRSABits)
	}
	return key, nil
}
