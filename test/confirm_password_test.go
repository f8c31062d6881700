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

const confirmHeading = "Is this account yours?"

// mustProve signs a persona in through a connection, in a browser of their own,
// and fails the test unless that leads to the page on which an account is
// proved, with nobody signed in.
func mustProve(t *testing.T, g *servers.Gateway, persona, connection string) *visitor {
	t.Helper()
	v := newVisitor(t, persona)
	v.proves(g, connection)
	return v
}

// proves is mustProve in a browser that is there already. It returns the page.
func (v *visitor) proves(g *servers.Gateway, connection string) reply {
	v.t.Helper()
	r := v.start(g, connection, "/wanted").wants(v.t, http.StatusOK)
	if r.Request.URL.Path != "/oauth2/confirm" || !strings.Contains(r.Text, "<h1>"+confirmHeading+"</h1>") {
		v.t.Fatalf("no proof is asked for, but %s:\n%s", r.Request.URL, r.Text)
	}
	v.signedOut(g)
	return r
}

// proveBy answers that page by one field.
func (v *visitor) proveBy(g *servers.Gateway, field, value string) reply {
	v.t.Helper()
	return v.post(g.URL+"/oauth2/confirm", url.Values{field: {value}})
}

// leads fails the test unless the answer is a redirect to that path.
func (r reply) leads(t testing.TB, path string) {
	t.Helper()
	if to := r.to(t); to.Path != path {
		t.Fatalf("%s leads to %s, want %s", r.Request.URL.Path, to, path)
	}
}

// shows fails the test unless the answer is a page with that status and
// heading.
func (r reply) shows(t testing.TB, status int, heading string) reply {
	t.Helper()
	r.wants(t, status)
	if !strings.Contains(r.Text, "<h1>"+heading+"</h1>") {
		t.Errorf("not the page %q:\n%s", heading, r.Text)
	}
	return r
}

// corpClaims are the claims of a person whose provider says how it knew them.
func corpClaims(name string, more map[string]any) map[string]any {
	claims := person(name, more)
	claims["amr"], claims["acr"] = []any{"hwk"}, "gold"
	return claims
}

// cameBy is how a session came in.
type cameBy struct {
	Connection, Subject string
	AMR                 []string
}

func sessionsOf(t *testing.T, g *servers.Gateway, name string) []cameBy {
	t.Helper()
	var all []cameBy
	decode(t, run(t, g, "session", "list", "--user", name, "--json"), &all)
	return all
}

// TestConfirmByPassword: the account that an administrator added belongs to
// whoever knows its password, not to whom a provider says. Until that is shown,
// nothing of it changes; then both ways lead to it, and what proved it has
// left no trace in the session.
func TestConfirmByPassword(t *testing.T) {
	t.Parallel()
	app, idp, redis := servers.StartApp(t), badidp.Start(t), servers.Redis(t, servers.RedisOptions{})
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL(), "jit: {link_existing: confirm}", "require: {claims: {acr: [gold]}}"),
		connectionText("partner", idp.URL(), "jit: {enabled: false}"),
	}, "local: {enabled: true}", redisStore(redis, "gatehouse:")))
	ann := addUser(t, g, "ann", "--email", "Ann@Corp.Example")
	idp.SetPersona("ann", corpClaims("ann", map[string]any{"email": "ann@corp.example", "preferred_username": "annie"}), nil)
	before := redisRecords(t, redis, "gatehouse:")

	v := newVisitor(t, "ann")
	page := v.proves(g, "acme")
	for _, want := range []string{"Ann@Corp.Example", "Acme", `type="password"`, "Sign in another way"} {
		if !strings.Contains(page.Text, want) {
			t.Errorf("the page lacks %q:\n%s", want, page.Text)
		}
	}
	if page.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the page may be cached: %v", page.Header)
	}
	// What the address belongs to is not told in more words than are needed.
	if strings.Contains(page.Text, `"ann"`) {
		t.Error("the page tells the username of the account")
	}
	if r := v.proveBy(g, "password", "not the password").shows(t, http.StatusUnauthorized, confirmHeading); !strings.Contains(r.Text, "The password is not right.") {
		t.Errorf("a wrong password:\n%s", r.Text)
	}
	// Half-way in is nobody.
	v.look(g.URL+"/wanted").leads(t, "/oauth2/sign_in")
	v.post(g.URL+"/oauth2/mfa", url.Values{"code": {"000000"}}).leads(t, "/oauth2/sign_in")
	v.signedOut(g)
	// Attack: another page posts the form in the person's name.
	v.post(g.URL+"/oauth2/confirm", url.Values{"password": {goodPassword}}, "Sec-Fetch-Site", "cross-site").wants(t, http.StatusForbidden)
	v.post(g.URL+"/oauth2/confirm", url.Values{"password": {goodPassword}}, "Origin", "https://evil.example").wants(t, http.StatusForbidden)
	if diff := cmp.Diff(before, redisRecords(t, redis, "gatehouse:")); diff != "" {
		t.Errorf("the user store before the proof (-before +after):\n%s", diff)
	}

	handle := v.cookie(g.URL, "_gatehouse_confirm")
	v.proveBy(g, "password", goodPassword).leads(t, "/wanted")
	if user := v.signedIn(g)["user"]; user != "ann" {
		t.Errorf("the user is %q", user)
	}
	after := showAccount(t, g, "ann")
	if after.ID != ann.ID || len(after.Links) != 1 || after.Links[0] != (accountLink{"acme", idp.URL(), "ann-1"}) ||
		!slices.Contains(after.Groups, "staff") || !after.HasPassword || after.Name != "The ann" {
		t.Errorf("after the proof: %+v", after)
	}
	if diff := cmp.Diff([]cameBy{{"acme", "ann-1", []string{"hwk"}}}, sessionsOf(t, g, "ann")); diff != "" {
		t.Errorf("the session (-want +got):\n%s", diff)
	}
	if v.cookie(g.URL, "_gatehouse_confirm") != "" || v.cookie(g.URL, "_gatehouse_device") != "" || v.cookie(g.URL, "_gatehouse") == handle {
		t.Errorf("cookies after the proof: %v", v.Jar)
	}
	// The handle is spent; the identity is not asked again.
	thief := newVisitor(t, "")
	thief.setCookie(g.URL, &http.Cookie{Name: "_gatehouse_confirm", Value: handle})
	thief.proveBy(g, "password", goodPassword).shows(t, http.StatusBadRequest, "This sign-in is no longer valid")
	comes(t, g, "ann", "acme")
	// Who passes through is nobody's account.
	if user := comes(t, g, "ann", "partner").signedIn(g)["user"]; user != "partner:ann-1" {
		t.Errorf("the pass-through user is %q", user)
	}
	logs(t, g, "link_confirmation_asked")
	logs(t, g, "link_confirmed")
	noSecrets(t, g, "not the password", goodPassword, handle)
}

// TestConfirmByPasswordAndCode: a second factor of the account is part of its
// proof, also where mfa.enforce is off, and makes no session of more assurance.
func TestConfirmByPasswordAndCode(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	text := configText(app.URL, []string{connectionText("acme", idp.URL())}, "local: {enabled: true}")
	g := servers.StartGateway(t, binary, text)
	addUser(t, g, "ann", "--email", "ann@corp.example")
	addUser(t, g, "boss", "--email", "boss@corp.example", "--group", "admins") // protected, without a factor
	phone := newVisitor(t, "").enrol(g, "ann")
	for _, name := range []string{"ann", "boss"} {
		idp.SetPersona(name, corpClaims(name, nil), nil)
	}
	run(t, g, "session", "end", "--user", "ann")
	restart(t, g, text+"mfa: {enforce: off}\n")
	before := showAccount(t, g, "ann")

	v := mustProve(t, g, "ann", "acme")
	v.proveBy(g, "password", goodPassword).leads(t, "/oauth2/mfa")
	v.signedOut(g)
	if page := v.look(g.URL+"/oauth2/mfa").shows(t, http.StatusOK, "Enter your code"); strings.Contains(page.Text, "Not you? Set up") {
		t.Errorf("an enrolment:\n%s", page.Text)
	}
	v.code(g, phone.wrongCode(t)).wants(t, http.StatusUnauthorized)
	v.code(g, phone.at(t, phone.last)).wants(t, http.StatusUnauthorized) // used before
	if diff := cmp.Diff(before, showAccount(t, g, "ann")); diff != "" {
		t.Errorf("the password alone has changed the account (-before +after):\n%s", diff)
	}
	v.code(g, phone.code(t)).leads(t, "/wanted")
	v.signedIn(g)
	if diff := cmp.Diff([]cameBy{{"acme", "ann-1", []string{"hwk"}}}, sessionsOf(t, g, "ann")); diff != "" {
		t.Errorf("the session (-want +got):\n%s", diff)
	}
	if a := showAccount(t, g, "ann"); len(a.Links) != 1 || !slices.Equal(a.Factors, []string{"totp", "recovery_code"}) || a.ID != before.ID {
		t.Errorf("after the proof: %+v", a)
	}

	// No factor is enrolled for a proof.
	boss := mustProve(t, g, "boss", "acme")
	boss.proveBy(g, "password", goodPassword).leads(t, "/wanted")
	if a := showAccount(t, g, "boss"); len(a.Links) != 1 || len(a.Factors) != 0 || !slices.Contains(a.Groups, "admins") {
		t.Errorf("after the proof: %+v", a)
	}
}

// TestConfirmTooManyAttempts: the proof is no second place to guess at a
// password. Its attempts are those of the sign-in page, and the owner is not
// locked out on a device that the account knows.
func TestConfirmTooManyAttempts(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}, "local: {enabled: true}"))
	addUser(t, g, "ann", "--email", "ann@corp.example")
	owner := newVisitor(t, "ann")
	phone := owner.enrol(g, "ann")
	owner.signOutLocal(g)
	idp.SetPersona("ann", person("ann", nil), nil)
	before := showAccount(t, g, "ann")

	thief := mustProve(t, g, "ann", "acme")
	judged := 0
	for ; judged < 20; judged++ {
		r := thief.proveBy(g, "password", "not the password")
		if r.StatusCode == http.StatusTooManyRequests {
			if r.Header.Get("Retry-After") == "" || !strings.Contains(r.Text, "too many attempts") || !strings.Contains(r.Text, "Try again in") {
				t.Errorf("the page does not say what to do: %v\n%s", r.Header, r.Text)
			}
			break
		}
		r.shows(t, http.StatusUnauthorized, confirmHeading)
	}
	if judged < 3 || judged == 20 {
		t.Fatalf("%d wrong passwords were judged", judged)
	}
	thief.proveBy(g, "password", goodPassword).wants(t, http.StatusTooManyRequests)
	newVisitor(t, "").password(g, "ann", goodPassword).wants(t, http.StatusTooManyRequests)
	mustProve(t, g, "ann", "acme").proveBy(g, "password", goodPassword).wants(t, http.StatusTooManyRequests)
	if diff := cmp.Diff(before, showAccount(t, g, "ann")); diff != "" {
		t.Errorf("the attempts changed the account (-before +after):\n%s", diff)
	}

	owner.proves(g, "acme")
	owner.proveBy(g, "password", goodPassword).leads(t, "/oauth2/mfa")
	owner.code(g, phone.code(t)).leads(t, "/wanted")
	owner.signedIn(g)
}

var decisionID = regexp.MustCompile(`Decision id <code>([^<]+)</code>`)

// TestConfirmHasNothingToProveWith: the person can do nothing, so the page
// sends them to an administrator, whom the log tells what to do, under the id
// that the page shows.
func TestConfirmHasNothingToProveWith(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}, "local: {enabled: true}"))
	run(t, g, "user", "add", "boss", "--email", "boss@corp.example", "--group", "admins")
	idp.SetPersona("boss", person("boss", nil), nil)
	r := newVisitor(t, "boss").start(g, "acme", "/").shows(t, http.StatusForbidden, "Your account cannot be confirmed")
	id := decisionID.FindStringSubmatch(r.Text)
	if id == nil {
		t.Fatalf("no decision id:\n%s", r.Text)
	}
	line := ""
	for l := range strings.Lines(g.Output()) {
		if strings.Contains(l, "sign_in_failed") && strings.Contains(l, id[1]) {
			line = l
		}
	}
	for _, want := range []string{"gatehouse user set-password " + showAccount(t, g, "boss").ID, `protected group \"admins\"`, "link_existing: always"} {
		if !strings.Contains(line, want) {
			t.Errorf("the log does not say %s under decision %s:\n%s", want, id[1], g.Output())
		}
	}
	// What the log advises helps.
	if r := g.Run(t, goodPassword+"\n", "user", "set-password", "boss", "--password-stdin", "--config", g.Config); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	mustProve(t, g, "boss", "acme").proveBy(g, "password", goodPassword).leads(t, "/wanted")
}
