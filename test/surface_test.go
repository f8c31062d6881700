package test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// Who may use an endpoint.
const (
	byAnybody       = "public"
	byStep          = "pending-step" // who is at that step of a sign-in
	bySignedIn      = "signed-in"
	byAdministrator = "administrator"
	byOperator      = "operator" // at the admin listener; see TestAdminListenerIsApart
)

// endpoint is one of Gatehouse's own, and how it answers who may use it.
type endpoint struct {
	method, path string // as it is registered; no method: it judges that itself
	by           string
	step         string     // of byStep
	ask          string     // what to ask for; empty: path
	form         url.Values // of a POST
	body         string     // of a POST of JSON
	status       int        // for who may use it
}

// surface is every endpoint of a gateway. Each of the public listener is asked in this order, so what
// ends something comes after what needs it.
var surface = []endpoint{
	{method: "GET", path: "/ping", by: byAnybody, status: 200},
	{method: "GET", path: "/ready", by: byAnybody, status: 200},
	{path: "/", by: byAnybody, ask: "/oauth2/nothing", status: 404},
	{method: "GET", path: "/oauth2/static/", by: byAnybody, ask: "/oauth2/static/0/gatehouse.css", status: 200},
	{method: "GET", path: "/oauth2/sign_in", by: byAnybody, status: 200},
	{method: "GET", path: "/oauth2/start", by: byAnybody, ask: "/oauth2/start?connection=acme", status: 302},
	{method: "GET", path: "/oauth2/callback", by: byAnybody, status: 400},
	{method: "GET", path: "/oauth2/reset", by: byAnybody, status: 200},
	{method: "POST", path: "/oauth2/reset", by: byAnybody, form: url.Values{"username": {"ghost"}}, status: 200},
	{method: "GET", path: "/oauth2/password", by: byAnybody, ask: "/oauth2/password?token=none", status: 400},
	{method: "POST", path: "/oauth2/password", by: byAnybody, form: url.Values{"token": {"none"}, "password": {goodPassword}}, status: 400},
	{method: "POST", path: "/oauth2/backchannel-logout/{connection}", by: byAnybody, ask: "/oauth2/backchannel-logout/acme", form: url.Values{}, status: 400},

	{method: "GET", path: "/oauth2/mfa", by: byStep, step: "mfa", status: 200},
	{method: "POST", path: "/oauth2/mfa", by: byStep, step: "mfa", form: url.Values{"code": {""}}, status: 401},
	{method: "GET", path: "/oauth2/confirm", by: byStep, step: "confirm", status: 200},
	{method: "POST", path: "/oauth2/confirm", by: byStep, step: "confirm", form: url.Values{"password": {""}}, status: 401},
	{method: "GET", path: "/oauth2/passkey", by: byStep, step: "passkey", status: 200},
	{method: "POST", path: "/oauth2/passkey", by: byStep, step: "passkey", form: url.Values{"code": {"{}"}}, status: 401},

	{path: "/oauth2/auth", by: bySignedIn, status: 202},
	{method: "GET", path: "/oauth2/userinfo", by: bySignedIn, status: 200},
	{method: "GET", path: "/oauth2/prove", by: bySignedIn, status: 200},
	{method: "POST", path: "/oauth2/prove", by: bySignedIn, form: url.Values{"password": {""}}, status: 401},
	{method: "GET", path: "/oauth2/step_up", by: bySignedIn, ask: "/oauth2/step_up?rd=/", status: 200},
	{method: "POST", path: "/oauth2/link", by: bySignedIn, form: url.Values{"connection": {"none"}}, status: 404},
	{method: "GET", path: "/oauth2/account", by: bySignedIn, status: 200},
	{method: "POST", path: "/oauth2/account/sessions/end", by: bySignedIn, form: url.Values{"id": {"none"}}, status: 303},
	{method: "POST", path: "/oauth2/account/sessions/end_others", by: bySignedIn, form: url.Values{}, status: 303},
	{method: "POST", path: "/oauth2/account/unlink", by: bySignedIn, form: url.Values{}, status: 404},
	{method: "GET", path: "/oauth2/account/password", by: bySignedIn, status: 200},
	{method: "POST", path: "/oauth2/account/password", by: bySignedIn, form: url.Values{"password": {"short"}}, status: 422},
	{method: "POST", path: "/oauth2/account/factors/add", by: bySignedIn, form: url.Values{"kind": {"totp"}}, status: 303},
	{method: "GET", path: "/oauth2/account/factors/confirm", by: bySignedIn, ask: "/oauth2/account/factors/confirm?kind=totp", status: 200},
	{method: "POST", path: "/oauth2/account/factors/confirm", by: bySignedIn, form: url.Values{"kind": {"totp"}}, status: 401},
	{method: "POST", path: "/oauth2/account/factors/rename", by: bySignedIn, form: url.Values{"kind": {"totp"}, "id": {"none"}, "name": {"x"}}, status: 404},
	{method: "POST", path: "/oauth2/account/factors/remove", by: bySignedIn, form: url.Values{"kind": {"totp"}, "id": {"none"}}, status: 303},
	{method: "POST", path: "/oauth2/account/recovery", by: bySignedIn, form: url.Values{}, status: 200},

	{method: "GET", path: "/oauth2/admin/api/accounts", by: byAdministrator, status: 200},
	{method: "POST", path: "/oauth2/admin/api/accounts", by: byAdministrator, body: `{"username":""}`, status: 400},
	{method: "GET", path: "/oauth2/admin/api/accounts/{name}", by: byAdministrator, ask: "/oauth2/admin/api/accounts/ada", status: 200},
	{method: "GET", path: "/oauth2/admin/api/accounts/{name}/history", by: byAdministrator, ask: "/oauth2/admin/api/accounts/ada/history", status: 200},
	{method: "GET", path: "/oauth2/admin/api/accounts/{name}/factors", by: byAdministrator, ask: "/oauth2/admin/api/accounts/ada/factors", status: 200},
	{method: "GET", path: "/oauth2/admin/api/requests/{id}", by: byAdministrator, ask: "/oauth2/admin/api/requests/none", status: 404},
	{method: "POST", path: "/oauth2/admin/api/accounts/{name}/{action}", by: byAdministrator, ask: "/oauth2/admin/api/accounts/ada/unlock", body: `{}`, status: 200},

	{method: "GET", path: "/metrics", by: byOperator},
	{method: "GET", path: "/debug/pprof/", by: byOperator},
	{method: "GET", path: "/debug/pprof/cmdline", by: byOperator},
	{method: "GET", path: "/debug/pprof/profile", by: byOperator},
	{method: "GET", path: "/debug/pprof/symbol", by: byOperator},
	{method: "GET", path: "/debug/pprof/trace", by: byOperator},

	// Last: who signs in or out is not at the step where they were.
	{method: "POST", path: "/oauth2/sign_in", by: byAnybody, form: url.Values{"username": {"ada", "bea"}}, status: 400},
	{method: "GET", path: "/oauth2/sign_out", by: byAnybody, status: 200},
	{method: "POST", path: "/oauth2/sign_out", by: byAnybody, form: url.Values{}, status: 200},
}

func (e endpoint) name() string { return strings.TrimSpace(e.method + " " + e.path) }

// TestSurfaceIsListed: no endpoint exists that the list above does not have. Who
// adds one says there who may use it.
func TestSurfaceIsListed(t *testing.T) {
	var listed []string
	for _, e := range surface {
		listed = append(listed, e.name())
	}
	slices.Sort(listed)
	if diff := cmp.Diff(listed, registrations(t)); diff != "" {
		t.Errorf("listed (-), registered (+):\n%s", diff)
	}
}

// caller is somebody who asks for each endpoint.
type caller struct {
	*visitor
	name string
	step string // of a sign-in that is half done, where there is one
	full bool
	rule bool // is an administrator
}

// allowed reports whether a caller may use an endpoint.
func (c caller) allowed(e endpoint) bool {
	switch e.by {
	case byAnybody:
		return true
	case byStep:
		return c.step == e.step
	case bySignedIn:
		return c.full
	}
	return c.rule
}

// TestSurface: every endpoint is asked by nobody, by sign-ins that are half done
// with each kind of factor, by somebody who is signed in and by an
// administrator. Half done is nobody, everywhere but at its own step. Attack: a
// stolen password, or half of what an account wants, and then anything else.
func TestSurface(t *testing.T) {
	t.Parallel()
	application, idp, s := servers.StartApp(t), badidp.Start(t), servers.StartSMTP(t, false)
	g := servers.NewGateway(t, binary, "")
	_, port, _ := strings.Cut(g.Addr, ":")
	text := configText(application.URL, []string{connectionText("acme", idp.URL(), "jit: {link_existing: confirm}")},
		"local: {enabled: true}", "admin: {groups: [admins]}", mailTo(s, ""))
	// By a name, or there would be no passkeys.
	g.URL = "http://localhost:" + port
	g.WriteConfig(t, strings.Replace(text, `public_url: "http://{{addr}}"`, `public_url: "`+g.URL+`"`, 1))
	g.Start(t)

	callers := halfSignedIn(t, g, s)
	callers = append(callers, caller{visitor: newVisitor(t, ""), name: "nobody"})
	for _, name := range []string{"member", "ruler"} {
		c := caller{visitor: newVisitor(t, ""), name: name, full: true, rule: name == "ruler"}
		addUser(t, g, name, "--group", map[bool]string{true: "admins", false: "staff"}[c.rule])
		c.enrol(g, name)
		callers = append(callers, c)
	}
	reached := len(application.Requests())
	for _, c := range callers {
		if c.full {
			continue
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
			if r := c.send(false, method, g.URL+"/", nil); r.StatusCode != http.StatusFound && r.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s /, an application's, by %s: %s", method, c.name, r.Status)
			}
		}
	}
	for _, e := range surface {
		if e.by == byOperator {
			continue // of the public listener it is not, and the application has the path
		}
		if e.path == "/oauth2/sign_in" && e.method == "POST" {
			for _, c := range callers { // all of it has changed nobody
				if (c.userinfo(g) != nil) != c.full {
					t.Errorf("%s: signed in: %v", c.name, !c.full)
				}
			}
		}
		for _, c := range callers {
			e.judge(t, g, c)
		}
	}
	if n := len(application.Requests()); n != reached {
		t.Errorf("%d requests have reached the application", n-reached)
	}
}

var headline = regexp.MustCompile(`<h1>[^<]*</h1>`)

// judge asks for an endpoint and fails the test unless the answer is what that
// caller may get.
func (e endpoint) judge(t *testing.T, g *servers.Gateway, c caller) {
	t.Helper()
	method, path := e.method, e.ask
	if method == "" {
		method = "GET"
	}
	if path == "" {
		path = e.path
	}
	var r reply
	switch {
	case e.by == byAdministrator:
		r = c.visitor.api(g, method, path, e.body)
	default:
		r = c.send(false, method, g.URL+path, e.form)
	}
	to := ""
	if u, err := r.Location(); err == nil {
		to = u.Path
	}
	got := r.StatusCode
	switch allowed := c.allowed(e); {
	case e.by == byAnybody && c.full && e.path == "/oauth2/sign_in" && method == "GET":
		if got != http.StatusFound || to != "/" { // there already
			t.Errorf("%s by %s: %s to %q", e.name(), c.name, r.Status, to)
		}
	case allowed && got != e.status:
		t.Errorf("%s (%s) by %s: %s to %q, want %d\n%s", e.name(), e.by, c.name, r.Status, to, e.status, headline.FindString(r.Text))
	case allowed && e.by != byAnybody && to == "/oauth2/sign_in":
		t.Errorf("%s (%s) sends %s to sign in", e.name(), e.by, c.name)
	case !allowed && e.by == byAdministrator && c.full && got != http.StatusForbidden:
		t.Errorf("%s (%s) by %s: %s, want 403", e.name(), e.by, c.name, r.Status)
	case !allowed && !(e.by == byAdministrator && c.full) && got != http.StatusUnauthorized && to != "/oauth2/sign_in":
		t.Errorf("%s (%s) by %s: %s to %q, want 401 or the sign-in page\n%s", e.name(), e.by, c.name, r.Status, to, headline.FindString(r.Text))
	}
	if c.cookie(g.URL, "_gatehouse") != "" && !c.full {
		t.Fatalf("%s has given %s a session", e.name(), c.name)
	}
	// No other method does anything.
	if r := c.send(false, "PATCH", g.URL+path, nil); e.method != "" && r.StatusCode != http.StatusMethodNotAllowed && r.StatusCode != http.StatusNotFound {
		t.Errorf("PATCH %s by %s: %s", path, c.name, r.Status)
	}
}

// halfSignedIn are people who are half through a sign-in, one in each way there
// is.
func halfSignedIn(t *testing.T, g *servers.Gateway, s *servers.SMTP) (all []caller) {
	t.Helper()
	half := func(name, step string, begin func(v *visitor)) {
		v := newVisitor(t, "")
		begin(v)
		all = append(all, caller{visitor: v, name: "who " + name, step: step})
	}
	addUser(t, g, "fresh")
	half("enrols", "mfa", func(v *visitor) { v.challenged(g, "fresh", "/") })
	half("chose codes by mail to enrol", "mfa", func(v *visitor) {
		addUser(t, g, "choosy", "--email", "choosy@corp.example")
		v.challenged(g, "choosy", "/")
		v.takes(g, "enrol", "email_code").wants(t, http.StatusSeeOther)
	})
	addUser(t, g, "ada", "--email", "ada@corp.example")
	app := newVisitor(t, "").enrol(g, "ada")
	half("is asked for an app", "mfa", func(v *visitor) { v.challenged(g, "ada", "/") })
	half("is asked for a recovery code", "mfa", func(v *visitor) {
		v.challenged(g, "ada", "/")
		v.takes(g, "challenge", "recovery_code").wants(t, http.StatusSeeOther)
	})
	half("has proved an app and must enrol another", "mfa", func(v *visitor) {
		run(t, g, "user", "require-mfa", "ada")
		v.challenged(g, "ada", "/")
		v.code(g, app.code(t)).wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
	})
	half("may have a code mailed", "mfa", func(v *visitor) {
		addUser(t, g, "bea", "--email", "bea@corp.example")
		newVisitor(t, "").enrolMailed(g, s, "bea", "bea@corp.example", 1)
		v.challenged(g, "bea", "/")
	})
	half("is asked for a passkey", "passkey", func(v *visitor) {
		v.post(g.URL+"/oauth2/passkey", url.Values{}).wants(t, http.StatusSeeOther).leads(t, "/oauth2/passkey")
	})
	half("must prove an account", "confirm", func(v *visitor) {
		addUser(t, g, "pat", "--email", "pat@corp.example")
		v.proves(g, "acme")
	})
	half("is away at a provider", "", func(v *visitor) {
		v.look(g.URL+"/oauth2/start?connection=acme").wants(t, http.StatusFound)
	})
	return all
}
