package test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// startCertified writes the config of a gateway with the certified provider
// behind a connection for each id, each with a client of its own there, and
// starts both. Entries go into every connection.
func startCertified(t *testing.T, upstream string, ids []string, more string, entries ...string) (*servers.Gateway, *servers.OIDCProvider) {
	t.Helper()
	g := servers.NewGateway(t, binary, "")
	var clients []servers.OIDCClient
	for _, id := range ids {
		clients = append(clients, servers.OIDCClient{
			ID: "client-" + id, Secret: badidp.ClientSecret, RedirectURIs: []string{g.URL + "/oauth2/callback"},
			BackchannelLogoutURI: g.URL + "/oauth2/backchannel-logout/" + id, BackchannelLogoutSession: true,
		})
	}
	idp := servers.StartOIDCProvider(t, servers.OIDCOptions{
		Clients: clients,
		Accounts: map[string]map[string]any{
			"alice": {
				"email": "alice@corp.example", "email_verified": true, "preferred_username": "alice", "name": "Alice Example",
				"groups": []string{"staff", "ops"}, "department": "R&D",
			},
			"bob": {"email": "bob@corp.example", "email_verified": false, "preferred_username": "bob", "name": "Bob Example"},
		},
		Levels: map[string]servers.OIDCLevel{"alice": {ACR: "gold", AMR: []string{"pwd", "mfa"}}},
	})
	var connections []string
	for _, id := range ids {
		entries := append([]string{"scopes: [openid, profile, email, groups]", "attributes: {department: department}"}, entries...)
		text := connectionText(id, idp.Issuer, entries...)
		connections = append(connections, strings.Replace(text, "client_id: "+badidp.ClientID, "client_id: client-"+id, 1))
	}
	g.WriteConfig(t, configText(upstream, connections, more))
	g.Start(t)
	return g, idp
}

// TestFederatedSignIn: several OIDC connections in one file, a button for
// each, a certified provider, and back to the very page that was wanted.
func TestFederatedSignIn(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g, idp := startCertified(t, app.URL, []string{"acme", "partner"}, "")

	alice := newVisitor(t, "")
	const wanted = "/reports/q3%2Fdraft?year=2026&q=a%20b+c&next=https://elsewhere.example/"
	signInPage := alice.look(g.URL + wanted).to(t)
	page := alice.get(g.URL+signInPage.RequestURI()).wants(t, http.StatusOK)
	buttons := regexp.MustCompile(`href="(/oauth2/start[^"]*)"`).FindAllStringSubmatch(page.Text, -1)
	if len(buttons) != 2 || !strings.Contains(page.Text, "Continue with Acme") || !strings.Contains(page.Text, "Continue with Partner") {
		t.Fatalf("not one button for each connection:\n%s", page.Text)
	}
	press := g.URL + strings.ReplaceAll(buttons[0][1], "&amp;", "&")
	read(t, idp.SignIn(t, alice.Client, press, "alice", nil)).wants(t, http.StatusOK)
	if got := app.Last(t); got.RequestURI != wanted {
		t.Errorf("back at %q, want %q", got.RequestURI, wanted)
	}
	headers := app.Last(t).Header
	got := map[string]string{}
	for name := range headers {
		if strings.HasPrefix(name, "X-Forwarded-") {
			got[name] = strings.Join(headers.Values(name), "|")
		}
	}
	for _, ours := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Uri", "X-Forwarded-Method"} {
		delete(got, ours) // not about who it is
	}
	want := map[string]string{
		"X-Forwarded-User": "alice", "X-Forwarded-Email": "alice@corp.example", "X-Forwarded-Preferred-Username": "alice",
		"X-Forwarded-Groups": "staff,ops", "X-Forwarded-Attr-Name": "Alice Example", "X-Forwarded-Attr-Department": "R&D",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity headers (-want +got):\n%s", diff)
	}
	if strings.Contains(app.Last(t).Head, "_gatehouse") {
		t.Errorf("the application sees our cookie:\n%s", app.Last(t).Head)
	}

	// The other button leads to the other client, and the state decides which
	// connection an answer is for.
	bob := newVisitor(t, "")
	press = g.URL + strings.ReplaceAll(buttons[1][1], "&amp;", "&")
	if client := bob.look(press).to(t).Query().Get("client_id"); client != "client-partner" {
		t.Errorf("the second button leads to %q", client)
	}
	read(t, idp.SignIn(t, bob.Client, press, "bob", nil)).wants(t, http.StatusOK)
	if got := showAccount(t, g, "bob").Links; len(got) != 1 || got[0] != (accountLink{"partner", idp.Issuer, "bob"}) {
		t.Errorf("links of bob: %+v", got)
	}

	// A person who says no at the provider sees a page, and is asked again
	// only when they want to: no loop.
	nobody := newVisitor(t, "")
	r := read(t, idp.SignIn(t, nobody.Client, press, "", nil)).wants(t, http.StatusForbidden)
	if !strings.Contains(r.Text, "The sign-in was not completed") {
		t.Errorf("not the page of a sign-in that was ended at the provider:\n%s", r.Text)
	}
	nobody.signedOut(g)
}

// TestOneWayIn: with one connection and no local accounts there is nothing to
// choose.
func TestOneWayIn(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	v := newVisitor(t, "")
	const wanted = "/a/b?c=d"
	v.get(g.URL+wanted).wants(t, http.StatusOK)
	if got := app.Last(t).RequestURI; got != wanted {
		t.Errorf("back at %q, want %q", got, wanted)
	}
	// Also without naming it.
	if to := newVisitor(t, "").look(g.URL + "/oauth2/start").to(t); "http://"+to.Host != idp.URL() {
		t.Errorf("start without a connection leads to %s", to)
	}
}

// TestAuthorizationRequest: state, nonce and PKCE are there, are new each
// time, and nothing of the protocol can be given from outside. Attack: a link
// to start with "&code_challenge=..." or "&redirect_uri=..." of the attacker.
func TestAuthorizationRequest(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	random := []string{"state", "nonce", "code_challenge"}
	seen := map[string]bool{}
	for _, path := range []string{
		"/oauth2/start?connection=acme",
		"/oauth2/start?connection=acme",
		"/oauth2/start?connection=acme&state=mine&nonce=mine&code_challenge=mine&code_challenge_method=plain&redirect_uri=https://evil.example/" +
			"&client_id=mine&scope=openid+offline_access&response_type=token&response_mode=form_post&prompt=none&request=x&login_hint=root&resource=x",
	} {
		query := newVisitor(t, "").look(g.URL + path).to(t).Query()
		for _, name := range random {
			value := query.Get(name)
			if raw, err := base64.RawURLEncoding.DecodeString(value); err != nil || len(raw) < 16 {
				t.Errorf("%s is %q, less than 128 bits", name, value)
			}
			if seen[value] {
				t.Errorf("%s is not fresh", name)
			}
			seen[value] = true
			query.Del(name)
		}
		want := url.Values{
			"response_type": {"code"}, "client_id": {badidp.ClientID}, "redirect_uri": {g.URL + "/oauth2/callback"},
			"scope": {"openid profile email"}, "code_challenge_method": {"S256"},
		}
		if diff := cmp.Diff(want, query); diff != "" {
			t.Errorf("GET %s (-want +got):\n%s", path, diff)
		}
	}
	newVisitor(t, "").look(g.URL+"/oauth2/start?connection=nobody").wants(t, http.StatusNotFound)
	newVisitor(t, "").look(g.URL+"/oauth2/start?connection=acme&connection=acme").wants(t, http.StatusBadRequest)
}

// TestCallback: an answer of the provider is taken once, in the browser that
// began the sign-in, and as it was sent. What happens to it on the way is a
// row; each ends with a page and with nobody signed in.
func TestCallback(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	// back walks to the provider and returns the answer that it gives.
	back := func(v *visitor) *url.URL {
		return v.look(v.look(g.URL + "/oauth2/start").to(t).String()).to(t)
	}
	with := func(u *url.URL, change func(q url.Values)) string {
		q := u.Query()
		change(q)
		return u.ResolveReference(&url.URL{RawQuery: q.Encode()}).String()
	}
	tests := []struct {
		name   string
		come   func(victim, other *visitor) (*visitor, string) // who opens what
		status int
	}{
		{"in another browser", func(victim, other *visitor) (*visitor, string) {
			return other, back(victim).String()
		}, http.StatusBadRequest},
		{"in another browser, which has begun one too", func(victim, other *visitor) (*visitor, string) {
			back(other)
			return other, back(victim).String()
		}, http.StatusBadRequest},
		{"state of another browser", func(victim, other *visitor) (*visitor, string) {
			state := back(other).Query().Get("state")
			return victim, with(back(victim), func(q url.Values) { q.Set("state", state) })
		}, http.StatusBadRequest},
		{"code of another sign-in", func(victim, other *visitor) (*visitor, string) {
			code := back(other).Query().Get("code") // code injection: PKCE stops it
			return victim, with(back(victim), func(q url.Values) { q.Set("code", code) })
		}, http.StatusForbidden},
		{"state twice", func(victim, _ *visitor) (*visitor, string) {
			return victim, with(back(victim), func(q url.Values) { q.Add("state", q.Get("state")) })
		}, http.StatusBadRequest},
		{"code twice", func(victim, _ *visitor) (*visitor, string) {
			return victim, with(back(victim), func(q url.Values) { q.Add("code", "another") })
		}, http.StatusBadRequest},
		{"unknown state", func(victim, _ *visitor) (*visitor, string) {
			return victim, with(back(victim), func(q url.Values) { q.Set("state", strings.Repeat("A", 43)) })
		}, http.StatusBadRequest},
		{"no state", func(victim, _ *visitor) (*visitor, string) {
			return victim, with(back(victim), func(q url.Values) { q.Del("state") })
		}, http.StatusBadRequest},
		{"nothing at all", func(victim, _ *visitor) (*visitor, string) {
			return victim, g.URL + "/oauth2/callback"
		}, http.StatusBadRequest},
		{"broken escapes", func(victim, _ *visitor) (*visitor, string) {
			u := back(victim)
			return victim, u.String() + "&x=%zz"
		}, http.StatusBadRequest},
		{"an error of the provider", func(victim, _ *visitor) (*visitor, string) {
			return victim, with(back(victim), func(q url.Values) {
				q.Del("code")
				q.Set("error", "access_denied")
				q.Set("error_description", `<script>alert("quoted")</script>`)
			})
		}, http.StatusForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			victim, other := newVisitor(t, ""), newVisitor(t, "")
			v, address := tt.come(victim, other)
			r := v.look(address).wants(t, tt.status)
			if !strings.Contains(r.Text, "<h1>") || strings.Contains(r.Text, "alert(") {
				t.Errorf("not a page of ours:\n%s", r.Text)
			}
			victim.signedOut(g)
			other.signedOut(g)
		})
	}
	if n := len(accounts(t, g)); n != 0 {
		t.Errorf("%d accounts came of it", n)
	}

	// A good answer works once. Its replay is refused and does no harm.
	v := newVisitor(t, "")
	answer := back(v).String()
	v.look(answer).wants(t, http.StatusFound)
	v.signedIn(g)
	v.look(answer).wants(t, http.StatusBadRequest)
	v.signedIn(g)
	newVisitor(t, "").look(answer).wants(t, http.StatusBadRequest)
	// What a stranger opened in the wrong browser has not used up the sign-in.
	late := newVisitor(t, "")
	answer = back(late).String()
	newVisitor(t, "").look(answer).wants(t, http.StatusBadRequest)
	late.look(answer).wants(t, http.StatusFound)
	late.signedIn(g)
}

// TestTabs: sign-ins that a person begins side by side all finish.
func TestTabs(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	v := newVisitor(t, "")
	first := v.look(g.URL + "/oauth2/start?rd=/first").to(t)
	second := v.look(g.URL + "/oauth2/start?rd=/second").to(t)
	v.get(second.String()).wants(t, http.StatusOK)
	v.get(first.String()).wants(t, http.StatusOK)
	var at []string
	for _, r := range app.Requests() {
		at = append(at, r.RequestURI)
	}
	if want := []string{"/second", "/first"}; !slices.Equal(at, want) {
		t.Errorf("back at %v, want %v", at, want)
	}
}

// TestCallbackRace: of one answer that is sent many times at once, as by an
// impatient finger or an attacker who has seen it, one sign-in comes.
func TestCallbackRace(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	v := newVisitor(t, "")
	answer := v.look(v.look(g.URL + "/oauth2/start").to(t).String()).to(t).String()
	const times = 12
	statuses := make(chan int, times)
	client := *v.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for range times {
		go func() {
			resp, err := client.Get(answer)
			if err != nil {
				statuses <- 0
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	got := map[int]int{}
	for range times {
		got[<-statuses]++
	}
	if want := map[int]int{http.StatusFound: 1, http.StatusBadRequest: times - 1}; !cmp.Equal(got, want) {
		t.Errorf("statuses %v, want %v", got, want)
	}
	if n := idp.Count(badidp.PathToken); n != 1 {
		t.Errorf("the code was redeemed %d times", n)
	}
}
