package test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// verdictHeaders are what a verdict says of the person; each is there, even
// when it is empty, so that the asking proxy overwrites what its client sent.
func verdictHeaders(h http.Header) map[string]string {
	all := map[string]string{}
	for name, v := range h {
		if strings.HasPrefix(name, "X-Auth-Request-") {
			all[name] = strings.Join(v, "|")
		}
	}
	return all
}

var nobodysHeaders = map[string]string{
	"X-Auth-Request-User": "", "X-Auth-Request-Email": "", "X-Auth-Request-Groups": "", "X-Auth-Request-Preferred-Username": "",
	"X-Auth-Request-Attr-Name": "", "X-Auth-Request-Attr-Department": "",
}

// attributeMapping makes department an attribute that everybody may have.
const attributeMapping = `connections:
  - {id: acme, issuer: "http://127.0.0.1:9", client_id: x, client_secret: y, attributes: {department: department}}`

// TestVerdict: the verdict on a session alone, and what narrows it.
func TestVerdict(t *testing.T) {
	t.Parallel()
	g := servers.StartGateway(t, binary, proxyText("", []string{`path: /, upstream: "static:204"`}, attributeMapping))
	pat := newLocal(t, g, "pat", "--email", "pat@corp.example", "--group", "staff", "--group", "a,b", "--name", "Pat, the first", "--attr", "department=sales")
	kim := newLocal(t, g, "kim")
	for _, tt := range []struct {
		query         string
		pat, kim, non int
	}{
		{"", 202, 202, 401},
		{"?allowed_groups=staff", 202, 403, 401},
		{"?allowed_groups=admins,staff", 202, 403, 401},
		{"?allowed_groups=admins&allowed_groups=staff", 202, 403, 401},
		{"?allowed_groups=admins", 403, 403, 401},
		{"?allowed_groups=STAFF", 403, 403, 401},
		{"?allowed_groups=", 403, 403, 401},
		{"?allowed_groups", 403, 403, 401},
		{"?allowed_emails=pat@corp.example", 202, 403, 401},
		{"?allowed_emails=kim@corp.example", 403, 403, 401},
		{"?allowed_email_domains=corp.example,other.example", 202, 403, 401},
		{"?allowed_email_domains=example", 403, 403, 401},
		{"?allowed_email_domains=rp.example", 403, 403, 401},
		// As oauth2-proxy has it: a domain and what is below it, at its dots.
		{"?allowed_email_domains=.example", 202, 403, 401},
		{"?allowed_email_domains=*.EXAMPLE", 202, 403, 401},
		{"?allowed_email_domains=.corp.example", 403, 403, 401},
		{"?allowed_email_domains=*.corp.example", 403, 403, 401},
		{"?allowed_email_domains=*orp.example", 403, 403, 401},
		{"?allowed_email_domains=*", 403, 403, 401},
		{"?allowed_email_domains=.", 403, 403, 401},
		{"?allowed_email_domains=*.", 403, 403, 401},
		{"?allowed_groups=staff&allowed_email_domains=other.example", 403, 403, 401},
		{"?allowed_groups=staff&allowed_emails=pat%40corp.example", 202, 403, 401},
		{"?Allowed_Groups=admins", 403, 403, 401},
		{"?allowed_groups=%zz", 403, 403, 401},
		{"?allowed_groups=admins;allowed_groups=staff", 403, 403, 401},
		{"?rd=/x&anything=else", 202, 202, 401},
	} {
		for _, who := range []struct {
			name  string
			lines []string
			want  int
		}{{"pat", []string{pat.session(g)}, tt.pat}, {"kim", []string{kim.session(g)}, tt.kim}, {"nobody", nil, tt.non}} {
			a := servers.Raw(t, "", g.Addr, servers.Head("GET /oauth2/auth"+tt.query, "any.example", append(who.lines, "Accept: text/html")...))
			if a.StatusCode != who.want {
				t.Errorf("%q answered %s %s, want %d", tt.query, who.name, a.Status, who.want)
			}
			if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Location") != "" {
				t.Errorf("%q comes with %v", tt.query, a.Header)
			}
			if got := verdictHeaders(a.Header); a.StatusCode != http.StatusAccepted && len(got) > 0 {
				t.Errorf("%q: a refusal says %v", tt.query, got)
			}
		}
	}
	// Any method, any origin: the asking proxy passes on what its client does.
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		for lines, want := range map[string]int{pat.session(g): 202, "Cookie: _gatehouse=x": 401, "X-Auth-Request-User: pat": 401} {
			a := servers.Raw(t, "", g.Addr, servers.Head(method+" /oauth2/auth", "any.example", lines, "Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Content-Length: 0"))
			if a.StatusCode != want {
				t.Errorf("%s with %.30s answered %s, want %d", method, lines, a.Status, want)
			}
		}
	}
	want := map[string]string{
		"X-Auth-Request-User": "pat", "X-Auth-Request-Email": "pat@corp.example", "X-Auth-Request-Groups": "staff,a%2Cb", "X-Auth-Request-Preferred-Username": "pat",
		"X-Auth-Request-Attr-Name": "Pat, the first", "X-Auth-Request-Attr-Department": "sales",
	}
	got := verdictHeaders(pat.look(g.URL + "/oauth2/auth").Header)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdict on pat (-want +got):\n%s", diff)
	}
	want = map[string]string{}
	for name := range nobodysHeaders {
		want[name] = ""
	}
	want["X-Auth-Request-User"], want["X-Auth-Request-Preferred-Username"] = "kim", "kim"
	if diff := cmp.Diff(want, verdictHeaders(kim.look(g.URL+"/oauth2/auth").Header)); diff != "" {
		t.Errorf("verdict on kim (-want +got):\n%s", diff)
	}
}

// TestVerdictOnRoutes: another proxy describes the request that it asks about.
// A trusted one is believed when all that it says agrees; what a stranger says
// never opens anything. Attack: a client that adds "X-Forwarded-Uri: /public/"
// to a request that the proxy describes by X-Original-URL.
func TestVerdictOnRoutes(t *testing.T) {
	t.Parallel()
	const proxy, stranger = "127.0.0.2", "127.0.0.1"
	routes := []string{
		`path: /, host: 127.0.0.1, upstream: "static:204"`,
		`path: /public/, host: 127.0.0.1, access: public, upstream: "static:204"`,
		`path: /items/, host: 127.0.0.1, methods: [GET], access: public, upstream: "static:204"`,
	}
	narrow := append(slices.Clone(routes), `path: /admin/, host: 127.0.0.1, access: {groups: [admins]}, upstream: "static:204"`)
	g := servers.StartGateway(t, binary, proxyText("trusted_proxies: [127.0.0.2]", narrow, attributeMapping))
	lax := servers.StartGateway(t, binary, proxyText("trusted_proxies: [127.0.0.2]", routes))
	root, pat := newLocal(t, g, "root", "--group", "admins"), newLocal(t, g, "pat")
	ann := newLocal(t, lax, "ann")
	url := "X-Original-URL: http://127.0.0.1"
	get := "X-Original-Method: GET"
	h := "X-Forwarded-Host: 127.0.0.1"
	for _, tt := range []struct {
		name           string
		lines          []string
		root, pat, non int
	}{
		{"nothing", nil, 202, 202, 401},
		{"a page", []string{url + "/x?y=/public/", get}, 202, 202, 401},
		{"admin", []string{url + "/admin/x", get}, 202, 403, 401},
		{"admin, Traefik", []string{h, "X-Forwarded-Uri: /admin/x", "X-Forwarded-Method: GET", "X-Forwarded-Proto: http"}, 202, 403, 401},
		{"admin by URI", []string{h, "X-Original-URI: /admin/x", get}, 202, 403, 401},
		{"admin with a port", []string{"X-Original-URL: https://127.0.0.1:8443/admin/x", get}, 202, 403, 401},
		{"everything agrees", []string{url + "/admin/x", get, h, "X-Forwarded-Uri: /admin/x", "X-Original-URI: /admin/x?q", "X-Forwarded-Method: GET", "X-Forwarded-Proto: https"}, 202, 403, 401},
		{"public", []string{url + "/public/x", get}, 202, 202, 202},
		{"by method, public", []string{url + "/items/1", get}, 202, 202, 202},
		{"by method, not public", []string{url + "/items/1", "X-Original-Method: DELETE"}, 202, 202, 401},
		{"method missing where it matters", []string{url + "/items/1"}, 403, 403, 401},
		{"method missing where it does not", []string{url + "/admin/"}, 202, 403, 401},
		{"method overridden", []string{url + "/items/1", get, "X-HTTP-Method-Override: DELETE"}, 403, 403, 401},
		{"method overridden where it does not matter", []string{url + "/admin/x", get, "X-HTTP-Method-Override: DELETE"}, 202, 403, 401},
		{"paths disagree", []string{url + "/admin/x", get, "X-Forwarded-Uri: /public/x"}, 403, 403, 401},
		{"paths disagree the other way", []string{url + "/public/x", get, "X-Forwarded-Uri: /admin/x"}, 403, 403, 401},
		{"methods disagree", []string{url + "/items/1", get, "X-Forwarded-Method: DELETE"}, 403, 403, 401},
		{"hosts disagree", []string{url + "/public/x", get, "X-Forwarded-Host: 127.0.0.9"}, 403, 403, 401},
		{"twice", []string{url + "/public/x", url + "/admin/x", get}, 403, 403, 401},
		{"a list", []string{h, "X-Forwarded-Uri: /public/x, /admin/x", "X-Forwarded-Method: GET, DELETE"}, 403, 403, 401},
		{"another host", []string{"X-Original-URL: http://evil.example/public/", get}, 403, 403, 401},
		{"host missing", []string{"X-Forwarded-Uri: /public/x", "X-Forwarded-Method: GET"}, 403, 403, 401},
		{"path missing", []string{h, "X-Forwarded-Method: GET"}, 403, 403, 401},
		{"a scheme alone", []string{"X-Forwarded-Proto: https"}, 403, 403, 401},
		{"an empty URL", []string{"X-Original-URL:", get}, 403, 403, 401},
		{"no scheme that we know", []string{url + "/public/", get, "X-Forwarded-Proto: javascript"}, 403, 403, 401},
		{"two readings", []string{url + "/public/..;/admin/", get}, 403, 403, 401},
		{"two readings, decoded twice", []string{url + "/public/%252e%252e/admin/", get}, 403, 403, 401},
		{"a fragment", []string{url + "/public/#/../admin", get}, 403, 403, 401},
		{"NUL", []string{url + "/public/%00", get}, 403, 403, 401},
		{"user information", []string{"X-Original-URL: http://127.0.0.1@evil.example/public/", get}, 403, 403, 401},
		{"TRACE", []string{url + "/public/", "X-Original-Method: TRACE"}, 403, 403, 401},
		{"ours", []string{url + "/oauth2/userinfo", get}, 403, 403, 401},
	} {
		for _, who := range []struct {
			name  string
			lines []string
			want  int
		}{{"root", []string{root.session(g)}, tt.root}, {"pat", []string{pat.session(g)}, tt.pat}, {"nobody", nil, tt.non}} {
			a := servers.Raw(t, proxy, g.Addr, servers.Head("GET /oauth2/auth", g.Addr, slices.Concat(tt.lines, who.lines)...))
			if a.StatusCode != who.want {
				t.Errorf("%s: %s gets %s, want %d", tt.name, who.name, a.Status, who.want)
			}
			// What the route is public for is nobody's identity.
			if strings.Contains(tt.name, "public") && a.StatusCode == http.StatusAccepted && tt.non == http.StatusAccepted {
				if diff := cmp.Diff(nobodysHeaders, verdictHeaders(a.Header)); diff != "" {
					t.Errorf("%s: %s (-want +got):\n%s", tt.name, who.name, diff)
				}
			}
			// A stranger that describes a request is refused where it could matter.
			if tt.lines == nil {
				continue
			}
			want := http.StatusForbidden
			if who.lines == nil {
				want = http.StatusUnauthorized
			}
			if a := servers.Raw(t, stranger, g.Addr, servers.Head("GET /oauth2/auth", g.Addr, slices.Concat(tt.lines, who.lines)...)); a.StatusCode != want {
				t.Errorf("%s from a stranger: %s gets %s, want %d", tt.name, who.name, a.Status, want)
			}
		}
		if tt.lines == nil {
			continue
		}
		// Where no rule is narrower than a session, what a stranger says does not count.
		for line, want := range map[string]int{ann.session(lax): 202, "X: y": 401} {
			if a := servers.Raw(t, stranger, lax.Addr, servers.Head("GET /oauth2/auth", lax.Addr, append(slices.Clone(tt.lines), line)...)); a.StatusCode != want {
				t.Errorf("%s from a stranger, nothing narrow: %s, want %d", tt.name, a.Status, want)
			}
		}
	}
	waitForLog(t, g, "forward-auth refused", "not in trusted_proxies")
	waitForLog(t, g, "forward-auth refused", "disagree about the path")
	// Narrowed, the public route is not for everybody.
	if a := servers.Raw(t, proxy, g.Addr, servers.Head("GET /oauth2/auth?allowed_groups=admins", g.Addr, url+"/public/", get)); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("narrowed public route answered nobody %s", a.Status)
	}
	for v, want := range map[*visitor]int{root: 202, pat: 403} {
		if a := servers.Raw(t, proxy, g.Addr, servers.Head("GET /oauth2/auth?allowed_groups=admins", g.Addr, url+"/public/", get, v.session(g))); a.StatusCode != want {
			t.Errorf("narrowed public route answered %s, want %d", a.Status, want)
		}
	}
}

// TestVerdictWithoutStore: 503, and the cookie is kept.
func TestVerdictWithoutStore(t *testing.T) {
	t.Parallel()
	redis := servers.Redis(t, servers.RedisOptions{})
	text := proxyText("", []string{`path: /, upstream: "static:204"`, `path: /public/, access: public, upstream: "static:204"`},
		"session: {cache_ttl: 0s}", redisStore(redis, "verdict:"))
	g := servers.StartGateway(t, binary, text)
	pat := newLocal(t, g, "pat")
	pat.look(g.URL+"/oauth2/auth").wants(t, http.StatusAccepted)
	redis.Pause()
	t.Cleanup(redis.Resume)
	for _, path := range []string{"/oauth2/auth", "/oauth2/userinfo", "/"} {
		r := pat.look(g.URL+path).wants(t, http.StatusServiceUnavailable)
		if r.Header.Get("Retry-After") == "" || len(r.Cookies()) > 0 || len(verdictHeaders(r.Header)) > 0 {
			t.Errorf("%s comes with %v", path, r.Header)
		}
	}
	newVisitor(t, "").look(g.URL+"/oauth2/auth").wants(t, http.StatusUnauthorized)
	pat.look(g.URL+"/public/").wants(t, http.StatusNoContent)
	redis.Resume()
	pat.look(g.URL+"/oauth2/auth").wants(t, http.StatusAccepted)
}
