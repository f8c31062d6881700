package badidp

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"time"
)

// broken are the faults that any endpoint can have.
func broken(name, path string) map[Fault]row {
	with := func(serve func(*IdP, http.ResponseWriter, *http.Request)) row {
		r := row{path: path, serve: serve}
		if path == PathUserinfo {
			r.claims = noGroups
		}
		return r
	}
	return map[Fault]row{
		Fault(name + ": huge"):              with(huge),
		Fault(name + ": slow"):              with(slow),
		Fault(name + ": trickles"):          with(trickle),
		Fault(name + ": down"):              with(refuse(http.StatusServiceUnavailable, map[string]any{})),
		Fault(name + ": too many"):          with(refuse(http.StatusTooManyRequests, map[string]any{})),
		Fault(name + ": connection breaks"): with(func(*IdP, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
	}
}

func meta(name string, value any) row {
	return row{metadata: func(m map[string]any) { overlay(m, map[string]any{name: value}) }}
}

func tok(name string, value any) row {
	return row{tokens: func(t map[string]any) { overlay(t, map[string]any{name: value}) }}
}

func claim(name string, value any) row {
	return row{claims: func(_ *IdP, c map[string]any) { overlay(c, map[string]any{name: value}) }}
}

func at(name string, offset time.Duration) row {
	return row{claims: func(_ *IdP, c map[string]any) { c[name] = time.Now().Add(offset).Unix() }}
}

func noGroups(_ *IdP, c map[string]any) { delete(c, "groups") }

// huge answers well, and then goes on with blanks: cut at any limit, it is
// still a good answer.
func huge(i *IdP, w http.ResponseWriter, r *http.Request) {
	i.endpoint(w, r, row{}, i.server.URL)
	_, _ = w.Write(bytes.Repeat([]byte(" "), 2<<20))
}

// slow never answers.
func slow(i *IdP, _ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-i.closed:
	}
}

// trickle answers at once and never ends.
func trickle(i *IdP, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(" ")); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-i.closed:
			return
		}
	}
}

func page(_ *IdP, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<!doctype html><title>Maintenance</title>"))
}

func jwt(i *IdP, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwt")
	i.mu.Lock()
	defer i.mu.Unlock()
	_, _ = w.Write([]byte(i.keys[0].sign(nil, encode(map[string]any{"sub": "subject-1", "groups": []any{"admins"}}))))
}

// away redirects to where the request would succeed.
func away(status int) func(*IdP, http.ResponseWriter, *http.Request) {
	return func(i *IdP, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", i.elsewhere.URL+r.URL.Path)
		w.WriteHeader(status)
	}
}

// within redirects to the same path with a query, where the request succeeds.
func within(status int) func(*IdP, http.ResponseWriter, *http.Request) {
	return func(i *IdP, w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			i.endpoint(w, r, row{}, i.server.URL)
			return
		}
		w.Header().Set("Location", r.URL.Path+"?moved=yes")
		w.WriteHeader(status)
	}
}

func loop(_ *IdP, w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path, http.StatusFound)
}

func refuse(status int, body map[string]any) func(*IdP, http.ResponseWriter, *http.Request) {
	return func(_ *IdP, w http.ResponseWriter, _ *http.Request) { answer(w, status, body) }
}

func stranger(kid string) keypair { return keypair{kid, "RS256", strangerKey()} }

// privateKey is the signing key, whole, in public.
func privateKey() map[string]any {
	k := rsaKey()
	m := keypair{"key-1", "RS256", k}.jwk()
	m["d"], m["p"], m["q"] = b64(k.D.Bytes()), b64(k.Primes[0].Bytes()), b64(k.Primes[1].Bytes())
	return m
}

func short() keypair { return keypair{"key-1", "RS256", shortKey()} }

// signWithPublicKey is the algorithm confusion attack: the public key, which
// everybody has, serves as a shared secret.
func signWithPublicKey(_ *IdP, k keypair, payload []byte) string {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		panic(err)
	}
	var secret bytes.Buffer
	if err := pem.Encode(&secret, &pem.Block{Type: "PUBLIC KEY", Bytes: der}); err != nil {
		panic(err)
	}
	return hs256(secret.Bytes(), k.kid, payload)
}

func signWithClientSecret(_ *IdP, k keypair, payload []byte) string {
	return hs256([]byte(ClientSecret), k.kid, payload)
}

var (
	secretKey = map[string]any{"kty": "oct", "kid": "key-1", "use": "sig", "alg": "HS256", "k": b64([]byte(ClientSecret))}
	badKeys   = []any{
		"not an object",
		map[string]any{"kty": "RSA", "kid": "key-1", "n": "!!", "e": "AQAB"},
		map[string]any{"kty": "EC", "crv": "P-256", "kid": "key-1", "x": "AA", "y": "AA"},
		map[string]any{"kty": "MAGIC", "kid": "key-1"},
		map[string]any{"kty": "RSA", "kid": "key-1", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"},
		secretKey,
	}
)
