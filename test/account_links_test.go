package test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

var unlinkForm = regexp.MustCompile(`(?s)/account/unlink">\s*<input type="hidden" name="connection" value="([^"]*)">\s*<input type="hidden" name="issuer" value="([^"]*)">\s*<input type="hidden" name="subject" value="([^"]*)">`)

// links are the identities that the account page can unlink.
func (v *visitor) links(g *servers.Gateway) (all []accountLink) {
	v.t.Helper()
	for _, m := range unlinkForm.FindAllStringSubmatch(v.account(g, "").wants(v.t, http.StatusOK).Text, -1) {
		all = append(all, accountLink{m[1], html.UnescapeString(m[2]), html.UnescapeString(m[3])})
	}
	return all
}

func (v *visitor) unlink(g *servers.Gateway, l accountLink) reply {
	v.t.Helper()
	return v.change(g, "/unlink", "connection", l.Connection, "issuer", l.Issuer, "subject", l.Subject)
}

// links an identity of a connection to the account that is signed in, and
// returns the page on which that ends.
func (v *visitor) link(g *servers.Gateway, connection string) reply {
	v.t.Helper()
	to := v.post(g.URL+"/oauth2/link", url.Values{"connection": {connection}}).wants(v.t, http.StatusSeeOther).to(v.t)
	return v.get(to.String())
}

// TestLinkAndUnlink: somebody links who they are at two providers to their
// account, comes in by either, and cuts the ties again, but never the last way
// in.
func TestLinkAndUnlink(t *testing.T) {
	t.Parallel()
	application, acme, corp := servers.StartApp(t), badidp.Start(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{
		connectionText("acme", acme.URL()), connectionText("corp", corp.URL()),
		connectionText("closed", corp.URL(), "jit: {link_existing: deny}"), connectionText("guests", corp.URL(), "jit: {enabled: false}"),
	}, "local: {enabled: true}", "mfa: {enforce: off}"))
	addUser(t, g, "ada", "--email", "ada@home.example")
	acme.SetPersona("ada", person("ada", map[string]any{"email": "ada@acme.example"}), nil)
	corp.SetPersona("ada", person("countess", map[string]any{"email": "ada@corp.example"}), nil)
	acme.SetPersona("bob", person("bob", nil), nil)

	ada := newVisitor(t, "ada")
	ada.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	page := ada.account(g, "").says(t, http.StatusOK, "No identity of another organisation", "Link one of Acme", "Link one of Corp")
	for _, id := range []string{"closed", "guests"} {
		if strings.Contains(page.Text, `value="`+id+`"`) {
			t.Errorf("an identity of %s is offered to be linked", id)
		}
	}
	cookie := ada.cookie(g.URL, "_gatehouse")
	if r := ada.link(g, "acme").wants(t, http.StatusOK); r.Request.URL.Path != "/oauth2/account" {
		t.Errorf("linking ends at %s", r.Request.URL)
	}
	if now := ada.cookie(g.URL, "_gatehouse"); now != cookie || now == "" {
		t.Errorf("the session is another one: %q, was %q", now, cookie)
	}
	acmeLink := accountLink{"acme", acme.URL(), "ada-1"}
	if diff := cmp.Diff([]accountLink{acmeLink}, ada.links(g)); diff != "" {
		t.Fatalf("links (-want +got):\n%s", diff)
	}
	if a := showAccount(t, g, "ada"); a.Email != "ada@home.example" || len(accounts(t, g)) != 1 {
		t.Errorf("the account: %+v", a)
	}
	ada.account(g, "").says(t, http.StatusOK, "Identity linked")
	if user := comes(t, g, "ada", "acme").signedIn(g)["user"]; user != "ada" {
		t.Errorf("by the identity comes %v", user)
	}

	// What is not to be linked is not, whoever asks.
	for _, id := range []string{"closed", "guests"} {
		if r := ada.link(g, id); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s answers %s", id, r.Status)
		}
	}
	ada.post(g.URL+"/oauth2/link", url.Values{"connection": {"ghost"}}).wants(t, http.StatusNotFound)
	bob := comes(t, g, "bob", "acme")
	thief := newVisitor(t, "bob") // as whom she signs in there too
	thief.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	thief.link(g, "acme").wants(t, http.StatusForbidden)
	bob.signedIn(g)
	if a := linkedTo(t, g, "acme", "bob-1"); a.Username != "bob" {
		t.Errorf("bob's identity belongs to %s", a.Username)
	}

	// With a password every tie may be cut; a session that came by it ends.
	by := comes(t, g, "ada", "acme")
	ada.unlink(g, acmeLink).wants(t, http.StatusSeeOther).leads(t, "/oauth2/account")
	ada.unlink(g, acmeLink).says(t, http.StatusNotFound, "nothing was unlinked") // gone already
	by.signedOut(g)
	ada.account(g, "").says(t, http.StatusOK, "Identity unlinked")

	// Without one the last stays. It is nobody's to cut but its owner's.
	bobLink := bob.links(g)[0]
	ada.unlink(g, bobLink).wants(t, http.StatusNotFound)
	bob.signedIn(g)
	bob.unlink(g, bobLink).says(t, http.StatusConflict, "last way in")
	corp.SetPersona("bob", person("robert", map[string]any{"email": "bob@corp.example"}), nil)
	bob.link(g, "corp").wants(t, http.StatusOK)
	bob.unlink(g, bobLink).wants(t, http.StatusSeeOther)
	bob.signedOut(g) // it came by what is cut
	bob.start(g, "corp", "/").wants(t, http.StatusOK)
	if user := bob.signedIn(g)["user"]; user != "bob" {
		t.Errorf("by the other identity comes %v", user)
	}
	bob.unlink(g, bob.links(g)[0]).says(t, http.StatusConflict, "last way in")
}

// TestLinkingIsOfOneSession: an identity is linked in the session that asked
// for it. Attack: somebody sends a victim the way back of a linking that they
// have begun, so that the victim's identity opens the attacker's account; or
// goes on with one that was begun before the victim signed in.
func TestLinkingIsOfOneSession(t *testing.T) {
	t.Parallel()
	application, acme := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{connectionText("acme", acme.URL())},
		"local: {enabled: true}", "mfa: {enforce: off}"))
	addUser(t, g, "ada")
	addUser(t, g, "eve")
	acme.SetPersona("ada", person("ada", nil), nil)
	callback := func(v *visitor) string {
		to := v.post(g.URL+"/oauth2/link", url.Values{"connection": {"acme"}}).wants(t, http.StatusSeeOther).to(t)
		return v.look(to.String()).to(t).String()
	}
	eve, ada := newVisitor(t, "ada"), newVisitor(t, "ada")
	eve.password(g, "eve", goodPassword).wants(t, http.StatusSeeOther)
	ada.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	ada.get(callback(eve)).wants(t, http.StatusBadRequest) // has not begun it

	// The same browser, and by the end nobody, or another person.
	back := callback(ada)
	ada.signOutLocal(g)
	ada.get(back).wants(t, http.StatusBadRequest)
	ada.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	back = callback(ada)
	ada.password(g, "eve", goodPassword).wants(t, http.StatusSeeOther)
	ada.get(back).wants(t, http.StatusBadRequest)
	for _, a := range accounts(t, g) {
		if len(a.Links) > 0 {
			t.Errorf("linked to %s: %+v", a.Username, a.Links)
		}
	}
	newVisitor(t, "").post(g.URL+"/oauth2/link", url.Values{"connection": {"acme"}}).wants(t, http.StatusSeeOther).leads(t, "/oauth2/sign_in")
	eve.post(g.URL+"/oauth2/link", url.Values{"connection": {"acme"}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example").
		wants(t, http.StatusForbidden)
}
