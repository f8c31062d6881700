package test

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestProvidersComeLate: the gateway starts while no identity provider can be
// reached. A connection whose provider is away answers with a page, the others
// work, and each works as soon as its provider is there.
func TestProvidersComeLate(t *testing.T) {
	t.Parallel()
	app, partner, acme := servers.StartApp(t), badidp.Start(t), badidp.Start(t)
	partner.SetFault("discovery: down")
	// Nobody listens yet where acme will be.
	addr := servers.FreeAddr(t)
	issuer := "http://" + addr
	acme.SetMetadata(map[string]any{
		"issuer": issuer, "authorization_endpoint": issuer + badidp.PathAuthorize, "token_endpoint": issuer + badidp.PathToken,
		"jwks_uri": issuer + badidp.PathKeys, "userinfo_endpoint": issuer + badidp.PathUserinfo,
	})
	acme.SetClaims(map[string]any{"iss": issuer, "sub": "1", "preferred_username": "from-acme"})

	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", issuer), connectionText("partner", partner.URL()),
	}, "local: {enabled: true}", `mfa: {enforce: "off"}`))
	away := func(connection string) {
		t.Helper()
		r := newVisitor(t, "").start(g, connection, "/")
		if r.StatusCode != http.StatusBadGateway && r.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s, want 502 or 503", connection, r.Status)
		}
		if id := r.Header.Get("X-Request-Id"); !strings.Contains(r.Text, "<h1>") || id == "" || !strings.Contains(r.Text, id) {
			t.Errorf("%s: not a page with its request id:\n%s", connection, r.Text)
		}
	}
	comes := func(connection, user string) {
		t.Helper()
		servers.WaitFor(t, connection+" to work", func(context.Context) bool {
			v := newVisitor(t, "")
			v.start(g, connection, "/")
			return v.userinfo(g)["user"] == user
		})
	}
	newVisitor(t, "").look(g.URL+"/ready").wants(t, http.StatusOK)
	page := newVisitor(t, "").look(g.URL+"/oauth2/sign_in").wants(t, http.StatusOK)
	if strings.Count(page.Text, `href="/oauth2/start`) != 2 {
		t.Errorf("not a button for each connection:\n%s", page.Text)
	}
	away("acme")
	away("partner")
	addUser(t, g, "local")
	v := newVisitor(t, "")
	v.password(g, "local", goodPassword).wants(t, http.StatusSeeOther)
	v.signedIn(g)

	partner.SetFault("")
	comes("partner", "pat")
	away("acme")

	target, err := url.Parse(acme.URL())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}}
	t.Cleanup(func() { server.Close() })
	go func() { _ = server.Serve(l) }()
	comes("acme", "from-acme")
}
