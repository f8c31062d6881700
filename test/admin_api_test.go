package test

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// asAdmin posts JSON to the accounts of the administrators' API, or gets what is
// there.
func asAdmin(t testing.TB, v *visitor, g *servers.Gateway, method, path, body string) reply {
	t.Helper()
	return v.api(g, method, "/oauth2/admin/api/accounts"+path, body)
}

// api posts JSON to an API of the gateway, or gets what is there.
func (v *visitor) api(g *servers.Gateway, method, path, body string) reply {
	t := v.t
	t.Helper()
	r, err := http.NewRequest(method, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := v.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// TestAdministrationOverHTTP: an administrator does over HTTP what the user
// commands do; nobody else does, and what was done stands in the history under
// their name.
func TestAdministrationOverHTTP(t *testing.T) {
	t.Parallel()
	application, acme := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(application.URL, []string{connectionText("acme", acme.URL())},
		"local: {enabled: true}", "admin: {groups: [admins]}"))
	addUser(t, g, "root", "--group", "admins")
	addUser(t, g, "ada")
	admin, ada := newVisitor(t, "root"), newVisitor(t, "")
	admin.enrol(g, "root")
	ada.enrol(g, "ada")

	asAdmin(t, newVisitor(t, ""), g, "GET", "", "").wants(t, http.StatusUnauthorized)
	asAdmin(t, ada, g, "GET", "", "").wants(t, http.StatusForbidden)
	asAdmin(t, ada, g, "POST", "/root/disable", "{}").wants(t, http.StatusForbidden)

	var all []account
	decode(t, asAdmin(t, admin, g, "GET", "", "").wants(t, http.StatusOK).Text, &all)
	if len(all) != 2 {
		t.Errorf("%d accounts", len(all))
	}
	var factors struct {
		Factors []struct{ ID, Kind string }
	}
	decode(t, asAdmin(t, admin, g, "GET", "/ada/factors", "").wants(t, http.StatusOK).Text, &factors)
	if len(factors.Factors) == 0 || factors.Factors[0].Kind != "totp" {
		t.Errorf("factors %+v", factors)
	}
	asAdmin(t, admin, g, "POST", "/ada/reset-mfa", `{}`).wants(t, http.StatusOK)
	ada.signedOut(g)
	if a := showAccount(t, g, "ada"); len(a.Factors) > 0 {
		t.Errorf("factors %v", a.Factors)
	}
	asAdmin(t, admin, g, "POST", "/ada/require-mfa", ``).wants(t, http.StatusOK)
	asAdmin(t, admin, g, "POST", "/ada/unlock", ``).wants(t, http.StatusOK)
	var link struct{ URL string }
	decode(t, asAdmin(t, admin, g, "POST", "/ada/setup-link", ``).wants(t, http.StatusOK).Text, &link)
	if !linkInMail.MatchString(link.URL) {
		t.Errorf("link %q", link.URL)
	}
	var cleo account
	decode(t, asAdmin(t, admin, g, "POST", "", `{"username":"cleo","groups":["staff"]}`).wants(t, http.StatusOK).Text, &cleo)
	if cleo.Username != "cleo" || len(cleo.Groups) != 1 {
		t.Errorf("%+v", cleo)
	}
	if r := asAdmin(t, admin, g, "POST", "", `{"username":"cleo"}`).wants(t, http.StatusUnprocessableEntity); !strings.Contains(r.Text, "cleo") {
		t.Errorf("a name that is taken: %s", r.Text)
	}
	asAdmin(t, admin, g, "GET", "/ghost", "").wants(t, http.StatusNotFound)
	if history := run(t, g, "user", "history", "ada"); !strings.Contains(history, "second factors reset by administrator root") {
		t.Errorf("history:\n%s", history)
	}
	// Attack: an administrator's provider is taken over, and whoever comes through
	// it makes themselves a way in that lasts.
	acme.SetPersona("root", person("root", map[string]any{"amr": []any{"pwd", "mfa"}}), nil)
	admin.link(g, "acme").wants(t, http.StatusOK)
	taken := comes(t, g, "root", "acme")
	asAdmin(t, taken, g, "GET", "", "").wants(t, http.StatusOK)
	for path, body := range map[string]string{"": `{"username":"eve","groups":["admins"],"setup_link":true}`, "/root/setup-link": "", "/root/reset-mfa": ""} {
		if r := asAdmin(t, taken, g, "POST", path, body).wants(t, http.StatusForbidden); !strings.Contains(r.Text, "proof_required") {
			t.Errorf("%s: %s", path, r.Text)
		}
	}
	// Who is no administrator any more is none at once.
	run(t, g, "user", "set", "root", "--groups", "")
	asAdmin(t, admin, g, "GET", "", "").wants(t, http.StatusForbidden)

	// Without admin.groups there is no such API.
	plain := servers.StartGateway(t, binary, localOnly(application.URL))
	asAdmin(t, newVisitor(t, ""), plain, "GET", "", "").wants(t, http.StatusNotFound)
}

// TestAdministrationAroundDamage: one record that cannot be read hides no other
// account, and an outage of the store looks neither like a refusal nor like a
// deletion.
func TestAdministrationAroundDamage(t *testing.T) {
	t.Parallel()
	redis := servers.Redis(t, servers.RedisOptions{})
	g := servers.StartGateway(t, binary, localOnly(servers.StartApp(t).URL, "admin: {groups: [admins]}", "mfa: {enforce: off}",
		"session: {cache_ttl: 10m}", redisStore(redis, "gatehouse:")))
	addUser(t, g, "root", "--group", "admins")
	lost := addUser(t, g, "ada")
	admin := newVisitor(t, "root")
	admin.password(g, "root", goodPassword).wants(t, http.StatusSeeOther)
	if err := redis.Client(t).Set(t.Context(), "gatehouse:account:"+lost.ID, "damaged", 0).Err(); err != nil {
		t.Fatal(err)
	}
	var all []account
	page := asAdmin(t, admin, g, "GET", "", "").wants(t, http.StatusOK)
	decode(t, page.Text, &all)
	if len(all) != 1 || all[0].Username != "root" || !strings.Contains(page.Header.Get("X-Gatehouse-Incomplete"), "1 account cannot be read") {
		t.Errorf("%d accounts, %q", len(all), page.Header.Get("X-Gatehouse-Incomplete"))
	}
	redis.Stop()
	for method, path := range map[string]string{"GET": "/root", "POST": "/root/unlock"} {
		if r := asAdmin(t, admin, g, method, path, "").wants(t, http.StatusServiceUnavailable); r.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s has no Retry-After", method, path)
		}
	}
}
