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

// TestConfirmByAnotherIdentity: an account without a password is proved by a
// sign-in through an identity that is linked to it. That sign-in is a proof and
// nothing more: the one that goes on is the first.
func TestConfirmByAnotherIdentity(t *testing.T) {
	t.Parallel()
	app, acme, corp, redis := servers.StartApp(t), badidp.Start(t), badidp.Start(t), servers.Redis(t, servers.RedisOptions{})
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", acme.URL(), "jit: {link_existing: confirm}"),
		connectionText("corp", corp.URL(), "attributes: {title: title}"),
		connectionText("off", corp.URL(), "jit: {enabled: false}"),
	}, "local: {enabled: true}", redisStore(redis, "gatehouse:")))
	corp.SetPersona("pat", person("pat", map[string]any{"amr": []any{"mfa"}}), nil)
	corp.SetPersona("eve", person("eve", nil), nil)
	acme.SetPersona("pat", corpClaims("pat", map[string]any{"sub": "pat-at-acme"}), nil)
	comes(t, g, "pat", "corp")
	comes(t, g, "eve", "corp")
	run(t, g, "session", "end", "--user", "pat")
	account := showAccount(t, g, "pat")
	// What corp says now is not what it said then: a proof must not write it.
	corp.SetPersona("pat", person("pat", map[string]any{"amr": []any{"mfa"}, "title": "Chief", "groups": []any{"other"}}), nil)
	before := redisRecords(t, redis, "gatehouse:")

	v := newVisitor(t, "pat")
	page := v.proves(g, "acme")
	if !strings.Contains(page.Text, `name="connection" value="corp"`) || strings.Contains(page.Text, `type="password"`) ||
		strings.Contains(page.Text, `value="acme"`) || strings.Contains(page.Text, `value="off"`) {
		t.Errorf("the ways to prove it:\n%s", page.Text)
	}
	v.proveBy(g, "connection", "off").wants(t, http.StatusBadRequest)
	v.proveBy(g, "connection", "acme").wants(t, http.StatusBadRequest)
	v.proveBy(g, "password", goodPassword).wants(t, http.StatusBadRequest)
	v.post(g.URL+"/oauth2/confirm", url.Values{"connection": {"corp"}}, "Sec-Fetch-Site", "cross-site").wants(t, http.StatusForbidden)

	// Somebody whom the account does not know: refused, and not signed in.
	v.setCookie("http://127.0.0.1/", &http.Cookie{Name: "persona", Value: "eve"})
	r := v.get(v.proveBy(g, "connection", "corp").to(t).String()).shows(t, http.StatusForbidden, "That did not confirm your account")
	if !strings.Contains(r.Text, `href="/oauth2/confirm"`) {
		t.Errorf("no way back:\n%s", r.Text)
	}
	v.signedOut(g)

	// The account's own identity, in another browser: that one is not asked.
	v.setCookie("http://127.0.0.1/", &http.Cookie{Name: "persona", Value: "pat"})
	to := v.proveBy(g, "connection", "corp").to(t).String()
	other := newVisitor(t, "pat")
	other.get(to).shows(t, http.StatusBadRequest, "This sign-in is no longer valid")
	other.signedOut(g)
	// A sign-in of its own through corp proves nothing to this one.
	if diff := cmp.Diff(before, redisRecords(t, redis, "gatehouse:")); diff != "" {
		t.Errorf("the user store before the proof (-before +after):\n%s", diff)
	}

	r = v.get(v.proveBy(g, "connection", "corp").to(t).String()).wants(t, http.StatusOK)
	if r.Request.URL.Path != "/wanted" {
		t.Fatalf("the proof leads to %s:\n%s", r.Request.URL, r.Text)
	}
	if user := v.signedIn(g)["user"]; user != "pat" {
		t.Errorf("the user is %q", user)
	}
	if diff := cmp.Diff([]cameBy{{"acme", "pat-at-acme", []string{"hwk"}}}, sessionsOf(t, g, "pat")); diff != "" {
		t.Errorf("the session (-want +got):\n%s", diff)
	}
	a := showAccount(t, g, "pat")
	if a.ID != account.ID || len(a.Links) != 2 {
		t.Errorf("after the proof: %+v", a)
	}
	if _, written := a.Attributes["title"]; written {
		t.Errorf("the proof has written what corp says: %+v", a.Attributes)
	}
	comes(t, g, "pat", "acme")
}

// TestConfirmChangedSubject: another subject under the same verified e-mail at
// the same connection, perhaps another person, takes the same road.
func TestConfirmChangedSubject(t *testing.T) {
	t.Parallel()
	app, acme, corp := servers.StartApp(t), badidp.Start(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", acme.URL()), connectionText("corp", corp.URL()),
	}, "local: {enabled: true}"))
	acme.SetPersona("pat", person("pat", nil), nil)
	corp.SetPersona("pat", person("pat", nil), nil)
	comes(t, g, "pat", "acme")
	comes(t, g, "pat", "corp")
	acme.SetPersona("pat", person("pat", map[string]any{"sub": "pat-2"}), nil)
	v := newVisitor(t, "pat")
	v.proves(g, "acme")
	v.get(v.proveBy(g, "connection", "corp").to(t).String()).wants(t, http.StatusOK)
	v.signedIn(g)
	a := showAccount(t, g, "pat")
	if len(a.Links) != 3 || len(accounts(t, g)) != 1 {
		t.Errorf("after the proof: %+v", a)
	}
	// The former subject is still theirs until an administrator cuts it.
	acme.SetPersona("pat", person("pat", nil), nil)
	comes(t, g, "pat", "acme")

	// And by password, once it has one.
	if r := g.Run(t, goodPassword+"\n", "user", "set-password", "pat", "--password-stdin", "--config", g.Config); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	acme.SetPersona("pat", person("pat", map[string]any{"sub": "pat-3"}), nil)
	mustProve(t, g, "pat", "acme").proveBy(g, "password", goodPassword).leads(t, "/wanted")
	if a := showAccount(t, g, "pat"); len(a.Links) != 4 {
		t.Errorf("after the proof by password: %+v", a)
	}
}

// TestConfirmConnectionClosedMeanwhile: the way by which the account was to be
// proved is taken out of the file while the person is on it.
func TestConfirmConnectionClosedMeanwhile(t *testing.T) {
	t.Parallel()
	app, acme, corp := servers.StartApp(t), badidp.Start(t), badidp.Start(t)
	both := []string{connectionText("acme", acme.URL(), "jit: {link_existing: confirm}"), connectionText("corp", corp.URL())}
	g := servers.StartGateway(t, binary, configText(app.URL, both))
	acme.SetPersona("pat", person("pat", map[string]any{"sub": "pat-at-acme"}), nil)
	corp.SetPersona("pat", person("pat", nil), nil)
	comes(t, g, "pat", "corp")
	chooses, returns := mustProve(t, g, "pat", "acme"), mustProve(t, g, "pat", "acme")
	away := returns.proveBy(g, "connection", "corp").to(t).String()
	for name, text := range map[string]string{
		"removed":  configText(app.URL, both[:1]),
		"disabled": configText(app.URL, []string{both[0], connectionText("corp", corp.URL(), "enabled: false")}),
	} {
		restart(t, g, text)
		if r := chooses.proveBy(g, "connection", "corp").shows(t, http.StatusForbidden, "This way in is closed"); !strings.Contains(r.Text, "/oauth2/confirm") {
			t.Errorf("%s: no way back:\n%s", name, r.Text)
		}
		newVisitor(t, "pat").start(g, "acme", "/").shows(t, http.StatusForbidden, "Your account cannot be confirmed")
	}
	returns.get(away).shows(t, http.StatusBadRequest, "This sign-in is no longer valid")
	if a := showAccount(t, g, "pat"); len(a.Links) != 1 {
		t.Errorf("linked: %+v", a)
	}
}
