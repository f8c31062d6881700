package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"

	"gatehouse/auth"
)

const (
	leeway = time.Minute // that clocks may differ
	// maxAge is how long ago a token may have been issued: both kinds are
	// handed over as soon as they are made, an ID token at the latest when
	// its code, which lives for ten minutes at most, is redeemed.
	maxAge = 10 * time.Minute
	// maxSubject is the longest subject, in bytes (OpenID Connect Core 1.0,
	// section 2).
	maxSubject = 255
	// maxSessionID bounds the sid claim, in bytes.
	maxSessionID = 1024
	// maxToken bounds a token, in bytes.
	maxToken = 256 << 10
)

// signed verifies one token's signature for go-oidc, and keeps what go-oidc
// does not hand on: the header, the payload, and the error, whose kind would
// be lost.
type signed struct {
	keys      *keySet
	allowance *rate.Limiter
	algs      []string

	algorithm, typ string
	payload        []byte
	err            error
}

// VerifySignature implements gooidc.KeySet.
func (s *signed) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	algs := make([]jose.SignatureAlgorithm, len(s.algs))
	for i, a := range s.algs {
		algs[i] = jose.SignatureAlgorithm(a)
	}
	token, err := jose.ParseSignedCompact(raw, algs)
	if err != nil {
		return nil, err
	}
	head := token.Signatures[0].Protected
	s.algorithm = head.Algorithm
	s.typ, _ = head.ExtraHeaders[jose.HeaderType].(string)
	// jwk, jku, x5u and x5c in the header are never looked at: a token does
	// not say which keys to believe.
	s.payload, s.err = s.keys.verify(ctx, token, s.allowance)
	return s.payload, s.err
}

// verifierConfig makes go-oidc check signature, issuer and audience. Times
// are left to checkTimes: go-oidc gives exp no leeway.
func (p *Provider) verifierConfig(m *metadata) *gooidc.Config {
	return &gooidc.Config{ClientID: p.Connection.ClientID, SupportedSigningAlgs: m.Algorithms, SkipExpiryCheck: true}
}

// expected is what an ID token must answer to.
type expected struct{ nonce, code, accessToken string }

// verifyIDToken validates an ID token (OpenID Connect Core 1.0, sections
// 3.1.3.7 and 3.1.3.8) and returns its claims, numbers as json.Number.
// Errors: auth.ErrInvalidAnswer, auth.ErrProviderDown.
func (p *Provider) verifyIDToken(ctx context.Context, m *metadata, raw string, want expected) (map[string]any, error) {
	sig := &signed{keys: p.keys, allowance: p.keys.signIns, algs: m.Algorithms}
	if len(raw) > maxToken {
		return nil, fmt.Errorf("verify the ID token: %w: too long", auth.ErrInvalidAnswer)
	}
	_, err := gooidc.NewVerifier(m.Issuer, sig, p.verifierConfig(m)).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("verify the ID token: %w", sig.cause(err))
	}
	claims, err := DecodeClaims(sig.payload)
	if err == nil {
		err = p.checkIDToken(sig, claims, want)
	}
	if err != nil {
		return nil, fmt.Errorf("verify the ID token: %w: %w", auth.ErrInvalidAnswer, err)
	}
	return claims, nil
}

// cause returns why go-oidc refused, keeping apart "keys out of reach".
func (s *signed) cause(err error) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: %w", auth.ErrInvalidAnswer, err)
}

func (p *Provider) checkIDToken(sig *signed, claims map[string]any, want expected) error {
	if err := checkType(sig.typ, "JWT"); err != nil {
		return err
	}
	if err := p.checkParties(claims); err != nil {
		return err
	}
	if _, err := subject(claims); err != nil {
		return err
	}
	if err := p.checkTimes(claims); err != nil {
		return err
	}
	// A token of another sign-in, stolen or replayed, has another nonce.
	nonce, _ := claims["nonce"].(string)
	if subtle.ConstantTimeCompare([]byte(nonce), []byte(want.nonce)) != 1 {
		return errors.New("nonce: missing or another sign-in's")
	}
	// A code or an access token of another person, put beside a good ID token.
	if err := checkHash(claims, "at_hash", sig.algorithm, want.accessToken); err != nil {
		return err
	}
	return checkHash(claims, "c_hash", sig.algorithm, want.code)
}

// checkType refuses a token of another kind that the same provider signed for
// the same client: an access token (at+jwt) or a logout token is no proof of
// a sign-in (RFC 8725, section 3.11).
func checkType(typ string, allowed ...string) error {
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	if typ != "" && !slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, typ) }) {
		return errors.New("typ: a token of another kind")
	}
	return nil
}

// checkParties makes sure that the token is from this issuer for this client
// and nobody else. go-oidc has read iss and aud already, but folding the case
// of names, and is content with being one audience of several; a token that
// another client may hold too could have come from that client.
func (p *Provider) checkParties(claims map[string]any) error {
	if iss, _ := claims["iss"].(string); iss != p.Connection.Issuer {
		return errors.New("iss: another issuer")
	}
	var audience any = claims["aud"]
	if list, ok := audience.([]any); ok && len(list) == 1 {
		audience = list[0]
	}
	if audience != any(p.Connection.ClientID) {
		return errors.New("aud: not this client alone")
	}
	if azp, sent := claims["azp"]; sent && azp != any(p.Connection.ClientID) {
		return errors.New("azp: issued to another client")
	}
	return nil
}

// checkTimes judges exp, iat and nbf. exp and iat must be there.
func (p *Provider) checkTimes(claims map[string]any) error {
	now := p.now()
	exp, ok := numericDate(claims["exp"])
	if !ok || !now.Before(exp.Add(leeway)) {
		return errors.New("exp: missing or past")
	}
	iat, ok := numericDate(claims["iat"])
	if !ok || iat.After(now.Add(leeway)) || iat.Before(now.Add(-maxAge-leeway)) {
		return errors.New("iat: missing, in the future or long past")
	}
	if raw, sent := claims["nbf"]; sent {
		if nbf, ok := numericDate(raw); !ok || nbf.After(now.Add(leeway)) {
			return errors.New("nbf: not yet valid")
		}
	}
	return nil
}

// numericDate reads a NumericDate (RFC 7519, section 2): a number of seconds,
// perhaps with a fraction.
func numericDate(v any) (time.Time, bool) {
	seconds, ok := number(v)
	// The bounds are those of a date with a four-digit year; outside of them
	// arithmetic on times would wrap around.
	if !ok || seconds < 0 || seconds > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0).UTC(), true
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case float64:
		return n, true
	}
	return 0, false
}

// subject returns the sub claim. It is half of the key under which a person
// is known, so it must be a string that no other subject can turn into: JSON
// decoding makes U+FFFD of every broken character, and two broken subjects
// would become one.
func subject(claims map[string]any) (string, error) {
	sub, ok := claims["sub"].(string)
	switch {
	case !ok || strings.TrimSpace(sub) == "":
		return "", errors.New("sub: missing, empty or not a string")
	case len(sub) > maxSubject:
		return "", fmt.Errorf("sub: longer than %d bytes", maxSubject)
	case strings.ContainsRune(sub, utf8.RuneError):
		return "", errors.New("sub: not valid Unicode")
	}
	return sub, nil
}

// sessionID returns the sid claim, empty if there is none. One that cannot be
// kept is an error: a logout by that session would never be heard.
func sessionID(claims map[string]any) (string, error) {
	raw, sent := claims["sid"]
	if !sent {
		return "", nil
	}
	sid, ok := raw.(string)
	if !ok || sid == "" || len(sid) > maxSessionID {
		return "", fmt.Errorf("%w: sid: empty, too long or not a string", auth.ErrInvalidAnswer)
	}
	return sid, nil
}

// checkHash compares at_hash or c_hash, if sent, with the value that came
// beside the token (OpenID Connect Core 1.0, sections 3.1.3.6 and 3.3.2.11).
func checkHash(claims map[string]any, name, algorithm, value string) error {
	raw, sent := claims[name]
	if !sent {
		return nil
	}
	var sum []byte
	switch {
	case strings.HasSuffix(algorithm, "256"):
		h := sha256.Sum256([]byte(value))
		sum = h[:]
	case strings.HasSuffix(algorithm, "384"):
		h := sha512.Sum384([]byte(value))
		sum = h[:]
	default: // *512, and EdDSA, which is Ed25519 here
		h := sha512.Sum512([]byte(value))
		sum = h[:]
	}
	want := base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
	if got, _ := raw.(string); subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		return fmt.Errorf("%s: does not match", name)
	}
	return nil
}
