package test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// moved is a deployment of oauth2-proxy that has been moved here: its file is
// what gatehouse migrate was given, and people of its htpasswd file are in.
type moved struct {
	gateway *servers.Gateway
	app     *servers.App
	idp     *badidp.IdP
	config  string // what migrate wrote
}

// movedPassword is that of ada in the htpasswd file.
const movedPassword = "old password of ada"

// theirs is the configuration of oauth2-proxy; more are further lines.
func theirs(addr, app, issuer string, more ...string) string {
	return fmt.Sprintf(`provider = "oidc"
oidc_issuer_url = %q
client_id = %q
client_secret = %q
cookie_secret = "never-to-be-seen-1234567890123456"
cookie_name = "_oauth2_proxy"
email_domains = ["acme.example"]
upstreams = [%q]
redirect_url = %q
http_address = %q
metrics_address = "{{admin}}"
reverse_proxy = true
trusted_proxy_ips = ["127.0.0.2"]
real_client_ip_header = "X-Forwarded-For"
whitelist_domains = ["id.acme.example", ".b.example"]
skip_auth_routes = ["^/public/"]
api_routes = ["^/api/"]
set_xauthrequest = true
skip_auth_preflight = true
trusted_ips = ["127.0.0.3"]
%s
`, issuer, badidp.ClientID, badidp.ClientSecret, app+"/", "http://"+addr+"/oauth2/callback", addr, strings.Join(more, "\n"))
}

// signIn is somebody whom the identity provider has let in.
func (m *moved) signIn(t *testing.T) *visitor {
	t.Helper()
	v := newVisitor(t, "")
	v.get(m.gateway.URL+"/wanted?x=1").wants(t, http.StatusOK)
	return v
}

var compatRow = regexp.MustCompile(`(?m)^\| ([a-z0-9-]+) \| .* \| (\w+)[^|]* \|$`)

// TestCompatibility walks the table of docs/compatibility.md: each row that
// claims to be the same or better is shown by a story of that name, on a
// configuration that was moved. A row that differs may have one too.
func TestCompatibility(t *testing.T) {
	t.Parallel()
	m := prepareMove(t)
	m.migrate(t)
	m.gateway.Start(t)
	stories := compatibilities()
	seen := map[string]bool{}
	for _, row := range compatRow.FindAllStringSubmatch(document(t, "docs/compatibility.md"), -1) {
		name, verdict := row[1], row[2]
		story, ok := stories[name]
		if seen[name] {
			t.Errorf("row %s stands twice", name)
		}
		seen[name] = true
		switch {
		case !slices.Contains([]string{"same", "better", "different"}, verdict):
			t.Errorf("row %s: verdict %q", name, verdict)
		case !ok && verdict != "different":
			t.Errorf("row %s claims to be %s, and no story shows it", name, verdict)
		case ok:
			t.Run(name, func(t *testing.T) { story(t, m) })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stories)) {
		if !seen[name] {
			t.Errorf("the story %s is of no row", name)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d rows were found", len(seen))
	}
}

// answer is a request of a program or browser that says just this, and its
// status.
func (m *moved) raw(t *testing.T, from, line string, headers ...string) servers.RawAnswer {
	t.Helper()
	return servers.Raw(t, from, m.gateway.Addr, servers.Head(line, m.gateway.Addr, headers...))
}

func wantHeader(t *testing.T, h http.Header, name, want string) {
	t.Helper()
	if diff := cmp.Diff([]string{want}, h.Values(name)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

const (
	asBrowser = "Accept: text/html,application/xhtml+xml"
	asProgram = "Accept: application/json"
	proxied   = "127.0.0.2" // where the trusted proxy of a moved deployment is
)

// compatibilities are the stories, by the row that they show.
func compatibilities() map[string]func(*testing.T, *moved) {
	return map[string]func(*testing.T, *moved){
		"password":      howToMove,
		"cookie-secure": securely,
		"static-202":    askedAtTheRoot,
		"auth-202": func(t *testing.T, m *moved) {
			v := m.signIn(t)
			a := v.look(m.gateway.URL+"/oauth2/auth").wants(t, http.StatusAccepted)
			wantHeader(t, a.Header, "X-Auth-Request-User", "ann-1")
			wantHeader(t, a.Header, "X-Auth-Request-Email", "ann@acme.example")
			wantHeader(t, a.Header, "X-Auth-Request-Preferred-Username", "ann")
		},
		"auth-401": func(t *testing.T, m *moved) {
			for _, accept := range []string{asBrowser, asProgram} {
				if a := m.raw(t, "", "GET /oauth2/auth", accept); a.StatusCode != 401 || a.Header.Get("Location") != "" {
					t.Errorf("%s: %s", accept, a.Status)
				}
			}
		},
		"auth-groups": func(t *testing.T, m *moved) {
			v := m.signIn(t)
			for query, want := range map[string]int{
				"allowed_groups=staff": 202, "allowed_groups=x,staff": 202, "allowed_groups=x&allowed_groups=staff": 202, "allowed_groups=x": 403,
			} {
				v.look(m.gateway.URL+"/oauth2/auth?"+query).wants(t, want)
			}
		},
		"auth-emails": func(t *testing.T, m *moved) {
			v := m.signIn(t)
			for query, want := range map[string]int{
				"allowed_emails=ann@acme.example": 202, "allowed_emails=bo@acme.example": 403,
				"allowed_email_domains=acme.example": 202, "allowed_email_domains=.example": 202, "allowed_email_domains=*.example": 202, "allowed_email_domains=b.example": 403,
			} {
				v.look(m.gateway.URL+"/oauth2/auth?"+query).wants(t, want)
			}
		},
		"auth-skipped": func(t *testing.T, m *moved) {
			if a := m.raw(t, proxied, "GET /oauth2/auth", "X-Forwarded-Host: "+m.gateway.Addr, "X-Forwarded-Proto: http", "X-Forwarded-Uri: /public/x", "X-Forwarded-Method: GET"); a.StatusCode != 202 {
				t.Errorf("a skipped path: %s", a.Status)
			}
			if a := m.raw(t, "", "GET /oauth2/auth", "X-Forwarded-Host: "+m.gateway.Addr, "X-Forwarded-Uri: /public/x"); a.StatusCode != 401 {
				t.Errorf("a skipped path, said by a client: %s", a.Status)
			}
		},
		"auth-empty": func(t *testing.T, m *moved) {
			m.signIn(t).look(m.gateway.URL+"/oauth2/auth?allowed_groups=").wants(t, http.StatusForbidden)
		},
		"start": func(t *testing.T, m *moved) {
			v := newVisitor(t, "")
			to := v.look(m.gateway.URL+"/oauth2/start?rd=/x").wants(t, http.StatusFound).to(t)
			if q := to.Query(); !strings.HasPrefix(to.String(), m.idp.URL()) || q.Get("redirect_uri") != m.gateway.URL+"/oauth2/callback" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" {
				t.Errorf("sent to %s", to)
			}
		},
		"callback": func(t *testing.T, m *moved) {
			v := newVisitor(t, "")
			v.get(m.gateway.URL+"/oauth2/start?rd=/x%3Fy%3D1").wants(t, http.StatusOK)
			if got := m.app.Last(t).RequestURI; got != "/x?y=1" {
				t.Errorf("came back to %s", got)
			}
		},
		"callback-refused": func(t *testing.T, m *moved) {
			m.idp.SetPersona("stranger", map[string]any{"sub": "s", "email": "s@elsewhere.example", "email_verified": true}, nil)
			m.idp.SetPersona("unverified", map[string]any{"sub": "u", "email": "u@acme.example", "email_verified": false}, nil)
			for _, who := range []string{"stranger", "unverified"} {
				v := newVisitor(t, who)
				v.get(m.gateway.URL+"/").wants(t, http.StatusForbidden)
				v.signedOut(m.gateway)
			}
		},
		"callback-forged": func(t *testing.T, m *moved) {
			v := newVisitor(t, "")
			v.look(m.gateway.URL+"/oauth2/start?rd=/").wants(t, http.StatusFound)
			before := m.idp.Count(badidp.PathToken)
			if a := v.look(m.gateway.URL + "/oauth2/callback?code=x&state=y"); a.StatusCode < 400 || a.StatusCode > 499 {
				t.Errorf("a forged callback: %s", a.Status)
			}
			if n := m.idp.Count(badidp.PathToken); n != before {
				t.Error("its code was redeemed")
			}
		},
		"rd-order": func(t *testing.T, m *moved) {
			for _, tt := range []struct {
				from, line string
				headers    []string
				want       string
			}{
				{"", "GET /oauth2/sign_in?rd=/a", []string{"X-Auth-Request-Redirect: /b"}, "/a"},
				{"", "GET /oauth2/sign_in", []string{"X-Auth-Request-Redirect: /b"}, "/b"},
				{"", "GET /oauth2/sign_in?rd=//evil.example", []string{"X-Auth-Request-Redirect: /b"}, "/b"},
				{proxied, "GET /oauth2/sign_in", []string{"X-Forwarded-Uri: /c", "X-Forwarded-Host: " + m.gateway.Addr}, "/c"},
				{"", "GET /oauth2/sign_in", []string{"X-Forwarded-Uri: /c"}, "/"},
				{"", "GET /oauth2/sign_in?rd=https://x.b.example/d", nil, "https://x.b.example/d"},
				{"", "GET /oauth2/sign_in?rd=https://evil.example/", nil, "/"},
			} {
				v := newVisitor(t, "")
				a := m.raw(t, tt.from, tt.line, append(tt.headers, asBrowser)...)
				to, err := url.Parse(a.Header.Get("Location"))
				if err != nil || a.StatusCode != http.StatusFound {
					t.Fatalf("%s: %s to %s", tt.line, a.Status, to)
				}
				for _, c := range a.Cookies() {
					v.setCookie(m.gateway.URL, c)
				}
				back := v.look(to.String()).to(t)
				if got := v.look(back.String()).Header.Get("Location"); got != tt.want {
					t.Errorf("%s with %q leads to %q, want %q", tt.line, tt.headers, got, tt.want)
				}
			}
		},
		"navigation": func(t *testing.T, m *moved) {
			a := m.raw(t, "", "GET /wanted?x=1", asBrowser)
			if got := a.Header.Get("Location"); a.StatusCode != http.StatusFound || got != "/oauth2/sign_in?rd=%2Fwanted%3Fx%3D1" {
				t.Errorf("%s to %s", a.Status, got)
			}
			m.signIn(t)
			if got := m.app.Last(t).RequestURI; got != "/wanted?x=1" {
				t.Errorf("after the sign-in: %s", got)
			}
		},
		"program-401": func(t *testing.T, m *moved) {
			for _, tt := range [][]string{
				{"GET /x", asProgram},
				{"GET /api/x", asBrowser},
				{"GET /x", "Accept: application/json, text/plain, */*"},
				{"GET /x", asBrowser, "X-Requested-With: XMLHttpRequest"},
				{"GET /x", asBrowser, "Sec-Fetch-Mode: cors"},
			} {
				a := m.raw(t, "", tt[0], tt[1:]...)
				if a.StatusCode != 401 || a.Header.Get("Content-Type") != "application/json" || !strings.Contains(a.Text, `"error":"unauthenticated"`) {
					t.Errorf("%q: %s %s", tt, a.Status, a.Text)
				}
			}
		},
		"skip-auth": func(t *testing.T, m *moved) {
			if a := m.raw(t, "", "GET /public/x", asBrowser); a.StatusCode != 200 {
				t.Errorf("a skipped path: %s", a.Status)
			}
			if got := m.app.Last(t); got.Header.Get("X-Forwarded-User") != "" {
				t.Errorf("nobody is %q", got.Header.Get("X-Forwarded-User"))
			}
			m.signIn(t).look(m.gateway.URL+"/public/y").wants(t, http.StatusOK)
			wantHeader(t, m.app.Last(t).Header, "X-Forwarded-User", "ann-1")
			for _, path := range []string{"/public", "/publicity", "/x/public/", "/public/../x", "/public/%2e%2e/x", "//public/x"} {
				if a := m.raw(t, "", "GET "+path, asBrowser); a.StatusCode == 200 {
					t.Errorf("%s passed", path)
				}
			}
		},
		"preflight": func(t *testing.T, m *moved) {
			if a := m.raw(t, "", "OPTIONS /x", "Origin: http://a.example", "Access-Control-Request-Method: PUT"); a.StatusCode != 200 || m.app.Last(t).Method != "OPTIONS" {
				t.Errorf("%s", a.Status)
			}
		},
		"trusted-ips": func(t *testing.T, m *moved) {
			if a := m.raw(t, "127.0.0.3", "GET /x", asBrowser); a.StatusCode != 200 {
				t.Errorf("from a trusted address: %s", a.Status)
			}
			if a := m.raw(t, proxied, "GET /x", asBrowser, "X-Forwarded-For: 127.0.0.3"); a.StatusCode != 200 {
				t.Errorf("from a trusted address behind the proxy: %s", a.Status)
			}
			for from, headers := range map[string][]string{"127.0.0.4": {"X-Forwarded-For: 127.0.0.3"}, proxied: {"X-Real-IP: 127.0.0.3"}} {
				if a := m.raw(t, from, "GET /x", append(headers, asProgram)...); a.StatusCode != 401 {
					t.Errorf("from %s, who says %q: %s", from, headers, a.Status)
				}
			}
		},
		"headers-user": func(t *testing.T, m *moved) {
			m.signIn(t)
			got := m.app.Last(t).Header
			wantHeader(t, got, "X-Forwarded-User", "ann-1")
			wantHeader(t, got, "X-Forwarded-Email", "ann@acme.example")
			wantHeader(t, got, "X-Forwarded-Preferred-Username", "ann")
		},
		"headers-groups": func(t *testing.T, m *moved) {
			m.signIn(t)
			wantHeader(t, m.app.Last(t).Header, "X-Forwarded-Groups", "staff,a%2Cb")
		},
		"headers-forged": func(t *testing.T, m *moved) {
			v := m.signIn(t)
			for _, forged := range []string{"X-Forwarded-User", "X_Forwarded_User", "x.forwarded-email", "X-Auth-Request-User"} {
				v.look(m.gateway.URL+"/public/x", forged, "root").wants(t, http.StatusOK)
				if head := m.app.Last(t).Head; strings.Contains(head, "root") {
					t.Errorf("%s came through:\n%s", forged, head)
				}
			}
		},
		"host": func(t *testing.T, m *moved) {
			m.signIn(t)
			if got := m.app.Last(t).Host; got != m.gateway.Addr {
				t.Errorf("the application sees the host %s", got)
			}
		},
		"session-cookie": func(t *testing.T, m *moved) {
			v := m.signIn(t)
			if v.cookie(m.gateway.URL, "_oauth2_proxy") == "" {
				t.Error("no cookie of the configured name")
			}
			if strings.Contains(m.app.Last(t).Head, "_oauth2_proxy") {
				t.Error("the application is given the session")
			}
		},
		"cookie-flags": func(t *testing.T, m *moved) {
			set := startedCookie(t, m, "_oauth2_proxy")
			if !set.HttpOnly || set.Path != "/" || set.SameSite != http.SameSiteLaxMode || set.Domain != "" || set.Secure || len(set.Value) > 100 {
				t.Errorf("the cookie is %v", set)
			}
		},
		"userinfo": func(t *testing.T, m *moved) {
			info := m.signIn(t).userinfo(m.gateway)
			want := map[string]any{"user": "ann-1", "email": "ann@acme.example", "groups": []any{"staff", "a,b"}, "preferredUsername": "ann"}
			for key := range info {
				if _, ok := want[key]; !ok {
					delete(info, key)
				}
			}
			if diff := cmp.Diff(want, info); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			newVisitor(t, "").look(m.gateway.URL+"/oauth2/userinfo", "Accept", "application/json").wants(t, http.StatusUnauthorized)
		},
		"sign-in-page": func(t *testing.T, m *moved) {
			to := newVisitor(t, "").look(m.gateway.URL+"/oauth2/sign_in?rd=/x").wants(t, http.StatusFound).to(t)
			if !strings.HasPrefix(to.String(), m.idp.URL()) {
				t.Errorf("sent to %s", to)
			}
		},
		"sign-in-again": func(t *testing.T, m *moved) {
			v := m.signIn(t)
			if to := v.look(m.gateway.URL + "/oauth2/sign_in?rd=/x").to(t); to.Path != "/x" {
				t.Errorf("sent to %s", to)
			}
			v.signedIn(m.gateway)
		},
		"sign-out": func(t *testing.T, m *moved) {
			for _, tt := range []struct {
				path, header string
				want         string
			}{
				{"/oauth2/sign_out?rd=/bye", "", "/bye"},
				{"/oauth2/sign_out?rd=" + url.QueryEscape("https://id.acme.example/logout?x=1"), "", "https://id.acme.example/logout?x=1"},
				{"/oauth2/sign_out", "https://id.acme.example/logout", "https://id.acme.example/logout"},
			} {
				v := m.signIn(t)
				headers := []string{"Sec-Fetch-Site", "same-origin"}
				if tt.header != "" {
					headers = append(headers, "X-Auth-Request-Redirect", tt.header)
				}
				if got := v.look(m.gateway.URL+tt.path, headers...).wants(t, http.StatusFound).to(t); !strings.HasSuffix(got.String(), tt.want) {
					t.Errorf("%s leads to %s", tt.path, got)
				}
				v.signedOut(m.gateway)
			}
		},
		"sign-out-cross-site": func(t *testing.T, m *moved) {
			v := m.signIn(t)
			v.look(m.gateway.URL+"/oauth2/sign_out?rd=/bye", "Sec-Fetch-Site", "cross-site").wants(t, http.StatusOK)
			v.signedIn(m.gateway)
		},
		"sign-out-kept": func(t *testing.T, m *moved) {
			v := m.signIn(t)
			old := v.cookie(m.gateway.URL, "_oauth2_proxy")
			v.post(m.gateway.URL+"/oauth2/sign_out", url.Values{}).wants(t, http.StatusOK)
			if a := m.raw(t, "", "GET /x", asProgram, "Cookie: _oauth2_proxy="+old); a.StatusCode != 401 {
				t.Errorf("the old cookie after the sign-out: %s", a.Status)
			}
		},
		"ping": func(t *testing.T, m *moved) {
			if a := m.raw(t, "", "GET /ping"); a.StatusCode != 200 {
				t.Errorf("%s", a.Status)
			}
		},
		"ready": func(t *testing.T, m *moved) {
			if a := m.raw(t, "", "GET /ready"); a.StatusCode != 200 {
				t.Errorf("%s", a.Status)
			}
		},
		"metrics": func(t *testing.T, m *moved) {
			admin := regexp.MustCompile(`admin_listen: "([^"]+)"`).FindStringSubmatch(readText(t, m.gateway.Config))
			if admin == nil {
				t.Fatalf("no admin_listen in\n%s", m.config)
			}
			if a := newVisitor(t, "").look("http://"+admin[1]+"/metrics").wants(t, http.StatusOK); !strings.Contains(a.Text, "# TYPE") {
				t.Errorf("no metrics: %.200s", a.Text)
			}
			if a := m.raw(t, "", "GET /metrics", asProgram); a.StatusCode != 401 {
				t.Errorf("/metrics in public: %s", a.Status)
			}
		},
		"robots": func(t *testing.T, m *moved) {
			if a := m.raw(t, "", "GET /robots.txt", asProgram); a.StatusCode != 401 {
				t.Errorf("%s", a.Status)
			}
		},
		"prefix-unknown": func(t *testing.T, m *moved) {
			m.signIn(t).look(m.gateway.URL+"/oauth2/static/x.css").wants(t, http.StatusNotFound)
		},
		"no-store": func(t *testing.T, m *moved) {
			for _, path := range []string{"/oauth2/sign_in", "/oauth2/start", "/oauth2/auth", "/oauth2/userinfo"} {
				if a := m.raw(t, "", "GET "+path, asBrowser); !strings.Contains(a.Header.Get("Cache-Control"), "no-store") {
					t.Errorf("%s: Cache-Control is %q", path, a.Header.Get("Cache-Control"))
				}
			}
		},
		"query-of-the-app": func(t *testing.T, m *moved) {
			m.signIn(t).look(m.gateway.URL+"/x?allowed_groups=nobody&rd=/y").wants(t, http.StatusOK)
			if got := m.app.Last(t).RequestURI; got != "/x?allowed_groups=nobody&rd=/y" {
				t.Errorf("the application is asked for %s", got)
			}
		},
		"gap-auth": func(t *testing.T, m *moved) {
			if a := m.signIn(t).look(m.gateway.URL + "/x"); a.Header.Get("GAP-Auth") != "" {
				t.Errorf("GAP-Auth is %q", a.Header.Get("GAP-Auth"))
			}
		},
		"bearer": func(t *testing.T, m *moved) {
			if a := m.raw(t, "", "GET /x", asProgram, "Authorization: Bearer x.y.z"); a.StatusCode != 401 {
				t.Errorf("%s", a.Status)
			}
		},
		"authorization": func(t *testing.T, m *moved) {
			m.signIn(t).look(m.gateway.URL+"/x", "Authorization", "Bearer for-the-application").wants(t, http.StatusOK)
			wantHeader(t, m.app.Last(t).Header, "Authorization", "Bearer for-the-application")
		},
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startedCookie is the cookie as the answer to a callback sets it.
func startedCookie(t *testing.T, m *moved, name string) *http.Cookie {
	t.Helper()
	v := newVisitor(t, "")
	at := v.look(m.gateway.URL + "/oauth2/start?rd=/").to(t)
	back := v.look(at.String()).to(t)
	for _, c := range v.look(back.String()).Cookies() {
		if c.Name == name && c.Value != "" {
			return c
		}
	}
	t.Fatal("no session begins")
	return nil
}
