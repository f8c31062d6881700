package test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

// TestRouteTreatment: what a route does to a request on its way: another
// path, other headers, an authority and a certificate of its own, and no wait
// for ever.
func TestRouteTreatment(t *testing.T) {
	t.Parallel()
	g := servers.NewGateway(t, binary, "")
	g.ServeTLS(t) // its files are those of the upstream here
	g.URL, g.Trust = "http://"+g.Addr, nil
	g.Env = []string{"APP_KEY=hush-hush"}
	pair, err := tls.LoadX509KeyPair(filepath.Join(g.Dir, "cert.pem"), filepath.Join(g.Dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(filepath.Join(g.Dir, "ca.pem"))
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatalf("no authority: %v", err)
	}
	secure := servers.StartStreamApp(t, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	app, events := servers.StartApp(t), servers.StartStreamApp(t, nil)
	text := proxyText("", []string{
		"path: /mesh/, rewrite_path: /v2/, access: public, upstream: " + secure.URL + ", upstream_tls: {ca_file: ca.pem, cert_file: cert.pem, key_file: key.pem, server_name: localhost}",
		"path: /unshown/, access: public, upstream: " + secure.URL + ", upstream_tls: {ca_file: ca.pem}",
		"path: /keyed/, rewrite_path: /, upstream: " + app.URL + `, headers: {request: {set: {X-Api-Key: "${APP_KEY:-none}"}, remove: [Authorization]}, response: {set: {X-Robots-Tag: none}, remove: [Content-Type]}}`,
		"path: /idle/, strip_prefix: true, access: public, idle_timeout: 1s, upstream: " + events.URL,
	})
	g.WriteConfig(t, strings.Replace(text, "ca_file: ca.pem}", "ca_file: missing.pem}", 1))
	if r := g.Run(t, "", "check", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stdout, `routes[1].upstream_tls.ca_file: the file "missing.pem" cannot be read`) {
		t.Errorf("check: exit code %d:\n%s", r.Code, r.Stdout)
	}
	g.WriteConfig(t, text)
	g.Start(t)
	pat := newLocal(t, g, "pat")

	a := servers.Raw(t, "", g.Addr, servers.Head("GET /mesh/a%2fb?c", g.Addr))
	if want := "GET\n" + g.Addr + "\n/v2/a%2fb?c\nHTTP/2.0\n"; a.StatusCode != http.StatusOK || a.Text != want {
		t.Errorf("mesh: %s %q", a.Status, a.Text)
	}
	if a := servers.Raw(t, "", g.Addr, servers.Head("GET /unshown/", g.Addr)); a.StatusCode != http.StatusBadGateway {
		t.Errorf("an application that asks for a certificate and gets none: %s", a.Status)
	}
	a = servers.Raw(t, "", g.Addr, servers.Head("GET /keyed/x", g.Addr, pat.session(g), "Authorization: Bearer mine", "X_Api_Key: mine", "X-Api-Key: mine"))
	head := app.Last(t).Head
	if !strings.HasPrefix(head, "GET /x HTTP/1.1\r\n") || strings.Count(strings.ToLower(head), "api") != 1 || !strings.Contains(head, "X-Api-Key: hush-hush\r\n") || strings.Contains(head, "Authorization") {
		t.Errorf("the application got:\n%s", head)
	}
	if a.Header.Get("X-Robots-Tag") != "none" || a.Header.Get("Content-Type") == "text/html" {
		t.Errorf("the client got %v", a.Header)
	}
	resp, err := http.Get(g.URL + "/idle/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ended(t, events, 1)
	waitForLog(t, g, `"reason":"idle_timeout"`, "/idle/events")
	if strings.Contains(g.Output(), "hush-hush") {
		t.Error("the log holds a secret")
	}
}
