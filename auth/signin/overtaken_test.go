package signin_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/signin"
)

// Attack: give a stolen password, or answer with a passkey, just before all
// sessions are ended because of that. Judging it takes long, and may have to wait
// its turn: what was given before the end is worth nothing after it.
func TestProofIsVoidWhenSessionsEndWhileItIsJudged(t *testing.T) {
	for name, road := range map[string]func(p *person) answer{
		"password": func(p *person) answer { return p.password("alice", "/") },
		"passkey":  func(p *person) answer { return p.post("/oauth2/passkey", url.Values{"code": {"alice 1"}}) },
		"prove":    func(p *person) answer { return p.post("/oauth2/prove", url.Values{"password": {"right"}, "rd": {"/"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			passkeys := &entries{}
			h := open(t, func(f *signin.Flow) { f.Enforce, f.Passkeys = "off", passkeys })
			p := h.person()
			if name == "prove" {
				p.password("alice", "/").expect(t, http.StatusSeeOther, "/")
			}
			p.post("/oauth2/passkey", url.Values{}).expect(t, http.StatusSeeOther, "/oauth2/passkey")
			h.sessions.started = nil
			ended := func() {
				h.advance(time.Second)
				h.sessions.mu.Lock()
				h.sessions.ended["alice"] = h.now()
				h.sessions.mu.Unlock()
				h.advance(time.Second)
			}
			h.passwords.during, passkeys.during = ended, ended
			if a := road(p); a.status < 400 && a.location != "/oauth2/sign_in" {
				t.Errorf("%d to %q", a.status, a.location)
			}
			h.started([]auth.Session{})
			if len(h.sessions.renewed) > 0 {
				t.Errorf("renewed %+v", h.sessions.renewed)
			}
		})
	}
}
