package cookie

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// idBytes are the random bytes of an id: 256 bits.
const idBytes = 32

// idLength is the length of an id in base64url without padding.
const idLength = 43

// NewID returns 256 random bits in base64url without padding. It is also a
// valid PKCE code verifier (RFC 7636, section 4.1).
func NewID() string {
	var b [idBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// IsID reports whether v has the form of an id. One id has one spelling:
// other trailing bits are refused.
func IsID(v string) bool {
	if len(v) != idLength {
		return false
	}
	var b [idBytes]byte
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(v))
	return err == nil && n == idBytes
}

// ID returns the id in the cookie called name, or "" when it is absent, sent
// more than once, malformed, truncated or oversized.
func ID(r *http.Request, name string) string {
	found, count := "", 0
	each(r, func(n, v string) {
		if n == name {
			found = v
			count++
		}
	})
	if count != 1 || !IsID(found) {
		return ""
	}
	return found
}

// Count returns how many cookies called name the request carries.
func Count(r *http.Request, name string) int {
	count := 0
	each(r, func(n, _ string) {
		if n == name {
			count++
		}
	})
	return count
}

// Pair is a cookie of a request.
type Pair struct{ Name, Value string }

// IDs returns the cookies whose names begin with prefix and whose values are
// ids, at most limit of them.
func IDs(r *http.Request, prefix string, limit int) []Pair {
	var pairs []Pair
	each(r, func(n, v string) {
		if len(pairs) < limit && strings.HasPrefix(n, prefix) && IsID(v) {
			pairs = append(pairs, Pair{n, v})
		}
	})
	return pairs
}

// each walks the cookies as they were sent. Nothing is unquoted or dropped, so
// that a malformed twin of a cookie still counts as a twin.
func each(r *http.Request, f func(name, value string)) {
	for _, line := range r.Header["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(part, "=")
			f(strings.Trim(name, " \t"), strings.Trim(value, " \t"))
		}
	}
}

// Policy is how Gatehouse's cookies are named and which attributes they get.
// HttpOnly and Path=/ are always set.
type Policy struct {
	Name     string        // session.cookie_name, without a prefix
	Domain   string        // session.cookie_domain; only the session's cookie gets it
	Secure   bool          // public_url is https
	SameSite http.SameSite // of the session's cookie
}

// hostPrefix makes a browser refuse the cookie from any other host, any
// other path and over plain HTTP (RFC 6265bis, section 4.1.3.2).
const hostPrefix = "__Host-"

// Session is the name of the cookie that holds a session's id.
func (p Policy) Session() string {
	if p.Secure && p.Domain == "" {
		return hostPrefix + p.Name
	}
	return p.Name
}

// Step is the name of a cookie that belongs to the sign-in. It never leaves
// the host of public_url, whatever the domain of the session's cookie.
func (p Policy) Step(suffix string) string {
	if p.Secure {
		return hostPrefix + p.Name + "_" + suffix
	}
	return p.Name + "_" + suffix
}

// SetStep sets a cookie named by Step for a time. SameSite is Lax even where
// the session's is Strict: the identity provider's answer is a navigation from
// another site, and the cookie must come along.
func (p Policy) SetStep(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, p.step(name, value, int(life/time.Second)))
}

// ClearStep removes a cookie named by Step.
func (p Policy) ClearStep(w http.ResponseWriter, name string) {
	http.SetCookie(w, p.step(name, "", -1))
}

func (p Policy) step(name, value string, maxAge int) *http.Cookie {
	sameSite := http.SameSiteLaxMode
	if p.SameSite == http.SameSiteNoneMode {
		sameSite = http.SameSiteNoneMode // the whole sign-in may run in a frame
	}
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: p.Secure, HttpOnly: true, SameSite: sameSite,
	}
}
