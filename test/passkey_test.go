package test

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// atLocalhost starts a gateway that people call localhost: browsers have
// passkeys at names alone.
func atLocalhost(t *testing.T, text string) *servers.Gateway {
	t.Helper()
	g := servers.NewGateway(t, binary, "")
	name := strings.Replace("http://"+g.Addr, "127.0.0.1", "localhost", 1)
	g.WriteConfig(t, strings.Replace(text, `public_url: "http://{{addr}}"`, `public_url: "`+name+`"`, 1))
	g.Start(t)
	g.URL = name
	return g
}

// call gives a command to the browser.
func call[P, R any](t *testing.T, b *servers.Chromium, command cdp.Command[P, R], params P) R {
	t.Helper()
	return servers.Ask(t, b, chromedp.Action[R](func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	}))
}

// holder opens a browser with an authenticator in it, which verifies its person
// and keeps passkeys.
func holder(t *testing.T) (*servers.Chromium, webauthn.AuthenticatorID) {
	t.Helper()
	b := servers.StartChromium(t)
	call(t, b, webauthn.Enable, webauthn.EnableParams{})
	made := call(t, b, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	return b, made.AuthenticatorID
}

// leaves signs out in a browser.
func leaves(t *testing.T, b *servers.Chromium, g *servers.Gateway) {
	t.Helper()
	b.Go(t, g.URL+"/oauth2/sign_out")
	heading(t, b, "Do you want to sign out?")
	press(t, b, "Sign out")
	heading(t, b, "You are signed out")
}

// TestPasskeys: somebody sets up a passkey where a second factor is asked for,
// proves it after a password, and signs in with it alone.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := atLocalhost(t, localOnly(application.URL))
	ada := addUser(t, g, "ada")
	b, authenticator := holder(t)
	wanted := g.URL + "/wanted?page=1"
	amr := func() []string {
		t.Helper()
		all := sessionsOf(t, g, "ada")
		if len(all) != 1 {
			t.Fatalf("%d sessions", len(all))
		}
		return all[0].AMR
	}

	b.Go(t, wanted)
	heading(t, b, "Sign in")
	typed(t, b, "ada"+kb.Tab+goodPassword+kb.Enter)
	heading(t, b, "Set up your authenticator app")
	press(t, b, "A passkey")
	heading(t, b, "Set up a passkey")
	press(t, b, "Make a passkey")
	arrived(t, b, wanted)
	if a := showAccount(t, g, ada.ID); !slices.Contains(a.Factors, "passkey") || slices.Contains(a.Factors, "totp") {
		t.Errorf("factors %v", a.Factors)
	}
	leaves(t, b, g)

	// As a second factor.
	b.Go(t, wanted)
	heading(t, b, "Sign in")
	typed(t, b, "ada"+kb.Tab+goodPassword+kb.Enter)
	heading(t, b, "Use your passkey")
	press(t, b, "Use a passkey")
	arrived(t, b, wanted)
	if d := cmp.Diff([]string{"pwd", "pop", "mfa"}, amr()); d != "" {
		t.Error(d)
	}
	leaves(t, b, g)

	// As a whole sign-in.
	enters := func() {
		t.Helper()
		b.Go(t, wanted)
		heading(t, b, "Sign in")
		press(t, b, "Use a passkey instead")
		heading(t, b, "Sign in with a passkey")
		press(t, b, "Use a passkey")
	}
	enters()
	arrived(t, b, wanted)
	if d := cmp.Diff([]string{"user", "pop", "mfa"}, amr()); d != "" {
		t.Error(d)
	}
	leaves(t, b, g)

	refused := func(why string) {
		t.Helper()
		enters()
		b.Do(t, chromedp.WaitVisible(chromedp.Search(`//p[@role="alert"][contains(., "does not sign you in")]`)))
		newVisitor(t, "").signedOut(g)
		if n := len(sessionsOf(t, g, "ada")); n != 0 {
			t.Errorf("%s: %d sessions", why, n)
		}
	}
	// Attacks: an authenticator that has not verified its person, a signature
	// that is none, and a copy of the key, whose counter is behind.
	yes := true
	call(t, b, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: authenticator, IsBadUV: &yes})
	refused("nobody was verified")
	call(t, b, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: authenticator, IsBogusSignature: &yes})
	refused("a bogus signature")
	call(t, b, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: authenticator})
	keys := call(t, b, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: authenticator}).Credentials
	if len(keys) != 1 || keys[0].SignCount < 3 {
		t.Fatalf("%d keys, %+v", len(keys), keys)
	}
	put := func(count float64) {
		t.Helper()
		key := map[string]any{
			"credentialId": keys[0].CredentialID, "isResidentCredential": true, "rpId": "localhost",
			"privateKey": keys[0].PrivateKey, "userHandle": keys[0].UserHandle, "signCount": count,
		}
		call(t, b, webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: authenticator})
		call(t, b, cdp.Command[map[string]any, cdp.Empty]{Method: webauthn.CommandAddCredential},
			map[string]any{"authenticatorId": authenticator, "credential": key})
	}
	put(1)
	refused("a counter that has gone back")
	put(keys[0].SignCount + 10)
	enters()
	arrived(t, b, wanted)
	leaves(t, b, g)

	// A disabled account is not entered, whatever opens it.
	run(t, g, "user", "disable", "ada")
	refused("a disabled account")
	if diff := cmp.Diff([]string(nil), b.Problems()); diff != "" {
		t.Errorf("the browser complains:\n%s", diff)
	}
}

// TestPasskeyIsAnsweredOnce. Attack: record the answer of somebody's browser,
// and send it again, in their sign-in or in one of one's own.
func TestPasskeyIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := atLocalhost(t, localOnly(application.URL))
	addUser(t, g, "ada")
	b, _ := holder(t)
	b.Go(t, g.URL+"/")
	heading(t, b, "Sign in")
	typed(t, b, "ada"+kb.Tab+goodPassword+kb.Enter)
	heading(t, b, "Set up your authenticator app")
	press(t, b, "A passkey")
	heading(t, b, "Set up a passkey")
	press(t, b, "Make a passkey")
	b.Do(t, chromedp.WaitVisible(chromedp.Search(`//p[text()="the application"]`)))
	leaves(t, b, g)

	b.Go(t, g.URL+"/oauth2/sign_in")
	press(t, b, "Use a passkey instead")
	heading(t, b, "Sign in with a passkey")
	answer := servers.Ask(t, b, chromedp.Evaluate[string](`(async () => {
		const options = JSON.parse(document.querySelector("form[data-options]").dataset.options);
		const key = await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)});
		return JSON.stringify(key);
	})()`, chromedp.EvalAwaitPromise))
	v := newVisitor(t, "")
	for _, c := range call(t, b, network.GetCookies, network.GetCookiesParams{URLs: []string{g.URL}}).Cookies {
		if c.Name == "_gatehouse_passkey" {
			v.setCookie(g.URL, &http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	send := func(v *visitor) reply {
		return v.post(g.URL+"/oauth2/passkey", url.Values{"code": {answer}})
	}
	thief := newVisitor(t, "")
	thief.post(g.URL+"/oauth2/passkey", url.Values{}).wants(t, http.StatusSeeOther)
	send(thief).wants(t, http.StatusUnauthorized) // of another challenge
	thief.signedOut(g)
	send(v).wants(t, http.StatusSeeOther)
	v.signedIn(g)
	v.signOutLocal(g)
	if to := send(v).wants(t, http.StatusSeeOther).to(t); to.Path != "/oauth2/sign_in" {
		t.Errorf("a second time it leads to %s", to)
	}
	v.signedOut(g)
}
