package badidp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// The one client that the provider knows. A request without a secret counts
// as that of a public client.
const (
	ClientID     = "gatehouse"
	ClientSecret = "client-secret-0123456789"
)

// IdP is a running provider.
type IdP struct {
	server, elsewhere *httptest.Server
	closed            chan struct{}

	mu       sync.Mutex
	fault    row
	personas map[string]persona
	keys     []keypair // the first signs
	grants   map[string]*grant
	tokens   map[string]*grant // by access token
	oldNonce string            // of an earlier sign-in
	visits   map[string]int
	astray   int
	serial   int
	last     map[string]Request
	patch    map[string]any
}

// Request is what the gateway sent to an endpoint.
type Request struct {
	Header http.Header
	Form   url.Values // of the query and of the body
}

// persona is who signs in.
type persona struct{ token, userinfo map[string]any }

// grant is one sign-in.
type grant struct {
	persona
	nonce, challenge, redirect, code, access string
}

// Start starts a provider on a free port. Everybody is "subject-1", with an
// e-mail address that is verified.
func Start(t testing.TB) *IdP {
	t.Helper()
	i := &IdP{
		closed:   make(chan struct{}),
		keys:     []keypair{newKeypair("key-1", "RS256")},
		personas: map[string]persona{},
		grants:   map[string]*grant{},
		tokens:   map[string]*grant{},
		oldNonce: "nonce-of-an-earlier-sign-in",
		visits:   map[string]int{},
		last:     map[string]Request{},
	}
	i.SetClaims(map[string]any{
		"sub": "subject-1", "preferred_username": "pat", "name": "Pat Example",
		"email": "pat@corp.example", "email_verified": true, "groups": []any{"staff"},
	})
	i.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { i.serve(w, r, i.server.URL) }))
	i.elsewhere = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.astray++
		i.mu.Unlock()
		i.endpoint(w, r, row{}, i.server.URL)
	}))
	t.Cleanup(func() {
		close(i.closed)
		i.server.Close()
		i.elsewhere.Close()
	})
	return i
}

// URL is the issuer.
func (i *IdP) URL() string { return i.server.URL }

// SetFault makes the provider do one thing wrong from now on; "" makes it
// correct again.
func (i *IdP) SetFault(f Fault) {
	r, known := rows[f]
	if !known && f != "" {
		panic("badidp: no such fault: " + string(f))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fault = r
}

// SetClaims sets the claims of the ID token, beside those of the protocol.
// One of the protocol's is replaced, or removed by nil.
func (i *IdP) SetClaims(claims map[string]any) { i.SetPersona("", claims, nil) }

// SetUserinfo sets the claims of userinfo beside sub; one that is nil is
// removed.
func (i *IdP) SetUserinfo(claims map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	p := i.personas[""]
	p.userinfo = maps.Clone(claims)
	i.personas[""] = p
}

// SetPersona sets who signs in when the browser sends the cookie "persona"
// with that name; the empty name is for browsers without.
func (i *IdP) SetPersona(name string, token, userinfo map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.personas[name] = persona{maps.Clone(token), maps.Clone(userinfo)}
}

// SetMetadata replaces entries of the discovery document; nil removes one.
func (i *IdP) SetMetadata(patch map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.patch = maps.Clone(patch)
}

// SetAlgorithm changes how tokens are signed: RS256, PS256, ES256 or EdDSA.
// The key is a new one.
func (i *IdP) SetAlgorithm(alg string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.serial++
	i.keys = []keypair{newKeypair(fmt.Sprintf("key-%s-%d", alg, i.serial), alg)}
}

// RotateKeys replaces the signing key by a new one; the old one is gone.
func (i *IdP) RotateKeys() { i.SetAlgorithm("ES256") }

// RotateKeysSameID does so and gives the new key the old one's id.
func (i *IdP) RotateKeysSameID() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = []keypair{newKeypair(i.keys[0].kid, "ES256")}
}

// Count returns how many requests have reached a path, such as PathKeys.
func (i *IdP) Count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.visits[path]
}

// Last returns the newest request that reached a path.
func (i *IdP) Last(path string) Request {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last[path]
}

// Astray returns how many requests went elsewhere: to where a redirect or a
// token pointed. There should be none.
func (i *IdP) Astray() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.astray
}

// LogoutToken mints a logout token for subject-1. What claims and header hold
// wins over what is usual; nil removes an entry.
func (i *IdP) LogoutToken(claims, header map[string]any) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now().Unix()
	all := map[string]any{
		"iss": i.server.URL, "aud": ClientID, "iat": now, "exp": now + 120, "jti": rand.Text(),
		"sub":    "subject-1",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	overlay(all, claims)
	head := map[string]any{"typ": "logout+jwt"}
	maps.Copy(head, header)
	return i.keys[0].sign(head, encode(all))
}

// ForgedLogoutToken is LogoutToken signed by a key that is not the provider's,
// under a key id that is new each time.
func (i *IdP) ForgedLogoutToken() string {
	payload := encode(map[string]any{"iss": i.server.URL, "aud": ClientID})
	return keypair{"forged-" + rand.Text(), "RS256", strangerKey()}.sign(nil, payload)
}

// overlay puts what is in over onto m; nil removes an entry.
func overlay(m, over map[string]any) {
	for name, v := range over {
		if m[name] = v; v == nil {
			delete(m, name)
		}
	}
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return b64(sum[:])
}
