package test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// looked is a page that fits every screen, photographed with -screenshots.
func looked(t *testing.T, b *servers.Chromium, name string) {
	t.Helper()
	for _, look := range servers.Looks(*screenshots != "") {
		b.Look(t, look)
		b.Judge(t, look, name, *screenshots)
	}
}

// signsOut leaves from the account page, by the keyboard.
func signsOut(t *testing.T, b *servers.Chromium) {
	t.Helper()
	tabTo(t, b, `a[href$="/sign_out"]`)
	typed(t, b, kb.Enter)
	heading(t, b, "You are signed out")
}

// TestBrowserAccount: Chromium without JavaScript, driven by the keyboard
// alone, sets up an app, links a provider and comes by it, proves that it is
// the owner, and puts everything on the account page in order: another app, its
// name, recovery codes, the other sessions and the password.
func TestBrowserAccount(t *testing.T) {
	t.Parallel()
	acme := badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(servers.StartApp(t).URL, []string{connectionText("acme", acme.URL())}, "local: {enabled: true}"))
	addUser(t, g, "ada", "--email", "ada@corp.example", "--name", "Ada Lovelace", "--group", "staff")
	acme.SetPersona("", person("ada", nil), nil)
	page := g.URL + "/oauth2/account"
	b := browse(t)
	shown := func(text string) {
		t.Helper()
		b.Do(t, chromedp.WaitVisible(chromedp.Search(`//p[contains(., "`+text+`")]`)))
	}

	b.Go(t, page)
	heading(t, b, "Sign in")
	walks(t, b)
	tabTo(t, b, "#username")
	typed(t, b, "ada"+kb.Tab+goodPassword+kb.Enter)
	heading(t, b, "Set up your authenticator app")
	walks(t, b)
	phone := keyOn(t, b)
	tabTo(t, b, "#code")
	typed(t, b, phone.code(t)+kb.Enter)
	heading(t, b, "Your account")
	tabTo(t, b, `form[action$="/link"] button`)
	typed(t, b, " ")
	shown("Linked ")
	signsOut(t, b)

	elsewhere := newVisitor(t, "")
	elsewhere.start(g, "acme", "/")
	elsewhere.signedIn(g)
	b.Go(t, page)
	heading(t, b, "Sign in")
	tabTo(t, b, `a[href*="connection=acme"]`)
	typed(t, b, kb.Enter)
	heading(t, b, "Your account")
	walks(t, b)
	looked(t, b, "account")

	// A provider's word is no proof of who owns the account.
	another := `form[action$="/factors/add"]:has([value="totp"]) button`
	tabTo(t, b, another)
	typed(t, b, " ")
	heading(t, b, "Is it you?")
	focused(t, b, "#password")
	walks(t, b)
	looked(t, b, "prove")
	typed(t, b, "not the password"+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.CSS("#problem")))
	focused(t, b, "#password")
	looked(t, b, "prove_wrong")
	typed(t, b, goodPassword+kb.Enter)
	heading(t, b, "Enter your code")
	focused(t, b, "#code")
	typed(t, b, phone.code(t)+kb.Enter)
	heading(t, b, "Your account")

	tabTo(t, b, another)
	typed(t, b, " ")
	heading(t, b, "Add an authenticator app")
	walks(t, b)
	tablet := keyOn(t, b)
	tabTo(t, b, "#code")
	typed(t, b, tablet.wrongCode(t)+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.CSS("#problem")))
	focused(t, b, "#code")
	typed(t, b, tablet.code(t)+kb.Enter)
	shown("Authenticator app 2")
	// What is folded opens by the keyboard, and is not reached before.
	tabTo(t, b, `#name-1, li:has(#name-1) summary`)
	focused(t, b, "summary")
	typed(t, b, " ")
	looked(t, b, "account_rename")
	tabTo(t, b, "#name-1")
	typed(t, b, kb.End+" of mine"+kb.Enter)
	shown("Authenticator app 2 of mine")

	tabTo(t, b, `form[action$="/recovery"] button`)
	typed(t, b, kb.Enter)
	heading(t, b, "Your recovery codes")
	looked(t, b, "account_codes")
	tabTo(t, b, "main a.button")
	typed(t, b, kb.Enter)
	heading(t, b, "Your account")
	shown("You have 10 left of ten")

	end := `form[action$="/sessions/end"] button`
	tabTo(t, b, end)
	typed(t, b, " ")
	b.Do(t, chromedp.WaitNotPresent(chromedp.CSS(end)))
	elsewhere.signedOut(g)

	elsewhere.start(g, "acme", "/")
	elsewhere.signedIn(g)
	tabTo(t, b, `a[href$="/account/password"]`)
	typed(t, b, kb.Enter)
	heading(t, b, "Change your password")
	focused(t, b, "#new_password")
	walks(t, b)
	typed(t, b, "ada"+kb.Tab+"ada"+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.CSS("#problem")))
	focused(t, b, "#new_password")
	typed(t, b, otherPassword+kb.Tab+otherPassword+kb.Enter)
	heading(t, b, "Your account")
	if at := b.Location(t); at != page+"#password" {
		t.Errorf("the change ends at %s", at)
	}
	elsewhere.signedOut(g)
	looked(t, b, "account_changed")
	signsOut(t, b)

	// All of it was done: the new password and the new app open the account.
	b.Go(t, page)
	heading(t, b, "Sign in")
	tabTo(t, b, "#username")
	typed(t, b, "ada"+kb.Tab+otherPassword+kb.Enter)
	heading(t, b, "Enter your code")
	focused(t, b, "#code")
	typed(t, b, tablet.code(t)+kb.Enter)
	heading(t, b, "Your account")
	if text := servers.Ask(t, b, chromedp.Text(chromedp.CSS("main"))); !strings.Contains(text, "Authenticator app 2 of mine") {
		t.Errorf("the page says\n%s", text)
	}
}
