package signin_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/auth/signin"
	"gatehouse/internal/config"
)

// Every endpoint, asked by nobody, by a sign-in that is half done, and by a
// session: half done is nobody everywhere but at its step.
func TestEveryRouteByEveryState(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S"
	half, full := h.person(), h.person()
	half.password("alice", "/app")
	full.back(full.begin("partner", "/"), "carol")
	people := []*person{h.person(), half, full}
	for _, c := range []struct {
		method, path string
		status       [3]int // nobody, half, full
	}{
		{"GET", "/oauth2/sign_in", [3]int{200, 200, 302}},
		{"HEAD", "/oauth2/sign_in", [3]int{200, 200, 302}},
		{"GET", "/oauth2/start?connection=acme", [3]int{302, 302, 302}},
		{"GET", "/oauth2/callback", [3]int{400, 400, 400}},
		{"GET", "/oauth2/mfa", [3]int{302, 200, 302}},
		{"GET", "/oauth2/userinfo", [3]int{401, 401, 200}},
		{"GET", "/oauth2/sign_out", [3]int{200, 200, 200}},
		{"POST", "/oauth2/callback", [3]int{405, 405, 405}},
		{"POST", "/oauth2/start", [3]int{405, 405, 405}},
		{"POST", "/oauth2/userinfo", [3]int{405, 405, 405}},
		{"PUT", "/oauth2/sign_in", [3]int{405, 405, 405}},
		{"DELETE", "/oauth2/sign_out", [3]int{405, 405, 405}},
		{"GET", "/oauth2/backchannel-logout/acme", [3]int{405, 405, 405}},
	} {
		for i, p := range people {
			a := p.do(p.request(c.method, c.path, nil))
			if a.status != c.status[i] {
				t.Errorf("%s %s by %s: %d, want %d", c.method, c.path, []string{"nobody", "half", "full"}[i], a.status, c.status[i])
			}
			if a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s may be cached: %q", c.method, c.path, a.header.Get("Cache-Control"))
			}
			if a.status == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
				t.Errorf("%s %s: no Allow", c.method, c.path)
			}
		}
	}
	if !full.signedIn() || half.signedIn() {
		t.Error("asking changed who is signed in")
	}
}

// A form that another site posts must do nothing: it could sign the person in
// as the attacker.
func TestCrossSiteForms(t *testing.T) {
	h := open(t, nil)
	h.factor.enrolled["alice"] = "S"
	for _, c := range []struct {
		name    string
		headers []string
		passes  bool
	}{
		{"same origin", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"cross-site", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"sibling host", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"old browser, other origin", []string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, false},
		{"old browser, no origin to speak of", []string{"Sec-Fetch-Site", "", "Origin", "null"}, false},
		{"old browser, our origin", []string{"Sec-Fetch-Site", "", "Origin", h.url}, true},
		{"behind a proxy that puts its own host in", []string{"Sec-Fetch-Site", "", "Origin", h.url, "Host", "gatehouse.internal"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := h.person()
			a := p.post("/oauth2/sign_in", url.Values{"username": {"alice"}, "password": {"right"}}, c.headers...)
			if c.passes != (a.status == http.StatusSeeOther) || !c.passes != (a.status == http.StatusForbidden) {
				t.Errorf("sign_in: %d", a.status)
			}
			p = h.person()
			p.password("alice", "/app")
			h.factor.used = map[string]bool{}
			a = p.post("/oauth2/mfa", url.Values{"code": {"123456"}}, append(c.headers, "Cookie", "g_mfa="+p.cookies()["g_mfa"])...)
			if c.passes != (a.status == http.StatusSeeOther) || !c.passes != (a.status == http.StatusForbidden) {
				t.Errorf("mfa: %d", a.status)
			}
		})
	}
}

// Any other site can link to sign_out or load it as an image: only what the
// person did here ends the session.
func TestSignOut(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct {
		name    string
		method  string
		headers []string
		ends    bool
	}{
		{"GET from here", "GET", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"GET from another site", "GET", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"GET from a sibling host", "GET", []string{"Sec-Fetch-Site", "same-site"}, false},
		{"GET that was typed", "GET", []string{"Sec-Fetch-Site", "none"}, false},
		{"GET, other site with our Referer", "GET", []string{"Sec-Fetch-Site", "cross-site", "Referer", h.url + "/"}, false},
		{"GET without any sign", "GET", nil, false},
		{"GET, old browser, from here", "GET", []string{"Referer", h.url + "/app?x"}, true},
		{"GET, old browser, from elsewhere", "GET", []string{"Referer", "https://evil.example/"}, false},
		{"GET, old browser, our name in front", "GET", []string{"Referer", h.url + ".evil.example/"}, false},
		{"GET, old browser, our name as a user", "GET", []string{"Referer", strings.Replace(h.url, "://", "://evil.example/@", 1)}, false},
		{"GET, old browser, from an unknown host that is also asked", "GET", []string{"Referer", "http://evil.example/", "Host", "evil.example"}, false},
		{"GET, old browser, from a host of the site to itself", "GET", []string{"Referer", "http://app.b.example/x", "Host", "app.b.example"}, true},
		{"GET, old browser, broken Referer", "GET", []string{"Referer", "http://%zz/"}, false},
		{"POST from here", "POST", []string{"Sec-Fetch-Site", "same-origin"}, true},
		{"POST from another site", "POST", []string{"Sec-Fetch-Site", "cross-site"}, false},
		{"POST, old browser, from elsewhere", "POST", []string{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, false},
		{"POST by a program", "POST", []string{"Sec-Fetch-Site", ""}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := h.person()
			p.back(p.begin("acme", "/"), "alice")
			var form url.Values
			path := "/oauth2/sign_out?rd=/bye"
			if c.method == "POST" {
				form = url.Values{"rd": {"/bye"}}
				path = "/oauth2/sign_out"
			}
			headers := append([]string{"Cookie", "session=" + p.cookies()["session"]}, c.headers...)
			bare := h.person() // so that the cookie goes along whatever the host
			a := bare.do(bare.request(c.method, path, form, headers...))
			if c.ends {
				want := http.StatusFound
				if c.method == "POST" {
					want = http.StatusSeeOther
				}
				a.expect(t, want, "/bye")
			} else if a.status != http.StatusOK || !strings.Contains(a.body, "/bye") || len(a.header["Set-Cookie"]) > 0 {
				t.Errorf("confirmation: %d to %q, cookies %v", a.status, a.location, a.header["Set-Cookie"])
			}
			if p.signedIn() == c.ends {
				t.Errorf("signed in: %v", p.signedIn())
			}
		})
	}
}

func TestSignOutClearsAndStays(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	p.back(p.begin("acme", "/"), "alice")
	p.password("alice", "/") // a second sign-in, half done
	handle := p.cookies()["g_mfa"]
	a := p.post("/oauth2/sign_out", url.Values{})
	if a.status != http.StatusOK || a.location != "" {
		t.Errorf("%d to %q", a.status, a.location)
	}
	if left := p.cookies(); len(left) != 0 {
		t.Errorf("cookies left: %v", left)
	}
	if handle == "" {
		t.Error("there was no half-done sign-in")
	}
	// A proxy in front may say where to go, as oauth2-proxy lets it.
	if a := p.post("/oauth2/sign_out", url.Values{}, "X-Auth-Request-Redirect", "/bye"); a.location != "/bye" {
		t.Errorf("said by a proxy: %d to %q", a.status, a.location)
	}
	if a := p.post("/oauth2/sign_out", url.Values{"rd": {"/here"}}, "X-Auth-Request-Redirect", "/bye"); a.location != "/here" {
		t.Errorf("said by both: %d to %q", a.status, a.location)
	}
	for _, rd := range []string{"https://evil.example/", "//evil.example", "/oauth2/sign_out", "/oauth2/sign_in"} {
		if a := p.post("/oauth2/sign_out", url.Values{}, "X-Auth-Request-Redirect", rd); a.location != "" || a.status != http.StatusOK {
			t.Errorf("X-Auth-Request-Redirect %s: %d to %q", rd, a.status, a.location)
		}
		if a := p.post("/oauth2/sign_out", url.Values{"rd": {rd}}); a.location != "" || a.status != http.StatusOK {
			t.Errorf("rd %s: %d to %q", rd, a.status, a.location)
		}
		if a := p.get("/oauth2/sign_out?rd="+url.QueryEscape(rd), "Sec-Fetch-Site", "cross-site"); strings.Contains(a.body, "evil") {
			t.Errorf("rd %s is on the confirmation page", rd)
		}
	}
}

func TestReturnURLsAreJudged(t *testing.T) {
	h := open(t, func(f *signin.Flow) { f.Enforce = config.EnforceOff })
	for _, c := range []struct{ rd, want string }{
		{"/app?x=1#y", "/app?x=1#y"},
		{"http://app.b.example/x", "http://app.b.example/x"},
		{h.url + "/x", h.url + "/x"},
		{"https://evil.example/", "/"},
		{"//evil.example", "/"},
		{"/\t/evil.example", "/"},
		{`/\evil.example`, "/"},
		{"/oauth2/sign_out", "/"},
		{"/oauth2/start", "/"},
		{"", "/"},
	} {
		p := h.person()
		p.back(p.begin("acme", c.rd), "alice").expect(t, http.StatusFound, c.want)
		p.get("/oauth2/sign_in?"+url.Values{"rd": {c.rd}}.Encode()).expect(t, http.StatusFound, c.want)
		p = h.person()
		p.password("alice", c.rd).expect(t, http.StatusSeeOther, c.want)
	}
}

func TestUserinfo(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	a := p.get("/oauth2/userinfo")
	var refusal struct{ Error, SignIn string }
	if err := json.Unmarshal([]byte(a.body), &struct {
		Error  *string `json:"error"`
		SignIn *string `json:"sign_in"`
	}{&refusal.Error, &refusal.SignIn}); err != nil {
		t.Fatal(err)
	}
	if a.status != http.StatusUnauthorized || refusal.Error != "unauthenticated" || !strings.HasPrefix(refusal.SignIn, h.url+"/oauth2/sign_in") {
		t.Errorf("%d %s", a.status, a.body)
	}
	p.back(p.begin("acme", "/"), "alice")
	a = p.get("/oauth2/userinfo", "Accept", "*/*")
	var got map[string]any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"user": "alice", "email": "a@acme.example", "groups": []any{}, "preferredUsername": "al",
		"department": "science", "site": []any{"a", "b"}, "empty": []any{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
}

func TestBackchannelLogout(t *testing.T) {
	h := open(t, nil)
	p := h.person()
	for _, c := range []struct {
		name, path string
		form       url.Values
		status     int
	}{
		{"good", "acme", url.Values{"logout_token": {"good"}}, http.StatusOK},
		{"bad token", "acme", url.Values{"logout_token": {"bad"}}, http.StatusBadRequest},
		{"no token", "acme", url.Values{}, http.StatusBadRequest},
		{"two tokens", "acme", url.Values{"logout_token": {"good", "good"}}, http.StatusBadRequest},
		{"token for another connection", "acme", url.Values{"logout_token": {"foreign"}}, http.StatusBadRequest},
		{"huge", "acme", url.Values{"logout_token": {strings.Repeat("x", 70_000)}}, http.StatusBadRequest},
		{"store down", "acme", url.Values{"logout_token": {"store-down"}}, http.StatusServiceUnavailable},
		{"connection that takes no notices", "partner", url.Values{"logout_token": {"good"}}, http.StatusNotFound},
		{"unknown connection", "unknown", url.Values{"logout_token": {"good"}}, http.StatusNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.sessions.notified = nil
			// From a server: no browser's headers, or even another site's.
			a := p.post("/oauth2/backchannel-logout/"+c.path, c.form, "Sec-Fetch-Site", "cross-site")
			if a.status != c.status || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d, Cache-Control %q\n%s", a.status, a.header.Get("Cache-Control"), a.body)
			}
			if ended := len(h.sessions.notified); (ended == 1) != (c.status == http.StatusOK) {
				t.Errorf("%d notices acted on", ended)
			}
		})
	}
	if a := p.post("/oauth2/backchannel-logout/acme?logout_token=good", url.Values{}); a.status != http.StatusBadRequest {
		t.Errorf("token in the query: %d", a.status)
	}
}

// One line and one count for each event, and no secret in any.
func TestAudit(t *testing.T) {
	var counted []string
	h := open(t, func(f *signin.Flow) {
		f.Count = func(connection, outcome string) { counted = append(counted, connection+" "+outcome) }
	})
	h.factor.enrolled["alice"] = "S"
	p := h.person()
	state := p.begin("acme", "/app?token=query-secret")
	p.back(state, "code-secret")
	h.person().back(state, "code-secret")
	p.post("/oauth2/sign_out", url.Values{})
	p.post("/oauth2/sign_in", url.Values{"username": {"typed-secret"}, "password": {"password-secret"}})
	p.password("alice", "/app")
	handle := p.cookies()["g_mfa"]
	p.post("/oauth2/mfa", url.Values{"code": {"654321"}})
	p.post("/oauth2/mfa", url.Values{"code": {"123456"}})
	p.back(p.begin("acme", "/"), "mallory")
	log := h.log.String()
	var events []string
	for line := range strings.Lines(log) {
		var entry struct {
			Msg, Reason, Client string
			Audit               bool
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Client != "192.0.2.1" || !entry.Audit {
			t.Errorf("client %q, marked %v", entry.Client, entry.Audit)
		}
		events = append(events, strings.TrimSpace(entry.Msg+" "+entry.Reason))
	}
	want := []string{
		"sign_in", "sign_in_failed invalid_state", "sign_out", "sign_in_failed wrong_password",
		"factor_failed wrong_code", "sign_in", "sign_in_failed account_disabled",
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("%s\n%s", diff, log)
	}
	wantCounted := []string{
		"acme success", " invalid_state", "local wrong_password", "local wrong_code", "local success", "acme account_disabled",
	}
	if diff := cmp.Diff(wantCounted, counted); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	secrets := []string{"query-secret", "typed-secret", "password-secret", "654321", "123456", "right", state, handle}
	for _, value := range p.cookies() {
		secrets = append(secrets, value)
	}
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}
