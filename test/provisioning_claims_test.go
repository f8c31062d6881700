package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// bothWays are a connection with JIT on and one with JIT off to one provider.
func bothWays(idp *badidp.IdP, more ...string) []string {
	return []string{
		connectionText("on", idp.URL(), more...),
		connectionText("off", idp.URL(), append([]string{"jit: {enabled: false}"}, more...)...),
	}
}

// TestBadClaimsChangeNothing: somebody who has been here before comes with
// claims that cannot be read. They are refused on a page; their account, and
// what it had of the answer before, is as it was; their open session goes on,
// and so does the gateway. Attack: half of an answer is taken, and the half
// grants what the whole would deny.
func TestBadClaimsChangeNothing(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, bothWays(idp, "attributes: {department: [department, unit]}")))
	good := person("pat", map[string]any{"department": "R&D", "groups": []any{"staff", "crew"}})
	idp.SetPersona("pat", good, nil)
	open, passed := comes(t, g, "pat", "on"), comes(t, g, "pat", "off")
	before := showAccount(t, g, "pat")

	object, nested := map[string]any{"a": "b"}, []any{[]any{"a"}}
	tests := []struct {
		name   string
		claims map[string]any
	}{
		{"department an object", map[string]any{"department": object, "groups": []any{"admins"}}},
		{"department a list in a list", map[string]any{"department": nested, "groups": []any{"admins"}}},
		// What stands behind in the list is not looked at.
		{"department an object, unit good", map[string]any{"department": object, "unit": "Ops"}},
		{"groups an object", map[string]any{"groups": object, "department": "Ops"}},
		{"groups hold an object", map[string]any{"groups": []any{"staff", object}, "department": "Ops"}},
		{"groups a boolean", map[string]any{"groups": true, "department": "Ops"}},
		{"username a boolean", map[string]any{"preferred_username": false, "department": "Ops"}},
		{"e-mail a number", map[string]any{"email": 4711, "department": "Ops"}},
		{"e-mail a boolean", map[string]any{"email": false, "department": "Ops"}},
		{"two e-mail addresses", map[string]any{"email": []any{"pat@corp.example", "root@corp.example"}}},
		{"100 kB", map[string]any{"department": strings.Repeat("x", 100<<10)}},
		{"10,001 groups", map[string]any{"groups": slices.Repeat([]any{"g"}, 10_001)}},
		{"9,000 levels", map[string]any{"department": json.RawMessage(strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000))}},
		{"a name twice", map[string]any{"other": json.RawMessage(`{"a":1,"a":2}`)}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims := person("pat", tt.claims)
			idp.SetPersona("pat", claims, nil)
			// Somebody new with the same answer gets no account either.
			stranger := fmt.Sprint("new", i)
			idp.SetPersona(stranger, person(stranger, tt.claims), nil)
			for _, connection := range []string{"on", "off"} {
				for _, persona := range []string{"pat", stranger} {
					v := newVisitor(t, persona)
					r := v.start(g, connection, "/").wants(t, http.StatusBadGateway)
					if !strings.Contains(r.Text, r.Header.Get("X-Request-Id")) {
						t.Errorf("no page with its request id:\n%s", r.Text)
					}
					v.signedOut(g)
				}
			}
			file := filepath.Join(t.TempDir(), "claims.json")
			text, err := json.Marshal(claims)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if r := g.Run(t, "", "explain", "--connection", "on", "--claims", file, "--config", g.Config); r.Code != 1 {
				t.Errorf("explain ended with %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
		})
	}
	if diff := cmp.Diff([]account{before}, accounts(t, g)); diff != "" {
		t.Errorf("accounts (-before +after):\n%s", diff)
	}
	open.signedIn(g)
	passed.signedIn(g)
	idp.SetPersona("pat", good, nil)
	comes(t, g, "pat", "on")
	if strings.Contains(g.Output(), "panic") {
		t.Error("something panicked")
	}
}

// TestOddClaims: what is unusual and readable comes in, each in one way: kept as
// it is, or left out, and never as somebody else.
func TestOddClaims(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, bothWays(idp, "attributes: {department: department}")))
	type want struct {
		Email      string
		Department []string // nil: none
		Groups     []string // of the account; nil: none
	}
	const fallback = "on-" // and a hash
	usual := want{"NAME@corp.example", nil, []string{"staff"}}
	without := func(f func(*want)) want { w := usual; f(&w); return w }
	tests := []struct {
		name   string
		claims map[string]any
		user   string // "": the persona
		want   want
	}{
		{"nothing but a subject", map[string]any{"preferred_username": nil, "email": nil, "name": nil, "groups": nil}, fallback, want{}},
		{"everything blank", map[string]any{"preferred_username": "", "email": "", "name": "", "groups": []any{}, "department": ""}, fallback, want{Department: []string{}}},
		{"a blank group", map[string]any{"groups": []any{"", " ", nil}}, "", without(func(w *want) { w.Groups = nil })},
		{"one group as text", map[string]any{"groups": "crew"}, "", without(func(w *want) { w.Groups = []string{"crew"} })},
		{"numbers", map[string]any{"preferred_username": 4711, "department": json.Number("12345678901234567890"), "groups": []any{7}}, "4711", want{"NAME@corp.example", []string{"12345678901234567890"}, []string{"7"}}},
		{"a number that no computer holds", map[string]any{"department": json.Number("1e400000")}, "", without(func(w *want) { w.Department = []string{"1e400000"} })},
		{"a boolean", map[string]any{"department": true}, "", without(func(w *want) { w.Department = []string{"true"} })},
		{"values of all kinds", map[string]any{"department": []any{"a", 1, false, nil, ""}}, "", without(func(w *want) { w.Department = []string{"a", "1", "false"} })},
		{"null", map[string]any{"department": nil, "groups": nil}, "", without(func(w *want) { w.Groups = nil })},
		{"e-mail with a line end", map[string]any{"email": "NAME@corp.example\r\nX-Forwarded-User: root"}, "", without(func(w *want) { w.Email = "" })},
		{"e-mail with a bidi mark", map[string]any{"email": "root\u202e@corp.example"}, "", without(func(w *want) { w.Email = "" })},
		{"e-mail that is none", map[string]any{"email": "root"}, "", without(func(w *want) { w.Email = "" })},
		{"username with a bidi mark", map[string]any{"preferred_username": "\u202etoor"}, fallback, usual},
		{"username with NUL", map[string]any{"preferred_username": "root\x00"}, fallback, usual},
		{"group with a line end", map[string]any{"groups": []any{"a\r\nb", "c"}}, "", without(func(w *want) { w.Groups = []string{"a\r\nb", "c"} })},
		{"half a surrogate pair", map[string]any{"department": json.RawMessage(`"a\ud800"`)}, "", without(func(w *want) { w.Department = []string{"a\ufffd"} })},
		{"9,000 levels that nobody asked for", map[string]any{"other": json.RawMessage(strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000))}, "", usual},
		{"100 kB that nobody asked for", map[string]any{"other": strings.Repeat("x", 100<<10)}, "", usual},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprint("odd", i)
			claims := person(name, tt.claims)
			if email, isText := claims["email"].(string); isText {
				claims["email"] = strings.ReplaceAll(email, "NAME", name)
			}
			idp.SetPersona(name, claims, nil)
			for _, connection := range []string{"on", "off"} {
				v := comes(t, g, name, connection)
				v.look(g.URL+"/oauth2/auth").wants(t, http.StatusAccepted)
				if email := app.Last(t).Header.Get("X-Forwarded-Email"); email != strings.ReplaceAll(tt.want.Email, "NAME", name) {
					t.Errorf("%s: the e-mail is %q", connection, email)
				}
				for _, group := range app.Last(t).Header["X-Forwarded-Groups"] {
					if decoded(t, group) != strings.Join(tt.want.Groups, ",") {
						t.Errorf("%s: the groups are %q", connection, group)
					}
				}
			}
			a := linkedTo(t, g, "on", name+"-1")
			user := tt.user
			if user == "" {
				user = name
			}
			if a.Username != user && !(user == fallback && strings.HasPrefix(a.Username, fallback)) {
				t.Errorf("username %q, want %q", a.Username, user)
			}
			got := want{a.Email, nil, a.Groups}
			if detail, has := a.Attributes["department"]; has {
				got.Department = append([]string{}, detail.Values...)
			}
			if len(a.Groups) == 0 {
				got.Groups = nil
			}
			expected := tt.want
			expected.Email = strings.ReplaceAll(expected.Email, "NAME", name)
			if diff := cmp.Diff(expected, got); diff != "" {
				t.Errorf("account (-want +got):\n%s", diff)
			}
			// The same answer again changes nothing.
			comes(t, g, name, "on")
			if diff := cmp.Diff(a, linkedTo(t, g, "on", name+"-1")); diff != "" {
				t.Errorf("the same answer again (-first +second):\n%s", diff)
			}
		})
	}
}

// TestManyGroups: 10,000 groups are a sign-in like any other. All of them decide
// what is allowed; the header holds as many whole ones as fit.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, withGroupRoutes(configText(app.URL, bothWays(idp)), app.URL, "g9999", "g10000"))
	var many []any
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("g%04d", i))
	}
	idp.SetPersona("pat", person("pat", map[string]any{"groups": many}), nil)
	for _, connection := range []string{"on", "off"} {
		v := comes(t, g, "pat", connection)
		v.look(g.URL+"/g9999").wants(t, http.StatusOK)
		v.look(g.URL+"/g10000").wants(t, http.StatusForbidden)
		for _, header := range []string{app.Last(t).Header.Get("X-Forwarded-Groups"), v.look(g.URL+"/oauth2/auth").wants(t, http.StatusAccepted).Header.Get("X-Auth-Request-Groups")} {
			items := strings.Split(header, ",")
			if len(header) > 8<<10 || len(items) < 1000 {
				t.Errorf("%s: a header of %d bytes with %d groups", connection, len(header), len(items))
			}
			for _, item := range items {
				if !slices.Contains(many, any(item)) {
					t.Fatalf("%s: %q is half of a group", connection, item)
				}
			}
		}
	}
	first := showAccount(t, g, "pat")
	if len(first.Groups) != 10_000 {
		t.Errorf("the account has %d groups", len(first.Groups))
	}
	comes(t, g, "pat", "on")
	// Another answer takes all but one away at once.
	open := comes(t, g, "pat", "on")
	idp.SetPersona("pat", person("pat", map[string]any{"groups": []any{"g0000"}}), nil)
	comes(t, g, "pat", "on")
	open.look(g.URL+"/g9999").wants(t, http.StatusForbidden)
	if groups := showAccount(t, g, "pat").Groups; !slices.Equal(groups, []string{"g0000"}) {
		t.Errorf("the account has %d groups", len(groups))
	}
}

// TestWithheldGroups: a provider that has the groups and does not send them, as
// Entra does with more than fit into a token. Nobody comes in without the
// groups that they have, nothing is asked where the token points, and the page
// and the log say why.
func TestWithheldGroups(t *testing.T) {
	t.Parallel()
	app, idp, elsewhere := servers.StartApp(t), badidp.Start(t), servers.StartApp(t)
	sources := map[string]any{"src1": map[string]any{"endpoint": elsewhere.URL + "/groups"}}
	forms := map[string]map[string]any{
		"_claim_names":   {"groups": nil, "_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": sources},
		"hasgroups":      {"groups": nil, "hasgroups": true},
		"groups:src1":    {"groups": nil, "groups:src1": sources["src1"]},
		"name of source": {"groups": "src1", "_claim_sources": sources},
	}
	connections := append(bothWays(idp),
		connectionText("gate", idp.URL(), "require: {groups: [staff]}"),
		connectionText("none", idp.URL(), `attributes: {groups: ""}`),
		connectionText("roles", idp.URL(), "attributes: {groups: [groups, roles]}", "jit: {enabled: false}"),
		connectionText("fixed", idp.URL(), "attributes: {groups: {constant: partners}}", "jit: {enabled: false}"))
	g := servers.StartGateway(t, binary, configText(app.URL, connections))
	const heading = "Your groups could not be read"
	idp.SetPersona("pat", person("pat", nil), nil)
	open := comes(t, g, "pat", "on")
	before := showAccount(t, g, "pat")
	for name, more := range forms {
		t.Run(name, func(t *testing.T) {
			idp.SetPersona("pat", person("pat", more), nil)
			idp.SetPersona("lee", person("lee", more), nil)
			for _, persona := range []string{"pat", "lee"} {
				for _, connection := range []string{"on", "off", "gate"} {
					refused(t, g, persona, connection, heading)
				}
			}
		})
	}
	logs(t, g, `"reason":"groups_withheld"`)
	if diff := cmp.Diff([]account{before}, accounts(t, g)); diff != "" {
		t.Errorf("accounts (-before +after):\n%s", diff)
	}
	open.look(g.URL+"/").wants(t, http.StatusOK)
	if got := app.Last(t).Header.Get("X-Forwarded-Groups"); got != "staff" {
		t.Errorf("the open session has the groups %q", got)
	}

	// Where the groups are not wanted, or come from elsewhere, nothing is missing.
	idp.SetPersona("pat", person("pat", forms["_claim_names"]), nil)
	if got := comes(t, g, "pat", "fixed").signedIn(g)["groups"]; !cmp.Equal(got, []any{"partners"}) {
		t.Errorf("constant groups are %v", got)
	}
	refused(t, g, "pat", "roles", heading)
	more := person("pat", forms["_claim_names"])
	more["roles"] = []any{"crew"}
	idp.SetPersona("pat", more, nil)
	if got := comes(t, g, "pat", "roles").signedIn(g)["groups"]; !cmp.Equal(got, []any{"crew"}) {
		t.Errorf("groups of the second path are %v", got)
	}
	idp.SetPersona("new", person("new", forms["hasgroups"]), nil)
	comes(t, g, "new", "none")
	if n := len(elsewhere.Requests()); n != 0 || idp.Astray() != 0 {
		t.Errorf("%d requests went where the token points", n)
	}
}
