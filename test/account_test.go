package test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

var sessionForm = regexp.MustCompile(`/account/sessions/end">\s*<input type="hidden" name="id" value="([0-9a-f]+)"`)

// TestAccountPage: somebody with a local account sees who they are, finds the
// session that they left open elsewhere, and ends it, all without JavaScript.
func TestAccountPage(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL, "mfa: {enforce: off}"))
	addUser(t, g, "ada", "--email", "ada@corp.example", "--name", "Ada L.", "--group", "staff")
	addUser(t, g, "bob")

	nobody := newVisitor(t, "")
	if to := nobody.look(g.URL + "/oauth2/account").to(t); to.Path != "/oauth2/sign_in" || to.Query().Get("rd") != "/oauth2/account" {
		t.Errorf("nobody is sent to %s", to)
	}
	desk, phone, bob := newVisitor(t, ""), newVisitor(t, ""), newVisitor(t, "")
	if to := desk.passwordTo(g, "ada", goodPassword, "/oauth2/account").wants(t, http.StatusSeeOther).to(t); to.Path != "/oauth2/account" {
		t.Errorf("the sign-in ends at %s", to)
	}
	phone.passwordTo(g, "ada", goodPassword, "/").wants(t, http.StatusSeeOther)
	bob.passwordTo(g, "bob", goodPassword, "/").wants(t, http.StatusSeeOther)

	page := desk.look(g.URL+"/oauth2/account").wants(t, http.StatusOK)
	for _, shown := range []string{"ada@corp.example", "Ada L.", "staff", "Set by an administrator", "X-Forwarded-User", "this one", "Account created"} {
		if !strings.Contains(page.Text, shown) {
			t.Errorf("the page does not show %q", shown)
		}
	}
	others := sessionForm.FindAllStringSubmatch(page.Text, -1)
	if len(others) != 1 {
		t.Fatalf("%d other sessions are listed:\n%s", len(others), page.Text)
	}
	end := g.URL + "/oauth2/account/sessions/end"
	// Attack: another site posts the form; another person knows the id.
	desk.post(end, url.Values{"id": {others[0][1]}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example").wants(t, http.StatusForbidden)
	bob.post(end, url.Values{"id": {others[0][1]}}).wants(t, http.StatusSeeOther)
	phone.signedIn(g)
	desk.post(end, url.Values{"id": {others[0][1]}}).wants(t, http.StatusSeeOther)
	phone.signedOut(g)
	desk.signedIn(g)

	phone.passwordTo(g, "ada", goodPassword, "/").wants(t, http.StatusSeeOther)
	desk.post(g.URL+"/oauth2/account/sessions/end_others", url.Values{}).wants(t, http.StatusSeeOther)
	phone.signedOut(g)
	bob.signedIn(g)
	desk.signedIn(g)
}

// TestAccountPageOfFederatedPeople: with JIT on a person sees what came from
// their provider and may not cut the only way in; with JIT off they see that
// nothing is stored.
func TestAccountPageOfFederatedPeople(t *testing.T) {
	t.Parallel()
	application, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{
		connectionText("acme", idp.URL(), "jit: {enabled: true}"),
		connectionText("guests", idp.URL(), "jit: {enabled: false}"),
	}))
	idp.SetPersona("alice", person("alice", nil), nil)
	member := newVisitor(t, "alice")
	member.start(g, "acme", "/oauth2/account").wants(t, http.StatusOK)
	page := member.look(g.URL+"/oauth2/account").wants(t, http.StatusOK)
	link := map[string]string{}
	for _, field := range []string{"connection", "issuer", "subject"} {
		m := regexp.MustCompile(`name="` + field + `" value="([^"]*)"`).FindStringSubmatch(page.Text)
		if m == nil {
			t.Fatalf("no link to cut:\n%s", page.Text)
		}
		link[field] = m[1]
	}
	if strings.Contains(page.Text, "/account/password") || strings.Contains(page.Text, "/account/factors") {
		t.Error("an account without a password is shown how to change one")
	}
	r := member.post(g.URL+"/oauth2/account/unlink", url.Values{"connection": {link["connection"]}, "issuer": {link["issuer"]}, "subject": {link["subject"]}})
	if r.wants(t, http.StatusConflict); !strings.Contains(r.Text, "last way in") {
		t.Errorf("the page does not say why:\n%s", r.Text)
	}
	member.look(g.URL+"/oauth2/account/password").wants(t, http.StatusNotFound)

	guest := newVisitor(t, "alice")
	guest.start(g, "guests", "/").wants(t, http.StatusOK)
	page = guest.look(g.URL+"/oauth2/account").wants(t, http.StatusOK)
	if !strings.Contains(page.Text, "Nothing is stored about you") || strings.Contains(page.Text, "<form") {
		t.Errorf("what passes through sees:\n%s", page.Text)
	}
	if n := len(accounts(t, g)); n != 1 {
		t.Errorf("%d accounts", n)
	}
	for _, path := range []string{"sessions/end_others", "unlink", "password", "factors/add", "recovery"} {
		if r := guest.post(g.URL+"/oauth2/account/"+path, url.Values{}); r.StatusCode != http.StatusNotFound {
			t.Errorf("account/%s answers who passes through with %s", path, r.Status)
		}
	}
}
