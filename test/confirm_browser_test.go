package test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestBrowserConfirm: Chromium without JavaScript, driven by the keyboard,
// proves an account that has a password and a factor, and arrives where the
// person wanted to go.
func TestBrowserConfirm(t *testing.T) {
	t.Parallel()
	application, acme, corp := servers.StartApp(t), badidp.Start(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{
		connectionText("acme", acme.URL()), connectionText("corp", corp.URL()),
	}, "local: {enabled: true}"))
	addUser(t, g, "pat", "--email", "pat@corp.example")
	for _, idp := range []*badidp.IdP{acme, corp} {
		idp.SetPersona("", person("pat", nil), nil)
	}
	comes(t, g, "", "corp") // linked at once: it has no factor yet
	phone := newVisitor(t, "").enrol(g, "pat")
	wanted := g.URL + "/wanted?page=1"

	b := browse(t)
	b.Go(t, wanted)
	press(t, b, "Continue with Acme")
	heading(t, b, confirmHeading)
	focused(t, b, "#password")
	typed(t, b, "not the password"+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.CSS("#problem")))
	focused(t, b, "#password")
	if described := servers.Ask(t, b, chromedp.Evaluate[string](`document.activeElement.getAttribute('aria-describedby')`)); described != "problem" {
		t.Errorf("the error is not tied to its field: %q", described)
	}
	typed(t, b, goodPassword+kb.Enter)
	heading(t, b, "Enter your code")
	focused(t, b, "#code")
	typed(t, b, phone.code(t)+kb.Enter)
	arrived(t, b, wanted)
	if got := application.Last(t).Header.Get("X-Forwarded-User"); got != "pat" {
		t.Errorf("the application was told %q", got)
	}

	// Another subject: proved by the other identity, or given up.
	acme.SetPersona("", person("pat", map[string]any{"sub": "pat-2"}), nil)
	b = browse(t)
	b.Go(t, wanted)
	press(t, b, "Continue with Acme")
	heading(t, b, confirmHeading)
	tabTo(t, b, `button[name="give_up"]`)
	typed(t, b, kb.Enter)
	heading(t, b, "Sign in")
	press(t, b, "Continue with Acme")
	heading(t, b, confirmHeading)
	tabTo(t, b, `button[name="connection"]`)
	typed(t, b, kb.Enter)
	arrived(t, b, wanted)
	if !strings.Contains(g.Output(), `"by":"connection:corp"`) {
		t.Errorf("the log does not say what proved it:\n%s", g.Output())
	}
}
