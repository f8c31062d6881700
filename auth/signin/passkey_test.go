package signin_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/auth/signin"
)

// A passkey that verifies its person is the whole sign-in: no password, and no
// second factor.
func TestPasskeyAlone(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S"
	p := h.person()
	if a := p.get("/oauth2/sign_in?rd=/app"); !strings.Contains(a.body, `action="/oauth2/passkey"`) {
		t.Errorf("no way in by passkey:\n%s", a.body)
	}
	p.post("/oauth2/passkey", url.Values{"rd": {"/app"}}).expect(t, 303, "/oauth2/passkey")
	page := p.get("/oauth2/passkey")
	if page.status != 200 || !strings.Contains(page.body, "&#34;challenge&#34;:&#34;c1&#34;") || !strings.Contains(page.header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Fatalf("%d %v\n%s", page.status, page.header, page.body)
	}
	if p.signedIn() {
		t.Error("asking signs in")
	}
	p.post("/oauth2/passkey", url.Values{"code": {"alice 1"}}).expect(t, 303, "/app")
	if !p.signedIn() || len(h.sessions.started) != 1 {
		t.Fatal("not signed in")
	}
	s := h.sessions.started[0]
	if d := cmp.Diff([]string{"user", "pop", "mfa"}, s.Identity.AMR); d != "" || s.Account != "alice" || s.Identity.Connection != "local" {
		t.Errorf("%+v\n%s", s, d)
	}
	// It is no proof of the password.
	if !s.Proved.IsZero() {
		t.Error("the sign-in counts as a proof of the password")
	}
	// Attack: send the answer once more, with the cookie of then.
	p.post("/oauth2/passkey", url.Values{"code": {"alice 1"}}).expect(t, 303, "/oauth2/sign_in")
}

// "person" came from a provider, and has no password: no local sign-in.
func TestPasskeyAloneRefused(t *testing.T) {
	h := open(t, nil)
	for _, answer := range []string{"unknown 1", "closed 1", "gone 1", "person 1", "", strings.Repeat("x", 17<<10)} {
		p := h.person()
		p.post("/oauth2/passkey", url.Values{"rd": {"/app"}}).expect(t, 303, "/oauth2/passkey")
		before := p.cookies()["g_passkey"]
		a := p.post("/oauth2/passkey", url.Values{"code": {answer}})
		if a.status != 401 || !strings.Contains(a.body, "does not sign you in") || p.signedIn() {
			t.Errorf("%.20q: %d\n%s", answer, a.status, a.body)
		}
		// The next try is about another challenge.
		if after := p.cookies()["g_passkey"]; after == before || after == "" {
			t.Errorf("%.20q: the challenge is asked again", answer)
		}
	}
	p := h.person()
	p.post("/oauth2/passkey", url.Values{}).expect(t, 303, "/oauth2/passkey")
	if a := p.post("/oauth2/passkey", url.Values{"code": {"store-down"}}); a.status != 503 {
		t.Errorf("store down: %d", a.status)
	}
	// Attack: sign a victim in as the attacker, from another site; or without
	// ever having asked.
	p = h.person()
	if a := p.post("/oauth2/passkey", url.Values{}, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("cross-site: %d", a.status)
	}
	p.post("/oauth2/passkey", url.Values{"code": {"alice 1"}}).expect(t, 303, "/oauth2/sign_in")
	p.get("/oauth2/passkey").expect(t, 302, "/oauth2/sign_in")
	// Too late.
	p.post("/oauth2/passkey", url.Values{}).expect(t, 303, "/oauth2/passkey")
	h.advance(11 * time.Minute)
	p.post("/oauth2/passkey", url.Values{"code": {"alice 8"}}).expect(t, 303, "/oauth2/sign_in")
	if len(h.sessions.started) > 0 {
		t.Errorf("started %+v", h.sessions.started)
	}
	for name, change := range map[string]func(*signin.Flow){
		"no passkeys":  func(f *signin.Flow) { f.Passkeys = nil },
		"no local":     func(f *signin.Flow) { f.Passwords = nil },
		"not a method": func(f *signin.Flow) { f.Methods = []string{"totp"} },
	} {
		h := open(t, change)
		for _, a := range []answer{h.person().get("/oauth2/passkey"), h.person().post("/oauth2/passkey", url.Values{})} {
			if a.status != 404 {
				t.Errorf("%s: %d", name, a.status)
			}
		}
	}
}

// says is a resolver that gives everybody the same answer.
type says struct {
	directory
	outcome auth.Outcome
}

func (s *says) Resolve(context.Context, auth.Identity) (auth.Outcome, error) { return s.outcome, nil }

// What the resolver says of who comes in by passkey is judged as for everybody:
// its slip is no session of nobody, and an account that must be proved is.
func TestPasskeyAloneIsResolved(t *testing.T) {
	resolver := &says{}
	h := open(t, func(f *signin.Flow) { f.Resolver = resolver })
	p := h.person()
	p.post("/oauth2/passkey", url.Values{})
	if a := p.post("/oauth2/passkey", url.Values{"code": {"alice 1"}}); a.status != 500 {
		t.Errorf("no account: %d to %q", a.status, a.location)
	}
	resolver.outcome = auth.Outcome{Verdict: auth.Confirm, Confirmation: &auth.Confirmation{Account: "bob", Username: "bob", Password: true}}
	p.post("/oauth2/passkey", url.Values{})
	p.post("/oauth2/passkey", url.Values{"code": {"alice 2"}}).expect(t, 303, "/oauth2/confirm")
	h.started(nil)
}

// Who comes in by passkey enrols what an administrator demands, and owes no
// proof of it before.
func TestPasskeyAloneAndADemand(t *testing.T) {
	totp := &enrolling{simple: simple{kind: "totp", has: used(1)}}
	h := open(t, func(f *signin.Flow) { f.Factors, f.Demands = []auth.Factor{totp}, &demands{open: true} })
	p := h.person()
	p.post("/oauth2/passkey", url.Values{"rd": {"/app"}})
	p.post("/oauth2/passkey", url.Values{"code": {"alice 1"}}).expect(t, 303, "/oauth2/mfa")
	if p.signedIn() {
		t.Error("the demand is not met")
	}
	p.post("/oauth2/mfa", url.Values{"enrol": {"totp"}}).expect(t, 303, "/oauth2/mfa")
	p.post("/oauth2/mfa", url.Values{"method": {"totp"}, "code": {"totp"}}).expect(t, 303, "/app")
	if got := h.sessions.started[0]; len(totp.has) != 2 || !got.Proved.IsZero() {
		t.Errorf("enrolled %+v, session %+v", totp.has, got)
	}
}

// The owner hears of a sign-in on a browser that the account does not know,
// whatever opened it; not of the first of all, nor of those through a provider,
// which knows its own.
func TestNewDeviceIsTold(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Enforce = "off" })
	told := func(want int) {
		t.Helper()
		got := 0
		for _, event := range h.events.all {
			if event == "alice signed_in_on_new_device " {
				got++
			}
		}
		if got != want || len(h.events.all) != want {
			t.Errorf("told %q, want %d new devices", h.events.all, want)
		}
	}
	desk, thief, other := h.person(), h.person(), h.person()
	desk.password("alice", "/app").expect(t, 303, "/app")
	desk.password("alice", "/app").expect(t, 303, "/app")
	told(0)
	thief.password("alice", "/app").expect(t, 303, "/app")
	told(1)
	other.post("/oauth2/passkey", url.Values{"rd": {"/app"}})
	other.post("/oauth2/passkey", url.Values{"code": {"alice 1"}}).expect(t, 303, "/app")
	told(2)
	thief.password("alice", "/app").expect(t, 303, "/app")
	desk.back(desk.begin("acme", "/"), "alice").expect(t, 302, "/")
	told(2)
}
