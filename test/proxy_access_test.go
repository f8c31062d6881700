package test

import (
	"fmt"
	"net/http"
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
		"sub": "1", "preferred_username": "fay", "email": "fay@corp.example", "email_verified": true, "groups": []any{"staff"}, "amr": []any{"pwd", "mfa"},
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
		connectionText("acme", idp.URL())+connectionText("partner", idp.URL(), "jit: {enabled: false}")))
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
			if r := v.look(fmt.Sprintf("%s/%d/x", g.URL, i)); r.StatusCode != want {
				t.Errorf("%s answered %s %d, want %d", tt.rule, name, r.StatusCode, want)
			}
		}
		if r := newVisitor(t, "").look(fmt.Sprintf("%s/%d/x", g.URL, i), api...); r.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s answered nobody %s", tt.rule, r.Status)
		}
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
