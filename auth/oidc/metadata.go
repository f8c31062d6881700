package oidc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// asymmetric are the signature algorithms that a token may have (RFC 7518,
// section 3.1; RFC 8037). "none" and HS* are not among them: with HS256, who
// knows the public key could sign with it as if it were a shared secret.
var asymmetric = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
	"ES256", "ES384", "ES512", "EdDSA",
}

// metadata is what a provider says about itself (OpenID Connect Discovery
// 1.0, section 3), checked.
type metadata struct {
	Issuer      string   `json:"issuer"`
	AuthURL     string   `json:"authorization_endpoint"`
	TokenURL    string   `json:"token_endpoint"`
	KeysURL     string   `json:"jwks_uri"`
	UserinfoURL string   `json:"userinfo_endpoint"` // may be empty
	Algorithms  []string `json:"id_token_signing_alg_values_supported"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	// IssInAnswer says that each authorization response names its issuer
	// (RFC 9207, section 3).
	IssInAnswer bool `json:"authorization_response_iss_parameter_supported"`

	// authStyles are the ways in which the client may prove itself at the
	// token endpoint, of which usable is the index of the one to try first.
	authStyles []oauth2.AuthStyle
	usable     atomic.Int32
}

// discover fetches and checks the provider's metadata.
func discover(ctx context.Context, client *http.Client, conn config.Connection) (*metadata, error) {
	m := &metadata{}
	if err := checkURL(conn, conn.Issuer); err != nil {
		return nil, fmt.Errorf("discover: issuer: %w", err)
	}
	if err := getJSON(ctx, client, strings.TrimSuffix(conn.Issuer, "/")+"/.well-known/openid-configuration", m); err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	if err := m.check(conn); err != nil {
		return nil, fmt.Errorf("discover: %w: %w", auth.ErrInvalidAnswer, err)
	}
	return m, nil
}

func (m *metadata) check(conn config.Connection) error {
	// Byte for byte: the issuer is a part of who a person is, and one server
	// may speak for many issuers whose URLs differ in a slash or in case.
	if m.Issuer != conn.Issuer {
		return fmt.Errorf("the provider calls itself %q, the configuration says %q", m.Issuer, conn.Issuer)
	}
	for _, e := range []struct {
		name, url string
		optional  bool
	}{
		{"authorization_endpoint", m.AuthURL, false},
		{"token_endpoint", m.TokenURL, false},
		{"jwks_uri", m.KeysURL, false},
		{"userinfo_endpoint", m.UserinfoURL, true},
	} {
		if e.optional && e.url == "" {
			continue
		}
		if err := checkURL(conn, e.url); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if len(m.Algorithms) == 0 {
		m.Algorithms = []string{"RS256"} // the one that every provider must have
	}
	m.Algorithms = slices.DeleteFunc(m.Algorithms, func(a string) bool { return !slices.Contains(asymmetric, a) })
	if len(m.Algorithms) == 0 {
		return errors.New("id_token_signing_alg_values_supported: no asymmetric algorithm")
	}
	if m.authStyles = authStyles(conn, m.AuthMethods); len(m.authStyles) == 0 {
		return errors.New("token_endpoint_auth_methods_supported: neither client_secret_basic nor client_secret_post")
	}
	return nil
}

// authStyles are the client authentications that client and provider share
// (OpenID Connect Core 1.0, section 9), the better first. The provider may
// have registered the client for one of them only, and its metadata does not
// say for which.
func authStyles(conn config.Connection, supported []string) []oauth2.AuthStyle {
	if conn.ClientSecret.IsZero() { // a public client sends client_id alone; PKCE proves the rest
		return []oauth2.AuthStyle{oauth2.AuthStyleInParams}
	}
	var styles []oauth2.AuthStyle
	if len(supported) == 0 || slices.Contains(supported, "client_secret_basic") { // basic is the default
		styles = append(styles, oauth2.AuthStyleInHeader)
	}
	if slices.Contains(supported, "client_secret_post") {
		styles = append(styles, oauth2.AuthStyleInParams)
	}
	return styles
}

// checkURL refuses a URL of the provider that could be read or changed on
// the way. Plain http is for an issuer on loopback, whose endpoints must then
// be on loopback too, or for insecure_http.
func checkURL(conn config.Connection, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return errors.New("missing")
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return errors.New("not an absolute URL")
	case u.User != nil || u.Fragment != "":
		return errors.New("has user information or a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("scheme %q", u.Scheme)
	case conn.InsecureHTTP && strings.HasPrefix(conn.Issuer, "http://"):
		return nil
	case strings.HasPrefix(conn.Issuer, "http://") && loopback(u.Hostname()):
		return nil
	}
	return errors.New("plain http")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
