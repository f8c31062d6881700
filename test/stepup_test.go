package test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// provenRoutes want more than a session.
func provenRoutes(upstream string) (routes []string) {
	for _, r := range []string{
		`path: /level/, access: {acr: [platinum, gold]}`,
		`path: /factor/, access: {amr: [mfa]}`,
		`path: /key/, access: {amr: [pop]}`,
		`path: /either/, access: {any: [{acr: [gold]}, {amr: [mfa]}]}`,
		`path: /admins/, access: {groups: [admins], acr: [gold]}`,
	} {
		routes = append(routes, fmt.Sprintf("%s, upstream: %q", r, upstream))
	}
	return routes
}

// askedBack follows redirects from a page of the site, and returns what the
// provider was asked for on the way, and the last answer.
func (v *visitor) askedBack(g *servers.Gateway, path string) (asked []url.Values, last reply) {
	v.t.Helper()
	client := *v.Client
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Query().Has("code_challenge") {
			asked = append(asked, r.URL.Query())
		}
		if len(via) > 20 {
			return fmt.Errorf("redirected more than 20 times")
		}
		return nil
	}
	resp, err := client.Get(g.URL + path)
	if err != nil {
		v.t.Fatal(err)
	}
	return asked, read(v.t, resp)
}

// TestStepUpAtProvider: a route wants more than the provider has vouched for.
// It is asked for that, once, and what counts is its answer. Attack: a link
// that asks for a lower level, or for a level of somebody's choice.
func TestStepUpAtProvider(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g, idp := startCertified(t, app.URL, []string{"acme", "partner"}, "", "step_up: {acr_values: [gold]}")
	addRoutes(t, g, provenRoutes(app.URL)...)
	signIn := func(name, connection string) *visitor {
		v := newVisitor(t, "")
		read(t, idp.SignIn(t, v.Client, g.URL+"/oauth2/start?connection="+connection, name, nil)).wants(t, http.StatusOK)
		return v
	}

	for _, tt := range []struct{ path, levels string }{
		{"/level/x?q=a%20b", "platinum gold"}, // the route's own
		{"/factor/x", "gold"},                 // the connection's
		{"/either/x", "gold"},
	} {
		alice := signIn("alice", "acme")
		before := alice.cookie(g.URL, "_gatehouse")
		refused := alice.look(g.URL+tt.path, api...).says(t, http.StatusForbidden, `"error":"forbidden"`)
		var told struct {
			StepUp string `json:"step_up"`
		}
		decode(t, refused.Text, &told)
		if want := "/oauth2/step_up?" + (url.Values{"rd": {tt.path}}).Encode(); told.StepUp != want {
			t.Errorf("a program is told %q, want %q", told.StepUp, want)
		}
		asked, last := alice.askedBack(g, tt.path)
		last.wants(t, http.StatusOK)
		if len(asked) != 1 || asked[0].Get("acr_values") != tt.levels {
			t.Errorf("%s: the provider was asked for %v, want once for %q", tt.path, asked, tt.levels)
		}
		if got := app.Last(t).RequestURI; got != tt.path {
			t.Errorf("back at %q, want %q", got, tt.path)
		}
		if alice.cookie(g.URL, "_gatehouse") == before {
			t.Error("the session is worth more under the same id")
		}
		alice.look(g.URL+"/factor/").wants(t, http.StatusOK) // of the same sign-in
	}

	// A provider that vouches for less: a page, and no way round again.
	bob := signIn("bob", "partner")
	asked, page := bob.askedBack(g, "/level/x")
	page.shows(t, http.StatusForbidden, "More proof is needed here").
		says(t, http.StatusForbidden, "by Partner, which was asked for more", "a sign-in of one of the levels platinum, gold", "/oauth2/start?connection=partner&amp;rd=%2Flevel%2Fx")
	if len(asked) != 1 {
		t.Errorf("the provider was asked %d times", len(asked))
	}
	if asked, _ = bob.askedBack(g, "/level/x"); len(asked) != 0 {
		t.Errorf("the provider was asked again: %v", asked)
	}
	bob.look(g.URL+"/").wants(t, http.StatusOK)

	// What more proof would not mend is a refusal like any other.
	alice := signIn("alice", "acme")
	alice.look(g.URL+"/admins/").shows(t, http.StatusForbidden, "You do not have access")
	alice.look(g.URL+"/oauth2/step_up?rd=/admins/").shows(t, http.StatusForbidden, "You do not have access")

	// Whoever makes the link chooses nothing. What is asked for is of the route.
	for _, tt := range []struct {
		v      *visitor
		query  string
		levels string
	}{
		{alice, "connection=acme&rd=/level/&acr_values=lead", "platinum gold"},
		{alice, "connection=acme&rd=/", ""},
		{alice, "connection=acme&rd=/admins/", ""},
		{alice, "connection=partner&rd=/level/", ""}, // not how she came in
		{newVisitor(t, ""), "connection=acme&rd=/level/&acr_values=lead", ""},
	} {
		to := tt.v.look(g.URL + "/oauth2/start?" + tt.query).to(t)
		if got := to.Query()["acr_values"]; strings.Join(got, "|") != tt.levels {
			t.Errorf("%s asks the provider for %q, want %q", tt.query, got, tt.levels)
		}
	}
	newVisitor(t, "").look(g.URL+"/oauth2/step_up?rd=/level/").leads(t, "/oauth2/sign_in")
	// In place of a refusal of another proxy, by rules that are not known here.
	alice.look(g.URL+"/oauth2/step_up", "X-Auth-Request-Redirect", "/open").shows(t, http.StatusForbidden, "You do not have access")
	// Attack: a proxy whose own rules refuse her sends her round for ever.
	enough := alice.look(g.URL+"/oauth2/step_up?rd=/open").shows(t, http.StatusOK, "You are signed in")
	if enough.Header.Get("Refresh") != "" {
		t.Error("the page goes on by itself")
	}
	alice.look(g.URL+"/oauth2/step_up?rd=/level/").leads(t, "/oauth2/start")
	if page := alice.look(g.URL+"/oauth2/step_up?rd=https://elsewhere.example/").wants(t, http.StatusOK); strings.Contains(page.Text, "elsewhere") {
		t.Errorf("the page leads off the site:\n%s", page.Text)
	}
	r := g.Run(t, "", "why", "--user", "alice", "--connection", "acme", "--url", "/level/", "--config", g.Config)
	if r.Code != 1 || !strings.Contains(r.Stdout, "more proof is asked for") {
		t.Errorf("gatehouse why ends with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestStepUpUnasked: nothing is known that the provider could be asked for.
func TestStepUpUnasked(t *testing.T) {
	t.Parallel()
	idp := badidp.Start(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{`path: /, upstream: "static:204", access: {amr: [mfa]}`},
		"connections:\n"+connectionText("acme", idp.URL()), `contact: "the desk"`))
	v := newVisitor(t, "")
	v.start(g, "acme", "/x").shows(t, http.StatusForbidden, "More proof is needed here").
		says(t, http.StatusForbidden, "by Acme, which this site cannot ask for more", "a sign-in with a second factor", "ask the desk", "/oauth2/sign_out?rd=%2Fx")
	v.signedIn(g)
}

// TestStepUpLocally: who has given a password alone proves a second factor, and
// sets the first one up where there is none; a kind that is not enough is told.
func TestStepUpLocally(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(app.URL, "mfa: {enforce: \"off\", methods: [totp, recovery_code]}"))
	addRoutes(t, g, provenRoutes(app.URL)...)
	ann := newLocal(t, g, "ann")
	ann.look(g.URL+"/").wants(t, http.StatusOK)
	prove := func(v *visitor, path, leads string) {
		t.Helper()
		v.get(g.URL+path).says(t, http.StatusOK, "wants to be sure that it is you", `value="`+path+`"`)
		v.post(g.URL+"/oauth2/prove", url.Values{"password": {"wrong"}, "rd": {path}}).says(t, http.StatusUnauthorized, "wants to be sure")
		v.look(g.URL+path).leads(t, "/oauth2/prove")
		v.post(g.URL+"/oauth2/prove", url.Values{"password": {goodPassword}, "rd": {path}}).leads(t, leads)
	}

	prove(ann, "/factor/x", "/oauth2/mfa")
	phone := ann.offered(g)
	ann.look(g.URL+"/factor/x").leads(t, "/oauth2/prove") // the password alone changes nothing
	before := ann.cookie(g.URL, "_gatehouse")
	ann.code(g, phone.code(t)).leads(t, "/factor/x")
	ann.look(g.URL+"/factor/x").wants(t, http.StatusOK)
	if ann.cookie(g.URL, "_gatehouse") == before {
		t.Error("the session is worth more under the same id")
	}
	if kinds := authenticatorsOf(t, g, "ann").kinds(); len(kinds) == 0 || kinds[0] != "totp" {
		t.Errorf("enrolled: %v", kinds)
	}

	// Another day she proves it. Attack: enrol one of one's own in its place.
	ann = newVisitor(t, "")
	ann.password(g, "ann", goodPassword).leads(t, "/")
	prove(ann, "/either/x", "/oauth2/mfa")
	ann.takes(g, "enrol", "totp").wants(t, http.StatusBadRequest)
	ann.code(g, phone.wrongCode(t)).wants(t, http.StatusUnauthorized)
	ann.look(g.URL+"/either/x").leads(t, "/oauth2/prove")
	ann.code(g, phone.code(t)).leads(t, "/either/x")
	ann.look(g.URL+"/either/x").wants(t, http.StatusOK)

	// Attack: she leaves a browser at the step at which the first factor is set
	// up, and ends its session from elsewhere; whoever finds it goes on.
	kim := newLocal(t, g, "kim")
	prove(kim, "/factor/x", "/oauth2/mfa")
	found := kim.offered(g)
	var open []struct{ ID, Username string }
	decode(t, run(t, g, "session", "list", "--user", "kim", "--json"), &open)
	run(t, g, "session", "end", open[0].ID)
	kim.code(g, found.code(t)).leads(t, "/oauth2/sign_in")
	if kinds := authenticatorsOf(t, g, "kim").kinds(); len(kinds) > 0 {
		t.Errorf("enrolled: %v", kinds)
	}

	// A code is no key, and no key can be set up here.
	ann.get(g.URL+"/key/x").shows(t, http.StatusForbidden, "More proof is needed here").
		says(t, http.StatusForbidden, "None of your second factors is of a kind that is enough", "a sign-in by the method pop")
	// A program cannot prove anything, also where another proxy sent it here.
	ann.look(g.URL+"/oauth2/step_up?rd=/key/x", api...).says(t, http.StatusForbidden, `"error":"forbidden"`, `"missing":`)
	// A level is something that only providers vouch for.
	ann.get(g.URL+"/level/x").shows(t, http.StatusForbidden, "You do not have access")

	// Attack: the owner resets the factors while somebody who has the password
	// waits at the step of the factor, and would be asked to enrol one.
	thief := newVisitor(t, "")
	thief.password(g, "ann", goodPassword).leads(t, "/")
	prove(thief, "/factor/x", "/oauth2/mfa")
	run(t, g, "user", "reset-mfa", "ann")
	thief.step(g).leads(t, "/oauth2/sign_in") // all sessions have ended, and their proofs
	thief.look(g.URL+"/factor/x", api...).wants(t, http.StatusUnauthorized)
}

// TestStepUpOfAQuestion: another proxy asks, and hands its client whatever it is
// answered but a status below 300, which means that it may pass. Attack: have
// the way back be another one than the page that was judged.
func TestStepUpOfAQuestion(t *testing.T) {
	t.Parallel()
	g := servers.StartGateway(t, binary, proxyText("trusted_proxies: [127.0.0.1]", []string{
		`path: /, upstream: "static:202"`,
		`path: /factor/, upstream: "static:202", access: {amr: [mfa]}, contact: "the desk"`,
		`path: /admin/, upstream: "static:202", access: {groups: [admins]}`,
	}))
	kim := newLocal(t, g, "kim")
	page := []string{"Accept", "text/html", "X-Forwarded-Method", "GET", "X-Forwarded-Host", g.Addr}
	about := func(uri string) []string { return append(slices.Clone(page), "X-Forwarded-Uri", uri) }
	long := "/factor/x?" + strings.Repeat("x", 5000)

	at := kim.look(g.URL+"/", about("/factor/x")...).wants(t, http.StatusFound).Header.Get("Location")
	if want := g.URL + "/oauth2/step_up?rd=%2Ffactor%2Fx"; at != want {
		t.Errorf("leads to %s, want %s", at, want)
	}
	kim.look(at).leads(t, "/oauth2/prove")
	for name, r := range map[string]reply{
		"a target that leads nowhere": kim.look(g.URL+"/", about(long)...),
		"another way back":            kim.look(g.URL+"/", append(about("/factor/x"), "X-Auth-Request-Redirect", "/")...),
		"asked about itself":          kim.look(g.URL + long),
		"and with another way back":   kim.look(g.URL+"/factor/x", "X-Auth-Request-Redirect", "/"),
	} {
		if r.StatusCode < 300 {
			t.Errorf("%s: %s, so that it may pass", name, r.Status)
		}
	}

	// What is shown where the application is leads to public_url, and back.
	var told struct {
		StepUp string `json:"step_up"`
	}
	decode(t, kim.look(g.URL+"/", append(about("/factor/x"), "X-Requested-With", "x")...).wants(t, http.StatusForbidden).Text, &told)
	if told.StepUp != at {
		t.Errorf("a program is told %q, want %q", told.StepUp, at)
	}
	kim.look(g.URL+"/", about("/admin/x")...).says(t, http.StatusForbidden, `href="`+g.URL+`/oauth2/sign_out?rd=%2Fadmin%2Fx"`)
	// Of the page that was wanted another rule decides: nothing can be raised.
	kim.look(g.URL+"/factor/", about("/")...).says(t, http.StatusForbidden, "a sign-in with a second factor", "ask the desk")
}
