package test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// faultStatus is how the front answers a fault of the identity provider: 502
// unless it stands here. All of them are pages.
func faultStatus(f badidp.Fault) int {
	switch f {
	case "callback: error", "callback: error and code", "callback: empty error", "callback: unknown code",
		"token: error", "token: error with status 200", "token: client refused", "userinfo: refused":
		return http.StatusForbidden // it was the provider that said no
	case "callback: code twice", "callback: code twice alike", "callback: state twice", "callback: iss twice",
		"callback: no state", "callback: another state":
		return http.StatusBadRequest // damaged on the way
	}
	return http.StatusBadGateway
}

// TestMisbehavingProvider: of nothing that a provider can do wrong come a
// session or an account. Each fault is a connection of its own to a provider
// of its own, so that none hides behind what another has left in a cache. Once
// the provider behaves, the same person comes in.
func TestMisbehavingProvider(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	faults := badidp.Faults()
	idps := make([]*badidp.IdP, len(faults))
	var connections []string
	for i, fault := range faults {
		idps[i] = badidp.Start(t)
		idps[i].SetFault(fault)
		idps[i].SetClaims(map[string]any{
			"sub": "subject-1", "email": fmt.Sprintf("pat%d@corp.example", i), "email_verified": true,
			"preferred_username": fmt.Sprintf("pat%d", i), "name": "Pat Example", "groups": []any{"staff"},
		})
		connections = append(connections, connectionText(row(i), idps[i].URL(), "jit: {create: true}"))
	}
	g := servers.StartGateway(t, binary, configText(app.URL, connections))

	for i, got := range everybody(t, g, len(faults)) {
		t.Run(string(faults[i]), func(t *testing.T) {
			if got.err != nil {
				t.Fatal(got.err)
			}
			if want := faultStatus(faults[i]); got.page.StatusCode != want {
				t.Errorf("answered %s, want %d", got.page.Status, want)
			}
			id := got.page.Header.Get("X-Request-Id")
			if !strings.HasPrefix(got.page.Header.Get("Content-Type"), "text/html") || id == "" || !strings.Contains(got.page.Text, id) {
				t.Errorf("the answer is no page with its request id:\n%s", got.page.Text)
			}
			if strings.Contains(got.page.Text, "secret-in-description") {
				t.Error("the page quotes the provider")
			}
			if got.visitor.cookie(g.URL, "_gatehouse") != "" {
				t.Error("there is a session cookie")
			}
			got.visitor.signedOut(g)
			if n := idps[i].Astray(); n != 0 {
				t.Errorf("%d requests went where the provider pointed", n)
			}
		})
	}
	for _, a := range accounts(t, g) {
		t.Errorf("there is an account: %+v", a)
	}
	if n := len(app.Requests()); n != 0 {
		t.Errorf("%d requests reached the application", n)
	}
	for _, secret := range []string{badidp.ClientSecret, "secret-in-description", "code-", "access-", "eyJ"} {
		if strings.Contains(g.Output(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}

	for i, idp := range idps {
		behave(idp, faults[i])
	}
	for i, fault := range faults {
		servers.WaitFor(t, fmt.Sprintf("a good sign-in after %q", fault), func(context.Context) bool {
			v := newVisitor(t, "")
			v.start(g, row(i), "/")
			return v.userinfo(g)["user"] == fmt.Sprintf("pat%d", i)
		})
	}
	if n := len(accounts(t, g)); n != len(faults) {
		t.Errorf("%d accounts, want one for each of %d connections", n, len(faults))
	}
}

// behave makes a provider correct again. What it advertised, and is kept for a
// while, it must now keep.
func behave(idp *badidp.IdP, was badidp.Fault) {
	idp.SetFault("")
	switch was {
	case "callback: iss advertised and missing":
		idp.SetFault("quirk: iss advertised and sent")
	case "signature: alg not advertised":
		idp.SetAlgorithm("ES256")
	}
}

func row(i int) string { return fmt.Sprintf("row%d", i) }

// attempt is one sign-in of somebody who has never been there.
type attempt struct {
	visitor *visitor
	page    reply // at which it ended
	err     error
}

// everybody tries each connection once, many at a time: some rows wait for
// timeouts.
func everybody(t *testing.T, g *servers.Gateway, rows int) []attempt {
	t.Helper()
	all := make([]attempt, rows)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range all {
		a := &all[i]
		a.visitor = newVisitor(t, "")
		group.Go(func() error {
			resp, err := a.visitor.Get(g.URL + "/oauth2/start?connection=" + row(i))
			if err != nil {
				a.err = err
				return nil
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			a.page, a.err = reply{resp, string(text)}, err
			return nil
		})
	}
	_ = group.Wait() // each attempt keeps its own error
	return all
}

// TestForgedKeyIDs: tokens that anybody can send do not cause a fetch of the
// keys each, and do not keep people out, not even just after the provider has
// changed its keys.
func TestForgedKeyIDs(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	newVisitor(t, "").start(g, "acme", "/").wants(t, http.StatusOK)

	before := idp.Count(badidp.PathKeys)
	const forged = 60
	for range forged {
		logout(t, g, "acme", idp.ForgedLogoutToken()).wants(t, http.StatusBadRequest)
	}
	if n := idp.Count(badidp.PathKeys) - before; n > 5 {
		t.Errorf("%d forged logout tokens caused %d fetches of the keys", forged, n)
	}
	idp.RotateKeys()
	v := newVisitor(t, "")
	v.start(g, "acme", "/").wants(t, http.StatusOK)
	v.signedIn(g)

	before = idp.Count(badidp.PathKeys)
	idp.SetFault("signature: unknown key id")
	for range forged {
		newVisitor(t, "").start(g, "acme", "/").wants(t, http.StatusBadGateway)
	}
	if n := idp.Count(badidp.PathKeys) - before; n > 5 {
		t.Errorf("%d forged ID tokens caused %d fetches of the keys", forged, n)
	}
	idp.SetFault("")
	newVisitor(t, "").start(g, "acme", "/").wants(t, http.StatusOK)
}

// logout sends a logout token as a provider does.
func logout(t *testing.T, g *servers.Gateway, connection, token string) reply {
	t.Helper()
	return newVisitor(t, "").post(g.URL+"/oauth2/backchannel-logout/"+connection, url.Values{"logout_token": {token}}, "Accept", "*/*")
}

// TestBackchannelLogout: a logout token ends the session on its next request,
// once. One that is not quite right ends nothing: each row is an attack or a
// mix-up.
func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL()), connectionText("partner", idp.URL(), "jit: {enabled: false}"),
	}))
	idp.SetClaims(map[string]any{"sub": "subject-1", "preferred_username": "pat", "sid": "session-1"})
	v := newVisitor(t, "")
	v.start(g, "acme", "/").wants(t, http.StatusOK)

	event := func(body any) map[string]any {
		return map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": body}}
	}
	tests := []struct {
		name           string
		claims, header map[string]any
	}{
		{"issuer of another", map[string]any{"iss": "https://other.example"}, nil},
		{"for another client", map[string]any{"aud": "another-client"}, nil},
		{"for several clients", map[string]any{"aud": []any{badidp.ClientID, "another-client"}}, nil},
		{"no iat", map[string]any{"iat": nil}, nil},
		{"a day old", map[string]any{"iat": time.Now().Add(-24 * time.Hour).Unix(), "exp": time.Now().Add(time.Hour).Unix()}, nil},
		{"of tomorrow", map[string]any{"iat": time.Now().Add(24 * time.Hour).Unix()}, nil},
		{"expired", map[string]any{"exp": time.Now().Add(-2 * time.Minute).Unix()}, nil},
		{"no jti", map[string]any{"jti": nil}, nil},
		{"empty jti", map[string]any{"jti": ""}, nil},
		{"no events", map[string]any{"events": nil}, nil},
		{"another event", map[string]any{"events": map[string]any{"https://schemas.openid.net/event/other": map[string]any{}}}, nil},
		{"event is no object", event("yes"), nil},
		{"a nonce, as an ID token has", map[string]any{"nonce": "n"}, nil},
		{"neither sub nor sid", map[string]any{"sub": nil}, nil},
		{"sub is a number", map[string]any{"sub": 1}, nil},
		{"sub is empty", map[string]any{"sub": ""}, nil},
		{"of the type of an access token", nil, map[string]any{"typ": "at+jwt"}},
		{"unknown crit", nil, map[string]any{"crit": []any{"x"}, "x": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := logout(t, g, "acme", idp.LogoutToken(tt.claims, tt.header)).wants(t, http.StatusBadRequest)
			if r.Header.Get("Cache-Control") != "no-store" {
				t.Error("the answer may be kept")
			}
			v.signedIn(g)
		})
	}
	for name, token := range map[string]string{
		"forged": idp.ForgedLogoutToken(), "garbage": "not.a.token", "empty": "",
		"unsigned": "eyJhbGciOiJub25lIn0." + strings.Split(idp.LogoutToken(nil, nil), ".")[1] + ".",
	} {
		t.Run(name, func(t *testing.T) {
			logout(t, g, "acme", token).wants(t, http.StatusBadRequest)
			v.signedIn(g)
		})
	}
	t.Run("of other people and other sessions", func(t *testing.T) {
		logout(t, g, "acme", idp.LogoutToken(map[string]any{"sub": "subject-2"}, nil)).wants(t, http.StatusOK)
		logout(t, g, "acme", idp.LogoutToken(map[string]any{"sid": "session-2"}, nil)).wants(t, http.StatusOK)
		logout(t, g, "partner", idp.LogoutToken(nil, nil)).wants(t, http.StatusOK)
		newVisitor(t, "").look(g.URL+"/oauth2/backchannel-logout/acme").wants(t, http.StatusMethodNotAllowed)
		logout(t, g, "nobody", idp.LogoutToken(nil, nil)).wants(t, http.StatusNotFound)
		v.signedIn(g)
	})

	token := idp.LogoutToken(map[string]any{"sid": "session-1"}, nil)
	if r := logout(t, g, "acme", token).wants(t, http.StatusOK); r.Header.Get("Cache-Control") != "no-store" {
		t.Error("the answer may be kept")
	}
	v.signedOut(g)
	// Recorded and sent again, it must not end the next session too.
	v.start(g, "acme", "/").wants(t, http.StatusOK)
	logout(t, g, "acme", token).wants(t, http.StatusBadRequest)
	v.signedIn(g)

	// People without an account are reached as well, and by sid alone.
	p := newVisitor(t, "")
	p.start(g, "partner", "/").wants(t, http.StatusOK)
	logout(t, g, "partner", idp.LogoutToken(map[string]any{"sub": nil, "sid": "session-1"}, nil)).wants(t, http.StatusOK)
	p.signedOut(g)
	v.signedIn(g)
}

// TestBackchannelLogoutOfACertifiedProvider: a sign-out at a real provider
// ends the session here.
func TestBackchannelLogoutOfACertifiedProvider(t *testing.T) {
	t.Parallel()
	g, idp := startCertified(t, servers.StartApp(t).URL, []string{"acme"}, "")
	v := newVisitor(t, "")
	read(t, idp.SignIn(t, v.Client, g.URL+"/", "alice", nil)).wants(t, http.StatusOK)
	v.signedIn(g)
	idp.SignOut(t, v.Client)
	servers.WaitFor(t, "the session to end", func(context.Context) bool { return v.userinfo(g) == nil })
}
