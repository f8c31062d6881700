package signin_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"gatehouse/auth"
	"gatehouse/auth/signin"
	"gatehouse/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFederatedRoad(t *testing.T) {
	for _, c := range []struct {
		connection string
		want       auth.Session
	}{
		// An account's session keeps how the person came in, and no attributes.
		{"acme", auth.Session{Account: "account-carol", JIT: true, IdPSession: "sid-carol", Identity: auth.Identity{
			Connection: "acme", Issuer: "https://idp.example/acme", Subject: "carol", AMR: []string{"idp"},
		}}},
		// What passes through has nothing but its session.
		{"partner", auth.Session{IdPSession: "sid-carol", Identity: auth.Identity{
			Connection: "partner", Issuer: "https://idp.example/partner", Subject: "carol", Username: "carol",
			Attributes: map[string][]string{"department": {"science"}}, AMR: []string{"idp"},
		}}},
	} {
		t.Run(c.connection, func(t *testing.T) {
			h := open(t, nil)
			p := h.person()
			page := p.get("/oauth2/sign_in?rd=/app%3Fa%3Db")
			if page.status != http.StatusOK || !strings.Contains(page.body, "Acme SSO") || !strings.Contains(page.body, "Partner") {
				t.Fatalf("sign-in page: %d\n%s", page.status, page.body)
			}
			if !strings.Contains(page.body, "connection="+c.connection+"&amp;rd=%2Fapp%3Fa%3Db") {
				t.Errorf("no button leads to %s:\n%s", c.connection, page.body)
			}
			state := p.begin(c.connection, "/app?a=b")
			if p.signedIn() {
				t.Error("signed in half-way")
			}
			p.back(state, "carol").expect(t, http.StatusFound, "/app?a=b")
			if !p.signedIn() {
				t.Error("not signed in")
			}
			ignore := []cmp.Option{cmpopts.IgnoreFields(auth.Session{}, "ID"), cmpopts.IgnoreFields(auth.Identity{}, "Claims")}
			if diff := cmp.Diff([]auth.Session{c.want}, h.sessions.started, ignore...); diff != "" {
				t.Error(diff)
			}
			// Already signed in: straight on.
			p.get("/oauth2/sign_in?rd=/elsewhere").expect(t, http.StatusFound, "/elsewhere")
		})
	}
}

func TestPendingReachesTheProvider(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	first, second := p.begin("acme", "/a"), p.begin("acme", "/b")
	p.back(first, "alice")
	p.back(second, "alice")
	seen := map[string]bool{}
	for i, pending := range h.acme.finished {
		if pending.Connection != "acme" || pending.State != []string{first, second}[i] || pending.ReturnTo != []string{"/a", "/b"}[i] {
			t.Errorf("pending %+v", pending)
		}
		for _, secret := range []string{pending.State, pending.Nonce, pending.Verifier} {
			if len(secret) != 43 || seen[secret] {
				t.Errorf("%q is short, or not fresh", secret)
			}
			seen[secret] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d secrets", len(seen))
	}
}

// Query parameters at start must not reach the provider.
func TestStartIgnoresForeignParameters(t *testing.T) {
	h := open(t, nil)
	a := h.person().get("/oauth2/start?connection=acme&redirect_uri=https://evil.example&state=fixed&prompt=none&scope=admin")
	if strings.Contains(a.location, "evil") || strings.Contains(a.location, "fixed") || strings.Contains(a.location, "prompt") || strings.Contains(a.location, "admin") {
		t.Errorf("Location %q", a.location)
	}
}

// A proxy that answers 403 with our redirect shows its page: it must lead on.
// Attack: break out of the page with an address.
func TestRedirectWithAPage(t *testing.T) {
	h := open(t, nil)
	a := h.person().get("/oauth2/start?connection=acme&rd=/a")
	if want := `content="0;url=` + html.EscapeString(a.location) + `"`; a.location == "" || !strings.Contains(a.body, want) || strings.Contains(a.body, a.location) {
		t.Errorf("to %q with\n%s", a.location, a.body)
	}
}

func TestStartChoosesAConnection(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	if a := p.get("/oauth2/start?connection=unknown"); a.status != http.StatusNotFound {
		t.Errorf("unknown connection: %d", a.status)
	}
	if a := p.get("/oauth2/start?connection=acme&connection=partner"); a.status != http.StatusBadRequest {
		t.Errorf("two connections: %d", a.status)
	}
	p.get("/oauth2/start?rd=/x").expect(t, http.StatusFound, h.url+"/oauth2/sign_in?rd=%2Fx")

	h = open(t, func(f *signin.Flow) { f.Connections = f.Connections[:1]; f.Passwords = nil })
	p = h.person()
	p.back(stateOf(t, p.get("/oauth2/start?rd=/x")), "alice").expect(t, http.StatusFound, "/x")
}

func TestOneWayInGoesStraightThere(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Connections = f.Connections[:1]; f.Passwords = nil })
	p := h.person()
	p.back(stateOf(t, p.get("/oauth2/sign_in?rd=/app")), "alice").expect(t, http.StatusFound, "/app")

	// Whatever goes wrong, or ends, is a page: the browser must not bounce
	// between us and a provider that signs people in without asking.
	for name, a := range map[string]answer{
		"refused":    p.get("/oauth2/callback?error=access_denied&state=" + stateOf(t, h.person().get("/oauth2/sign_in"))),
		"no state":   p.get("/oauth2/callback?code=x"),
		"signed out": p.post("/oauth2/sign_out", url.Values{}),
	} {
		if a.location != "" || a.header.Get("Refresh") != "" {
			t.Errorf("%s: %d to %q", name, a.status, a.location)
		}
	}
	state := stateOf(t, p.get("/oauth2/sign_in"))
	if a := p.get("/oauth2/callback?error=login_required&state=" + state); a.status != http.StatusForbidden || a.location != "" {
		t.Errorf("error from the provider: %d to %q", a.status, a.location)
	}
}

func TestLocalRoadWithEnrolmentAndChallenge(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.password("alice", "/app").expect(t, http.StatusSeeOther, "/oauth2/mfa")
	if p.signedIn() {
		t.Fatal("signed in with a password alone")
	}
	enrol := p.get("/oauth2/mfa")
	if enrol.status != http.StatusOK || !strings.Contains(enrol.body, "SECRET1") || !strings.Contains(enrol.body, "data:image/png") {
		t.Fatalf("enrolment: %d\n%s", enrol.status, enrol.body)
	}
	// A page that is loaded again shows the same secret.
	if again := p.get("/oauth2/mfa"); !strings.Contains(again.body, "SECRET1") {
		t.Errorf("loaded again:\n%s", again.body)
	}
	wrong := p.post("/oauth2/mfa", url.Values{"method": {"totp"}, "code": {"000000"}})
	if wrong.status != http.StatusUnauthorized || !strings.Contains(wrong.body, "SECRET1") || p.signedIn() ||
		!strings.Contains(wrong.body, "clock") || strings.Contains(wrong.body, "used before") {
		t.Errorf("wrong code: %d\n%s", wrong.status, wrong.body)
	}
	p.post("/oauth2/mfa", url.Values{"method": {"totp"}, "code": {"123456"}}).expect(t, http.StatusSeeOther, "/app")
	if !p.signedIn() {
		t.Fatal("not signed in")
	}
	want := auth.Session{Account: "alice", Identity: auth.Identity{
		Connection: auth.Local, Subject: "alice", AMR: []string{"pwd", "otp", "mfa"}, AuthTime: h.now().UTC(),
	}, Proved: h.now().UTC(), ProvedFactor: auth.KindTOTP}
	if diff := cmp.Diff([]auth.Session{want}, h.sessions.started, cmpopts.IgnoreFields(auth.Session{}, "ID")); diff != "" {
		t.Error(diff)
	}
	device := p.cookies()["g_device"]
	if device == "" {
		t.Error("no device cookie")
	}
	if _, ok := p.cookies()["g_mfa"]; ok {
		t.Error("the cookie of the factor step is still there")
	}

	// The next sign-in is challenged, and the device is known.
	p.post("/oauth2/sign_out", url.Values{})
	p.password("alice", "/app").expect(t, http.StatusSeeOther, "/oauth2/mfa")
	if h.passwords.devices[1] != device {
		t.Errorf("the device did not come along: %q", h.passwords.devices)
	}
	challenge := p.get("/oauth2/mfa")
	if challenge.status != http.StatusOK || strings.Contains(challenge.body, "SECRET") || !strings.Contains(challenge.body, "alice") {
		t.Errorf("challenge: %d\n%s", challenge.status, challenge.body)
	}
	if a := p.post("/oauth2/mfa", url.Values{"code": {"throttle"}}); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") != "2" ||
		!strings.Contains(a.body, "too many attempts. Try again in 2 seconds.") {
		t.Errorf("throttled: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
	p.post("/oauth2/mfa", url.Values{"code": {"121212"}}).expect(t, http.StatusSeeOther, "/app")
	if !p.signedIn() {
		t.Error("not signed in")
	}
}

func TestWhoOwesAFactor(t *testing.T) {
	for _, c := range []struct {
		enforce, way string
		status       int
		location     string
	}{
		{config.EnforceLocal, "local", http.StatusSeeOther, "/oauth2/mfa"},
		{config.EnforceLocal, "acme", http.StatusFound, "/app"},
		{config.EnforceLocal, "partner", http.StatusFound, "/app"},
		{config.EnforceAll, "local", http.StatusSeeOther, "/oauth2/mfa"},
		{config.EnforceAll, "acme", http.StatusFound, "/oauth2/mfa"},
		// No account could hold a factor: refused with a page, never let in.
		{config.EnforceAll, "partner", http.StatusForbidden, ""},
		{config.EnforceOff, "local", http.StatusSeeOther, "/app"},
		{config.EnforceOff, "acme", http.StatusFound, "/app"},
		{config.EnforceOff, "partner", http.StatusFound, "/app"},
	} {
		t.Run(c.enforce+" "+c.way, func(t *testing.T) {
			h := open(t, func(f *signin.Flow) { f.Enforce = c.enforce })
			// Having a factor changes nothing of who is asked.
			h.factor.enrolled["alice"], h.factor.enrolled["account-alice"] = "S", "S"
			p := h.person()
			var a answer
			if c.way == "local" {
				a = p.password("alice", "/app")
			} else {
				a = p.back(p.begin(c.way, "/app"), "alice")
			}
			a.expect(t, c.status, c.location)
			if p.signedIn() != (c.location == "/app") {
				t.Errorf("signed in: %v", p.signedIn())
			}
			if c.location == "/oauth2/mfa" {
				a = p.post("/oauth2/mfa", url.Values{"code": {"123456"}})
				a.expect(t, http.StatusSeeOther, "/app")
			}
		})
	}
}

// A sign-in is noted once, when the session starts. Attack: whoever has only a
// person's password, or their identity at a provider, shows as that person's
// last sign-in, and keeps an unused account from being disabled.
func TestSignInIsNotedWhenItIsFinished(t *testing.T) {
	for _, c := range []struct {
		enforce, way string
		verdict      auth.Verdict
		want         []string
	}{
		{config.EnforceLocal, "local", auth.Unchanged, []string{"alice false"}},
		{config.EnforceOff, "local", auth.Unchanged, []string{"alice false"}},
		{config.EnforceLocal, "acme", auth.Created, []string{"alice true"}},
		{config.EnforceAll, "acme", auth.Created, []string{"alice false"}},
		{config.EnforceLocal, "acme", auth.Updated, []string{"alice false"}},
		{config.EnforceLocal, "partner", auth.PassThrough, nil},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.enforce, c.way, c.verdict), func(t *testing.T) {
			var noted []string
			r := &says{outcome: auth.Outcome{Verdict: c.verdict, Account: "alice"}}
			r.signedIn = func(account string, made bool) error {
				noted = append(noted, fmt.Sprint(account, " ", made))
				return auth.ErrStoreDown // which is no reason to refuse who has proved everything
			}
			if c.verdict == auth.PassThrough {
				r.outcome.Account = ""
			}
			h := open(t, func(f *signin.Flow) { f.Enforce, f.Resolver = c.enforce, r })
			h.factor.enrolled["alice"] = "S"
			p := h.person()
			var a answer
			if c.way == "local" {
				a = p.password("alice", "/app")
			} else {
				a = p.back(p.begin(c.way, "/app"), "alice")
			}
			if a.location == "/oauth2/mfa" {
				if noted != nil {
					t.Errorf("noted before the factor was proved: %q", noted)
				}
				p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/app")
			}
			if !p.signedIn() || !slices.Equal(noted, c.want) {
				t.Errorf("signed in: %t, noted: %q, want %q", p.signedIn(), noted, c.want)
			}
		})
	}
}

func TestFactorAfterAProviderAddsToWhatItSaid(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Enforce = config.EnforceAll })
	h.factor.enrolled["account-alice"] = "S"
	p := h.person()
	p.back(p.begin("acme", "/app"), "alice").expect(t, http.StatusFound, "/oauth2/mfa")
	p.post("/oauth2/mfa", url.Values{"code": {"123456"}}).expect(t, http.StatusSeeOther, "/app")
	got := h.sessions.started[0]
	if diff := cmp.Diff([]string{"idp", "otp", "mfa"}, got.Identity.AMR); diff != "" || got.IdPSession != "sid-alice" || !got.JIT {
		t.Errorf("session %+v\n%s", got, diff)
	}
}

// Typing an address picks its connection, whoever it names: the answer is the
// same with and without an account, and no password is looked at.
func TestTypedAddressPicksItsConnection(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	for _, login := range []string{"a@acme.example", " b@ACME.example "} {
		p.password(login, "/app").expect(t, http.StatusSeeOther, "/oauth2/start?connection=acme&rd=%2Fapp")
	}
	for _, login := range []string{"a@other.example", "a@b@acme.example", "@acme.example", "acme.example", "a@sub.acme.example"} {
		if a := p.password(login, "/app"); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d to %q", login, a.status, a.location)
		}
	}
	h = open(t, func(f *signin.Flow) { f.Passwords = nil })
	if a := h.person().password("a@other.example", "/app"); a.status != http.StatusUnauthorized {
		t.Errorf("without local accounts: %d", a.status)
	}
	h.person().password("a@acme.example", "/app").expect(t, http.StatusSeeOther, "/oauth2/start?connection=acme&rd=%2Fapp")
}

func TestSignInRunsOnPublicURL(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.get("/oauth2/sign_in?rd=/x", "Host", "app.b.example").
		expect(t, http.StatusFound, h.url+"/oauth2/sign_in?rd=http%3A%2F%2Fapp.b.example%2Fx")
	p.get("/oauth2/start?connection=acme&rd=/x", "Host", "app.b.example").
		expect(t, http.StatusFound, h.url+"/oauth2/start?connection=acme&rd=http%3A%2F%2Fapp.b.example%2Fx")
	p.post("/oauth2/sign_in", url.Values{"username": {"alice"}, "password": {"right"}}, "Host", "app.b.example").
		expect(t, http.StatusSeeOther, h.url+"/oauth2/sign_in?rd=http%3A%2F%2Fapp.b.example%2F")
	if len(h.passwords.devices) != 0 {
		t.Error("a password was looked at on another host")
	}
	// A host that a proxy in front put in: redirecting it would never end.
	if a := p.get("/oauth2/sign_in", "Host", "gatehouse.internal:4180"); a.status != http.StatusOK {
		t.Errorf("unknown host: %d to %q", a.status, a.location)
	}
	// X-Forwarded-Host is believed from a trusted peer only.
	if a := p.get("/oauth2/sign_in", "X-Forwarded-Host", "app.b.example"); a.status != http.StatusOK {
		t.Errorf("forwarded by anybody: %d to %q", a.status, a.location)
	}
	h.trustEverybody.Store(true)
	if a := p.get("/oauth2/sign_in", "X-Forwarded-Host", "app.b.example"); a.status != http.StatusFound {
		t.Errorf("forwarded by a trusted peer: %d", a.status)
	}
}

// A Strict cookie is not sent along a redirect that the provider began: without
// a page in between, the application would see nobody and begin anew.
func TestStrictCookieGoesOnFromAPage(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Cookies.SameSite = http.SameSiteStrictMode })
	p := h.person()
	a := p.back(p.begin("acme", `/app?a="><script>`), "alice")
	if a.status != http.StatusOK || a.header.Get("Refresh") != `0;url=/app?a="><script>` {
		t.Errorf("%d, Refresh %q", a.status, a.header.Get("Refresh"))
	}
	if strings.Contains(a.body, `"><script>`) {
		t.Errorf("the return URL breaks out of the page:\n%s", a.body)
	}
}
