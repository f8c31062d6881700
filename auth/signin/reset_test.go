package signin_test

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/auth/signin"
)

// Whoever is named, the answer is the same; what was typed is not in it.
func TestForgottenPassword(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	if a := p.get("/oauth2/sign_in"); !strings.Contains(a.body, `href="/oauth2/reset"`) {
		t.Errorf("no link:\n%s", a.body)
	}
	if a := p.get("/oauth2/reset"); a.status != 200 || !strings.Contains(a.body, `name="username"`) {
		t.Errorf("%d\n%s", a.status, a.body)
	}
	want := p.post("/oauth2/reset", url.Values{"username": {"nobody@acme.example"}})
	if want.status != 200 || strings.Contains(want.body, "nobody") {
		t.Errorf("%d\n%s", want.status, want.body)
	}
	for _, login := range []string{" alice ", "", strings.Repeat("x", 10_000)} {
		if got := p.post("/oauth2/reset", url.Values{"username": {login}}); got.status != 200 || got.body != want.body {
			t.Errorf("%.20q: %d\n%s", login, got.status, cmp.Diff(want.body, got.body))
		}
	}
	if d := cmp.Diff([]string{"nobody@acme.example", "alice", strings.Repeat("x", 10_000)}, h.resets.all); d != "" {
		t.Error(d)
	}
	// Attack: the form on another site.
	if a := p.post("/oauth2/reset", url.Values{"username": {"alice"}}, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("cross-site: %d", a.status)
	}
}

// Attack: have the line of questions filled by one client. The answer stays the
// same.
func TestForgottenTooOften(t *testing.T) {
	h := open(t, nil)
	for i := range 50 {
		if a := h.person().post("/oauth2/reset", url.Values{"username": {fmt.Sprint(i)}}); a.status != 200 {
			t.Fatal(a.status)
		}
	}
	if n := len(h.resets.all); n != 20 {
		t.Errorf("%d questions of one client were put in line", n)
	}
	other := netip.MustParseAddr("198.51.100.1")
	h.client.Store(&other)
	h.person().post("/oauth2/reset", url.Values{"username": {"alice"}})
	h.advance(11 * time.Minute)
	h.person().post("/oauth2/reset", url.Values{"username": {"alice"}})
	if n := len(h.resets.all); n != 22 {
		t.Errorf("of others, and later: %d", n)
	}
}

// Where no mail is sent, or nobody has a password, there is nothing to ask.
func TestNobodyForgets(t *testing.T) {
	for name, change := range map[string]func(*signin.Flow){
		"no mail":      func(f *signin.Flow) { f.Resets = nil },
		"no passwords": func(f *signin.Flow) { f.Passwords, f.Links = nil, nil },
	} {
		h := open(t, change)
		for _, a := range []answer{h.person().get("/oauth2/reset"), h.person().post("/oauth2/reset", url.Values{"username": {"alice"}})} {
			if a.status != 404 || len(h.resets.all) > 0 {
				t.Errorf("%s: %d", name, a.status)
			}
		}
		if a := h.person().get("/oauth2/sign_in"); strings.Contains(a.body, "/oauth2/reset") {
			t.Errorf("%s: the sign-in page leads there", name)
		}
	}
}

func TestPasswordByLink(t *testing.T) {
	for _, kind := range []auth.LinkKind{auth.LinkSetup, auth.LinkReset} {
		h := open(t, nil)
		h.links.live["tok"] = auth.PasswordLink{Account: "alice", Kind: kind}
		thief := h.person()
		thief.password("alice", "/") // under way with the old password
		p := h.person()
		for range 2 { // looking uses nothing up
			if a := p.get("/oauth2/password?token=tok"); a.status != 200 || !strings.Contains(a.body, `value="tok"`) || !strings.Contains(a.body, "<strong>alice</strong>") {
				t.Fatalf("%d\n%s", a.status, a.body)
			}
		}
		a := p.post("/oauth2/password", url.Values{"token": {"tok"}, "password": {"short"}})
		if a.status != 422 || !strings.Contains(a.body, "The password is too short.") || !strings.Contains(a.body, `aria-invalid="true"`) {
			t.Fatalf("%d\n%s", a.status, a.body)
		}
		a = p.post("/oauth2/password", url.Values{"token": {"tok"}, "password": {"a long password"}})
		if a.status != 303 || a.location != "/oauth2/sign_in?done=password" || p.signedIn() {
			t.Fatalf("%d %s", a.status, a.location)
		}
		if a := p.get(a.location); !strings.Contains(a.body, "Your password is set.") {
			t.Errorf("the page does not say so:\n%s", a.body)
		}
		want := "alice a long password alice Name of alice alice@acme.example"
		if d := cmp.Diff([]string{want}, h.links.set); d != "" {
			t.Error(d)
		}
		event := map[auth.LinkKind]string{auth.LinkSetup: "password_set", auth.LinkReset: "password_reset"}[kind]
		if d := cmp.Diff([]string{"alice " + event + " "}, h.events.all); d != "" {
			t.Error(d)
		}
		if n := len(h.sessions.closed); n == 0 || h.sessions.closed[n-1] != "alice" {
			t.Errorf("sessions ended: %v", h.sessions.closed)
		}
		if a := p.post("/oauth2/password", url.Values{"token": {"tok"}, "password": {"a long password"}}); a.status != 400 || !strings.Contains(a.body, "does not count any more") {
			t.Errorf("used twice: %d\n%s", a.status, a.body)
		}
		if out := h.log.String(); strings.Contains(out, "a long password") || strings.Contains(out, `"tok"`) {
			t.Errorf("the log holds a secret:\n%s", out)
		}
	}
}

func TestPasswordLinkRefused(t *testing.T) {
	h := open(t, nil)
	h.links.live["closed"] = auth.PasswordLink{Account: "closed"}
	h.links.live["gone"] = auth.PasswordLink{Account: "gone"}
	h.links.live["good"] = auth.PasswordLink{Account: "alice"}
	for token, status := range map[string]int{"": 400, "other": 400, "gone": 400, "closed": 403, "store-down": 503} {
		p := h.person()
		for _, a := range []answer{
			p.get("/oauth2/password?" + url.Values{"token": {token}}.Encode()),
			p.post("/oauth2/password", url.Values{"token": {token}, "password": {"a long password"}}),
		} {
			if a.status != status {
				t.Errorf("%q: %d, want %d", token, a.status, status)
			}
		}
	}
	// Attack: a link on another site's form, or one whose token is in the query,
	// where logs keep it.
	p := h.person()
	if a := p.post("/oauth2/password", url.Values{"token": {"good"}, "password": {"a long password"}}, "Sec-Fetch-Site", "cross-site"); a.status != 403 {
		t.Errorf("cross-site: %d", a.status)
	}
	if a := p.post("/oauth2/password?token=good", url.Values{"password": {"a long password"}}); a.status != 400 {
		t.Errorf("token in the query of a POST: %d", a.status)
	}
	if a := p.post("/oauth2/password", url.Values{"token": {"good", "good"}, "password": {"a long password"}}); a.status != 400 {
		t.Errorf("two tokens: %d", a.status)
	}
	// The sessions cannot be ended: then nothing is changed either.
	h.sessions.down.Store(true)
	if a := p.post("/oauth2/password", url.Values{"token": {"good"}, "password": {"a long password"}}); a.status != 503 {
		t.Errorf("store down: %d", a.status)
	}
	if len(h.links.set) > 0 {
		t.Errorf("set: %v", h.links.set)
	}
	if len(h.events.all) > 0 {
		t.Errorf("events: %v", h.events.all)
	}
}
