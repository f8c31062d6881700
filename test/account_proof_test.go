package test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// accountEndpoint is an endpoint of the account page, or one that it posts to.
type accountEndpoint struct {
	method, path string
	form         url.Values // one that would change something
	proof        bool       // wants the password and the factor of the account, lately
}

// accountEndpoints are all of them, with what somebody would send who means
// ada's account, in which her app is.
func accountEndpoints(app shownFactor, l accountLink) []accountEndpoint {
	factor := url.Values{"kind": {app.kind}, "id": {app.id}, "name": {"stolen"}}
	return []accountEndpoint{
		{http.MethodGet, "/account", nil, false},
		{http.MethodGet, "/account/password", nil, true},
		{http.MethodPost, "/account/password", url.Values{"password": {otherPassword}, "again": {otherPassword}}, true},
		{http.MethodPost, "/account/factors/add", url.Values{"kind": {"totp"}}, true},
		{http.MethodGet, "/account/factors/confirm", nil, true},
		{http.MethodPost, "/account/factors/confirm", url.Values{"kind": {"totp"}, "code": {"123456"}}, true},
		{http.MethodPost, "/account/factors/rename", factor, true},
		{http.MethodPost, "/account/factors/remove", factor, true},
		{http.MethodPost, "/account/recovery", url.Values{}, true},
		{http.MethodPost, "/account/unlink", url.Values{"connection": {l.Connection}, "issuer": {l.Issuer}, "subject": {l.Subject}}, true},
		{http.MethodPost, "/link", url.Values{"connection": {"acme"}}, true},
		{http.MethodPost, "/account/sessions/end", url.Values{"id": {"0"}}, false},
		{http.MethodPost, "/account/sessions/end_others", url.Values{}, false},
	}
}

// TestProveFirst: whoever comes by an identity provider has not shown that they
// hold the account: they give its password and factor before anything of those
// changes. Attack: the provider is taken over, or lets somebody in; a stranger
// is at the keyboard; another site sends the forms.
func TestProveFirst(t *testing.T) {
	t.Parallel()
	application, acme := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{connectionText("acme", acme.URL())},
		"local: {enabled: true}"))
	addUser(t, g, "ada")
	acme.SetPersona("ada", person("ada", nil), nil)
	owner := newVisitor(t, "ada")
	app := owner.enrol(g, "ada")
	owner.link(g, "acme").wants(t, http.StatusOK)
	endpoints := accountEndpoints(owner.factors(g)[0], owner.links(g)[0])
	before := showAccount(t, g, "ada")
	send := func(v *visitor, e accountEndpoint, headers ...string) reply {
		return v.send(false, e.method, g.URL+"/oauth2"+e.path, e.form, headers...)
	}
	untouched := func(after string) {
		t.Helper()
		if diff := cmp.Diff(before, showAccount(t, g, "ada")); diff != "" {
			t.Fatalf("after %s the account is another (-before +after):\n%s", after, diff)
		}
	}

	// Nobody, and who has given a password and owes the code.
	nobody, half := newVisitor(t, ""), newVisitor(t, "")
	half.challenged(g, "ada", "/")
	for _, e := range endpoints {
		for name, v := range map[string]*visitor{"nobody": nobody, "half a sign-in": half} {
			if to := send(v, e).to(t); to.Path != "/oauth2/sign_in" {
				t.Errorf("%s %s sends %s to %s", e.method, e.path, name, to)
			}
			if e.path != "/link" {
				send(v, e, "Accept", "application/json").wants(t, http.StatusUnauthorized)
			}
		}
	}
	untouched("strangers")

	// Who has just proved it, and another site that uses it.
	for _, e := range endpoints {
		if e.method == http.MethodPost {
			send(owner, e, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example").wants(t, http.StatusForbidden)
			send(owner, e, "Origin", "https://evil.example").wants(t, http.StatusForbidden) // an older browser
		}
	}
	untouched("another site's forms")

	// Who comes by the provider: the page is theirs, and what opens it is not yet.
	v := comes(t, g, "ada", "acme")
	for _, e := range endpoints {
		if !e.proof {
			continue
		}
		r, status, rd := send(v, e), http.StatusSeeOther, "/oauth2/account"
		if e.method == http.MethodGet {
			status, rd = http.StatusFound, "/oauth2"+e.path
		}
		if to := r.wants(t, status).to(t); to.Path != "/oauth2/prove" || to.Query().Get("rd") != rd {
			t.Errorf("%s %s leads to %s", e.method, e.path, to)
		}
	}
	untouched("a sign-in at the provider")

	cookie := v.cookie(g.URL, "_gatehouse")
	v.get(g.URL+"/oauth2/account/password").shows(t, http.StatusOK, "Is it you?")
	prove := func(password string) reply {
		return v.post(g.URL+"/oauth2/prove", url.Values{"password": {password}, "rd": {"/oauth2/account/password"}})
	}
	prove("not the password").shows(t, http.StatusUnauthorized, "Is it you?")
	prove(goodPassword).wants(t, http.StatusSeeOther).leads(t, "/oauth2/mfa")
	v.account(g, "/password").wants(t, http.StatusFound) // the code is owed
	v.code(g, app.wrongCode(t)).wants(t, http.StatusUnauthorized)
	v.account(g, "/password").wants(t, http.StatusFound)
	v.code(g, app.code(t)).wants(t, http.StatusSeeOther).leads(t, "/oauth2/account/password")
	v.account(g, "/password").shows(t, http.StatusOK, "Change your password")
	if now := v.cookie(g.URL, "_gatehouse"); now == cookie {
		t.Error("the session that can do more has the id of the one that could not")
	}
	v.account(g, "").says(t, http.StatusOK, "signed in through <strong>Acme</strong>")

	// With the cookie of before nobody gets on: it may have been fixed or seen.
	old := newVisitor(t, "")
	old.setCookie(g.URL, &http.Cookie{Name: "_gatehouse", Value: cookie})
	old.signedOut(g)
	owner.change(g, "/sessions/end_others").wants(t, http.StatusSeeOther)
	v.signedOut(g)
	owner.account(g, "/password").wants(t, http.StatusOK)
}

// TestWhatAProviderSaysOfAPassword: a provider may say that it asked for a
// password (amr, RFC 8176, section 2), and that is another one. Attack: the
// provider is taken over, says so, and whoever comes through it changes the
// password and the factors here.
func TestWhatAProviderSaysOfAPassword(t *testing.T) {
	t.Parallel()
	application, acme := servers.StartApp(t), badidp.Start(t)
	acme.SetPersona("pat", person("pat", map[string]any{"amr": []any{"pwd", "otp", "mfa"}}), nil)
	for _, enforce := range []string{"local", "all"} {
		g := servers.StartGateway(t, binary, configText(application.URL, []string{connectionText("acme", acme.URL())},
			"local: {enabled: true}", "mfa: {enforce: "+enforce+"}"))
		addUser(t, g, "pat", "--email", "pat@corp.example")
		v := newVisitor(t, "pat")
		v.start(g, "acme", "/").wants(t, http.StatusOK)
		if enforce == "all" {
			v.code(g, v.offered(g).code(t)).wants(t, http.StatusSeeOther)
		}
		v.signedIn(g)
		for _, e := range accountEndpoints(shownFactor{kind: "totp", id: "totp"}, accountLink{"acme", acme.URL(), "pat-1"}) {
			if e.proof {
				v.send(false, e.method, g.URL+"/oauth2"+e.path, e.form).leads(t, "/oauth2/prove")
			}
		}
		newVisitor(t, "").challenged(g, "pat", "/")
	}
}

// TestTheFirstFactorEndsOlderProofs: where no second factor is asked for, a
// session that was left open has proved all that there was. Attack: whoever sits
// there adds a passkey or an app of their own beside the factor that the owner
// has just added elsewhere, or changes the password.
func TestTheFirstFactorEndsOlderProofs(t *testing.T) {
	t.Parallel()
	g := servers.StartGateway(t, binary, configText(servers.StartApp(t).URL, []string{connectionText("acme", badidp.Start(t).URL())},
		"local: {enabled: true}", "mfa: {enforce: off}"))
	addUser(t, g, "ada")
	desk, left := newVisitor(t, ""), newVisitor(t, "")
	for _, v := range []*visitor{desk, left} {
		v.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
		v.change(g, "/factors/add", "kind", "totp").wants(t, http.StatusSeeOther).leads(t, "/oauth2/account/factors/confirm")
	}
	owned := desk.shownKey(desk.account(g, "/factors/confirm?kind=totp"))
	stolen := left.shownKey(left.account(g, "/factors/confirm?kind=totp"))
	before := desk.cookie(g.URL, "_gatehouse")
	desk.change(g, "/factors/confirm", "kind", "totp", "code", owned.code(t)).wants(t, http.StatusSeeOther).leads(t, "/oauth2/account")
	if after := desk.cookie(g.URL, "_gatehouse"); after == before || after == "" {
		t.Error("the session that has proved more has its old id")
	}

	for _, e := range accountEndpoints(desk.factors(g)[0], accountLink{}) {
		if e.proof {
			left.send(false, e.method, g.URL+"/oauth2"+e.path, e.form).leads(t, "/oauth2/prove")
		}
	}
	left.change(g, "/factors/confirm", "kind", "totp", "code", stolen.code(t)).leads(t, "/oauth2/prove")
	if got := desk.factors(g); len(got) != 1 {
		t.Errorf("factors: %v", names(got))
	}
	// The owner goes on where they are.
	if codes := paperCodes(desk.change(g, "/recovery").wants(t, http.StatusOK)); len(codes) != 10 {
		t.Errorf("%d recovery codes", len(codes))
	}
	desk.change(g, "/sessions/end_others").wants(t, http.StatusSeeOther)
	if got := amr(t, g, "ada"); !cmp.Equal(got, []string{"pwd", "otp", "mfa"}) {
		t.Errorf("amr %q", got)
	}
}

// TestTheFirstFactorAfterOtherSessionsEnded: somebody puts out whoever else is in
// their account, and then adds their first factor, where they are.
func TestTheFirstFactorAfterOtherSessionsEnded(t *testing.T) {
	t.Parallel()
	g := servers.StartGateway(t, binary, localOnly(servers.StartApp(t).URL, "mfa: {enforce: off}"))
	addUser(t, g, "ada")
	desk := newVisitor(t, "")
	desk.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	desk.change(g, "/sessions/end_others").wants(t, http.StatusSeeOther)
	desk.change(g, "/factors/add", "kind", "totp").wants(t, http.StatusSeeOther)
	app := desk.shownKey(desk.account(g, "/factors/confirm?kind=totp"))
	desk.change(g, "/factors/confirm", "kind", "totp", "code", app.code(t)).wants(t, http.StatusSeeOther).leads(t, "/oauth2/account")
	desk.signedIn(g)
	if got := desk.factors(g); len(got) != 1 {
		t.Errorf("factors: %v", names(got))
	}
	desk.change(g, "/recovery").leads(t, "/oauth2/prove")
}

// TestDevicesOfSessions: people see where they are signed in, from which
// device and address, also behind a proxy that is trusted, and put one out or
// all others.
func TestDevicesOfSessions(t *testing.T) {
	t.Parallel()
	g := servers.NewGateway(t, binary, "")
	g.WriteConfig(t, strings.Replace(localOnly(servers.StartApp(t).URL, "mfa: {enforce: off}"),
		"server: {", "server: {trusted_proxies: [127.0.0.1], ", 1))
	g.Start(t)
	addUser(t, g, "ada")
	desk, phone, tablet := newVisitor(t, ""), newVisitor(t, ""), newVisitor(t, "")
	desk.password(g, "ada", goodPassword, "User-Agent", firefoxAgent, "X-Forwarded-For", "203.0.113.7").wants(t, http.StatusSeeOther)
	phone.password(g, "ada", goodPassword, "User-Agent", safariAgent, "X-Forwarded-For", "2001:db8::17").wants(t, http.StatusSeeOther)
	desk.account(g, "").says(t, http.StatusOK, "Firefox on Linux <span class=\"tag\">this one", "203.0.113.7", "Safari on ", "2001:db8::17")
	phone.account(g, "").says(t, http.StatusOK, "Firefox on Linux</p>", "<span class=\"tag\">this one")
	others := sessionForm.FindAllStringSubmatch(desk.account(g, "").Text, -1)
	if len(others) != 1 {
		t.Fatalf("%d other sessions", len(others))
	}
	tablet.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
	desk.change(g, "/sessions/end", "id", others[0][1]).wants(t, http.StatusSeeOther).leads(t, "/oauth2/account")
	phone.signedOut(g)
	tablet.signedIn(g)
	desk.change(g, "/sessions/end_others").wants(t, http.StatusSeeOther)
	tablet.signedOut(g)
	if text := desk.account(g, "").says(t, http.StatusOK, "this one").Text; strings.Contains(text, "/sessions/end") {
		t.Error("there is still something to end")
	}
}

// TestPassThroughLeavesNothing: who passes through looks at their page, and the
// store holds their session and nothing else of them.
func TestPassThroughLeavesNothing(t *testing.T) {
	t.Parallel()
	redis, acme := servers.Redis(t, servers.RedisOptions{}), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(servers.StartApp(t).URL, []string{connectionText("acme", acme.URL(), "jit: {enabled: false}")},
		"local: {enabled: true}", redisStore(redis, "gatehouse:")))
	acme.SetPersona("guest", person("guest", nil), nil)
	guest := comes(t, g, "guest", "acme")
	keys := func() []string {
		t.Helper()
		all, err := redis.Client(t).Keys(t.Context(), "*").Result()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	sorted := cmp.Transformer("sorted", func(all []string) map[string]bool {
		set := map[string]bool{}
		for _, key := range all {
			set[key] = true
		}
		return set
	})
	before := keys()
	guest.account(g, "").says(t, http.StatusOK, "Nothing is stored about you", "X-Forwarded-User", "guest")
	for _, e := range accountEndpoints(shownFactor{kind: "totp"}, accountLink{"acme", acme.URL(), "guest-1"}) {
		if e.path != "/account" {
			guest.send(false, e.method, g.URL+"/oauth2"+e.path, e.form).wants(t, http.StatusNotFound)
		}
	}
	guest.look(g.URL+"/oauth2/prove").wants(t, http.StatusNotFound)
	if diff := cmp.Diff(before, keys(), sorted); diff != "" {
		t.Errorf("the store (-before +after):\n%s", diff)
	}
	for _, key := range before {
		if strings.Contains(key, "account:") || strings.Contains(key, "identity:") {
			t.Errorf("it holds %s", key)
		}
	}
}
