package test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestBrowserAccount: Chromium without JavaScript, driven by the keyboard
// alone, comes by a provider, proves that it is the owner, changes the
// password, and names and removes a factor.
func TestBrowserAccount(t *testing.T) {
	t.Parallel()
	acme := badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(servers.StartApp(t).URL, []string{connectionText("acme", acme.URL())}, "local: {enabled: true}"))
	addUser(t, g, "ada")
	acme.SetPersona("", person("ada", nil), nil)
	owner := newVisitor(t, "")
	app := owner.enrol(g, "ada")
	owner.link(g, "acme")
	page := g.URL + "/oauth2/account"

	b := browse(t)
	b.Go(t, page)
	heading(t, b, "Sign in")
	tabTo(t, b, `a[href*="connection=acme"]`)
	typed(t, b, kb.Enter)
	heading(t, b, "Your account")
	tabTo(t, b, `a[href$="/account/password"]`)
	typed(t, b, kb.Enter)
	heading(t, b, "Is it you?")
	focused(t, b, "#password")
	typed(t, b, "not the password"+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.CSS("#problem")))
	focused(t, b, "#password")
	typed(t, b, goodPassword+kb.Enter)
	heading(t, b, "Enter your code")
	focused(t, b, "#code")
	typed(t, b, app.code(t)+kb.Enter)
	heading(t, b, "Change your password")
	focused(t, b, "#new_password")
	typed(t, b, "ada"+kb.Tab+"ada"+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.CSS("#problem")))
	focused(t, b, "#new_password")
	typed(t, b, otherPassword+kb.Tab+otherPassword+kb.Enter)
	heading(t, b, "Your account")
	if at := b.Location(t); at != page+"#password" {
		t.Errorf("the change ends at %s", at)
	}
	owner.signedOut(g)

	// What is folded opens by the keyboard, and is not reached before.
	b.Go(t, page)
	tabTo(t, b, "#name-0, summary")
	focused(t, b, "summary")
	typed(t, b, kb.Enter)
	tabTo(t, b, "#name-0")
	typed(t, b, kb.End+" of mine"+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.Search(`//p[text()="Authenticator app of mine"]`)))
	tabTo(t, b, `form[action$="/recovery"] button`)
	typed(t, b, kb.Enter)
	heading(t, b, "Your recovery codes")
	tabTo(t, b, "main a.button")
	typed(t, b, kb.Enter)
	heading(t, b, "Your account")
	if text := servers.Ask(t, b, chromedp.Text(chromedp.CSS("main"))); !strings.Contains(text, "You have 10 left of ten") {
		t.Errorf("the page says\n%s", text)
	}
}
