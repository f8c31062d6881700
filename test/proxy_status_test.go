package test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

// deafAddr is an address that takes connections and never answers.
func deafAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return l.Addr().String()
}

// TestStatusByCause: each cause has its status, for people as a page and for
// programs as JSON, with the request's id and never a raw error.
func TestStatusByCause(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 not at all\r\n\r\n")
			c.Close()
		}
	}))
	t.Cleanup(broken.Close)
	closed, deaf := servers.FreeAddr(t), deafAddr(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{
		"path: /, host: 127.0.0.1, upstream: " + app.URL,
		"path: /admin/, host: 127.0.0.1, access: {groups: [admins]}, upstream: " + app.URL,
		"path: /closed/, host: 127.0.0.1, upstream: http://" + closed,
		"path: /broken/, host: 127.0.0.1, upstream: " + broken.URL,
		"path: /deaf/, host: 127.0.0.1, timeout: 300ms, upstream: http://" + deaf,
	}))
	pat := newLocal(t, g, "pat")
	const page = "Accept: text/html"
	for _, tt := range []struct {
		name, line, host string
		headers          []string
		body             string
		session          bool
		status           int
		code, text       string // in JSON; on the page
	}{
		{name: "not allowed", line: "GET /admin/", session: true, status: 403, code: "forbidden", text: "You do not have access"},
		{name: "nothing listens", line: "GET /closed/", session: true, status: 502, code: "upstream_down", text: "The application is not available"},
		{name: "answers nonsense", line: "GET /broken/", session: true, status: 502, code: "upstream_down", text: "The application is not available"},
		{name: "never answers", line: "GET /deaf/", session: true, status: 504, code: "upstream_slow", text: "The application takes too long"},
		{name: "never answers, with a body", line: "POST /deaf/", headers: []string{"Content-Length: 2"}, body: "{}", session: true, status: 504, code: "upstream_slow", text: "The application takes too long"},
		{name: "unknown host", line: "GET /", host: "elsewhere.example", session: true, status: 404, code: "not_found", text: "There is nothing here"},
		{name: "unknown host, as nobody", line: "GET /", host: "elsewhere.example", status: 404, code: "not_found", text: "There is nothing here"},
		{name: "our own, unknown", line: "GET /oauth2/nothing", session: true, status: 404, code: "not_found", text: "There is nothing here"},
		{name: "malformed", line: "GET /%00", session: true, status: 400, code: "malformed", text: "This request does not make sense"},
		{name: "malformed host", line: "GET /", host: "127.0.0.1:x", session: true, status: 400, code: "malformed"},
		{name: "TRACE", line: "TRACE /", session: true, status: 405, code: "method_not_allowed", text: "That does not work here"},
		{name: "trace", line: "trace /", session: true, status: 405, code: "method_not_allowed", text: "That does not work here"},
		{name: "TRACE for us", line: "TRACE /oauth2/userinfo", session: true, status: 405, code: "method_not_allowed", text: "That does not work here"},
		{name: "CONNECT", line: "CONNECT elsewhere.example:443", session: true, status: 405, code: "method_not_allowed", text: "That does not work here"},
		{name: "CONNECT with a path", line: "CONNECT /", session: true, status: 405, code: "method_not_allowed", text: "That does not work here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := tt.host
			if host == "" {
				host = g.Addr
			}
			headers := tt.headers
			if tt.session {
				headers = append(headers, pat.session(g))
			}
			program := servers.Raw(t, "", g.Addr, servers.Head(tt.line, host, append(headers, "Accept: application/json")...)+tt.body)
			person := servers.Raw(t, "", g.Addr, servers.Head(tt.line, host, append(headers, page)...)+tt.body)
			var told struct {
				Error     string `json:"error"`
				RequestID string `json:"request_id"`
			}
			if program.StatusCode != tt.status || person.StatusCode != tt.status {
				t.Fatalf("answered %s to a program and %s to a person", program.Status, person.Status)
			}
			if tt.text == "" {
				return // refused by net/http itself, before any page
			}
			if err := json.Unmarshal([]byte(program.Text), &told); err != nil || told.Error != tt.code {
				t.Errorf("told a program: %v\n%s", err, program.Text)
			}
			if id := program.Header.Get("X-Request-Id"); id == "" || id != told.RequestID {
				t.Errorf("request id %q in the header, %q in JSON", id, told.RequestID)
			}
			if id := person.Header.Get("X-Request-Id"); !strings.Contains(person.Text, tt.text) || id == "" || !strings.Contains(person.Text, id) {
				t.Errorf("not the page of %q with id %s:\n%s", tt.text, id, person.Text)
			}
			for _, secret := range []string{closed, deaf, "dial tcp", "malformed HTTP", "goroutine"} {
				if strings.Contains(program.Text+person.Text, secret) {
					t.Errorf("the answer shows %q", secret)
				}
			}
			for _, a := range []servers.RawAnswer{program, person} {
				if a.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("Cache-Control %q: a shared cache would keep it", a.Header.Get("Cache-Control"))
				}
				if len(a.Header.Values("Set-Cookie")) > 0 {
					t.Errorf("sets cookies: %v", a.Header.Values("Set-Cookie"))
				}
			}
		})
	}
	for _, r := range app.Requests() {
		t.Errorf("the application got %s %s", r.Method, r.RequestURI)
	}
	pat.signedIn(g)
}

// TestTwoFramings: a request that has two lengths is two requests to some
// server on the way. Attack: request smuggling, CL.TE and TE.CL.
func TestTwoFramings(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: public, upstream: " + app.URL}))
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	chunked := "0\r\n\r\n" + smuggled
	for name, request := range map[string]string{
		"CL.TE":                    servers.Head("POST /", g.Addr, "Content-Length: 4", "Transfer-Encoding: chunked") + chunked,
		"TE.CL":                    servers.Head("POST /", g.Addr, "Transfer-Encoding: chunked", "Content-Length: 4") + chunked,
		"CL.TE in lower case":      servers.Head("POST /", g.Addr, "content-length: 5", "transfer-encoding: chunked") + chunked,
		"CL zero":                  servers.Head("POST /", g.Addr, "Content-Length: 0", "Transfer-Encoding: chunked") + chunked,
		"TE twice":                 servers.Head("POST /", g.Addr, "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + chunked,
		"TE unknown":               servers.Head("POST /", g.Addr, "Transfer-Encoding: xchunked") + chunked,
		"TE list":                  servers.Head("POST /", g.Addr, "Transfer-Encoding: gzip, chunked") + chunked,
		"two lengths":              servers.Head("POST /", g.Addr, "Content-Length: 0", "Content-Length: 5") + chunked,
		"length list":              servers.Head("POST /", g.Addr, "Content-Length: 0, 5") + chunked,
		"signed length":            servers.Head("POST /", g.Addr, "Content-Length: +5") + chunked,
		"space before the colon":   servers.Head("POST /", g.Addr, "Transfer-Encoding : chunked", "Content-Length: 5") + chunked,
		"folded line":              servers.Head("POST /", g.Addr, "X: y\r\n Transfer-Encoding: chunked", "Content-Length: 5") + chunked,
		"TE in HTTP/1.0":           "POST / HTTP/1.0\r\nHost: " + g.Addr + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked,
		"negative chunk":           servers.Head("POST /", g.Addr, "Transfer-Encoding: chunked") + "-1\r\n\r\n" + smuggled,
		"two hosts":                servers.Head("GET /", g.Addr, "Host: elsewhere.example"),
		"no host":                  "GET / HTTP/1.1\r\n\r\n",
		"CR alone in a value":      servers.Head("GET /", g.Addr, "X: y\rX-Forwarded-User: root"),
		"NUL in a value":           servers.Head("GET /", g.Addr, "X: y\x00"),
		"space in a name":          servers.Head("GET /", g.Addr, "X Y: z"),
		"the second of two, CL.TE": servers.Head("GET /", g.Addr) + servers.Head("POST /", g.Addr, "Content-Length: 4", "Transfer-Encoding: chunked") + chunked,
	} {
		t.Run(name, func(t *testing.T) {
			a := servers.Raw(t, "", g.Addr, request)
			if strings.HasPrefix(name, "the second") {
				a = a.Next(t)
			}
			unknown := strings.HasPrefix(name, "TE ") && a.StatusCode == http.StatusNotImplemented // RFC 9112, section 6.1
			if a.StatusCode != http.StatusBadRequest && !unknown {
				t.Errorf("answered %s", a.Status)
			}
			if !a.Closed() {
				t.Error("the connection stays open for what follows")
			}
		})
	}
	for _, r := range app.Requests() {
		if strings.Contains(r.Head, "smuggled") || r.Method == http.MethodPost {
			t.Errorf("the application got %s", r.Head)
		}
	}
}

// TestNobody: without a session a person is led to the sign-in page and back,
// and a program is told where it is.
func TestNobody(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("trusted_proxies: [127.0.0.2]", []string{"path: /, upstream: " + app.URL}, "api_paths: [/api/, /hook]"))
	const html = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"
	for _, tt := range []struct {
		name, from, line string
		headers          []string
		back             string // rd of the redirect; "": 401
	}{
		{name: "a page", line: "GET /a%2fb?c=d&e", headers: []string{html}, back: "/a%2fb?c=d&e"},
		{name: "a head", line: "HEAD /", headers: []string{html}, back: "/"},
		{name: "a navigation", line: "GET /", headers: []string{html, "Sec-Fetch-Mode: navigate"}, back: "/"},
		{name: "upper case", line: "GET /", headers: []string{"Accept: TEXT/HTML"}, back: "/"},
		{name: "two slashes", line: "GET //evil.example/x", headers: []string{html}, back: "/"},
		{name: "a backslash", line: `GET /\evil.example/x`, headers: []string{html}, back: "/"},
		{name: "what an untrusted proxy says", line: "GET /x", headers: []string{html, "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Uri: /y"}, back: "/x"},
		{name: "another way back", line: "GET /x", headers: []string{html, "X-Auth-Request-Redirect: /y?z"}, back: "/y?z"},
		{name: "a way off the site", line: "GET /x", headers: []string{html, "X-Auth-Request-Redirect: https://evil.example/"}, back: "/x"},
		{name: "rd is the application's", line: "GET /x?rd=/y", headers: []string{html}, back: "/x?rd=/y"},
		{name: "what a trusted proxy says", from: "127.0.0.2", line: "GET /x", headers: []string{html, "X-Forwarded-Host: " + g.Addr, "X-Forwarded-Proto: http", "X-Forwarded-Uri: /prefix/x?y"}, back: "/prefix/x?y"},
		{name: "a trusted proxy off the site", from: "127.0.0.2", line: "GET /x", headers: []string{html, "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"}, back: "/x"},
		{name: "JSON", line: "GET /", headers: []string{"Accept: application/json"}},
		{name: "anything", line: "GET /", headers: []string{"Accept: */*"}},
		{name: "no Accept", line: "GET /"},
		{name: "html at weight zero", line: "GET /", headers: []string{"Accept: application/json, text/html;q=0"}},
		{name: "a script", line: "GET /", headers: []string{html, "X-Requested-With: XMLHttpRequest"}},
		{name: "fetch", line: "GET /", headers: []string{html, "Sec-Fetch-Mode: cors"}},
		{name: "an image", line: "GET /", headers: []string{html, "Sec-Fetch-Mode: no-cors"}},
		{name: "a form", line: "POST /", headers: []string{html, "Content-Length: 0"}},
		{name: "a deletion", line: "DELETE /", headers: []string{html}},
		{name: "a preflight", line: "OPTIONS /", headers: []string{html}},
		{name: "an api path", line: "GET /api/x", headers: []string{html}},
		{name: "an api path itself", line: "GET /api", headers: []string{html}},
		{name: "an exact api path", line: "GET /hook", headers: []string{html}},
		{name: "beside an api path", line: "GET /hooks", headers: []string{html}, back: "/hooks"},
		{name: "a WebSocket", line: "GET /", headers: []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}},
		{name: "a broken session", line: "GET /", headers: []string{"Accept: application/json", "Cookie: _gatehouse=nonsense"}},
		{name: "two sessions", line: "GET /", headers: []string{"Accept: application/json", "Cookie: _gatehouse=a; _gatehouse=b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := servers.Raw(t, tt.from, g.Addr, servers.Head(tt.line, g.Addr, tt.headers...))
			if a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", a.Header.Get("Cache-Control"))
			}
			if tt.back == "" {
				var told struct {
					Error  string `json:"error"`
					SignIn string `json:"sign_in"`
				}
				if a.StatusCode != http.StatusUnauthorized || json.Unmarshal([]byte(a.Text), &told) != nil ||
					told.Error != "unauthenticated" || !strings.HasPrefix(told.SignIn, g.URL+"/oauth2/sign_in") {
					t.Errorf("answered %s: %s", a.Status, a.Text)
				}
				return
			}
			to, err := url.Parse(a.Header.Get("Location"))
			if err != nil || a.StatusCode != http.StatusFound || to.Path != "/oauth2/sign_in" {
				t.Fatalf("answered %s to %q", a.Status, a.Header.Get("Location"))
			}
			if to.Host != "" && "http://"+to.Host != g.URL {
				t.Errorf("leads to another host: %s", to)
			}
			if got := to.Query().Get("rd"); got != tt.back && !(got == "" && tt.back == "/") {
				t.Errorf("leads back to %q, want %q", got, tt.back)
			}
		})
	}
	if n := len(app.Requests()); n > 0 {
		t.Errorf("%d requests of nobody reached the application", n)
	}
	if nobody := newVisitor(t, "").look(g.URL+"/oauth2/userinfo", api...); nobody.StatusCode != http.StatusUnauthorized {
		t.Errorf("userinfo of nobody answered %s", nobody.Status)
	}
	for _, path := range []string{"/ping", "/ready"} {
		if a := servers.Raw(t, "", g.Addr, servers.Head("GET "+path, "any.example")); a.StatusCode != http.StatusOK {
			t.Errorf("%s answered %s", path, a.Status)
		}
	}
}

// TestUserinfo: who a session is, for programs.
func TestUserinfo(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, upstream: " + app.URL}))
	pat := newLocal(t, g, "pat", "--email", "pat@corp.example", "--group", "staff", "--group", "ops", "--name", "Pat")
	r := pat.look(g.URL+"/oauth2/userinfo", api...).wants(t, http.StatusOK)
	var info struct {
		User, Email, PreferredUsername string
		Groups                         []string
	}
	decode(t, r.Text, &info)
	if info.User != "pat" || info.Email != "pat@corp.example" || strings.Join(info.Groups, ",") != "staff,ops" {
		t.Errorf("userinfo: %s", r.Text)
	}
	if r.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		t.Errorf("userinfo comes with %v", r.Header)
	}
}
