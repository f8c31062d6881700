package test

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestConnectionSwitchedOff: a connection with enabled: false is no way in, for
// nobody and at no step; who came by it is out at their next use and does not
// come back with it; the groups that it gave are not in force. When it is
// enabled again, people have their accounts.
func TestConnectionSwitchedOff(t *testing.T) {
	t.Parallel()
	for _, gone := range []string{"disabled", "removed"} {
		t.Run(gone, func(t *testing.T) {
			t.Parallel()
			app, acme, partner := servers.StartApp(t), badidp.Start(t), badidp.Start(t)
			text := func(open bool) string {
				connections := []string{connectionText("acme", acme.URL()), connectionText("partner", partner.URL())}
				switch {
				case open:
				case gone == "disabled":
					connections[0] = connectionText("acme", acme.URL(), "enabled: false")
				default:
					connections = connections[1:]
				}
				return configText(app.URL, connections, "local: {enabled: true}")
			}
			g := servers.StartGateway(t, binary, text(true))
			acme.SetPersona("pat", person("pat", map[string]any{"groups": []any{"editors"}}), nil)
			partner.SetPersona("pat", person("pat", map[string]any{"groups": []any{"staff"}}), nil)
			used, unused := comes(t, g, "pat", "acme"), comes(t, g, "pat", "acme")
			byPartner := comes(t, g, "pat", "partner")
			id := showAccount(t, g, "pat").ID
			if got := groupsOf(byPartner.signedIn(g)); got != "editors,staff" {
				t.Errorf("groups of both: %s", got)
			}
			begun := newVisitor(t, "pat")
			back := begun.look(begun.look(g.URL + "/oauth2/start?connection=acme&rd=/").to(t).String()).to(t).String()

			restart(t, g, text(false))
			page := newVisitor(t, "").look(g.URL+"/oauth2/sign_in").wants(t, http.StatusOK)
			if strings.Contains(page.Text, "Acme") || !strings.Contains(page.Text, "Partner") {
				t.Errorf("the page offers:\n%s", page.Text)
			}
			newVisitor(t, "").look(g.URL+"/oauth2/start?connection=acme").wants(t, http.StatusNotFound)
			begun.look(back).wants(t, http.StatusBadRequest)
			begun.signedOut(g)
			used.signedOut(g)
			if got := groupsOf(byPartner.signedIn(g)); got != "staff" {
				t.Errorf("groups in force: %s", got)
			}
			// A sign-out at the provider is heard as long as the connection is known.
			want := http.StatusOK
			if gone == "removed" {
				want = http.StatusNotFound
			}
			logout(t, g, "acme", acme.LogoutToken(map[string]any{"sub": "pat-1"}, nil)).wants(t, want)
			if r := logout(t, g, "acme", acme.ForgedLogoutToken()); r.StatusCode == http.StatusOK {
				t.Error("a forged logout is heard")
			}
			if links := showAccount(t, g, "pat").Links; len(links) != 2 {
				t.Errorf("links: %+v", links)
			}

			restart(t, g, text(true))
			used.signedOut(g)
			if gone == "disabled" {
				unused.signedOut(g) // signed out at the provider meanwhile
			}
			begun.look(back).wants(t, http.StatusBadRequest)
			again := comes(t, g, "pat", "acme")
			if got := groupsOf(again.signedIn(g)); got != "editors,staff" {
				t.Errorf("groups with the connection: %s", got)
			}
			if got := showAccount(t, g, "pat"); got.ID != id || len(accounts(t, g)) != 1 {
				t.Errorf("another account: %+v", got)
			}
		})
	}
}

func groupsOf(info map[string]any) string {
	var names []string
	all, _ := info["groups"].([]any)
	for _, name := range all {
		text, _ := name.(string)
		names = append(names, text)
	}
	return strings.Join(names, ",")
}

// TestOnlyConnectionSwitchedOff: a site whose one way in is switched off says
// so, and sends nobody there.
func TestOnlyConnectionSwitchedOff(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL(), "enabled: false"), connectionText("partner", idp.URL(), "jit: {enabled: false}"),
	}))
	// One is left: straight there.
	if to := newVisitor(t, "").look(g.URL + "/oauth2/start").to(t); !strings.HasPrefix(to.String(), idp.URL()) {
		t.Errorf("start leads to %s", to)
	}
	guest := comes(t, g, "", "partner")
	restart(t, g, configText(app.URL, []string{
		connectionText("acme", idp.URL()), connectionText("partner", idp.URL(), "jit: {enabled: false}", "enabled: false"),
	}))
	guest.signedOut(g)
	newVisitor(t, "").look(g.URL+"/oauth2/start?connection=partner").wants(t, http.StatusNotFound)
	r := newVisitor(t, "").look(g.URL + "/oauth2/sign_in?rd=/")
	if to := r.to(t); !strings.HasPrefix(to.String(), idp.URL()) {
		t.Errorf("sign_in leads to %s", to)
	}
}
