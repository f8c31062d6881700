package test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// byPassword gives the first step of a sign-in that wants to reach a page.
func byPassword(t *testing.T, b *servers.Chromium, wanted, name string) {
	t.Helper()
	b.Go(t, wanted)
	heading(t, b, "Sign in")
	typed(t, b, name+kb.Tab+goodPassword+kb.Enter)
}

// entry goes to the page on which a passkey is the whole sign-in.
func entry(t *testing.T, b *servers.Chromium, wanted string) {
	t.Helper()
	b.Go(t, wanted)
	heading(t, b, "Sign in")
	press(t, b, "Use a passkey instead")
	heading(t, b, "Sign in with a passkey")
}

// makesPasskey enrols a passkey at the first sign-in by password.
func makesPasskey(t *testing.T, b *servers.Chromium, wanted, name string) {
	t.Helper()
	byPassword(t, b, wanted, name)
	press(t, b, "A passkey")
	heading(t, b, "Set up a passkey")
	press(t, b, "Make a passkey")
	arrived(t, b, wanted)
}

// answers has the authenticator answer what a page asks, whatever page the
// browser shows, and returns the answer unsent.
func answers(t *testing.T, b *servers.Chromium, options string) string {
	t.Helper()
	literal, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	return servers.Ask(t, b, chromedp.Evaluate[string](`navigator.credentials.get({
		publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(`+string(literal)+`)),
	}).then((c) => JSON.stringify(c))`, chromedp.EvalAwaitPromise))
}

// asked returns what the page asks of the browser.
func asked(t *testing.T, b *servers.Chromium) string {
	t.Helper()
	return servers.Ask(t, b, chromedp.Evaluate[string](`document.querySelector("form[data-webauthn]").dataset.options`))
}

// sends gives the page an answer as if its script had.
func sends(t *testing.T, b *servers.Chromium, answer string) {
	t.Helper()
	b.Do(t, chromedp.SetValue(chromedp.CSS(`form[data-webauthn] input[name=code]`), answer))
	servers.Ask(t, b, chromedp.Evaluate[bool](`document.querySelector("form[data-webauthn]").submit() === undefined`))
}

// refusedPasskey waits for the page that says so, which leaves nobody signed in.
func refusedPasskey(t *testing.T, b *servers.Chromium, g *servers.Gateway, problem string) {
	t.Helper()
	b.Do(t, chromedp.WaitVisible(chromedp.Search(`//p[@role="alert"][contains(., "`+problem+`")]`)))
	b.Go(t, g.URL+"/closed")
	heading(t, b, "Sign in")
}

// TestPasskeyOnTheAccountPage: who is signed in adds a passkey, which then opens
// the account by itself.
func TestPasskeyOnTheAccountPage(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := atLocalhost(t, localOnly(application.URL, "mfa: {enforce: off}"))
	addUser(t, g, "ada")
	b, authenticator := holder(t)
	byPassword(t, b, g.URL+"/wanted", "ada")
	arrived(t, b, g.URL+"/wanted")
	b.Go(t, g.URL+"/oauth2/account")
	press(t, b, "Add a passkey")
	heading(t, b, "Add a passkey")
	b.Do(t, chromedp.SendKeys(chromedp.CSS(`input[name=name]`), "Blue key")) // the script sends it along
	press(t, b, "Make a passkey")
	b.Do(t, chromedp.WaitVisible(chromedp.CSS(`input[name=name][value="Blue key"]`)))
	if n := len(call(t, b, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: authenticator}).Credentials); n != 1 {
		t.Errorf("%d passkeys", n)
	}
	// The same authenticator makes no second one.
	press(t, b, "Add a passkey")
	heading(t, b, "Add a passkey")
	press(t, b, "Make a passkey")
	b.Do(t, chromedp.WaitVisible(chromedp.CSS(`[data-failed]`)))
	leaves(t, b, g)
	entry(t, b, g.URL+"/again")
	press(t, b, "Use a passkey")
	arrived(t, b, g.URL+"/again")
}

// TestPasskeyOfAnotherOrigin. Attack: a page of another origin of the same host,
// for which browsers give out the same passkeys, has the victim's browser answer
// what it was asked here.
func TestPasskeyOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := atLocalhost(t, localOnly(application.URL))
	addUser(t, g, "ada")
	b, _ := holder(t)
	makesPasskey(t, b, g.URL+"/", "ada")
	leaves(t, b, g)

	elsewhere := strings.Replace(application.URL, "127.0.0.1", "localhost", 1) + "/"
	ask := func() (answer string) {
		t.Helper()
		here, options := b.Location(t), asked(t, b)
		b.Go(t, elsewhere)
		answer = answers(t, b, options)
		b.Go(t, here)
		return answer
	}
	entry(t, b, g.URL+"/")
	sends(t, b, ask())
	refusedPasskey(t, b, g, "does not sign you in here")
	byPassword(t, b, g.URL+"/", "ada")
	heading(t, b, "Use your passkey")
	sends(t, b, ask())
	refusedPasskey(t, b, g, "was not accepted")
	if !strings.Contains(g.Output(), "answer from the origin") {
		t.Error("the log does not say why")
	}
}

// TestPasskeyBesideAProvider: where everybody owes a second factor, people of a
// provider may have a passkey as that, and it is no way past the provider.
// Attack: come in by the passkey alone, without the provider's judgement, and
// after an administrator has taken its identity away.
func TestPasskeyBesideAProvider(t *testing.T) {
	t.Parallel()
	application, acme := servers.StartApp(t), badidp.Start(t)
	g := atLocalhost(t, configText(application.URL, []string{connectionText("acme", acme.URL())}, "local: {enabled: true}", "mfa: {enforce: all}"))
	b, _ := holder(t)
	through := func() {
		t.Helper()
		b.Go(t, g.URL+"/oauth2/start?connection=acme&rd=/wanted")
	}
	through()
	press(t, b, "A passkey")
	heading(t, b, "Set up a passkey")
	press(t, b, "Make a passkey")
	arrived(t, b, g.URL+"/wanted")
	leaves(t, b, g)

	through()
	heading(t, b, "Use your passkey")
	press(t, b, "Use a passkey")
	arrived(t, b, g.URL+"/wanted")
	leaves(t, b, g)

	entry(t, b, g.URL+"/again")
	press(t, b, "Use a passkey")
	refusedPasskey(t, b, g, "does not sign you in")
}
