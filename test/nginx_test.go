package test

import (
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// nginxSnippet is what people have who come from oauth2-proxy, in the words
// of its documentation. Original is how nginx describes the request.
func nginxSnippet(gateway, app, original, on401 string) string {
	return strings.NewReplacer("GATEWAY", gateway, "APP", app, "ORIGINAL", original, "ON401", on401).Replace(`
		location /oauth2/ {
			proxy_pass       GATEWAY;
			proxy_set_header Host                    $http_host;
			proxy_set_header X-Real-IP               $remote_addr;
			proxy_set_header X-Auth-Request-Redirect $request_uri;
		}
		location = /oauth2/auth {
			proxy_pass       GATEWAY;
			proxy_set_header Host             $http_host;
			proxy_set_header X-Real-IP        $remote_addr;
			ORIGINAL
			proxy_set_header Content-Length   "";
			proxy_pass_request_body           off;
		}
		location / {
			auth_request /oauth2/auth;
			error_page 401 ON401;
			auth_request_set $user   $upstream_http_x_auth_request_user;
			auth_request_set $email  $upstream_http_x_auth_request_email;
			auth_request_set $groups $upstream_http_x_auth_request_groups;
			auth_request_set $cookie $upstream_http_set_cookie;
			proxy_set_header X-User   $user;
			proxy_set_header X-Email  $email;
			proxy_set_header X-Groups $groups;
			add_header Set-Cookie $cookie;
			proxy_pass APP;
		}
		location @sign_in { return 302 /oauth2/sign_in?rd=$scheme://$http_host$request_uri; }`)
}

// describeNginx is a whole description of the request.
const describeNginx = `proxy_set_header X-Original-URL    $scheme://$http_host$request_uri;
			proxy_set_header X-Original-Method $request_method;`

// startBehindNginx starts a gateway whose people come through nginx.
func startBehindNginx(t *testing.T, server string, routes []string, app, original, on401 string, more ...string) (*servers.Gateway, *servers.Nginx) {
	t.Helper()
	g := servers.NewGateway(t, binary, "")
	n := servers.StartNginx(t, nginxSnippet(g.URL, app, original, on401))
	text := proxyText(server, routes, more...)
	g.WriteConfig(t, strings.Replace(text, "http://{{addr}}", n.URL, 1))
	g.Start(t)
	return g, n
}

var returnField = regexp.MustCompile(`name="rd" value="([^"]*)"`)

// TestNginxSignIn: with the lines that people have from oauth2-proxy, nobody
// is shown the sign-in page in place of what they asked for, and comes there
// after signing in. The application learns who it is.
func TestNginxSignIn(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		on401  string
		status int // of the first answer
	}{
		"error_page 401 =403":  {"=403 /oauth2/sign_in", http.StatusForbidden},
		"error_page 401 =":     {"= /oauth2/sign_in", http.StatusOK},
		"a redirect of theirs": {"= @sign_in", http.StatusFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := servers.StartApp(t)
			g, n := startBehindNginx(t, "", []string{`path: /, upstream: "static:404"`}, app.URL, "proxy_set_header X-Forwarded-Uri $request_uri;", tt.on401)
			addUser(t, g, "pat", "--email", "pat@corp.example", "--group", "staff")
			v := newVisitor(t, "")
			const wanted = "/reports?year=2026"
			r := v.look(n.URL+wanted).wants(t, tt.status)
			if tt.status == http.StatusFound {
				r = v.get(r.to(t).String()).wants(t, http.StatusOK)
			}
			rd := returnField.FindStringSubmatch(r.Text)
			if rd == nil || !strings.HasSuffix(rd[1], wanted) {
				t.Fatalf("not the sign-in page that leads back to %s:\n%s", wanted, r.Text)
			}
			if n := len(app.Requests()); n > 0 {
				t.Fatalf("%d requests of nobody reached the application", n)
			}
			form := url.Values{"username": {"pat"}, "password": {goodPassword}, "rd": {rd[1]}}
			to := v.post(n.URL+"/oauth2/sign_in", form, "Origin", n.URL).wants(t, http.StatusSeeOther).to(t)
			if to.String() != n.URL+wanted {
				t.Errorf("leads back to %s", to)
			}
			v.get(to.String()).wants(t, http.StatusOK)
			got := app.Last(t)
			said := map[string]string{"X-User": got.Header.Get("X-User"), "X-Email": got.Header.Get("X-Email"), "X-Groups": got.Header.Get("X-Groups")}
			if diff := cmp.Diff(map[string]string{"X-User": "pat", "X-Email": "pat@corp.example", "X-Groups": "staff"}, said); diff != "" {
				t.Errorf("the application is told (-want +got):\n%s", diff)
			}
			// A post passes with its body, though nginx asks without one.
			v.post(n.URL+"/reports", url.Values{"a": {"b"}}).wants(t, http.StatusOK)
			if got := app.Last(t); string(got.Body) != "a=b" {
				t.Errorf("the application got the body %q", got.Body)
			}
			v.post(n.URL+"/oauth2/sign_out", url.Values{}, "Origin", n.URL).wants(t, http.StatusOK)
			v.look(n.URL+wanted).wants(t, tt.status)
		})
	}
}

// TestNginxIsNotFooled: what a client adds to its request, nginx passes on in
// its question. Attack: "X-Auth-Request-User: root", or a second description
// of the request, such as "X-Forwarded-Uri: /public/" for a request of /admin/.
func TestNginxIsNotFooled(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g, n := startBehindNginx(t, "trusted_proxies: [127.0.0.1]", []string{
		`path: /, upstream: "static:404"`,
		`path: /public/, access: public, upstream: "static:404"`,
		`path: /admin/, access: {groups: [admins]}, upstream: "static:404"`,
		`path: /items/, methods: [GET], access: public, upstream: "static:404"`,
	}, app.URL, describeNginx, "= @sign_in")
	addUser(t, g, "root", "--group", "admins")
	addUser(t, g, "pat", "--group", "staff")
	session := func(name string) string {
		v := newVisitor(t, "")
		v.post(n.URL+"/oauth2/sign_in", url.Values{"username": {name}, "password": {goodPassword}}).wants(t, http.StatusSeeOther)
		return "Cookie: _gatehouse=" + v.cookie(n.URL, "_gatehouse")
	}
	root, pat := session("root"), session("pat")
	for _, tt := range []struct {
		name, line    string
		headers       []string
		root, pat, no int
		user          string // that the application is told of pat
	}{
		{name: "a page", line: "GET /x", root: 200, pat: 200, no: 302, user: "pat"},
		{name: "admin", line: "GET /admin/x", root: 200, pat: 403, no: 302},
		{name: "public", line: "GET /public/x", root: 200, pat: 200, no: 200},
		{name: "by method", line: "GET /items/x", root: 200, pat: 200, no: 200},
		{name: "by other method", line: "DELETE /items/x", root: 200, pat: 200, no: 302, user: "pat"},
		{name: "identity", line: "GET /x", headers: []string{"X-Auth-Request-User: root", "X-Auth-Request-Groups: admins", "X-Forwarded-User: root", "X-User: root", "X-Groups: admins", "X-Email: root@corp.example"}, root: 200, pat: 200, no: 302, user: "pat"},
		{name: "identity on a public route", line: "GET /public/x", headers: []string{"X-Auth-Request-User: root", "X-User: root", "X-Groups: admins", "X-Email: root@corp.example"}, root: 200, pat: 200, no: 200},
		{name: "another path", line: "GET /admin/x", headers: []string{"X-Forwarded-Uri: /public/x"}, root: 403, pat: 403, no: 302},
		{name: "another URI", line: "GET /admin/x", headers: []string{"X-Original-URI: /public/x"}, root: 403, pat: 403, no: 302},
		{name: "another method", line: "DELETE /items/x", headers: []string{"X-Forwarded-Method: GET"}, root: 403, pat: 403, no: 302},
		{name: "another host", line: "GET /x", headers: []string{"X-Forwarded-Host: elsewhere.example"}, root: 403, pat: 403, no: 302},
		{name: "a path that nginx decodes", line: "GET /public/..%2fadmin/x", root: 403, pat: 403, no: 302},
		{name: "a path that nginx cleans", line: "GET /public/../admin/x", root: 403, pat: 403, no: 302},
		{name: "parameters", line: "GET /public/..;/admin/x", root: 403, pat: 403, no: 302},
		{name: "letter case", line: "GET /ADMIN/x", root: 403, pat: 403, no: 302},
		{name: "double slash", line: "GET //admin/x", root: 403, pat: 403, no: 302},
	} {
		for _, who := range []struct {
			name  string
			lines []string
			want  int
		}{{"root", []string{root}, tt.root}, {"pat", []string{pat}, tt.pat}, {"nobody", nil, tt.no}} {
			before := len(app.Requests())
			a := servers.Raw(t, "", n.Addr, servers.Head(tt.line, n.Addr, append(append([]string{"Content-Length: 0"}, who.lines...), tt.headers...)...))
			if a.StatusCode != who.want {
				t.Errorf("%s: %s gets %s, want %d", tt.name, who.name, a.Status, who.want)
			}
			all := app.Requests()
			if reached := len(all) > before; reached != (who.want == http.StatusOK) {
				t.Errorf("%s: %s reached the application: %v", tt.name, who.name, reached)
				continue
			} else if !reached {
				continue
			}
			got := all[len(all)-1]
			said := got.Header.Get("X-User") + got.Header.Get("X-Email") + got.Header.Get("X-Groups")
			switch want := tt.user; who.name {
			case "pat":
				if want != "" {
					want += "staff"
				}
				if said != want {
					t.Errorf("%s: the application is told %q of pat", tt.name, said)
				}
			case "nobody":
				if said != "" {
					t.Errorf("%s: the application is told %q of nobody", tt.name, said)
				}
			}
		}
	}
}

// nginxOfTheDocument returns what docs/forward-auth.md tells people to write:
// the body of the server block, and what stands beside it. Only addresses are
// changed, and the host, which has a port here.
func nginxOfTheDocument(t testing.TB, gateway, app string) (server, beside string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "forward-auth.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Beside nginx")
	var block []string
	for line := range strings.Lines(section) {
		if code, ok := strings.CutPrefix(line, "    "); ok && !strings.HasPrefix(code, "  listen ") && !strings.HasPrefix(code, "  server_name ") {
			block = append(block, code)
		}
	}
	beside, server, ok := strings.Cut(strings.Join(block, ""), "server {\n")
	server, _, ended := strings.Cut(server, "\n}\n")
	if !ok || !ended || !strings.Contains(server, "auth_request") {
		t.Fatalf("no server block in docs/forward-auth.md:\n%s", strings.Join(block, ""))
	}
	adapt := strings.NewReplacer("http://127.0.0.1:4180", gateway, "http://127.0.0.1:8080", app, " $host;", " $http_host;")
	return adapt.Replace(server), adapt.Replace(beside)
}

// TestNginxOfTheDocument: with the lines of docs/forward-auth.md people come
// back to what they wanted, query and all; the application is told who they
// are whatever the client says, and is given no cookie of Gatehouse.
func TestNginxOfTheDocument(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.NewGateway(t, binary, "")
	server, beside := nginxOfTheDocument(t, g.URL, app.URL)
	n := servers.StartNginx(t, server, beside)
	text := proxyText("trusted_proxies: [127.0.0.1/32]", []string{`path: /, upstream: "static:404"`})
	g.WriteConfig(t, strings.Replace(text, "http://{{addr}}", n.URL, 1))
	g.Start(t)
	addUser(t, g, "pat", "--email", "pat@corp.example", "--group", "staff", "--attr", "department=Works")

	v := newVisitor(t, "")
	const wanted = "/reports?a=1&b=2&c=%26"
	r := v.look(n.URL+wanted).wants(t, http.StatusOK)
	rd := returnField.FindStringSubmatch(r.Text)
	if rd == nil {
		t.Fatalf("not the sign-in page:\n%s", r.Text)
	}
	form := url.Values{"username": {"pat"}, "password": {goodPassword}, "rd": {html.UnescapeString(rd[1])}}
	to := v.post(n.URL+"/oauth2/sign_in", form, "Origin", n.URL).wants(t, http.StatusSeeOther).to(t)
	if to.String() != n.URL+wanted {
		t.Errorf("leads back to %s, want %s", to, wanted)
	}
	v.get(to.String(), "X-Forwarded-User", "root", "X-Forwarded-Email", "root@corp.example", "X-Forwarded-Groups", "admins",
		"X-Forwarded-Preferred-Username", "root", "X-Forwarded-Attr-Department", "Board", "Cookie", "theme=dark").wants(t, http.StatusOK)
	got := app.Last(t)
	for name, want := range map[string]string{
		"X-Forwarded-User": "pat", "X-Forwarded-Email": "pat@corp.example", "X-Forwarded-Groups": "staff",
		"X-Forwarded-Preferred-Username": "pat", "X-Forwarded-Attr-Department": "Works",
	} {
		if values := got.Header.Values(name); len(values) != 1 || values[0] != want {
			t.Errorf("%s: %q, want %q", name, values, want)
		}
	}
	if strings.Contains(got.Head, "_gatehouse") || !strings.Contains(got.Head, "theme=dark") {
		t.Errorf("the application was given a cookie of Gatehouse:\n%s", got.Head)
	}

	// Attack: a sibling site, or the application itself, plants a cookie that is
	// taken out in place of the session's, which the application then reads.
	session, device := "_gatehouse="+v.cookie(n.URL, "_gatehouse"), "_gatehouse_device="+v.cookie(n.URL, "_gatehouse_device")
	for sent, want := range map[string]string{
		"theme=dark; x_gatehouse=1; " + session:                                    "theme=dark; x_gatehouse=1",
		"__Host-_gatehouse=a; theme=dark; " + session + "; " + device:              "theme=dark",
		session + "; _gatehouse_0=a; theme=dark; __Secure-_Gatehouse=a; " + device: "theme=dark",
		session + ";_gatehouse-x;theme=dark":                                       "theme=dark",
		session + "; theme=dark" + strings.Repeat("; _gatehouse_0=a", 5):           "",
		session: "",
	} {
		v := newVisitor(t, "")
		v.get(n.URL+"/reports", "Cookie", sent).wants(t, http.StatusOK)
		if got := strings.Trim(strings.Join(app.Last(t).Header.Values("Cookie"), "|"), " ;"); got != want {
			t.Errorf("of %q the application was given %q, want %q", sent, got, want)
		}
	}
}
