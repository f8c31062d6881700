package test

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// dialect is a proxy that asks the gateway and does the proxying itself.
type dialect struct {
	status int // of the gateway's static routes; 0: 202
	// start starts the proxy on addr, in front of the application.
	start func(t testing.TB, addr string, g *servers.Gateway, app *servers.App)

	identity string   // what the application is told begins with it
	passes   []string // headers that the documentation says come through as the client sent them

	bare       bool // who is refused is not told why
	program    int  // what a program without a session gets
	down, gone int  // without the gateway's store, and without the gateway
	cookie     bool // the application sees the gateway's cookie
	upgrades   bool // the application sees the handshake of a WebSocket
}

// deployed reads a file of deploy/ and puts addresses of the test in place of
// its own.
func deployed(t testing.TB, file string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(replace, 2) {
		if !strings.Contains(string(text), pair[0]) {
			t.Fatalf("deploy/%s has no %q", file, pair[0])
		}
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

// dialectStory is a gateway, its Redis, a proxy and an application, and what
// people do there.
type dialectStory struct {
	dialect
	t     *testing.T
	front string // URL
	addr  string
	g     *servers.Gateway
	redis *servers.RedisServer
	app   *servers.App
	pat   *visitor
}

// told is what an application is told of pat, after the prefix of the names.
var toldOfPat = map[string]string{
	"User": "pat", "Email": "pat@corp.example", "Groups": "staff", "Preferred-Username": "pat",
	"Attr-Department": "Works", "Attr-Name": "Pat, the first",
}

// dialectConnections are two, so that start does not choose one.
const dialectConnections = attributeMapping + `
  - {id: other, issuer: "http://127.0.0.1:9", client_id: x, client_secret: y}`

// tell runs all stories of a dialect.
func (d dialect) tell(t *testing.T) {
	t.Helper()
	s := &dialectStory{dialect: d, t: t, addr: servers.FreeAddr(t), app: servers.StartApp(t), redis: servers.Redis(t, servers.RedisOptions{})}
	s.front = "http://" + s.addr
	s.g = servers.NewGateway(t, binary, "")
	to := fmt.Sprintf(`upstream: "static:%d"`, cmp.Or(d.status, http.StatusAccepted))
	text := proxyText("trusted_proxies: [127.0.0.1/32]", []string{
		"path: /, " + to,
		"path: /public/, access: public, " + to,
		"path: /admin/, access: {groups: [admins]}, " + to,
		"path: /items/, methods: [GET], access: public, " + to,
	}, dialectConnections, "session: {cache_ttl: 0s}", fmt.Sprintf("store: {redis: {addresses: [%q], timeout: 300ms}}", s.redis.Addr))
	s.g.WriteConfig(t, strings.Replace(text, "http://{{addr}}", s.front, 1))
	s.g.Start(t)
	d.start(t, s.addr, s.g, s.app)
	addUser(t, s.g, "pat", "--email", "pat@corp.example", "--group", "staff", "--name", "Pat, the first", "--attr", "department=Works")
	addUser(t, s.g, "root", "--group", "admins")

	t.Run("sign-in", s.signIn)
	if s.pat == nil {
		return
	}
	t.Run("who may pass", s.whoMayPass)
	t.Run("WebSocket", s.webSocket)
	t.Run("forged identity", s.forgedIdentity)
	t.Run("forged request", s.forgedRequest)
	t.Run("nothing works", s.nothingWorks)
}

// signIn: a browser without a session ends up on the sign-in page and, from
// there, on the page that it wanted.
func (s *dialectStory) signIn(t *testing.T) {
	v := newVisitor(t, "")
	const wanted = "/reports/q?a=1&b=2&c=%26"
	page := v.get(s.front+wanted).wants(t, http.StatusOK)
	rd := returnField.FindStringSubmatch(page.Text)
	if at := page.Request.URL.Host; rd == nil || at != s.addr {
		t.Fatalf("not the sign-in page, at %s:\n%s", at, page.Text)
	}
	if n := len(s.app.Requests()); n > 0 {
		t.Fatalf("%d requests of nobody reached the application", n)
	}
	form := url.Values{"username": {"pat"}, "password": {goodPassword}, "rd": {html.UnescapeString(rd[1])}}
	to := v.post(s.front+"/oauth2/sign_in", form, "Origin", s.front).wants(t, http.StatusSeeOther).to(t)
	if to.String() != s.front+wanted {
		t.Errorf("leads back to %s, want %s", to, wanted)
	}
	v.get(to.String()).wants(t, http.StatusOK)
	got := s.app.Last(t)
	s.isTold(t, got, toldOfPat)
	if got.RequestURI != wanted {
		t.Errorf("the application was asked for %s", got.RequestURI)
	}
	if has := strings.Contains(got.Head, "_gatehouse"); has != s.cookie {
		t.Errorf("the application sees the gateway's cookie: %v", has)
	}
	body := strings.Repeat("all of it ", 50_000)
	v.post(s.front+"/reports", url.Values{"a": {body}}).wants(t, http.StatusOK)
	if got := s.app.Last(t); string(got.Body) != (url.Values{"a": {body}}).Encode() {
		t.Errorf("the application got a body of %d bytes: the question took it", len(got.Body))
	}
	s.pat = v
}

// isTold fails the test unless the application was told that and nothing else.
func (s *dialectStory) isTold(t testing.TB, r servers.AppRequest, want map[string]string) {
	t.Helper()
	got, expected := map[string]string{}, map[string]string{}
	for field := range toldOfPat {
		name := s.identity + field
		got[name] = strings.Join(r.Header.Values(name), "|")
		expected[name] = want[field]
	}
	if diff := gocmp.Diff(expected, got); diff != "" {
		t.Errorf("the application is told (-want +got):\n%s", diff)
	}
}

// session is a visitor's cookie as a header line.
func (s *dialectStory) session(v *visitor) string {
	return "Cookie: theme=dark; _gatehouse=" + v.cookie(s.front, "_gatehouse")
}

// ask sends a request as it is; the application's view of it is nil when it
// did not get there.
func (s *dialectStory) ask(t testing.TB, line string, headers ...string) (servers.RawAnswer, *servers.AppRequest) {
	t.Helper()
	before := len(s.app.Requests())
	a := servers.Raw(t, "", s.addr, servers.Head(line, s.addr, append([]string{"Content-Length: 0"}, headers...)...))
	all := s.app.Requests()
	if len(all) == before {
		return a, nil
	}
	return a, &all[len(all)-1]
}

func (s *dialectStory) whoMayPass(t *testing.T) {
	pat := *s.pat
	pat.t = t
	if page := pat.get(s.front+"/admin/x").wants(t, http.StatusForbidden); !s.bare && !strings.Contains(page.Text, "membership in the group admins") {
		t.Errorf("who is refused is not told why:\n%s", page.Text)
	}
	root := newVisitor(t, "")
	root.post(s.front+"/oauth2/sign_in", url.Values{"username": {"root"}, "password": {goodPassword}}, "Origin", s.front).wants(t, http.StatusSeeOther)
	for _, tt := range []struct {
		name, line      string
		root, pat, none int
	}{
		{"a page", "GET /x", 200, 200, 401},
		{"admin", "GET /admin/x", 200, 403, 401},
		{"public", "GET /public/x", 200, 200, 200},
		{"by method", "GET /items/x", 200, 200, 200},
		{"by another method", "DELETE /items/x", 200, 200, 401},
	} {
		for who, want := range map[string]int{s.session(root): tt.root, s.session(s.pat): tt.pat, "Cookie: theme=dark": tt.none} {
			a, got := s.ask(t, tt.line, who, "Accept: application/json")
			passes := want == http.StatusOK
			if want == http.StatusUnauthorized {
				want = s.program
			}
			if a.StatusCode != want || (got != nil) != passes {
				t.Errorf("%s: %.60s gets %s, want %d; came through: %v", tt.name, who, a.Status, want, got != nil)
			}
			if got != nil && !s.cookie && strings.Trim(strings.Join(got.Header.Values("Cookie"), "|"), "; ") != "theme=dark" {
				t.Errorf("%s: the application sees the cookies %q", tt.name, got.Header.Values("Cookie"))
			}
		}
	}
}

// webSocket: a handshake is a question like any other, and what is done against
// a Connection header that takes ours out lets it through.
func (s *dialectStory) webSocket(t *testing.T) {
	a, got := s.ask(t, "GET /socket", s.session(s.pat), "Connection: keep-alive, Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	if got == nil {
		t.Fatalf("a handshake is answered %s", a.Status)
	}
	if s.upgrades && (got.Header.Get("Upgrade") != "websocket" || !strings.EqualFold(got.Header.Get("Connection"), "upgrade")) {
		t.Errorf("the application sees\n%s", got.Head)
	}
	s.isTold(t, *got, toldOfPat)
}

// forgedIdentity: whatever name a client gives itself, in whatever spelling
// that some application would take for the header it believes, it comes to
// nothing; but for those that the documentation owns up to.
func (s *dialectStory) forgedIdentity(t *testing.T) {
	var names []string
	for _, field := range append(slices.Sorted(maps.Keys(toldOfPat)), "Attr-Unknown", "Access-Token") {
		names = append(names, "X-Forwarded-"+field, "X-Auth-Request-"+field)
	}
	names = append(names, "X-Gatehouse-Assertion", "X-Auth-Request-Redirect")
	came := map[string]bool{}
	for spelling, spell := range map[string]func(string) []string{
		"as it is":    func(n string) []string { return []string{n} },
		"lower case":  func(n string) []string { return []string{strings.ToLower(n)} },
		"upper case":  func(n string) []string { return []string{strings.ToUpper(n)} },
		"twice":       func(n string) []string { return []string{n, strings.ToLower(n)} },
		"underscores": func(n string) []string { return []string{strings.ReplaceAll(n, "-", "_")} },
		"one of them": func(n string) []string { return []string{strings.Replace(n, "-", "_", 1)} },
		"full stops":  func(n string) []string { return []string{strings.ReplaceAll(n, "-", ".")} },
		"connection":  func(n string) []string { return []string{n} },
	} {
		var lines []string
		for _, name := range names {
			for _, n := range spell(name) {
				lines = append(lines, n+": root")
			}
		}
		if spelling == "connection" {
			// Attack: what Connection names is taken out on the way, ours too.
			lines = append(lines, "Connection: close, "+strings.Join(names, ", "))
		}
		for path, want := range map[string]map[string]string{"/x": toldOfPat, "/public/x": nil} {
			who := s.session(s.pat)
			if want == nil {
				who = "Cookie: theme=dark"
			}
			a, got := s.ask(t, "GET "+path, append(lines, who)...)
			if got == nil {
				t.Errorf("%s: %s of %s", spelling, a.Status, path)
				continue
			}
			s.isTold(t, *got, want)
			for name, values := range got.Header {
				if slices.Contains(values, "root") {
					came[name] = true
				}
			}
		}
	}
	var want []string
	for _, name := range s.passes {
		want = append(want, textproto.CanonicalMIMEHeaderKey(name))
	}
	slices.Sort(want)
	if diff := gocmp.Diff(want, slices.Sorted(maps.Keys(came))); diff != "" {
		t.Errorf("of the client's own headers came through (-documented +got):\n%s", diff)
	}
}

// forgedRequest: a client describes another request than its own, or one that
// the proxy and the application read differently. The worst is a refusal.
func (s *dialectStory) forgedRequest(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		headers    []string
	}{
		{"X-Original-URL", "GET /admin/x", []string{"X-Original-URL: " + s.front + "/public/x"}},
		{"X-Original-URI", "GET /admin/x", []string{"X-Original-URI: /public/x"}},
		{"X-Forwarded-Uri", "GET /admin/x", []string{"X-Forwarded-Uri: /public/x"}},
		{"X-Forwarded-Uri, misspelt", "GET /admin/x", []string{"X_Forwarded_Uri: /public/x", "x.forwarded.uri: /public/x"}},
		{"X-Forwarded-Method", "GET /admin/x", []string{"X-Forwarded-Method: DELETE", "X-Original-Method: DELETE"}},
		{"X-Forwarded-Host", "GET /admin/x", []string{"X-Forwarded-Host: elsewhere.example", "Forwarded: host=elsewhere.example"}},
		{"X-Forwarded-For", "GET /admin/x", []string{"X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1"}},
		{"Connection", "GET /admin/x", []string{"Connection: close, X-Forwarded-Uri, X-Forwarded-Method, X-Original-URL, Cookie"}},
		{"encoded", "GET /public/..%2fadmin/x", nil},
		{"dot segments", "GET /public/../admin/x", nil},
		{"parameters", "GET /public/..;/admin/x", nil},
		{"letter case", "GET /ADMIN/x", nil},
		{"two slashes", "GET //admin/x", nil},
		{"absolute", "GET http://" + s.addr + "/admin/x", nil},
		{"override", "GET /admin/x", []string{"X-HTTP-Method-Override: POST"}},
	} {
		a, got := s.ask(t, tt.line, append(tt.headers, s.session(s.pat))...)
		if got != nil || a.StatusCode == http.StatusOK {
			t.Errorf("%s: %s, and the application sees\n%v", tt.name, a.Status, got)
		}
	}
	// Anybody may read an item. Frameworks take this for a request to delete it.
	for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		if a, got := s.ask(t, "GET /items/x", header+": DELETE", "Accept: application/json"); got != nil {
			t.Errorf("nobody's %s: %s, and the application sees\n%s", header, a.Status, got.Head)
		}
	}
}

// nothingWorks: who cannot be asked lets nobody in.
func (s *dialectStory) nothingWorks(t *testing.T) {
	who := s.session(s.pat)
	s.redis.Kill()
	if a, got := s.ask(t, "GET /x", who); got != nil || a.StatusCode != s.down {
		t.Errorf("without the store: %s, want %d", a.Status, s.down)
	}
	s.g.Stop()
	if a, got := s.ask(t, "GET /x", who); got != nil || a.StatusCode != s.gone {
		t.Errorf("without the gateway: %s, want %d", a.Status, s.gone)
	}
}
