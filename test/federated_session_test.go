package test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

const sessionCookie = "_gatehouse"

// setCookies are the cookies that an answer sets, by name. One that is set
// twice fails the test.
func setCookies(t *testing.T, r reply) map[string]*http.Cookie {
	t.Helper()
	all := map[string]*http.Cookie{}
	for _, c := range r.Cookies() {
		if all[c.Name] != nil {
			t.Errorf("the cookie %s is set twice", c.Name)
		}
		all[c.Name] = c
	}
	return all
}

// signInByHand walks a sign-in step by step and returns the answer of the
// callback, which sets the session's cookie.
func signInByHand(t *testing.T, v *visitor, g *servers.Gateway, connection, rd string) (callback reply, cookies []*http.Cookie) {
	t.Helper()
	start := v.look(g.URL + "/oauth2/start?" + url.Values{"connection": {connection}, "rd": {rd}}.Encode())
	back := v.look(start.to(t).String()).to(t)
	callback = v.look(back.String())
	return callback, append(start.Cookies(), callback.Cookies()...)
}

// TestCookies: what a browser keeps of a sign-in is opaque ids that scripts,
// other sites and, on https, other hosts cannot reach.
func TestCookies(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	connections := []string{connectionText("acme", idp.URL())}
	plain := servers.StartGateway(t, binary, configText(app.URL, connections, "session: {lifetime: 10h}"))
	secure := servers.NewGateway(t, binary, "")
	secure.ServeTLS(t)
	text := strings.Replace(configText(app.URL, connections, "session: {lifetime: 10h}"), `public_url: "http://{{addr}}"`,
		`public_url: "https://{{addr}}", tls: {cert_file: cert.pem, key_file: key.pem}`, 1)
	secure.WriteConfig(t, text)
	secure.Start(t)
	for _, tt := range []struct {
		name    string
		gateway *servers.Gateway
		prefix  string
		secure  bool
	}{
		{"http", plain, "", false},
		{"https", secure, "__Host-", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newTLSVisitor(t, "", tt.gateway.Trust)
			callback, cookies := signInByHand(t, v, tt.gateway, "acme", "/")
			callback.wants(t, http.StatusFound)
			setCookies(t, callback)
			found := false
			for _, c := range cookies {
				if !strings.HasPrefix(c.Name, tt.prefix+sessionCookie) {
					t.Errorf("the cookie %s has another name than %s…", c.Name, tt.prefix+sessionCookie)
				}
				if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != tt.secure || c.Path != "/" || c.Domain != "" {
					t.Errorf("set as %s", c.Raw)
				}
				if c.Name == tt.prefix+sessionCookie {
					found = true
					if c.MaxAge != int((10*time.Hour).Seconds()) || len(c.Value) < 43 || strings.Contains(c.Value, "pat") {
						t.Errorf("the session's cookie is set as %s", c.Raw)
					}
				}
			}
			if !found {
				t.Errorf("no session cookie among %v", cookies)
			}
			v.signedIn(tt.gateway)
			if strings.Contains(tt.gateway.Output(), v.cookie(tt.gateway.URL, tt.prefix+sessionCookie)) {
				t.Error("the id is in the log")
			}
		})
	}
}

// TestNewIDAtSignIn: a sign-in never keeps an id that was there before: an
// attacker who has put his own into the victim's browser (session fixation)
// has nothing of it, and the old session is dead.
func TestNewIDAtSignIn(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	attacker := comes(t, g, "", "acme")
	planted := attacker.cookie(g.URL, sessionCookie)

	victim := newVisitor(t, "victim")
	idp.SetPersona("victim", person("victim", nil), nil)
	victim.setCookie(g.URL, &http.Cookie{Name: sessionCookie, Value: planted, Path: "/"})
	victim.start(g, "acme", "/").wants(t, http.StatusOK)
	if victim.signedIn(g)["user"] != "victim" || victim.cookie(g.URL, sessionCookie) == planted {
		t.Errorf("the victim is %v with the planted id: %t", victim.signedIn(g), victim.cookie(g.URL, sessionCookie) == planted)
	}
	attacker.signedOut(g)

	first := victim.cookie(g.URL, sessionCookie)
	victim.start(g, "acme", "/").wants(t, http.StatusOK)
	if victim.cookie(g.URL, sessionCookie) == first {
		t.Error("the second sign-in has kept the id")
	}
	replay := newVisitor(t, "")
	replay.setCookie(g.URL, &http.Cookie{Name: sessionCookie, Value: first, Path: "/"})
	replay.signedOut(g)

	// An id that is not one, or not one alone, is the same as none.
	good := victim.cookie(g.URL, sessionCookie)
	for name, cookies := range map[string]string{
		"truncated": sessionCookie + "=" + good[:42],
		"longer":    sessionCookie + "=" + good + "A",
		"quoted":    sessionCookie + `="` + good + `"`,
		"twice":     sessionCookie + "=" + good + "; " + sessionCookie + "=" + good,
		"two":       sessionCookie + "=" + planted + "; " + sessionCookie + "=" + good,
		"oversized": sessionCookie + "=" + strings.Repeat("A", 8000),
		"empty":     sessionCookie + "=",
		"otherwise": "gatehouse=" + good,
	} {
		if r := newVisitor(t, "").look(g.URL+"/oauth2/userinfo", "Cookie", cookies, "Accept", "application/json"); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: answered %s", name, r.Status)
		}
	}
	victim.signedIn(g)
}

// TestUserinfoTellsWhoSomebodyIs: who somebody is, for pages that ask by script.
func TestUserinfoTellsWhoSomebodyIs(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL(), "attributes: {department: department, phones: phones}"),
	}))
	idp.SetPersona("pat", person("pat", map[string]any{"department": "R&D", "phones": []any{"1", "2"}, "secret": "unmapped"}), nil)
	r := newVisitor(t, "").look(g.URL+"/oauth2/userinfo", "Accept", "application/json").wants(t, http.StatusUnauthorized)
	var nobody struct {
		Error  string `json:"error"`
		SignIn string `json:"sign_in"`
	}
	decode(t, r.Text, &nobody)
	if nobody.Error != "unauthenticated" || !strings.HasPrefix(nobody.SignIn, g.URL+"/oauth2/sign_in") {
		t.Errorf("to nobody it says %s", r.Text)
	}
	want := map[string]any{
		"user": "pat", "email": "pat@corp.example", "groups": []any{"staff"}, "preferredUsername": "pat",
		"name": "The pat", "department": "R&D", "phones": []any{"1", "2"},
	}
	if diff := cmp.Diff(want, comes(t, g, "pat", "acme").signedIn(g)); diff != "" {
		t.Errorf("userinfo (-want +got):\n%s", diff)
	}
}

// TestSignOut: a person signs out on this site; nobody else can do it for
// them. Attack: an image on any page whose URL is our sign_out.
func TestSignOut(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	front, replicas := startReplicas(t, 2, configText(app.URL, []string{connectionText("acme", idp.URL())},
		redisStore(servers.Redis(t, servers.RedisOptions{}), "gatehouse:")))
	g, other := replicas[0], replicas[1]
	signIn := func(t *testing.T) *visitor {
		v := newVisitor(t, "")
		v.get(front+"/").wants(t, http.StatusOK)
		return v
	}
	const out = "/oauth2/sign_out"
	get, post := http.MethodGet, http.MethodPost
	tests := []struct {
		name, method string
		headers      []string
		ends         bool
	}{
		{"GET from another site", get, []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"GET from a sister site", get, []string{"Sec-Fetch-Site", "same-site"}, false},
		{"GET of a bookmark", get, []string{"Sec-Fetch-Site", "none"}, false},
		{"GET from another site with our Referer", get, []string{"Sec-Fetch-Site", "cross-site", "Referer", front + "/"}, false},
		{"GET without a word", get, nil, false},
		{"GET with a foreign Referer", get, []string{"Referer", "https://evil.example/"}, false},
		{"GET with a Referer that begins like ours", get, []string{"Referer", front + ".evil.example/"}, false},
		{"GET of our own page", get, []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"GET of our own page in an old browser", get, []string{"Referer", front + "/somewhere"}, true},
		{"POST from another site", post, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, false},
		{"POST from another site in an old browser", post, []string{"Origin", "https://evil.example"}, false},
		{"POST from nowhere", post, []string{"Origin", "null"}, false},
		{"POST of our own page", post, []string{"Sec-Fetch-Site", "same-origin", "Origin", front}, true},
		{"POST of our own page in an old browser", post, []string{"Origin", front}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := signIn(t)
			before := v.cookie(front, sessionCookie)
			v.signedIn(other) // it is cached there
			r := v.send(false, tt.method, front+out, url.Values{}, tt.headers...).wants(t, http.StatusOK)
			if !tt.ends {
				if !strings.Contains(r.Text, "<h1>Do you want to sign out?</h1>") || len(r.Cookies()) > 0 {
					t.Errorf("not just a page that asks: cookies %v\n%s", r.Cookies(), r.Text)
				}
				v.signedIn(g)
				v.signedIn(other)
				return
			}
			if !strings.Contains(r.Text, "<h1>You are signed out</h1>") || v.cookie(front, sessionCookie) != "" {
				t.Errorf("still a cookie %q at:\n%s", v.cookie(front, sessionCookie), r.Text)
			}
			// Who kept the cookie has nothing: on every replica.
			kept := newVisitor(t, "")
			kept.setCookie(front, &http.Cookie{Name: sessionCookie, Value: before, Path: "/"})
			for _, replica := range replicas {
				servers.WaitFor(t, "the replica to know", func(context.Context) bool { return kept.userinfo(replica) == nil })
			}
		})
	}

	v := signIn(t)
	if to := v.post(front+out, url.Values{"rd": {"/bye?a=b"}}, "Origin", front); to.StatusCode != http.StatusSeeOther || to.Header.Get("Location") != "/bye?a=b" {
		t.Errorf("sign_out with rd answered %s to %q", to.Status, to.Header.Get("Location"))
	}
	v = signIn(t)
	if r := v.post(front+out, url.Values{"rd": {"https://evil.example/"}}, "Origin", front).wants(t, http.StatusOK); strings.Contains(r.Text, "evil.example") {
		t.Errorf("the page leads away:\n%s", r.Text)
	}
	v.signedOut(g)
	// Nobody can sign out as well.
	newVisitor(t, "").post(front+out, nil, "Origin", front).wants(t, http.StatusOK)
}

// TestReturnURLs: a sign-in ends where it was meant to, or at home; never on
// a page of somebody else's (open redirect). What is emitted is compared byte
// for byte.
func TestReturnURLs(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())},
		`session: {return_domains: [a.example, .b.example, "*.c.example:8443", "d.example:*"]}`))
	const home = "/"
	tests := []struct{ rd, want string }{
		{"/app/page?x=1&y=%2F#top", "/app/page?x=1&y=%2F#top"},
		{"/a%2Fb//c", "/a%2Fb//c"},
		{"/app?next=https://evil.example/", "/app?next=https://evil.example/"},
		{"/grüße", "/gr%C3%BC%C3%9Fe"},
		{g.URL + "/x", g.URL + "/x"},
		{"https://a.example/x", "https://a.example/x"},
		{"https://deep.down.b.example/", "https://deep.down.b.example/"},
		{"https://x.c.example:8443/", "https://x.c.example:8443/"},
		{"http://d.example:99/", "http://d.example:99/"},
		{"", home},
		{"evil.example", home},
		{"https://evil.example/", home},
		{"//evil.example/", home},
		{"///evil.example/", home},
		{`/\evil.example/`, home},
		{`\/evil.example/`, home},
		{"/\t/evil.example/", home},
		{"/\r/evil.example/", home},
		{"\n//evil.example/", home},
		{" //evil.example/", home},
		{"/.//evil.example", home},
		{"/x/..//evil.example", home},
		{"/%2e%2e//evil.example", home},
		{"https:evil.example", home},
		{"https:/evil.example", home},
		{`https:\\evil.example`, home},
		{"https://a.example@evil.example/", home},
		{`https://evil.example\@a.example/`, home},
		{"https://evil.example#a.example", home},
		{"https://a.example.evil.example/", home},
		{"https://evila.example/", home},
		{"https://x.a.example/", home},
		{"https://evilb.example/", home},
		{"https://a.example:8443/", home},
		{"https://x.c.example/", home},
		{"https://a.example./", home},
		{"javascript:alert(1)", home},
		{"data:text/html,x", home},
		{"/ok\r\nSet-Cookie: a=b", home},
		{"/nul\x00", home},
		{"/" + strings.Repeat("a", 5000), home},
		// Back into the sign-in, or out of the session that was just made.
		{"/oauth2/start?connection=acme", home},
		{"/oauth2/sign_out", home},
		{"/oauth2/sign%5fin", home},
		{"/x/../oauth2/callback", home},
	}
	for _, tt := range tests {
		t.Run(tt.rd[:min(len(tt.rd), 40)], func(t *testing.T) {
			v := newVisitor(t, "")
			callback, _ := signInByHand(t, v, g, "acme", tt.rd)
			callback.wants(t, http.StatusFound)
			if got := callback.Header.Values("Location"); len(got) != 1 || got[0] != tt.want {
				t.Errorf("rd %q ends at %q, want %q", tt.rd, got, tt.want)
			}
			// Whoever is signed in already is sent on at once, by the same rule.
			again := v.look(g.URL+"/oauth2/sign_in?"+url.Values{"rd": {tt.rd}}.Encode()).wants(t, http.StatusFound)
			if got := again.Header.Get("Location"); got != tt.want {
				t.Errorf("sign_in with rd %q leads to %q, want %q", tt.rd, got, tt.want)
			}
		})
	}
	// Headers that only a proxy may set are not believed from anybody.
	v := newVisitor(t, "")
	start := v.look(g.URL+"/oauth2/start", "X-Forwarded-Host", "a.example", "X-Forwarded-Proto", "https", "X-Forwarded-Uri", "/planted")
	if to := v.look(v.look(start.to(t).String()).to(t).String()).Header.Get("Location"); to != home {
		t.Errorf("X-Forwarded-* of anybody lead to %q", to)
	}
	// The way back of a page is the page, also where its path could be read as
	// a host.
	for _, path := range []string{"//evil.example/", "/\\evil.example/", "/%2F/evil.example/"} {
		v := newVisitor(t, "")
		if r := v.get(g.URL + path); r.Request.URL.Host != g.Addr {
			t.Errorf("%s ends at %s", path, r.Request.URL)
		}
	}
}

// TestSessionLimits: a session ends when it is not used, and at last in any
// case.
func TestSessionLimits(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	const idle, lifetime = 2 * time.Second, 6 * time.Second
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())},
		"session: {idle_timeout: 2s, lifetime: 6s, cache_ttl: 200ms}"))
	for _, name := range []string{"idler", "worker"} {
		idp.SetPersona(name, person(name, nil), nil)
	}
	began := time.Now()
	worker := comes(t, g, "worker", "acme")
	idler := comes(t, g, "idler", "acme")
	rested := time.Now()
	servers.WaitFor(t, "the idle session to end", func(context.Context) bool {
		worker.userinfo(g)
		return !strings.Contains(run(t, g, "session", "list", "--json"), `"idler"`)
	})
	if after := time.Since(rested); after < idle {
		t.Errorf("the idle session ended after %s, want %s", after, idle)
	}
	idler.signedOut(g)
	if worker.userinfo(g) == nil && time.Since(began) < lifetime {
		t.Error("the session in use has ended with the idle one")
	}
	servers.WaitFor(t, "the session in use to end", func(context.Context) bool { return worker.userinfo(g) == nil })
	if after := time.Since(began); after < lifetime {
		t.Errorf("the session in use ended after %s, want %s", after, lifetime)
	}
	worker.start(g, "acme", "/").wants(t, http.StatusOK)
	worker.signedIn(g)
}

// TestSessionCommands: an administrator sees who is in, and ends it; the next
// request is that of nobody.
func TestSessionCommands(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL()), connectionText("partner", idp.URL(), "jit: {enabled: false}"),
	}))
	for _, name := range []string{"pat", "lee"} {
		idp.SetPersona(name, person(name, nil), nil)
	}
	patHere, patThere := comes(t, g, "pat", "acme"), comes(t, g, "pat", "acme")
	lee, guest := comes(t, g, "lee", "acme"), comes(t, g, "lee", "partner")
	type session struct {
		ID         string `json:"id"`
		Username   string `json:"username"`
		Connection string `json:"connection"`
		Subject    string `json:"subject"`
	}
	list := func(args ...string) []session {
		var all []session
		text := run(t, g, append([]string{"session", "list", "--json"}, args...)...)
		decode(t, text, &all)
		for _, v := range []*visitor{patHere, patThere, lee, guest} {
			if id := v.cookie(g.URL, sessionCookie); strings.Contains(text, id) {
				t.Error("the list has a cookie's value: whoever reads it could be that person")
			}
		}
		return all
	}
	all := list()
	want := []session{
		{all[0].ID, "pat", "acme", "pat-1"},
		{all[1].ID, "pat", "acme", "pat-1"},
		{all[2].ID, "lee", "acme", "lee-1"},
		{all[3].ID, "", "partner", "lee-1"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Fatalf("sessions (-want +got):\n%s", diff)
	}
	run(t, g, "session", "end", all[0].ID)
	patHere.signedOut(g)
	patThere.signedIn(g)
	run(t, g, "session", "end", all[3].ID)
	guest.signedOut(g)
	lee.signedIn(g)
	run(t, g, "session", "end", "--user", "pat")
	patThere.signedOut(g)
	if left := list(); len(left) != 1 || left[0] != want[2] {
		t.Errorf("left: %+v", left)
	}
	if n := len(list("--user", "pat")); n != 0 {
		t.Errorf("%d sessions of pat", n)
	}
	if r := g.Run(t, "", "session", "end", all[0].ID, "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, "no session") {
		t.Errorf("ending it again: %+v", r)
	}
}
