package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
)

// token exchanges a code for an ID token (OpenID Connect Core 1.0, section
// 3.1.3).
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		tokenError(w, http.StatusBadRequest, "invalid_request")
		return
	}
	if !p.isClient(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
		tokenError(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	if r.PostForm.Get("grant_type") != "authorization_code" {
		tokenError(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	// The code is spent whatever comes next: a wrong verifier must not leave
	// it open to another guess.
	g, accessToken, ok := p.grants.redeem(r.PostForm.Get("code"), p.now())
	if !ok {
		tokenError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	if r.PostForm.Get("redirect_uri") != g.redirectURI || !verifies(r.PostForm.Get("code_verifier"), g.challenge) {
		p.grants.revoke(accessToken)
		tokenError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	idToken, err := p.idToken(g)
	if err != nil {
		p.grants.revoke(accessToken)
		tokenError(w, http.StatusInternalServerError, "server_error")
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": accessToken,
		"token_type":   "Bearer",
		"expires_in":   int(tokenLife.Seconds()),
		"id_token":     idToken,
	})
}

// isClient checks the client's secret, in the header or in the form (RFC
// 6749, section 2.3.1). In the header both parts are form-encoded.
func (p *provider) isClient(r *http.Request) bool {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, basic := r.BasicAuth(); basic {
		var err1, err2 error
		id, err1 = url.QueryUnescape(user)
		secret, err2 = url.QueryUnescape(password)
		if err1 != nil || err2 != nil {
			return false
		}
	}
	return id == p.clientID && equal(secret, p.clientSecret)
}

// verifies checks the PKCE verifier (RFC 7636, section 4.6).
func verifies(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return equal(base64.RawURLEncoding.EncodeToString(sum[:]), challenge)
}

func tokenError(w http.ResponseWriter, status int, code string) {
	writeJSON(w, status, map[string]string{"error": code})
}
