package test

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/test/servers"
)

// judged is what gatehouse why --request prints with --json.
type judged struct {
	RequestID string `json:"request_id"`
	Path      string
	About     struct{ Method, Host, Path string }
	Status    int
	Verdict   string
	User      string
	Decision  struct {
		Outcome, Route string
		Line           int
		StepUp         bool `json:"step_up"`
		Rule           []struct {
			Kind, Holds string
			Values      []string
		}
	}
}

// TestDecisionOfARequest: the id on the page of somebody who was refused is all
// that an administrator needs to see which rule it was, and why.
func TestDecisionOfARequest(t *testing.T) {
	t.Parallel()
	g := servers.StartGateway(t, binary, proxyText("trusted_proxies: [127.0.0.1]", []string{
		`path: /, upstream: "static:204"`,
		`path: /pay/, upstream: "static:204", access: {groups: [staff], email_domains: [corp.example]}`,
		`path: /mfa/, upstream: "static:204", access: {amr: [mfa]}`,
		`path: /open/, upstream: "static:204", access: public`,
	}, "admin: {groups: [admins]}"))
	root := newLocal(t, g, "root", "--group", "admins")
	kim := newLocal(t, g, "kim", "--group", "staff")
	ask := func(id string, code int) (j judged) {
		t.Helper()
		r := g.Run(t, "", "why", "--request", id, "--json", "--config", g.Config)
		if r.Code != code {
			t.Fatalf("gatehouse why --request ends with %d, want %d:\n%s%s", r.Code, code, r.Stdout, r.Stderr)
		}
		decode(t, r.Stdout, &j)
		if j.RequestID != id {
			t.Errorf("asked about %s, told about %s", id, j.RequestID)
		}
		return j
	}

	page := kim.look(g.URL+"/pay/slips?month=secret").wants(t, http.StatusForbidden)
	id := strings.TrimSuffix(strings.TrimPrefix(requestID.FindString(page.Text), "Request id <code>"), "</code>")
	j := ask(id, 1)
	if j.Path != "/pay/slips" || j.Status != 403 || j.Verdict != "forbidden" || j.User != "kim" || j.Decision.Outcome != "refused" || j.Decision.Route != "/pay/" || j.Decision.Line == 0 {
		t.Errorf("%+v", j)
	}
	if r := j.Decision.Rule; len(r) != 2 || r[0].Kind != "groups" || r[0].Holds != "yes" || r[1].Kind != "email_domains" || r[1].Holds != "unknown" {
		t.Errorf("the rule: %+v", r)
	}
	said := g.Run(t, "", "why", "--request", id, "--config", g.Config).Stdout
	for _, part := range []string{"GET 127.0.0.1:", "/pay/slips\n", "by     kim, who came in by local", "answer 403, forbidden", "route  /pay/, line ", "  unknown  email_domains: corp.example"} {
		if !strings.Contains(said, part) {
			t.Errorf("%q is not in\n%s", part, said)
		}
	}
	if strings.Contains(said, "secret") {
		t.Errorf("the query is told:\n%s", said)
	}

	// What it was decided upon counts, and not what is true by now.
	run(t, g, "user", "set", "kim", "--email", "kim@corp.example")
	passed := kim.look(g.URL+"/pay/").wants(t, http.StatusNoContent)
	if j := ask(passed.Header.Get("X-Request-Id"), 0); j.Decision.Outcome != "admitted" {
		t.Errorf("%+v", j)
	}
	if j := ask(id, 1); j.Decision.Rule[1].Holds != "unknown" {
		t.Errorf("%+v", j)
	}

	// Others than refusals, and a question of another proxy.
	for _, tt := range []struct {
		v                *visitor
		path             string
		headers          []string
		code             int
		verdict, outcome string
	}{
		{kim, "/mfa/", api, 1, "forbidden", "refused"},
		{newVisitor(t, ""), "/pay/", api, 1, "unauthenticated", "sign_in"},
		{newVisitor(t, ""), "/open/", api, 0, "public", "public"},
		{kim, "/pay%2f..%2fx", api, 1, "malformed", ""},
		{kim, "/oauth2/auth?allowed_groups=owners", api, 1, "forbidden", "refused"},
		{kim, "/oauth2/auth?allowed_groups=staff", api, 0, "allowed", "admitted"},
		{kim, "/oauth2/auth", append([]string{"X-Forwarded-Uri", "/mfa/x", "X-Forwarded-Method", "GET", "X-Forwarded-Host", g.Addr}, api...), 1, "forbidden", "refused"},
	} {
		r := tt.v.look(g.URL+tt.path, tt.headers...)
		j := ask(r.Header.Get("X-Request-Id"), tt.code)
		if j.Verdict != tt.verdict || j.Decision.Outcome != tt.outcome || j.Status != r.StatusCode {
			t.Errorf("%s %v: %+v", tt.path, tt.headers, j)
		}
		if len(tt.headers) > 2 && (j.About.Path != "/mfa/x" || j.Decision.Route != "/mfa/" || !j.Decision.StepUp) {
			t.Errorf("about another request: %+v", j)
		}
	}
	// A question that cannot be judged is refused, and no rule was asked.
	two := kim.look(g.URL+"/oauth2/auth", "X-Forwarded-Uri", "/pay/", "X-Original-Uri", "/open/").wants(t, http.StatusForbidden)
	r := g.Run(t, "", "why", "--request", two.Header.Get("X-Request-Id"), "--config", g.Config)
	if r.Code != 1 || !strings.Contains(r.Stdout, "the headers disagree about the path") || strings.Contains(r.Stdout, "may pass") {
		t.Errorf("ends with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	// Where another proxy does the proxying, the page that tells why has an id too.
	told := root.look(g.URL+"/oauth2/step_up", "Accept", "text/html", "X-Auth-Request-Redirect", "/pay/x").wants(t, http.StatusForbidden)
	if j := ask(told.Header.Get("X-Request-Id"), 1); j.Verdict != "forbidden" || j.Decision.Route != "/pay/" || j.Decision.Outcome != "refused" || j.User != "root" {
		t.Errorf("%+v", j)
	}
	own := kim.look(g.URL + "/oauth2/userinfo").Header.Get("X-Request-Id")
	if r := g.Run(t, "", "why", "--request", own, "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, "remembers no request with that id") {
		t.Errorf("ends with %d: %s", r.Code, r.Stderr)
	}

	// Administrators have it over HTTP, and nobody else.
	const at = "/oauth2/admin/api/requests/"
	decode(t, root.api(g, "GET", at+id, "").wants(t, http.StatusOK).Text, &j)
	if j.User != "kim" || j.Decision.Outcome != "refused" {
		t.Errorf("%+v", j)
	}
	root.api(g, "GET", at+own, "").wants(t, http.StatusNotFound)
	kim.api(g, "GET", at+id, "").wants(t, http.StatusForbidden)
	newVisitor(t, "").api(g, "GET", at+id, "").wants(t, http.StatusUnauthorized)
}
