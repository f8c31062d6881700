package test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// amr is how the person of the only session of an account came in.
func amr(t *testing.T, g *servers.Gateway, name string) []string {
	t.Helper()
	var sessions []struct{ AMR []string }
	decode(t, run(t, g, "session", "list", "--user", name, "--json"), &sessions)
	if len(sessions) != 1 {
		t.Fatalf("%s has %d sessions", name, len(sessions))
	}
	return sessions[0].AMR
}

// TestFederatedIsNotAsked: under mfa.enforce local, who comes through an
// identity provider is never asked for a code here, not even somebody whose
// account has a factor; the same person is when they come by password.
func TestFederatedIsNotAsked(t *testing.T) {
	t.Parallel()
	application, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{
		connectionText("acme", idp.URL()),
		connectionText("partner", idp.URL(), "jit: {enabled: false}"),
	}, "local: {enabled: true}"))
	pat := addUser(t, g, "pat", "--email", "pat@corp.example")

	federated := newVisitor(t, "")
	federated.start(g, "acme", "/").wants(t, http.StatusOK) // linked to the account of the address
	if now := showAccount(t, g, "pat"); now.ID != pat.ID || len(now.Links) != 1 || len(now.Factors) != 0 {
		t.Fatalf("not linked: %+v", now)
	}
	federated.signOutLocal(g)
	local := newVisitor(t, "")
	local.enrol(g, "pat")
	if got := amr(t, g, "pat"); !slices.Contains(got, "mfa") || !slices.Contains(got, "otp") || !slices.Contains(got, "pwd") {
		t.Errorf("amr of the local session: %q", got)
	}
	local.signOutLocal(g)

	r := federated.start(g, "acme", "/after").wants(t, http.StatusOK)
	if r.Request.URL.Path != "/after" || application.Last(t).Header.Get("X-Forwarded-User") != "pat" {
		t.Errorf("the federated sign-in ends at %s", r.Request.URL)
	}
	if got := amr(t, g, "pat"); slices.Contains(got, "mfa") {
		t.Errorf("the federated session says that a second factor was proved: %q", got)
	}
	passing := newVisitor(t, "")
	if r := passing.start(g, "partner", "/after").wants(t, http.StatusOK); r.Request.URL.Path != "/after" {
		t.Errorf("the pass-through sign-in ends at %s", r.Request.URL)
	}
	if got := application.Last(t).Header.Get("X-Forwarded-User"); got != "partner:subject-1" {
		t.Errorf("the pass-through user is %q", got)
	}
	newVisitor(t, "").challenged(g, "pat", "/")
}

// TestEnforceAll: everybody owes a factor. Who passes through has no account
// that could hold one: that is said by check, at start-up and to the person.
func TestEnforceAll(t *testing.T) {
	t.Parallel()
	application, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{
		connectionText("acme", idp.URL()),
		connectionText("partner", idp.URL(), "jit: {enabled: false}"),
	}, "local: {enabled: true}", "mfa: {enforce: all}"))

	const code = "mfa-all-jit-off"
	r := g.Run(t, "", "check", "--config", g.Config)
	if r.Code != 0 || !strings.Contains(r.Stdout, code) || !strings.Contains(r.Stdout, "connection partner has") || !strings.Contains(r.Stdout, "second factor") || strings.Contains(r.Stdout, "connection acme has") {
		t.Errorf("check ended with %d:\n%s", r.Code, r.Stdout)
	}
	if r := g.Run(t, "", "check", "--strict", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stdout, code) {
		t.Errorf("check --strict ended with %d:\n%s", r.Code, r.Stdout)
	}
	if out := g.Output(); !strings.Contains(out, `"code":"`+code+`"`) {
		t.Errorf("the start-up log has no warning %s:\n%s", code, out)
	}

	v := newVisitor(t, "")
	if r := v.start(g, "acme", "/wanted").wants(t, http.StatusOK); r.Request.URL.Path != "/oauth2/mfa" {
		t.Fatalf("the federated sign-in goes on at %s", r.Request.URL)
	}
	v.signedOut(g)
	app := v.offered(g)
	if to := v.code(g, app.code(t)).wants(t, http.StatusSeeOther).to(t); to.Path != "/wanted" {
		t.Errorf("the sign-in ends at %s", to)
	}
	if got := amr(t, g, "pat"); !slices.Contains(got, "mfa") {
		t.Errorf("amr: %q", got)
	}
	again := newVisitor(t, "")
	if r := again.start(g, "acme", "/wanted"); setUpKey.MatchString(r.Text) || r.Request.URL.Path != "/oauth2/mfa" {
		t.Errorf("not challenged, but at %s", r.Request.URL)
	}
	again.code(g, app.code(t)).wants(t, http.StatusSeeOther)
	again.signedIn(g)

	passing := newVisitor(t, "")
	refused := passing.start(g, "partner", "/").wants(t, http.StatusForbidden)
	if !strings.Contains(refused.Text, "<h1>") || !strings.Contains(refused.Text, "second factor") {
		t.Errorf("not a page that says why:\n%s", refused.Text)
	}
	passing.signedOut(g)
}

// TestEnforceOff: nobody is asked, and what is enrolled is not forgotten.
func TestEnforceOff(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada")
	newVisitor(t, "").enrol(g, "ada")
	restart(t, g, localOnly(application.URL, "mfa: {enforce: off}"))
	v := newVisitor(t, "")
	if to := v.passwordTo(g, "ada", goodPassword, "/wanted").wants(t, http.StatusSeeOther).to(t); to.Path != "/wanted" {
		t.Errorf("the password leads to %s", to)
	}
	v.signedIn(g)
	restart(t, g, localOnly(application.URL))
	again := newVisitor(t, "")
	again.challenged(g, "ada", "/")
	if page := again.look(g.URL + "/oauth2/mfa"); setUpKey.MatchString(page.Text) {
		t.Error("the authenticator is forgotten")
	}
}

// TestAdministratorsActAtOnce: what an administrator does to an account acts
// on the next request, on sessions and on sign-ins that are half done.
func TestAdministratorsActAtOnce(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))

	t.Run("disable", func(t *testing.T) {
		t.Parallel()
		addUser(t, g, "dis")
		v, half := newVisitor(t, ""), newVisitor(t, "")
		app := v.enrol(g, "dis")
		half.challenged(g, "dis", "/")
		run(t, g, "user", "disable", "dis")
		v.signedOut(g)
		v.look(g.URL+"/").wants(t, http.StatusFound)
		v.password(g, "dis", goodPassword).wants(t, http.StatusUnauthorized)
		half.code(g, app.code(t)).wants(t, http.StatusSeeOther)
		half.signedOut(g)
		run(t, g, "user", "enable", "dis")
		v.signedOut(g) // the session does not come back
		v.challenged(g, "dis", "/")
	})
	t.Run("set-password", func(t *testing.T) {
		t.Parallel()
		addUser(t, g, "pwd")
		v, half := newVisitor(t, ""), newVisitor(t, "")
		app := v.enrol(g, "pwd")
		// Attack: wait at the code with a stolen password while it is changed.
		half.challenged(g, "pwd", "/")
		if r := g.Run(t, "another good passphrase\n", "user", "set-password", "pwd", "--password-stdin", "--config", g.Config); r.Code != 0 {
			t.Fatal(r.Stderr)
		}
		v.signedOut(g)
		v.password(g, "pwd", goodPassword).wants(t, http.StatusUnauthorized)
		if to := half.code(g, app.code(t)).wants(t, http.StatusSeeOther).to(t); to.Path != "/oauth2/sign_in" {
			t.Errorf("the half sign-in goes on to %s", to)
		}
		half.signedOut(g)
		// A new password skips no factor.
		if to := v.password(g, "pwd", "another good passphrase").wants(t, http.StatusSeeOther).to(t); to.Path != "/oauth2/mfa" {
			t.Errorf("the new password leads to %s", to)
		}
		if page := v.look(g.URL + "/oauth2/mfa"); setUpKey.MatchString(page.Text) {
			t.Error("the new password forgot the authenticator")
		}
	})
	t.Run("reset-mfa", func(t *testing.T) {
		t.Parallel()
		addUser(t, g, "mfa")
		v := newVisitor(t, "")
		old := v.enrol(g, "mfa")
		v.signOutLocal(g)
		v.signInLocal(g, "mfa", old) // its code is of the step to come
		run(t, g, "user", "reset-mfa", "mfa")
		v.signedOut(g)
		// The counter is forgotten too: a code of the present step passes.
		app := v.enrol(g, "mfa")
		if app.secret == old.secret {
			t.Error("the new app has the old key")
		}
		lost := newVisitor(t, "")
		lost.challenged(g, "mfa", "/")
		lost.code(g, old.at(t, old.last)).wants(t, http.StatusUnauthorized)
	})
	t.Run("delete", func(t *testing.T) {
		t.Parallel()
		addUser(t, g, "del")
		v, half := newVisitor(t, ""), newVisitor(t, "")
		app := v.enrol(g, "del")
		half.challenged(g, "del", "/")
		run(t, g, "user", "delete", "del")
		v.signedOut(g)
		half.code(g, app.code(t))
		half.signedOut(g)
		// Whoever comes later under the name does not inherit the factor.
		addUser(t, g, "del")
		newVisitor(t, "").enrol(g, "del")
	})
}
