package demo

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"
)

const (
	codeLife  = time.Minute // RFC 6749, section 4.1.2, recommends ten at most
	tokenLife = 5 * time.Minute
	maxGrants = 1000 // of each kind; the oldest go first
)

// grant is what a person's choice allows the client.
type grant struct {
	person      persona
	nonce       string
	challenge   string // PKCE, RFC 7636
	redirectURI string
	picked      time.Time

	spent bool   // the code was used
	token string // the access token that it was used for
}

// grants remembers codes and access tokens.
type grants struct {
	mu     sync.Mutex
	codes  map[string]*grant
	tokens map[string]*grant
}

// code makes a code for g.
func (s *grants) code(g grant) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := rand.Text()
	s.codes = put(s.codes, code, &g)
	return code
}

// redeem gives the grant of a code and an access token for it, once. A code
// that comes a second time was stolen from one of the two who sent it: the
// token of the first is then void too (RFC 6749, section 4.1.2).
func (s *grants) redeem(code string, now time.Time) (g grant, token string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.codes[code]
	if known == nil || now.Sub(known.picked) > codeLife {
		return grant{}, "", false
	}
	if known.spent {
		delete(s.tokens, known.token)
		return grant{}, "", false
	}
	known.spent, known.token = true, rand.Text()
	s.tokens = put(s.tokens, known.token, known)
	return *known, known.token, true
}

// revoke voids a token that was made for an exchange that then failed.
func (s *grants) revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

// bearer gives the grant of an Authorization header (RFC 6750, section 2.1).
func (s *grants) bearer(header string, now time.Time) (grant, bool) {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return grant{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.tokens[strings.TrimSpace(token)]
	if g == nil || now.Sub(g.picked) > codeLife+tokenLife {
		return grant{}, false
	}
	return *g, true
}

// put adds a grant and keeps the map bounded.
func put(m map[string]*grant, key string, g *grant) map[string]*grant {
	if m == nil {
		m = make(map[string]*grant)
	}
	for len(m) >= maxGrants {
		oldest := ""
		for k, v := range m {
			if oldest == "" || v.picked.Before(m[oldest].picked) {
				oldest = k
			}
		}
		delete(m, oldest)
	}
	m[key] = g
	return m
}
