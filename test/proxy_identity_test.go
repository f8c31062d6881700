package test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// forgeries are header lines that some application would take for identity,
// each with a value that no honest header has. CGI, WSGI, PHP and nginx with
// underscores_in_headers read X_Forwarded_User and X-Forwarded-User from one
// variable.
func forgeries(names ...string) (lines []string) {
	for _, name := range names {
		spellings := []string{name, strings.ToLower(name), strings.ToUpper(name)}
		for _, c := range "_.~!|'`^+*&%$#" {
			spellings = append(spellings, strings.ReplaceAll(name, "-", string(c)))
		}
		spellings = append(spellings, strings.Replace(name, "-", "_", 1), strings.Replace(name, "-", ".", 2), name)
		for _, s := range spellings {
			lines = append(lines, fmt.Sprintf("%s: forged-%d", s, len(lines)))
		}
	}
	return lines
}

var identityNames = []string{
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
	"X-Forwarded-Attr-Department", "X-Forwarded-Attr-Never-Heard-Of", "X-Forwarded-Attr-",
	"X-Auth-Request-User", "X-Auth-Request-Anything", "X-Auth-Request-Attr-Department",
	"X-Forwarded-Access-Token", "X-Gatehouse-Assertion",
}

// forged lists what of the forgeries is in a request.
func forged(r servers.AppRequest) (seen []string) {
	for line := range strings.SplitSeq(r.Head, "\r\n") {
		if strings.Contains(line, "forged") {
			seen = append(seen, line)
		}
	}
	for name, values := range r.Trailer {
		if strings.Contains(strings.Join(values, " "), "forged") {
			seen = append(seen, "trailer "+name)
		}
	}
	return seen
}

// values returns the values of a header as it was sent, over all lines.
func values(r servers.AppRequest, name string) (all []string) {
	for line := range strings.SplitSeq(r.Head, "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			all = append(all, strings.TrimSpace(v))
		}
	}
	return all
}

// TestForgedIdentity sends identity headers in every spelling, over a raw
// connection, as every kind of request, to a public and to a protected route,
// with and without a session. Attack: "X_Forwarded-User: admin", or
// "Connection: X-Forwarded-User", which takes ours away behind the gateway.
func TestForgedIdentity(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	routes := []string{
		"path: /, upstream: " + app.URL,
		"path: /public/, access: public, upstream: " + app.URL,
	}
	g := servers.StartGateway(t, binary, proxyText("", routes))
	pat := newLocal(t, g, "pat", "--email", "pat@corp.example", "--group", "staff", "--group", "ops", "--name", "Pat", "--attr", "department=sales")

	lines := forgeries(identityNames...)
	drop := "Connection: " + strings.Join(append([]string{
		"close", "X_Forwarded-User", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id", "Content-Length",
	}, identityNames...), ", ")
	kinds := []struct {
		name, method string
		headers      []string
		body         string
		arrives      string // of the body
	}{
		{name: "GET", method: "GET"},
		{name: "OPTIONS", method: "OPTIONS", headers: []string{"Origin: http://evil.example", "Access-Control-Request-Method: GET"}},
		{name: "POST", method: "POST", headers: []string{"Content-Length: 2"}, body: "{}", arrives: "{}"},
		{name: "names listed in Connection", method: "POST", headers: []string{drop, "Content-Length: 2"}, body: "{}", arrives: "{}"},
		{name: "WebSocket", method: "GET", headers: []string{
			"Connection: Upgrade, X-Forwarded-User", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		}},
		{
			name: "trailers", method: "POST",
			headers: []string{"Transfer-Encoding: chunked", "Trailer: X-Forwarded-User, X_Forwarded-Email, x-auth-request-user, X-Checksum", "TE: trailers"},
			body: "2\r\n{}\r\n0\r\nX-Forwarded-User: forged\r\nX_Forwarded-Email: forged\r\nx-auth-request-user: forged\r\n" +
				"X-Forwarded-Groups: forged undeclared\r\nX-Checksum: 1\r\n\r\n",
			arrives: "{}",
		},
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	h2 := &http.Transport{Protocols: protocols}
	t.Cleanup(h2.CloseIdleConnections)
	for _, who := range []struct {
		name, path string
		session    bool
		want       []string // user, e-mail, groups, department
	}{
		{name: "protected", path: "/app", session: true, want: []string{"pat", "pat@corp.example", "staff,ops", "sales"}},
		{name: "public with a session", path: "/public/app", session: true, want: []string{"pat", "pat@corp.example", "staff,ops", "sales"}},
		{name: "public as nobody", path: "/public/app"},
	} {
		lines := lines
		if who.session {
			lines = append(slices.Clone(lines), pat.session(g))
		}
		// arrived looks at the request that has the path.
		arrived := func(t *testing.T, path string) servers.AppRequest {
			t.Helper()
			got := app.Last(t)
			if got.RequestURI != path {
				t.Fatalf("the application got %s", got.RequestURI)
			}
			if seen := forged(got); len(seen) > 0 {
				t.Errorf("the application sees forged headers:\n%s", strings.Join(seen, "\n"))
			}
			for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-Id"} {
				if v := values(got, name); len(v) != 1 || v[0] == "" {
					t.Errorf("%s: %q", name, v)
				}
			}
			for i, name := range []string{"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Attr-Department"} {
				var want []string
				if who.want != nil {
					want = []string{who.want[i]}
				}
				if diff := cmp.Diff(want, values(got, name)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			return got
		}
		mark := func(t *testing.T) string {
			mark := fmt.Sprintf("/%s-%d", strings.ReplaceAll(t.Name(), " ", "-"), len(app.Requests()))
			return who.path + strings.ReplaceAll(strings.ReplaceAll(mark, ",", ""), "/", "-")
		}
		for _, kind := range kinds {
			t.Run(kind.name+", "+who.name, func(t *testing.T) {
				path := mark(t)
				servers.Raw(t, "", g.Addr, servers.Head(kind.method+" "+path, g.Addr, slices.Concat(kind.headers, lines)...)+kind.body)
				got := arrived(t, path)
				if want := kind.arrives; string(got.Body) != want {
					t.Errorf("the application got the body %q, want %q", got.Body, want)
				}
				if kind.name == "trailers" && got.Trailer.Get("X-Checksum") != "1" {
					t.Errorf("an honest trailer is gone: %v", got.Trailer)
				}
			})
		}
		t.Run("HTTP/2, "+who.name, func(t *testing.T) {
			path := mark(t)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+path, io.MultiReader(strings.NewReader("{}")))
			if err != nil {
				t.Fatal(err)
			}
			req.Trailer = http.Header{"X-Checksum": {"1"}}
			for _, line := range lines {
				name, value, _ := strings.Cut(line, ": ")
				req.Header[name] = []string{value}
				if name != "Cookie" {
					req.Trailer[name] = []string{value}
				}
			}
			resp, err := h2.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := arrived(t, path); resp.ProtoMajor != 2 || string(got.Body) != "{}" || len(got.Trailer) != 1 || got.Trailer.Get("X-Checksum") != "1" {
				t.Errorf("over %s, the application got %q and the trailers %v", resp.Proto, got.Body, got.Trailer)
			}
		})
	}

	// On the protected route nobody is nobody, whatever the request claims.
	before := len(app.Requests())
	for _, kind := range kinds {
		headers := slices.Concat(kind.headers, lines)
		if a := servers.Raw(t, "", g.Addr, servers.Head(kind.method+" /app", g.Addr, headers...)+kind.body); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a session answered %s", kind.name, a.Status)
		}
	}
	if n := len(app.Requests()); n != before {
		t.Errorf("%d requests of nobody reached the application", n-before)
	}
}

// TestForgedIdentityUnderOtherNames: where identity headers have other names,
// those are protected, and the usual names stay so: an application may still
// look at them.
func TestForgedIdentityUnderOtherNames(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, upstream: " + app.URL, "path: /public/, access: public, upstream: " + app.URL},
		"identity_headers: {user: Remote-User, email: Remote-Email, groups: Remote-Groups, preferred_username: \"\", attributes: Remote-Attr-}"))
	pat := newLocal(t, g, "pat", "--email", "pat@corp.example", "--group", "staff", "--attr", "department=sales")
	lines := forgeries(append([]string{"Remote-User", "Remote-Email", "Remote-Groups", "Remote-Attr-Department", "Remote-Attr-X"}, identityNames...)...)
	for _, path := range []string{"/", "/public/"} {
		servers.Raw(t, "", g.Addr, servers.Head("GET "+path, g.Addr, append(lines, pat.session(g))...))
		got := app.Last(t)
		if seen := forged(got); len(seen) > 0 {
			t.Errorf("%s: the application sees forged headers:\n%s", path, strings.Join(seen, "\n"))
		}
		for name, want := range map[string][]string{
			"Remote-User": {"pat"}, "Remote-Email": {"pat@corp.example"}, "Remote-Groups": {"staff"}, "Remote-Attr-Department": {"sales"},
			"X-Forwarded-User": nil, "X-Forwarded-Preferred-Username": nil,
		} {
			if diff := cmp.Diff(want, values(got, name)); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", path, name, diff)
			}
		}
	}
}

// TestHopHeaders: headers by which an upstream would leave HTTP/1.1, frame the
// request anew, or take another path or method than the one that was judged.
func TestHopHeaders(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: public, upstream: " + app.URL}))
	lines := []string{
		"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: forged",
		"Transfer_Encoding: forged", "Content_Length: 7forged", "Transfer.Encoding: forged",
		"X-Original-URL: /forged", "X_Original_URL: /forged", "X-Rewrite-URL: /forged", "X-Original-URI: /forged", "X-Original-Method: forged",
		"X-Forwarded-For: forged", "X-Forwarded-Proto: forged", "X-Forwarded-Host: forged", "X-Forwarded-Uri: /forged", "X-Forwarded-Method: forged",
		"X-Forwarded-Port: forged", "X-Forwarded-Prefix: /forged", "X-Real-IP: forged", "Forwarded: for=forged", "X_Forwarded_For: forged", "Proxy: http://forged",
	}
	a := servers.Raw(t, "", g.Addr, servers.Head("GET /", g.Addr, lines...))
	if a.StatusCode != http.StatusOK {
		t.Fatalf("answered %s", a.Status)
	}
	got := app.Last(t)
	if seen := forged(got); len(seen) > 0 {
		t.Errorf("the application sees:\n%s", strings.Join(seen, "\n"))
	}
	if v := values(got, "Upgrade"); v != nil {
		t.Errorf("Upgrade %v is forwarded", v)
	}
	for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": g.Addr} {
		if diff := cmp.Diff([]string{want}, values(got, name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
