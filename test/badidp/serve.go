package badidp

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// The provider's paths, for Count and Last.
const (
	PathDiscovery = "/.well-known/openid-configuration"
	PathKeys      = "/keys"
	PathAuthorize = "/authorize"
	PathToken     = "/token"
	PathUserinfo  = "/userinfo"
)

func (i *IdP) serve(w http.ResponseWriter, r *http.Request, issuer string) {
	if r.ParseForm() != nil {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	i.visits[r.URL.Path]++
	i.last[r.URL.Path] = Request{Header: r.Header.Clone(), Form: maps.Clone(r.Form)}
	f := i.fault
	i.mu.Unlock()
	if f.path == r.URL.Path && f.serve != nil {
		f.serve(i, w, r)
		return
	}
	i.endpoint(w, r, f, issuer)
}

func (i *IdP) endpoint(w http.ResponseWriter, r *http.Request, f row, issuer string) {
	if r.ParseForm() != nil {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch r.URL.Path {
	case PathDiscovery:
		m := i.metadata(issuer)
		if f.metadata != nil {
			f.metadata(m)
		}
		answer(w, http.StatusOK, m)
	case PathKeys:
		set := make([]any, 0, len(i.keys))
		for _, k := range i.keys {
			set = append(set, k.jwk())
		}
		if f.keys != nil {
			set = f.keys(set)
		}
		answer(w, http.StatusOK, map[string]any{"keys": set})
	case PathAuthorize:
		i.authorize(w, r, f)
	case PathToken:
		i.token(w, r, f)
	case PathUserinfo:
		i.userinfo(w, r, f)
	default:
		http.NotFound(w, r)
	}
}

func (i *IdP) metadata(issuer string) map[string]any {
	m := map[string]any{
		"issuer":                                issuer,
		"authorization_endpoint":                issuer + PathAuthorize,
		"token_endpoint":                        issuer + PathToken,
		"jwks_uri":                              issuer + PathKeys,
		"userinfo_endpoint":                     issuer + PathUserinfo,
		"response_types_supported":              []any{"code"},
		"subject_types_supported":               []any{"public"},
		"id_token_signing_alg_values_supported": []any{"RS256", "PS256", "ES256", "EdDSA", "HS256", "none"},
		"token_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post", "none"},
		"code_challenge_methods_supported":      []any{"S256"},
	}
	overlay(m, i.patch)
	return m
}

// authorize signs everybody in at once.
func (i *IdP) authorize(w http.ResponseWriter, r *http.Request, f row) {
	back, err := url.Parse(r.Form.Get("redirect_uri"))
	if err != nil || back.Host == "" || r.Form.Get("client_id") != ClientID || r.Form.Get("response_type") != "code" {
		http.Error(w, "not a request of our client", http.StatusBadRequest)
		return
	}
	name := ""
	if c, err := r.Cookie("persona"); err == nil {
		name = c.Value
	}
	g := &grant{
		persona: i.personas[name], nonce: r.Form.Get("nonce"), redirect: r.Form.Get("redirect_uri"),
		code: "code-" + rand.Text(), access: "access-" + rand.Text(),
	}
	if r.Form.Get("code_challenge_method") == "S256" {
		g.challenge = r.Form.Get("code_challenge")
	}
	i.grants[g.code] = g
	q := url.Values{"code": {g.code}, "state": {r.Form.Get("state")}}
	if f.callback != nil {
		f.callback(i, q)
	}
	back.RawQuery = q.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token redeems a code, once, for who knows the PKCE verifier.
func (i *IdP) token(w http.ResponseWriter, r *http.Request, f row) {
	g := i.grants[r.PostForm.Get("code")]
	delete(i.grants, r.PostForm.Get("code"))
	switch {
	case r.Method != http.MethodPost || !client(r):
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	case g == nil || g.redirect != r.PostForm.Get("redirect_uri") || r.PostForm.Get("grant_type") != "authorization_code",
		g.challenge == "" || g.challenge != challenge(r.PostForm.Get("code_verifier")):
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	i.tokens[g.access] = g
	tokens := map[string]any{"access_token": g.access, "token_type": "Bearer", "expires_in": 300, "id_token": i.idToken(g, f)}
	if f.tokens != nil {
		f.tokens(tokens)
	}
	i.oldNonce = g.nonce
	answer(w, http.StatusOK, tokens)
}

func client(r *http.Request) bool {
	if id, secret, basic := r.BasicAuth(); basic {
		return id == ClientID && secret == ClientSecret && !r.PostForm.Has("client_secret")
	}
	return r.PostForm.Get("client_id") == ClientID &&
		(!r.PostForm.Has("client_secret") || r.PostForm.Get("client_secret") == ClientSecret)
}

func (i *IdP) idToken(g *grant, f row) string {
	now := time.Now().Unix()
	k := i.keys[0]
	claims := map[string]any{
		"iss": i.server.URL, "aud": ClientID, "iat": now, "exp": now + 300,
		"nonce": g.nonce, "at_hash": halfHash(k.alg, g.access),
	}
	overlay(claims, g.persona.token)
	if f.claims != nil {
		f.claims(i, claims)
	}
	if f.sign != nil {
		return f.sign(i, k, encode(claims))
	}
	return k.sign(nil, encode(claims))
}

func (i *IdP) userinfo(w http.ResponseWriter, r *http.Request, f row) {
	const scheme = "Bearer "
	auth := r.Header.Get("Authorization")
	if len(auth) < len(scheme) || i.tokens[auth[len(scheme):]] == nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g := i.tokens[auth[len(scheme):]]
	claims := map[string]any{"sub": g.persona.token["sub"]}
	overlay(claims, g.persona.userinfo)
	if f.userinfo != nil {
		f.userinfo(claims)
	}
	answer(w, http.StatusOK, claims)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
