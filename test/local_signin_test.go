package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestLocalSignIn is the life of a local account: a password and an
// enrolment, the page that was wanted, a sign-out, and a challenge when it
// comes back.
func TestLocalSignIn(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	ada := addUser(t, g, "ada", "--email", "ada@corp.example", "--name", "Ada L.", "--group", "staff", "--attr", "department=R&D")

	const wanted = "/reports/q3%2Fdraft?year=2026&q=a%20b+c"
	v := newVisitor(t, "")
	page := v.get(g.URL+wanted).wants(t, http.StatusOK) // not straight on: there is a form
	if rd := page.Request.URL.Query().Get("rd"); rd != wanted || !strings.Contains(page.Text, `name="password"`) {
		t.Fatalf("asking for %s leads to %s:\n%s", wanted, page.Request.URL, page.Text)
	}
	r := v.passwordTo(g, "ada", "not the password", wanted).wants(t, http.StatusUnauthorized)
	if !strings.Contains(r.Text, "is not right") || !strings.Contains(r.Text, `aria-invalid="true"`) || !strings.Contains(r.Text, `value="ada"`) {
		t.Errorf("the page does not say what was wrong, at its field:\n%s", r.Text)
	}

	// The first sign-in enrols. The key stays the same while one tries.
	v.challenged(g, "Ada@Corp.Example", wanted)
	app := v.offered(g)
	r = v.code(g, app.wrongCode(t)).wants(t, http.StatusUnauthorized)
	if !strings.Contains(r.Text, "The code is wrong") {
		t.Errorf("the page does not say what was wrong:\n%s", r.Text)
	}
	if again := v.offered(g); again.secret != app.secret {
		t.Error("a wrong code changed the key: the app would have to be set up again")
	}
	used := app.code(t)
	before := v.cookie(g.URL, "_gatehouse_mfa")
	if to := v.code(g, used[:3]+" "+used[3:]).wants(t, http.StatusSeeOther).to(t); to.RequestURI() != wanted {
		t.Errorf("the sign-in ends at %s", to)
	}
	first := v.cookie(g.URL, "_gatehouse")
	if first == "" || first == before || v.cookie(g.URL, "_gatehouse_mfa") != "" {
		t.Error("the session has no id of its own, or the handle of the step is still there")
	}
	v.get(g.URL+wanted).wants(t, http.StatusOK)
	got := application.Last(t)
	want := map[string]string{
		"X-Forwarded-User": "ada", "X-Forwarded-Email": "ada@corp.example", "X-Forwarded-Groups": "staff",
		"X-Forwarded-Preferred-Username": "ada", "X-Forwarded-Attr-Name": "Ada L.", "X-Forwarded-Attr-Department": "R&D",
	}
	for name, value := range want {
		if got.Header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), value)
		}
	}
	if got.RequestURI != wanted || strings.Contains(got.Head, "_gatehouse") {
		t.Errorf("the application received\n%s", got.Head)
	}
	if now := showAccount(t, g, ada.ID); !cmp.Equal(now.Factors, []string{"totp", "recovery_code"}) || !now.HasPassword {
		t.Errorf("after the enrolment: %+v", now)
	}

	// Signed out, the cookie is worth nothing, also for whoever copied it.
	v.signOutLocal(g)
	thief := newVisitor(t, "")
	thief.setCookie(g.URL, &http.Cookie{Name: "_gatehouse", Value: first})
	thief.signedOut(g)

	// Back again: a challenge, in which the key is not shown once more.
	v.challenged(g, "ada", "/")
	page = v.look(g.URL+"/oauth2/mfa").wants(t, http.StatusOK)
	if setUpKey.MatchString(page.Text) || strings.Contains(page.Text, app.secret) || !strings.Contains(page.Text, "<strong>ada</strong>") {
		t.Errorf("not a challenge:\n%s", page.Text)
	}
	// Attack: read the code over somebody's shoulder, and type it again.
	v.code(g, used).wants(t, http.StatusUnauthorized)
	v.code(g, app.code(t)).wants(t, http.StatusSeeOther)
	v.signedIn(g)
	if v.cookie(g.URL, "_gatehouse") == first {
		t.Error("two sign-ins have the same session id")
	}
	noSecrets(t, g, goodPassword, app.secret, used, first)
}

// noSecrets fails the test if the gateway has logged one of these.
func noSecrets(t *testing.T, g *servers.Gateway, secrets ...string) {
	t.Helper()
	out := g.Output()
	for _, secret := range secrets {
		if strings.Contains(out, secret) {
			t.Errorf("the log holds the secret %q", secret)
		}
	}
}

// TestHalfSignedIn: somebody who has given a password and owes a code is
// nobody, everywhere but at the step of the code. Attack: a stolen password,
// and then anything but the code.
func TestHalfSignedIn(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, `
server: {listen: "{{addr}}", public_url: "http://{{addr}}", admin_listen: "{{admin}}"}
routes:
  - {path: /, upstream: "`+application.URL+`"}
  - {path: /staff/, upstream: "`+application.URL+`", access: {groups: [staff]}}
  - {path: /public/, upstream: "`+application.URL+`", access: public}
`)
	addUser(t, g, "fresh", "--group", "staff")
	addUser(t, g, "ada", "--group", "staff")
	newVisitor(t, "").enrol(g, "ada")

	for _, name := range []string{"fresh", "ada"} {
		half := newVisitor(t, "")
		half.challenged(g, name, "/")
		half.look(g.URL+"/oauth2/mfa").wants(t, http.StatusOK)
		handle := half.cookie(g.URL, "_gatehouse_mfa")
		// Attack: the handle of the step as a session.
		forged := newVisitor(t, "")
		forged.setCookie(g.URL, &http.Cookie{Name: "_gatehouse", Value: handle})
		forged.setCookie(g.URL, &http.Cookie{Name: "_gatehouse_mfa", Value: handle})
		reached := len(application.Requests())
		for _, v := range []*visitor{half, forged} {
			for _, c := range []struct {
				method, path string
				headers      []string
				status       int
			}{
				{"GET", "/", nil, http.StatusFound},
				{"GET", "/staff/x", nil, http.StatusFound},
				{"GET", "/", []string{"Accept", "application/json"}, http.StatusUnauthorized},
				{"POST", "/", nil, http.StatusUnauthorized},
				{"PUT", "/staff/x", nil, http.StatusUnauthorized},
				{"OPTIONS", "/", nil, http.StatusUnauthorized},
				{"GET", "/", []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Fetch-Mode", "websocket"}, http.StatusUnauthorized},
				{"GET", "/oauth2/auth", nil, http.StatusUnauthorized},
				{"POST", "/oauth2/auth", nil, http.StatusUnauthorized},
				{"GET", "/oauth2/auth?allowed_groups=staff", nil, http.StatusUnauthorized},
				{"GET", "/oauth2/userinfo", nil, http.StatusUnauthorized},
				{"GET", "/oauth2/sign_in", nil, http.StatusOK},
				{"GET", "/oauth2/sign_in?rd=/staff/", nil, http.StatusOK},
				{"GET", "/oauth2/account", nil, http.StatusFound}, // to the sign-in page
				{"GET", "/oauth2/prove", nil, http.StatusFound},
				{"POST", "/oauth2/link", nil, http.StatusSeeOther},
				{"POST", "/oauth2/account/password", nil, http.StatusSeeOther},
				{"GET", "/oauth2/admin/", nil, http.StatusNotFound},
				{"GET", "/oauth2/callback", nil, http.StatusBadRequest},
				{"GET", "/oauth2/callback?state=" + handle + "&code=x", nil, http.StatusBadRequest},
				{"GET", "/oauth2/mfa?method=passkey", nil, http.StatusOK},
			} {
				if r := v.send(false, c.method, g.URL+c.path, nil, c.headers...); r.StatusCode != c.status {
					t.Errorf("%s: %s %s %q: %s, want %d", name, c.method, c.path, c.headers, r.Status, c.status)
				}
			}
		}
		if n := len(application.Requests()); n != reached {
			t.Errorf("%s: %d requests have reached the application", name, n-reached)
		}
		half.look(g.URL+"/public/x").wants(t, http.StatusOK)
		if got := application.Last(t); strings.Contains(got.Head, name) || strings.Contains(got.Head, "_gatehouse") {
			t.Errorf("on a public route the application is told of %s:\n%s", name, got.Head)
		}
	}
	if out := run(t, g, "session", "list", "--user", "fresh", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("there is a session: %s", out)
	}
	// No code, and no way around it.
	lost := newVisitor(t, "")
	lost.challenged(g, "ada", "/")
	for _, form := range []url.Values{
		{},
		{"code": {""}},
		{"method": {"totp"}, "code": {strings.Repeat("1", 5000)}},
		{"method": {"totp"}, "code": {"１２３４５６"}},
	} {
		lost.post(g.URL+"/oauth2/mfa", form).wants(t, http.StatusUnauthorized)
	}
	for _, form := range []url.Values{{"method": {"none"}, "code": {"1"}}, {"code": {"1", "2"}}} {
		lost.post(g.URL+"/oauth2/mfa", form).wants(t, http.StatusBadRequest)
	}
	lost.signedOut(g)
	// Without a sign-in at this step there is no page of it.
	if to := newVisitor(t, "").look(g.URL+"/oauth2/mfa").wants(t, http.StatusFound).to(t); to.Path != "/oauth2/sign_in" {
		t.Errorf("the page of the code leads a stranger to %s", to)
	}
}

// TestOneCodeInParallel: however often one code is sent at once, it passes
// once. Attack: a proxy in the middle that is as quick as its victim.
func TestOneCodeInParallel(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	for _, c := range []struct {
		name     string
		browsers int
		sends    int // from each
	}{{"tabs", 1, 50}, {"browsers", 5, 10}} {
		addUser(t, g, c.name)
		app := newVisitor(t, "").enrol(g, c.name)
		var visitors []*visitor
		for range c.browsers {
			v := newVisitor(t, "")
			v.challenged(g, c.name, "/")
			visitors = append(visitors, v)
		}
		if passed := atOnce(t, visitors, c.sends, "totp", app.code(t), g); passed != 1 {
			t.Errorf("%s: one code passed %d times", c.name, passed)
		}
		var sessions []struct{ AMR []string }
		decode(t, run(t, g, "session", "list", "--user", c.name, "--json"), &sessions)
		if len(sessions) != 2 { // of the enrolment, and this one
			t.Errorf("%s: %d sessions", c.name, len(sessions))
		}
	}
}

// TestSessionIDsAreNew: an id that was there before a sign-in is no session
// after it. Attack: session fixation, a cookie planted in the victim's
// browser.
func TestSessionIDsAreNew(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL, "mfa: {enforce: off}"))
	addUser(t, g, "ada")
	addUser(t, g, "eve")
	planted := strings.Repeat("A", 43)
	v := newVisitor(t, "")
	v.setCookie(g.URL, &http.Cookie{Name: "_gatehouse", Value: planted})
	v.setCookie(g.URL, &http.Cookie{Name: "_gatehouse_mfa", Value: planted})
	v.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	first := v.cookie(g.URL, "_gatehouse")
	if first == planted || first == "" {
		t.Fatalf("the session's id is %q", first)
	}
	// Attack: one's own session in the victim's browser, which then signs in.
	v.password(g, "eve", goodPassword).wants(t, http.StatusSeeOther)
	if user := v.signedIn(g)["user"]; user != "eve" || v.cookie(g.URL, "_gatehouse") == first {
		t.Errorf("%v is signed in, under the id of before", user)
	}
	for _, old := range []string{planted, first} {
		thief := newVisitor(t, "")
		thief.setCookie(g.URL, &http.Cookie{Name: "_gatehouse", Value: old})
		thief.signedOut(g)
	}
}

// TestCrossSiteForms: another site cannot sign anybody in or out. Attack:
// login CSRF, a form on evil.example with the attacker's own password, to
// read later what the victim does in his account.
func TestCrossSiteForms(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada")
	v := newVisitor(t, "")
	v.challenged(g, "ada", "/")
	app := v.offered(g)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Origin", strings.Replace(g.URL, "http:", "https:", 1) + "0"},
	} {
		other := newVisitor(t, "")
		r := other.password(g, "ada", goodPassword, headers...).wants(t, http.StatusForbidden)
		if !strings.Contains(r.Text, "came from another site") || other.cookie(g.URL, "_gatehouse_mfa") != "" {
			t.Errorf("%q: not refused with a page:\n%s", headers, r.Text)
		}
		v.code(g, app.at(t, 1), headers...).wants(t, http.StatusForbidden)
	}
	v.code(g, app.code(t), "Sec-Fetch-Site", "same-origin", "Origin", g.URL).wants(t, http.StatusSeeOther)
	for _, r := range []reply{
		v.post(g.URL+"/oauth2/sign_out", url.Values{}, "Sec-Fetch-Site", "cross-site"),
		v.look(g.URL+"/oauth2/sign_out?rd=/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Dest", "image"),
		v.look(g.URL + "/oauth2/sign_out"),
		v.look(g.URL+"/oauth2/sign_out", "Referer", "https://evil.example/"),
	} {
		if r.StatusCode != http.StatusOK || !strings.Contains(r.Text, "<h1>Do you want to sign out?</h1>") {
			t.Errorf("%s %q: %s", r.Request.Method, r.Request.Header, r.Status)
		}
		v.signedIn(g)
	}
	v.look(g.URL+"/oauth2/sign_out", "Sec-Fetch-Site", "same-origin").wants(t, http.StatusOK)
	v.signedOut(g)
}

// TestAddressOfAConnection: who types an address of an organisation goes to
// its identity provider, whether or not there is such an account, and the
// password stays behind.
func TestAddressOfAConnection(t *testing.T) {
	t.Parallel()
	application, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{
		connectionText("acme", idp.URL(), "email_domains: [acme.example]"),
		connectionText("other", idp.URL()),
	}, "local: {enabled: true}"))
	addUser(t, g, "ada", "--email", "ada@acme.example")
	for _, name := range []string{"ada@acme.example", "Nobody@ACME.example", " x@acme.example "} {
		v := newVisitor(t, "")
		to := v.passwordTo(g, name, goodPassword, "/wanted?a=b").wants(t, http.StatusSeeOther).to(t)
		if to.Path != "/oauth2/start" || to.Query().Get("connection") != "acme" || to.Query().Get("rd") != "/wanted?a=b" {
			t.Errorf("%s leads to %s", name, to)
		}
		if strings.Contains(to.String(), "correct") {
			t.Errorf("the password is in the URL %s", to)
		}
		if next := v.look(to.String()).to(t); "http://"+next.Host != idp.URL() {
			t.Errorf("%s goes on to %s", name, next)
		}
	}
	for _, name := range []string{"ada@acme.example.evil.example", "@acme.example", "a@b@acme.example", "acme.example"} {
		newVisitor(t, "").password(g, name, goodPassword).wants(t, http.StatusUnauthorized)
	}
	newVisitor(t, "").challenged(g, "ada", "/")
}
