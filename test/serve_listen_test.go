package test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestCertificateRenewal: a new certificate is served without a restart, also
// where its two files are replaced one after the other; one that cannot be
// read leaves the old one in place.
func TestCertificateRenewal(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.NewGateway(t, binary, "")
	g.ServeTLS(t)
	text := strings.Replace(configText(app.URL, []string{connectionText("acme", idp.URL())}), `public_url: "http://{{addr}}"`,
		`public_url: "https://{{addr}}", tls: {cert_file: cert.pem, key_file: key.pem}`, 1)
	g.WriteConfig(t, text)
	g.Start(t)
	v := newTLSVisitor(t, "", g.Trust)
	v.start(g, "acme", "/").wants(t, http.StatusOK)
	before := g.Trust

	// welcome reports whether the gateway shows the certificate that the files
	// held at the time of that trust.
	welcome := func(trust *servers.Gateway) bool {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust.Trust, DisableKeepAlives: true}}
		resp, err := client.Get(g.URL + "/ping")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	old := &servers.Gateway{Trust: before}
	if err := os.WriteFile(filepath.Join(g.Dir, "key.pem"), []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	servers.WaitFor(t, "the gateway to look at the broken key", func(context.Context) bool {
		return welcome(old) && strings.Contains(g.Output(), "configuration not reloaded")
	})
	g.ServeTLS(t) // another authority
	servers.WaitFor(t, "the new certificate", func(context.Context) bool { return welcome(g) })
	if welcome(old) {
		t.Error("the old certificate is still shown")
	}
	v.signedIn(g) // on the connection that was open

	// Other names, and the files of before are gone.
	old = &servers.Gateway{Trust: g.Trust}
	g.ServeTLS(t)
	for _, name := range []string{"cert.pem", "key.pem"} {
		if err := os.Rename(filepath.Join(g.Dir, name), filepath.Join(g.Dir, "next-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	g.WriteConfig(t, strings.Replace(text, "cert_file: cert.pem, key_file: key.pem", "cert_file: next-cert.pem, key_file: next-key.pem", 1))
	servers.WaitFor(t, "the certificate of other names", func(context.Context) bool { return welcome(g) && !welcome(old) })
	v.signedIn(g)
	g.WriteConfig(t, text)
	logs(t, g, "server.tls.cert_file: the file")

	// A renewal does not wait until somebody has corrected the configuration.
	for _, name := range []string{"cert.pem", "key.pem"} {
		if err := os.Rename(filepath.Join(g.Dir, "next-"+name), filepath.Join(g.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	servers.WaitFor(t, "the files to be there again", func(context.Context) bool { return strings.Count(g.Output(), "configuration reloaded") >= 3 })
	g.WriteConfig(t, "server: {\n")
	logs(t, g, "config.yaml:1:")
	old = &servers.Gateway{Trust: g.Trust}
	g.ServeTLS(t)
	servers.WaitFor(t, "the certificate beside a broken configuration", func(context.Context) bool { return welcome(g) && !welcome(old) })
	if strings.Contains(g.Output(), "PRIVATE") {
		t.Error("a key is in the log")
	}
}

// TestUnixListener: server.listen names a socket, for a proxy on this machine.
func TestUnixListener(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.NewGateway(t, binary, "")
	socket := filepath.Join(g.Dir, "front.sock")
	g.WriteConfig(t, strings.Replace(configText(app.URL, nil, "local: {enabled: true}", `mfa: {enforce: "off"}`),
		`listen: "{{addr}}"`, `listen: "unix://`+socket+`"`, 1))
	launch(t, g)
	logs(t, g, "the gateway listens")
	addUser(t, g, "alice")
	client := func() *visitor {
		v := newVisitor(t, "")
		dial := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}
		t.Cleanup(dial.CloseIdleConnections)
		v.Transport = acceptsPages{dial}
		return v
	}
	v := client()
	v.password(g, "alice", goodPassword).wants(t, http.StatusSeeOther)
	v.look(g.URL+"/").wants(t, http.StatusOK)
	if user := app.Last(t).Header.Get("X-Forwarded-User"); user != "alice" {
		t.Errorf("the application is told of %q", user)
	}
	if r := g.Run(t, "", "health", "--config", g.Config); r.Code != 0 {
		t.Errorf("health ended with %d:\n%s", r.Code, r.Stderr)
	}

	// Another one does not take the socket away from it.
	second := servers.NewGateway(t, binary, configText(app.URL, nil, "local: {enabled: true}"))
	text := configText(app.URL, nil, "local: {enabled: true}")
	second.WriteConfig(t, strings.Replace(text, `listen: "{{addr}}"`, `listen: "unix://`+socket+`"`, 1))
	refusesToStart(t, second, "another server answers")
	v.signedIn(g)

	// What a killed one left is not in the way.
	g.Kill()
	if r := g.Run(t, "", "health", "--config", g.Config); r.Code != 1 {
		t.Errorf("health of a dead server ended with %d", r.Code)
	}
	launch(t, g)
	logs(t, g, "the gateway listens")
	client().look(g.URL+"/ping").wants(t, http.StatusOK)
	v.Transport = client().Transport
	v.signedIn(g)
}
