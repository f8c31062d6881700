package demo

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"gatehouse/internal/web"
)

// provider is an OpenID provider (OpenID Connect Core 1.0, authorization code
// flow with PKCE) that knows one client: the gateway. Its keys live as long
// as the run.
//
//	/.well-known/openid-configuration
//	/jwks
//	/authorize   GET: pick a person; POST: the person was picked
//	/token       code and verifier for an ID token
//	/userinfo    the same claims once more
type provider struct {
	organisation
	issuer       string
	clientID     string
	clientSecret string
	redirectURI  string // the one that is registered
	key          *rsa.PrivateKey
	grants       grants
	pages        *web.Pages
	now          func() time.Time
}

func newProvider(o organisation, redirectURI string) (*provider, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("make a key for %s: %w", o.name, err)
	}
	return &provider{
		organisation: o,
		clientID:     "gatehouse",
		clientSecret: rand.Text(),
		redirectURI:  redirectURI,
		key:          key,
		pages:        &web.Pages{Banner: banner},
		now:          time.Now,
	}, nil
}

func (p *provider) handler() http.Handler {
	mux := http.NewServeMux()
	p.pages.Mount(mux)
	mountStyle(mux)
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /jwks", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /authorize", p.picked)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	mux.HandleFunc("POST /userinfo", p.userinfo)
	return http.NewCrossOriginProtection().Handler(mux)
}

// discovery is OpenID Connect Discovery 1.0, section 4.
func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         p.issuer,
		"authorization_endpoint":                         p.issuer + "/authorize",
		"token_endpoint":                                 p.issuer + "/token",
		"userinfo_endpoint":                              p.issuer + "/userinfo",
		"jwks_uri":                                       p.issuer + "/jwks",
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{string(jose.RS256)},
		"scopes_supported":                               []string{"openid", "profile", "email"},
		"claims_supported":                               []string{"sub", "preferred_username", "name", "email", "email_verified", "groups", "department"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true, // RFC 9207
	})
}

func (p *provider) keys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: p.key.Public(), KeyID: p.keyID(), Algorithm: string(jose.RS256), Use: "sig",
	}}})
}

func (p *provider) keyID() string {
	sum := sha256.Sum256(p.key.N.Bytes())
	return fmt.Sprintf("%x", sum[:8])
}

// idToken signs what was granted (OpenID Connect Core 1.0, section 2).
func (p *provider) idToken(g grant) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: p.key},
		(&jose.SignerOptions{}).WithType("JWT").WithHeader(jose.HeaderKey("kid"), p.keyID()))
	if err != nil {
		return "", fmt.Errorf("sign ID token: %w", err)
	}
	now := p.now()
	claims := g.person.claims()
	for name, value := range map[string]any{
		"iss":       p.issuer,
		"aud":       p.clientID,
		"iat":       now.Unix(),
		"exp":       now.Add(tokenLife).Unix(),
		"auth_time": g.picked.Unix(),
		"amr":       []string{"user"}, // RFC 8176: somebody was there; nothing else was proved
	} {
		claims[name] = value
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// userinfo is OpenID Connect Core 1.0, section 5.3.
func (p *provider) userinfo(w http.ResponseWriter, r *http.Request) {
	g, ok := p.grants.bearer(r.Header.Get("Authorization"), p.now())
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_token"})
		return
	}
	writeJSON(w, http.StatusOK, g.person.claims())
}

// answer is the client's redirect URI with the answer in its query.
func (p *provider) answer(values url.Values) string {
	values.Set("iss", p.issuer) // RFC 9207: against mix-up
	return p.redirectURI + "?" + values.Encode()
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
