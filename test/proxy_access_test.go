package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestAccessRules judges people with real sessions, local and federated, by
// every kind of rule. What cannot be evaluated denies. Attack: "not" over
// something that the identity provider left out.
func TestAccessRules(t *testing.T) {
	t.Parallel()
	idp := badidp.Start(t)
	idp.SetPersona("fay", map[string]any{ // an account by JIT
		"sub": "1", "preferred_username": "fay", "email": "fay@corp.example", "email_verified": true, "groups": []any{"staff"}, "amr": []any{"pwd", "mfa"}, "acr": "gold",
	}, nil)
	idp.SetPersona("gil", map[string]any{ // passes through, and nothing is known of groups and amr
		"sub": "2", "preferred_username": "gil", "email": "gil@corp.example", "email_verified": false,
	}, nil)
	rules := []struct{ rule, admits string }{
		{"authenticated", "root pat kim fay gil"},
		{"{groups: [staff]}", "root pat fay"},
		{"{groups: [admins, owners]}", "root"},
		{"{groups: [Staff]}", ""},
		{"{groups: [sta]}", ""},
		{"{users: [pat, fay]}", "pat fay"},
		{"{users: [PAT]}", ""},
		{`{users: ["partner:2"]}`, "gil"},
		{`{emails: [Pat@Corp.Example, "fay@corp.example"]}`, "pat fay"},
		{"{emails: [gil@corp.example]}", ""}, // not verified: no e-mail
		{"{email_domains: [corp.example]}", "root fay pat"},
		{"{email_domains: [example]}", ""},
		{"{email_domains: [orp.example]}", ""},
		{"{connections: [acme]}", "fay"},
		{"{connections: [acme, partner]}", "fay gil"},
		{"{connections: [local]}", "root pat kim"},
		{"{local: true}", "root pat kim"},
		{"{local: false}", "fay gil"},
		{"{amr: [pwd]}", "root pat kim fay"},
		{"{amr: [mfa]}", "fay"},
		{"{acr: [silver, gold]}", "fay"},
		{"{acr: [gol]}", ""},
		{"{not: {acr: [gold]}}", ""}, // of the others none is known
		{"{client_addresses: [127.0.0.0/8, 192.0.2.1]}", "root pat kim fay gil"},
		{"{client_addresses: [192.0.2.0/24]}", ""},
		{"{not: {client_addresses: [192.0.2.0/24]}}", "root pat kim fay gil"},
		{"{any: [{client_addresses: [192.0.2.0/24]}, {groups: [admins]}]}", "root"},
		{"{groups: [staff], email_domains: [corp.example], local: true}", "root pat"},
		{"{any: [{groups: [admins]}, {connections: [partner]}]}", "root gil"},
		{"{all: [{groups: [staff]}, {any: [{users: [pat]}, {users: [fay]}]}]}", "pat fay"},
		{"{not: {groups: [admins]}}", "pat kim fay"},
		{"{not: {emails: [pat@corp.example]}}", "root fay"}, // kim and gil have none that counts
		{"{not: {amr: [mfa]}}", "root pat kim"},
		{"{not: {not: {groups: [staff]}}}", "root pat fay"},
		{"{groups: [staff], not: {users: [root]}}", "pat fay"},
		{"{any: [{groups: [staff]}, {not: {groups: [admins]}}]}", "root pat kim fay"},
	}
	var routes []string
	for i, tt := range rules {
		routes = append(routes, fmt.Sprintf(`path: /%d/, upstream: "static:204", access: %s`, i, tt.rule))
	}
	g := servers.StartGateway(t, binary, proxyText("", routes, "connections:\n"+
		connectionText("acme", idp.URL())+connectionText("partner", idp.URL(), "jit: {enabled: false}"),
		`contact: "the service desk <desk@corp.example>"`))
	people := map[string]*visitor{
		"root": newLocal(t, g, "root", "--email", "root@corp.example", "--group", "admins", "--group", "staff"),
		"pat":  newLocal(t, g, "pat", "--email", "pat@corp.example", "--group", "staff"),
		"kim":  newLocal(t, g, "kim"),
		"fay":  newVisitor(t, "fay"),
		"gil":  newVisitor(t, "gil"),
	}
	people["fay"].start(g, "acme", "/0/").wants(t, http.StatusNoContent)
	people["gil"].start(g, "partner", "/0/").wants(t, http.StatusNoContent)
	for i, tt := range rules {
		admitted := strings.Fields(tt.admits)
		for name, v := range people {
			want := http.StatusForbidden
			for _, a := range admitted {
				if a == name {
					want = http.StatusNoContent
				}
			}
			// As a program: a person may be sent to prove more.
			if r := v.look(fmt.Sprintf("%s/%d/x", g.URL, i), api...); r.StatusCode != want {
				t.Errorf("%s answered %s %d, want %d", tt.rule, name, r.StatusCode, want)
			}
		}
		if r := newVisitor(t, "").look(fmt.Sprintf("%s/%d/x", g.URL, i), api...); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s answered nobody %s", tt.rule, r.Status)
		}
	}

	// Asked beforehand, the command says the same.
	for i, tt := range rules {
		want := 1
		if slices.Contains(strings.Fields(tt.admits), "fay") {
			want = 0
		}
		args := []string{"why", "--url", fmt.Sprintf("%s/%d/x", g.URL, i), "--user", "fay", "--amr", "pwd,mfa", "--acr", "gold", "--client", "127.0.0.1", "--config", g.Config}
		if r := g.Run(t, "", args...); r.Code != want {
			t.Errorf("gatehouse why of %s ends with %d, want %d:\n%s%s", tt.rule, r.Code, want, r.Stdout, r.Stderr)
		}
	}

	// Who is refused learns what is missing, and whom to ask; not who else may.
	refused := func(rule, name string, headers ...string) reply {
		t.Helper()
		i := slices.IndexFunc(rules, func(r struct{ rule, admits string }) bool { return r.rule == rule })
		return people[name].look(fmt.Sprintf("%s/%d/x", g.URL, i), headers...).wants(t, http.StatusForbidden)
	}
	for _, page := range []struct{ rule, name, says string }{
		{"{groups: [admins, owners]}", "pat", "membership in one of the groups admins, owners"},
		{"{groups: [staff], email_domains: [corp.example], local: true}", "fay", "a sign-in with a password of this site"},
		{"{amr: [mfa]}", "gil", "a sign-in with a second factor"},
		{"{client_addresses: [192.0.2.0/24]}", "pat", "a network on its list"},
		{"{users: [pat, fay]}", "kim", "a place on its list of people"},
		{"{any: [{groups: [admins]}, {connections: [partner]}]}", "kim", "one of these: membership in the group admins; or a sign-in by partner"},
	} {
		refused(page.rule, page.name).says(t, http.StatusForbidden, "What is missing", "<li>"+page.says+"</li>", "ask the service desk &lt;desk@corp.example&gt;")
	}
	if text := refused("{users: [pat, fay]}", "kim").Text; strings.Contains(text, "fay") {
		t.Errorf("the page names who may pass:\n%s", text)
	}
	var answer struct {
		Error, Contact string
		Missing        []string
	}
	decode(t, refused("{groups: [staff], email_domains: [corp.example], local: true}", "gil", api...).Text, &answer)
	if answer.Error != "forbidden" || len(answer.Missing) != 3 || answer.Contact != "the service desk <desk@corp.example>" {
		t.Errorf("a program is told %+v", answer)
	}

	// A change acts on the next request.
	const staff = "/1/x"
	people["pat"].look(g.URL+staff).wants(t, http.StatusNoContent)
	run(t, g, "user", "set", "pat", "--groups", "others")
	people["pat"].look(g.URL+staff).wants(t, http.StatusForbidden)
	run(t, g, "user", "set", "kim", "--groups", "staff")
	people["kim"].look(g.URL+staff).wants(t, http.StatusNoContent)
	run(t, g, "user", "disable", "root")
	people["root"].look(g.URL+staff, api...).wants(t, http.StatusUnauthorized)
	run(t, g, "user", "enable", "root")
	people["root"].look(g.URL+staff, api...).wants(t, http.StatusUnauthorized)
}

// TestClientAddresses: where a request comes from is what the connection says,
// or a proxy that is trusted. Attack: say so oneself, from elsewhere.
func TestClientAddresses(t *testing.T) {
	t.Parallel()
	rules := []string{
		`path: /office/, upstream: "static:204", access: {client_addresses: [198.51.100.0/24]}`,
		`path: /abroad/, upstream: "static:204", access: {not: {client_addresses: [198.51.100.0/24]}}`,
		`path: /here/, upstream: "static:204", access: {client_addresses: [127.0.0.0/8]}`,
	}
	const office, abroad = "198.51.100.7", "203.0.113.7"
	for _, tt := range []struct {
		server, said         string
		office, abroad, here int
	}{
		{"", office, 403, 204, 204}, // nobody is trusted
		{"trusted_proxies: [127.0.0.1]", office, 204, 403, 403},
		{"trusted_proxies: [127.0.0.1]", abroad, 403, 204, 403},
		{"trusted_proxies: [127.0.0.1]", "", 403, 403, 403}, // the proxy does not say
		{"trusted_proxies: [127.0.0.1]", "garbage", 403, 403, 403},
	} {
		g := servers.StartGateway(t, binary, proxyText(tt.server, rules))
		v := newLocal(t, g, "ann")
		for path, want := range map[string]int{"/office/": tt.office, "/abroad/": tt.abroad, "/here/": tt.here} {
			var headers []string
			if tt.said != "" {
				headers = []string{"X-Forwarded-For", tt.said}
			}
			if r := v.look(g.URL+path, headers...); r.StatusCode != want {
				t.Errorf("%s, who comes from %q, %s: %d, want %d", tt.server, tt.said, path, r.StatusCode, want)
			}
		}
	}
}

// TestPublicFrom: who comes from a network needs no session, and who has one is
// still named. Attack: say that one comes from there.
func TestPublicFrom(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	const office, abroad = "198.51.100.7", "203.0.113.7"
	routes := []string{
		`path: /, upstream: "` + app.URL + `", access: {groups: [staff]}, public_from: [198.51.100.0/24]`,
		`path: /here/, upstream: "` + app.URL + `", public_from: [127.0.0.1]`,
	}
	for _, tt := range []struct {
		server, said string
		office, here int // for nobody
	}{
		{"", "", 401, 200},
		{"", office, 401, 200}, // nobody is trusted
		{"trusted_proxies: [127.0.0.1]", office, 200, 401},
		{"trusted_proxies: [127.0.0.1]", abroad, 401, 401},
		{"trusted_proxies: [127.0.0.1]", "", 401, 401}, // the proxy does not say
	} {
		g := servers.StartGateway(t, binary, proxyText(tt.server, routes))
		kim := newLocal(t, g, "kim")
		headers := slices.Clone(api)
		if tt.said != "" {
			headers = append(headers, "X-Forwarded-For", tt.said)
		}
		for path, want := range map[string]int{"/x": tt.office, "/here/x": tt.here} {
			if r := newVisitor(t, "").look(g.URL+path, append(headers, "X-Forwarded-User", "root")...); r.StatusCode != want {
				t.Errorf("%q, who comes from %q, %s: %d, want %d", tt.server, tt.said, path, r.StatusCode, want)
			} else if want == http.StatusOK && app.Last(t).Header.Get("X-Forwarded-User") != "" {
				t.Errorf("nobody is %q", app.Last(t).Header.Get("X-Forwarded-User"))
			}
		}
		if tt.server == "" || tt.said == "" {
			continue
		}
		if tt.said == abroad { // kim is not in that group
			kim.look(g.URL+"/x", headers...).wants(t, http.StatusForbidden)
			continue
		}
		kim.look(g.URL+"/x", headers...).wants(t, http.StatusOK)
		if got := app.Last(t).Header.Get("X-Forwarded-User"); got != "kim" {
			t.Errorf("the application is told of %q", got)
		}
		asked := append([]string{"X-Forwarded-Uri", "/x", "X-Forwarded-Host", g.Addr, "X-Forwarded-Method", "GET"}, headers...)
		verdict := newVisitor(t, "").look(g.URL+"/oauth2/auth", asked...).wants(t, http.StatusAccepted)
		if user, there := verdict.Header["X-Auth-Request-User"]; !there || user[0] != "" {
			t.Errorf("the verdict names %q", user)
		}
		if r := g.Run(t, "", "why", "--url", "/x", "--client", office, "--config", g.Config); r.Code != 0 || !strings.Contains(r.Stdout, "everybody may pass") {
			t.Errorf("gatehouse why ends with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		if r := g.Run(t, "", "why", "--url", "/x", "--client", abroad, "--config", g.Config); r.Code != 1 {
			t.Errorf("gatehouse why ends with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
	}
}
