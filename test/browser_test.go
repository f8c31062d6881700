package test

import (
	"flag"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

var screenshots = flag.String("screenshots", "", "write a picture of each page that a story looks at into this folder")

// browse opens a browser without JavaScript, which no page needs. When the
// test ends it must have had no complaint about a page's policy.
func browse(t *testing.T) *servers.Chromium {
	t.Helper()
	b := servers.StartChromium(t)
	call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	// A page without a window in front shows no focus until a key is pressed.
	call(t, b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	t.Cleanup(func() {
		if diff := cmp.Diff([]string(nil), b.Problems()); diff != "" {
			t.Errorf("the browser complains:\n%s", diff)
		}
	})
	return b
}

// heading waits for the page with that heading.
func heading(t *testing.T, b *servers.Chromium, text string) {
	t.Helper()
	b.Do(t, chromedp.WaitVisible(chromedp.Search(`//h1[normalize-space()="`+text+`"]`)))
}

// arrived waits for the application and fails the test unless the browser
// shows it at that address.
func arrived(t *testing.T, b *servers.Chromium, address string) {
	t.Helper()
	b.Do(t, chromedp.WaitVisible(chromedp.Search(`//p[text()="the application"]`)))
	if at := b.Location(t); at != address {
		t.Errorf("the browser shows %s, want %s", at, address)
	}
}

// press clicks the button or link with that text.
func press(t *testing.T, b *servers.Chromium, text string) {
	t.Helper()
	b.Do(t, chromedp.Click(chromedp.Search(`//*[self::a or self::button][descendant-or-self::*[normalize-space(text())="`+text+`"]]`)))
}

// TestBrowserFederated: Chromium comes in through the certified provider's
// own pages, to the page that was wanted, and leaves.
func TestBrowserFederated(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g, idp := startCertified(t, application.URL, []string{"acme", "partner"}, "local: {enabled: true}")
	b := browse(t)
	wanted := g.URL + "/reports/q3%2Fdraft?year=2026&q=a%20b+c"

	b.Go(t, wanted)
	heading(t, b, "Sign in")
	press(t, b, "Continue with Acme")
	heading(t, b, "Pick a person")
	if at := b.Location(t); !strings.HasPrefix(at, idp.Issuer+"/") {
		t.Errorf("the person is picked at %s", at)
	}
	press(t, b, "alice")
	arrived(t, b, wanted)
	if got := application.Last(t); got.RequestURI != strings.TrimPrefix(wanted, g.URL) && got.RequestURI != "/favicon.ico" {
		t.Errorf("the application was asked for %s", got.RequestURI)
	}
	if got := application.Last(t).Header.Get("X-Forwarded-User"); got != "alice" {
		t.Errorf("the application was told %q", got)
	}

	// An address that is typed asks first; then it is over.
	b.Go(t, g.URL+"/oauth2/sign_out")
	heading(t, b, "Do you want to sign out?")
	press(t, b, "Sign out")
	heading(t, b, "You are signed out")
	b.Go(t, wanted)
	heading(t, b, "Sign in")

	// Somebody who says no at the provider gets a page, and may try again.
	other := browse(t)
	other.Go(t, wanted)
	press(t, other, "Continue with Partner")
	heading(t, other, "Pick a person")
	press(t, other, "Nobody")
	heading(t, other, "The sign-in was not completed")
	if id := servers.Ask(t, other, chromedp.Text(chromedp.CSS(".foot code"))); !strings.Contains(g.Output(), id) {
		t.Errorf("the request id %q of the page is not in the log", id)
	}
}

// TestBrowserLocal: Chromium, driven by the keyboard alone, enrols an
// authenticator with the key that it reads from the page, leaves, and is
// challenged when it comes back.
func TestBrowserLocal(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL))
	addUser(t, g, "ada")
	b := browse(t)
	wanted := g.URL + "/wanted?page=1"

	b.Go(t, wanted)
	heading(t, b, "Sign in")
	focused(t, b, "#username")
	typed(t, b, "ada"+kb.Tab+"not the password"+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.CSS("#problem")))
	focused(t, b, "#password") // the name is still there
	if described := servers.Ask(t, b, chromedp.Evaluate[string](`document.activeElement.getAttribute('aria-describedby')`)); described != "problem" {
		t.Errorf("the error is not tied to its field: %q", described)
	}
	typed(t, b, goodPassword+kb.Enter)

	heading(t, b, "Set up your authenticator app")
	app := keyOn(t, b)
	if width := servers.Ask(t, b, chromedp.Evaluate[int](`document.querySelector('.qr img').naturalWidth`)); width < 100 {
		t.Errorf("the QR code is %d pixels wide", width)
	}
	tabTo(t, b, "#code")
	typed(t, b, app.wrongCode(t)+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.CSS("#problem")))
	focused(t, b, "#code")
	typed(t, b, app.code(t)+kb.Enter)
	arrived(t, b, wanted)

	b.Go(t, g.URL+"/oauth2/sign_out")
	heading(t, b, "Do you want to sign out?")
	tabTo(t, b, "main button")
	typed(t, b, kb.Enter)
	heading(t, b, "You are signed out")
	tabTo(t, b, "main a.button")
	typed(t, b, kb.Enter)
	heading(t, b, "Sign in")

	b.Go(t, wanted)
	heading(t, b, "Sign in")
	typed(t, b, "ada"+kb.Tab+goodPassword+kb.Enter)
	heading(t, b, "Enter your code")
	focused(t, b, "#code")
	// Half-way in, other pages are still closed.
	b.Go(t, wanted)
	heading(t, b, "Sign in")
	code := app.code(t)
	b.Go(t, g.URL+"/oauth2/mfa")
	heading(t, b, "Enter your code")
	focused(t, b, "#code")
	typed(t, b, code+kb.Enter)
	b.Do(t, chromedp.WaitVisible(chromedp.Search(`//p[text()="the application"]`)))
	if at := b.Location(t); at != wanted {
		t.Errorf("the sign-in ends at %s", at)
	}
	if got := application.Last(t); got.Header.Get("X-Forwarded-User") != "ada" || got.Method != http.MethodGet {
		t.Errorf("the application received\n%s", got.Head)
	}
}
