package test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

// TestUpstreams: every kind of upstream, and what a route does to a request on
// its way there.
func TestUpstreams(t *testing.T) {
	t.Parallel()
	g := servers.NewGateway(t, binary, "")
	g.ServeTLS(t)
	g.URL = "http://" + g.Addr // the certificate is that of an upstream
	g.Env = []string{"SSL_CERT_FILE=" + filepath.Join(g.Dir, "ca.pem")}
	g.Trust = nil
	pair, err := tls.LoadX509KeyPair(filepath.Join(g.Dir, "cert.pem"), filepath.Join(g.Dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(g.Dir, "app.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	servers.ServeStreamApp(t, l, nil)
	plain := servers.StartStreamApp(t, nil)
	secure := servers.StartStreamApp(t, &tls.Config{Certificates: []tls.Certificate{pair}})
	strangerCert, strangerKey := servers.Certificate(t)
	strangerPair, err := tls.LoadX509KeyPair(strangerCert, strangerKey)
	if err != nil {
		t.Fatal(err)
	}
	stranger := servers.StartStreamApp(t, &tls.Config{Certificates: []tls.Certificate{strangerPair}})
	site := filepath.Join(g.Dir, "site")
	for name, text := range map[string]string{"index.html": "the start", "a/b.txt": "plain text", ".secret": "hidden", "a/index.html": "the a", "../outside.txt": "outside"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(site, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(site, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link.txt": "../outside.txt", "config": g.Config} {
		if err := os.Symlink(to, filepath.Join(site, name)); err != nil {
			t.Fatal(err)
		}
	}
	g.WriteConfig(t, proxyText("", []string{
		"path: /http/, upstream: " + plain.URL,
		"path: /https/, upstream: " + secure.URL,
		"path: /stranger/, upstream: " + stranger.URL,
		"path: /h2c/, upstream: h2c://" + plain.Addr,
		"path: /unix/, upstream: unix://" + socket,
		"path: /static/, upstream: \"static:204\"",
		"path: /file/, strip_prefix: true, upstream: \"file:site\"",
		"path: /strip/, strip_prefix: true, upstream: " + plain.URL,
		"path: /host/, host_header: upstream, upstream: " + plain.URL,
		"path: /methods/, methods: [POST, PUT], upstream: " + plain.URL,
		"path: /methods/, methods: [GET, HEAD], access: public, upstream: \"static:203\"",
	}))
	g.Start(t)
	pat := newLocal(t, g, "pat")
	host := g.Addr
	for _, tt := range []struct {
		line   string
		status int
		text   string // "": any
	}{
		{"GET /http/a%2fb?c", 200, "GET\n" + host + "\n/http/a%2fb?c\nHTTP/1.1\n"},
		{"GET /https/a%2fb?c", 200, "GET\n" + host + "\n/https/a%2fb?c\nHTTP/2.0\n"},
		{"GET /stranger/", 502, ""},
		{"GET /h2c/a%2fb?c", 200, "GET\n" + host + "\n/h2c/a%2fb?c\nHTTP/2.0\n"},
		{"GET /unix/a%2fb?c", 200, "GET\n" + host + "\n/unix/a%2fb?c\nHTTP/1.1\n"},
		{"GET /static/x", 204, ""},
		{"POST /static/x", 204, ""},
		{"GET /file/", 200, "the start"},
		{"GET /file/a/b.txt", 200, "plain text"},
		{"GET /file/a%2Fb.txt", 200, "plain text"},
		{"GET /file/a/", 200, "the a"},
		{"GET /file/a", 301, ""},
		{"GET /file/none", 404, ""},
		{"GET /file/.secret", 404, ""},
		{"GET /file/%2esecret", 404, ""},
		{"GET /file/link.txt", 404, ""},
		{"GET /file/config", 404, ""},
		{"GET /file/a/..%2f..%2fconfig.yaml", 0, ""},
		{"GET /file/%2e%2e%2fconfig.yaml", 0, ""},
		{"POST /file/", 405, ""},
		{"GET /strip/a%2fb/c?d", 200, "GET\n" + host + "\n/a%2fb/c?d\nHTTP/1.1\n"},
		{"GET /strip/", 200, "GET\n" + host + "\n/\nHTTP/1.1\n"},
		{"GET /strip", 200, "GET\n" + host + "\n/\nHTTP/1.1\n"},
		{"GET /strip?x", 200, "GET\n" + host + "\n/?x\nHTTP/1.1\n"},
		{"GET /strip//evil.example/x", 400, ""},
		{"GET /strip/%2fevil.example/x", 400, ""},
		{`GET /strip/\evil.example/x`, 400, ""},
		{"GET /host/x", 200, "GET\n" + plain.Addr + "\n/host/x\nHTTP/1.1\n"},
		{"POST /methods/x", 200, "POST\n" + host + "\n/methods/x\nHTTP/1.1\n"},
		{"GET /methods/x", 203, ""},
		{"DELETE /methods/x", 404, ""},
		{"GET /none", 404, ""},
	} {
		a := servers.Raw(t, "", g.Addr, servers.Head(tt.line, host, "Content-Length: 0", pat.session(g)))
		refused := tt.status == 0 && (a.StatusCode == http.StatusBadRequest || a.StatusCode == http.StatusNotFound)
		if a.StatusCode != tt.status && !refused || tt.text != "" && a.Text != tt.text {
			t.Errorf("%s answered %s: %q", tt.line, a.Status, a.Text)
		}
		if strings.Contains(a.Text, "outside") || strings.Contains(a.Text, "admin_listen") || strings.Contains(a.Text, "hidden") {
			t.Errorf("%s shows what lies outside: %q", tt.line, a.Text)
		}
	}
	for _, path := range []string{"/static/", "/file/", "/unix/"} {
		if a := servers.Raw(t, "", g.Addr, servers.Head("GET "+path, host)); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s answered nobody %s", path, a.Status)
		}
	}
}

// TestHosts: the host decides first, without case, port and trailing dot.
func TestHosts(t *testing.T) {
	t.Parallel()
	one, two := servers.StartApp(t), servers.StartApp(t)
	text := proxyText("", []string{
		"path: /, host: One.Gate.Example, access: public, upstream: " + one.URL,
		"path: /two/, host: one.gate.example, access: {groups: [staff]}, upstream: " + two.URL,
		"path: /, host: two.gate.example, upstream: " + two.URL,
	}, "session: {cookie_domain: gate.example}")
	text = strings.Replace(text, `public_url: "http://{{addr}}"`, `public_url: "http://one.gate.example"`, 1)
	g := servers.StartGateway(t, binary, text)
	for _, tt := range []struct {
		host, target string
		status       int
	}{
		{"one.gate.example", "/", 200},
		{"ONE.gate.EXAMPLE", "/", 200},
		{"one.gate.example.", "/", 200},
		{"one.gate.example:8443", "/", 200},
		{"one.gate.example.:80", "/", 200},
		{"one.gate.example", "/two/", 401},
		{"one.gate.example.", "/two/", 401},
		{"ONE.GATE.EXAMPLE:1", "/two/", 401},
		{"two.gate.example", "/", 401},
		{"gate.example", "/", 404},
		{"three.gate.example", "/", 404},
		{"xone.gate.example", "/", 404},
		{"one.gate.example.evil.example", "/", 404},
		{"one.gate.example..", "/", 404},
		{"127.0.0.1", "/", 404},
		{"[::1]", "/", 404},
		{"one.gate.example/x", "/", 400},
		{"one.gate.example@evil.example", "/", 400},
		{"evil.example#one.gate.example", "/", 400},
		{"one.gate.example:80:80", "/", 400},
		{"one.gate.example, two.gate.example", "/", 400},
		{`one.gate.example\`, "/", 400},
		{"%6fne.gate.example", "/", 400},
		{"two.gate.example", "http://one.gate.example/", 200}, // the target's host counts (RFC 9112, section 3.2.2)
		{"one.gate.example", "http://two.gate.example/", 401},
		{"one.gate.example", "http://three.gate.example/", 404},
	} {
		before := len(one.Requests())
		a := servers.Raw(t, "", g.Addr, servers.Head("GET "+tt.target, tt.host))
		if a.StatusCode != tt.status {
			t.Errorf("%s of %s answered %s, want %d", tt.target, tt.host, a.Status, tt.status)
		}
		if reached := len(one.Requests()) > before; reached != (tt.status == http.StatusOK) {
			t.Errorf("%s of %s reached the application: %v", tt.target, tt.host, reached)
		}
	}
	if n := len(two.Requests()); n > 0 {
		t.Errorf("%d requests of nobody reached the second application", n)
	}
	// People of other hosts sign in on public_url and are led back.
	a := servers.Raw(t, "", g.Addr, servers.Head("GET /x?y", "two.gate.example", "Accept: text/html"))
	const want = "http://one.gate.example/oauth2/sign_in?rd=http%3A%2F%2Ftwo.gate.example%2Fx%3Fy"
	if got := a.Header.Get("Location"); a.StatusCode != http.StatusFound || got != want {
		t.Errorf("answered %s to %s", a.Status, got)
	}
}

// TestHTTP2: the TLS listener speaks HTTP/2, where the same rules hold.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	text := proxyText(`tls: {cert_file: cert.pem, key_file: key.pem}`, []string{
		"path: /, access: public, upstream: " + app.URL, "path: /admin/, access: {groups: [admins]}, upstream: " + app.URL,
	})
	g := servers.NewGateway(t, binary, strings.Replace(text, "http://{{addr}}", "https://{{addr}}", 1))
	g.ServeTLS(t)
	g.Start(t)
	addUser(t, g, "pat", "--group", "staff")
	v := newTLSVisitor(t, "", g.Trust)
	v.Transport.(acceptsPages).next.(*http.Transport).ForceAttemptHTTP2 = true
	v.password(g, "pat", goodPassword).wants(t, http.StatusSeeOther)
	var cookie *http.Cookie
	for _, c := range v.password(g, "pat", goodPassword).Cookies() {
		if strings.HasPrefix(c.Name, "__Host-_gatehouse") && c.Value != "" {
			cookie = c
		}
	}
	if cookie == nil || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie of the session: %v", cookie)
	}
	forged := []string{
		"X-Forwarded-User", "root", "X_Forwarded_User", "root", "x.forwarded.groups", "admins", "X-Auth-Request-Groups", "admins", "X-Forwarded-Proto", "ftp", "Transfer_Encoding", "chunked",
	}
	r := v.look(g.URL+"/a%2fb", forged...).wants(t, http.StatusOK)
	if r.Proto != "HTTP/2.0" {
		t.Errorf("speaks %s", r.Proto)
	}
	got := app.Last(t)
	if strings.Contains(got.Head, "root") || strings.Contains(got.Head, "admins") || strings.Contains(got.Head, "_Encoding") {
		t.Errorf("the application sees forged headers:\n%s", got.Head)
	}
	if u, p := values(got, "X-Forwarded-User"), values(got, "X-Forwarded-Proto"); !slices.Equal(u, []string{"pat"}) || !slices.Equal(p, []string{"https"}) || got.RequestURI != "/a%2fb" {
		t.Errorf("the application sees user %q, scheme %q, target %s", u, p, got.RequestURI)
	}
	if strings.Contains(got.Head, cookie.Value) {
		t.Error("the application sees our cookie")
	}
	before := len(app.Requests())
	v.look(g.URL+"/admin/", append(forged, "Accept", "text/html")...).wants(t, http.StatusForbidden)
	v.look(g.URL+"/x/..%2fadmin/").wants(t, http.StatusBadRequest)
	v.look(g.URL+"/;/admin/").wants(t, http.StatusBadRequest)
	if n := len(app.Requests()); n != before {
		t.Errorf("%d refused requests reached the application", n-before)
	}
	// Two framings over TLS with HTTP/1.1.
	c, err := tls.Dial("tcp", g.Addr, &tls.Config{RootCAs: g.Trust.RootCAs, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, servers.Head("POST /", g.Addr, "Content-Length: 4", "Transfer-Encoding: chunked")+"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
	text = readAll(t, c)
	if !strings.HasPrefix(text, "HTTP/1.1 400 ") || strings.Count(text, "HTTP/1.1 ") != 1 {
		t.Errorf("two framings over TLS: %.200q", text)
	}
}
