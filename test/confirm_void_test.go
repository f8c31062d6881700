package test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestConfirmGivenUp: who does not want to prove the account, or only closes
// the window, has changed nothing, and no answer that comes later does.
func TestConfirmGivenUp(t *testing.T) {
	t.Parallel()
	app, idp, redis := servers.StartApp(t), badidp.Start(t), servers.Redis(t, servers.RedisOptions{})
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL()),
	}, "local: {enabled: true}", redisStore(redis, "gatehouse:")))
	addUser(t, g, "ann", "--email", "ann@corp.example", "--group", "admins")
	idp.SetPersona("ann", person("ann", nil), nil)
	before := redisRecords(t, redis, "gatehouse:")

	mustProve(t, g, "ann", "acme") // and the window is closed
	v := mustProve(t, g, "ann", "acme")
	handle := v.cookie(g.URL, "_gatehouse_confirm")
	to := v.proveBy(g, "give_up", "yes").wants(t, http.StatusSeeOther).to(t)
	if to.Path != "/oauth2/sign_in" || to.Query().Get("rd") != "/wanted" {
		t.Errorf("giving up leads to %s", to)
	}
	v.look(g.URL+"/oauth2/confirm").leads(t, "/oauth2/sign_in")
	v.setCookie(g.URL, &http.Cookie{Name: "_gatehouse_confirm", Value: handle})
	v.proveBy(g, "password", goodPassword).shows(t, http.StatusBadRequest, "This sign-in is no longer valid")
	v.signedOut(g)
	if diff := cmp.Diff(before, redisRecords(t, redis, "gatehouse:")); diff != "" {
		t.Errorf("the user store (-before +after):\n%s", diff)
	}
	logs(t, g, "link_confirmation_given_up")
}

// TestConfirmOvertaken: between the question and its answer the account is
// taken in hand by an administrator. Attack: somebody who has stolen a password
// waits here while it is changed.
func TestConfirmOvertaken(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	acme := connectionText("acme", idp.URL())
	text := configText(app.URL, []string{acme, connectionText("other", idp.URL())}, "local: {enabled: true}")
	g := servers.StartGateway(t, binary, text)
	const changed = "The account was changed meanwhile"
	for _, c := range []struct {
		name   string
		change func(name string)
		status int
		page   string
	}{
		{"disabled", func(name string) { run(t, g, "user", "disable", name) }, http.StatusConflict, changed},
		{"enabled-again", func(name string) { run(t, g, "user", "disable", name); run(t, g, "user", "enable", name) }, http.StatusConflict, changed},
		{"deleted", func(name string) { run(t, g, "user", "delete", name) }, http.StatusConflict, changed},
		{"password", func(name string) {
			if r := g.Run(t, goodPassword+"\n", "user", "set-password", name, "--password-stdin", "--config", g.Config); r.Code != 0 {
				t.Fatal(r.Stderr)
			}
		}, http.StatusConflict, changed},
		{"sessions", func(name string) { run(t, g, "session", "end", "--user", name) }, http.StatusConflict, changed},
		{"connection", func(string) {
			restart(t, g, configText(app.URL, []string{connectionText("other", idp.URL())}, "local: {enabled: true}"))
		}, http.StatusForbidden, "This way in is closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addUser(t, g, c.name, "--email", c.name+"@corp.example", "--group", "admins")
			idp.SetPersona(c.name, person(c.name, nil), nil)
			asked, answered := mustProve(t, g, c.name, "acme"), mustProve(t, g, c.name, "acme")
			c.change(c.name)
			asked.look(g.URL+"/oauth2/confirm").shows(t, c.status, c.page)
			answered.proveBy(g, "password", goodPassword).shows(t, c.status, c.page)
			answered.signedOut(g)
			for _, a := range accounts(t, g) {
				if a.Username == c.name && (len(a.Links) > 0 || len(a.Groups) != 1) {
					t.Errorf("the account: %+v", a)
				}
			}
		})
	}
}

// TestConfirmOfAnotherAccount: while one account is being proved its address
// becomes another's. The proof was of the one; the other is asked for anew.
func TestConfirmOfAnotherAccount(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL(), "jit: {link_existing: confirm}"),
	}, "local: {enabled: true}"))
	addUser(t, g, "ann", "--email", "ann@corp.example")
	idp.SetPersona("ann", person("ann", nil), nil)
	v := mustProve(t, g, "ann", "acme")
	run(t, g, "user", "set", "ann", "--email", "ann@home.example")
	r := g.Run(t, "another password of theirs\n", "user", "add", "bob", "--email", "ann@corp.example", "--password-stdin", "--config", g.Config)
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	v.proveBy(g, "password", goodPassword).leads(t, "/oauth2/confirm")
	v.signedOut(g)
	v.proveBy(g, "password", goodPassword).shows(t, http.StatusUnauthorized, confirmHeading)
	for _, name := range []string{"ann", "bob"} {
		if a := showAccount(t, g, name); len(a.Links) != 0 {
			t.Errorf("%s is linked: %+v", name, a)
		}
	}
	v.proveBy(g, "password", "another password of theirs").leads(t, "/wanted")
	if user := v.signedIn(g)["user"]; user != "bob" {
		t.Errorf("the user is %q", user)
	}
}
