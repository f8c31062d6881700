package test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// decoded reads an identity header back, as an application would.
func decoded(t *testing.T, value string) string {
	t.Helper()
	for i := 0; i < len(value); i++ {
		if value[i] < ' ' || value[i] > '~' {
			t.Errorf("byte %#02x in a header value", value[i])
		}
	}
	s, err := url.PathUnescape(value)
	if err != nil {
		t.Errorf("not readable: %v", err)
	}
	return s
}

// TestHostileClaims: whatever an identity provider says of a person arrives at
// the application as one header value that can be read back, or not at all,
// JIT on and off alike. Attack: a name with a line end that adds
// "X-Forwarded-Groups: admins"; a group "users,admins" that becomes two.
func TestHostileClaims(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	const attributes = "attributes: {department: department, tags: tags}"
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("on", idp.URL(), attributes),
		connectionText("off", idp.URL(), attributes, "jit: {enabled: false}"),
	}))
	for i, tt := range []struct {
		name  string
		value string
	}{
		{"line end", "Pat\r\nX-Forwarded-Groups: admins"},
		{"CR alone", "Pat\rX-Forwarded-User: root"},
		{"LF alone", "Pat\nX-Forwarded-User: root\n\nGET /evil HTTP/1.1"},
		{"NUL", "Pat\x00root"},
		{"DEL and others", "Pat\x7f\x01\x1b[31m\t\v"},
		{"UTF-8", "Zoë Müller 李 🚪"},
		{"not normalised", "Zoe\u0308"},
		{"bidi and zero width", "pat\u202eroot\u200b"},
		{"percent", "100% %0d%0a %2"},
		{"comma", "Doe, Pat"},
		{"spaces", "  Pat  "},
		{"quotes", `"Pat" \ ; = <b>`},
		{"nothing but a space", " "},
	} {
		for _, connection := range []string{"on", "off"} {
			t.Run(tt.name+", "+connection, func(t *testing.T) {
				persona := fmt.Sprintf("%s%d", connection, i)
				idp.SetPersona(persona, map[string]any{
					"sub": persona, "preferred_username": persona, "email": persona + "@corp.example", "email_verified": true,
					"name": tt.value, "department": tt.value, "groups": []any{"staff", tt.value, "ops"}, "tags": []any{tt.value, "b"},
				}, nil)
				v := newVisitor(t, persona)
				v.start(g, connection, "/app-"+persona).wants(t, http.StatusOK)
				got := app.Last(t)
				if got.RequestURI != "/app-"+persona {
					t.Fatalf("the application got %s", got.RequestURI)
				}
				one := func(name string) string {
					v := values(got, name)
					if len(v) != 1 {
						t.Fatalf("%s: %q", name, v)
					}
					return v[0]
				}
				// A blank claim is none (provisioning.md, section 3).
				if strings.TrimSpace(tt.value) != "" {
					if said := decoded(t, one("X-Forwarded-Attr-Name")); said != tt.value && said != strings.TrimSpace(tt.value) {
						t.Errorf("name arrives as %q", said)
					}
					var groups []string
					for item := range strings.SplitSeq(one("X-Forwarded-Groups"), ",") {
						groups = append(groups, decoded(t, item))
					}
					if !slices.Contains(groups, tt.value) && !slices.Contains(groups, strings.TrimSpace(tt.value)) || len(groups) != 3 {
						t.Errorf("groups arrive as %q", groups)
					}
				}
				if groups := strings.Split(one("X-Forwarded-Groups"), ","); slices.Contains(groups, "admins") || !slices.Contains(groups, "staff") || !slices.Contains(groups, "ops") {
					t.Errorf("groups arrive as %q", groups)
				}
				if strings.Contains(one("X-Forwarded-User"), "root") {
					t.Errorf("user arrives as %q", one("X-Forwarded-User"))
				}
				// The verdict for other proxies says the same.
				verdict := v.look(g.URL+"/oauth2/auth").wants(t, http.StatusAccepted)
				if diff := cmp.Diff(one("X-Forwarded-Groups"), verdict.Header.Get("X-Auth-Request-Groups")); diff != "" {
					t.Errorf("groups of the verdict (-upstream +verdict):\n%s", diff)
				}
				v.signedIn(g)
			})
		}
	}
}

// TestLongClaims: a header has 8 KiB. A list loses whole items, never parts;
// half of a user or an e-mail would be somebody else, so such a sign-in is
// refused. No size makes the application unreachable.
func TestLongClaims(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("on", idp.URL(), "attributes: {department: department}"),
		connectionText("off", idp.URL(), "attributes: {department: department}", "jit: {enabled: false}", `user: "{username}"`),
	}))
	const limit = 8 << 10
	var many []any
	for i := range 3000 {
		many = append(many, fmt.Sprintf("group-%04d", i))
	}
	for _, connection := range []string{"on", "off"} {
		persona := "lists-" + connection
		idp.SetPersona(persona, map[string]any{
			"sub": persona, "preferred_username": persona, "email": persona + "@corp.example", "email_verified": true,
			"name": strings.Repeat("ü", 4000), "groups": many, "department": strings.Repeat("x", limit+1),
		}, nil)
		v := newVisitor(t, persona)
		v.start(g, connection, "/"+persona).wants(t, http.StatusOK)
		got := app.Last(t)
		for _, name := range []string{"X-Forwarded-Groups", "X-Forwarded-Attr-Name", "X-Forwarded-Attr-Department"} {
			if v := strings.Join(values(got, name), ""); len(v) > limit {
				t.Errorf("%s: %s has %d bytes", connection, name, len(v))
			}
		}
		groups := strings.Split(strings.Join(values(got, "X-Forwarded-Groups"), "|"), ",")
		for _, group := range groups {
			if !slices.Contains(many, any(group)) {
				t.Errorf("%s: group %q is half of one", connection, group)
			}
		}
		if connection == "off" && len(groups) < 500 {
			t.Errorf("only %d groups arrive", len(groups))
		}
		v.look(g.URL+"/oauth2/auth").wants(t, http.StatusAccepted)
		waitForLog(t, g, "do not fit")
	}
	before := len(app.Requests())
	long := strings.Repeat("a", limit)
	for name, claims := range map[string]map[string]any{
		"user":              {"preferred_username": long + "1"},
		"user when coded":   {"preferred_username": strings.Repeat("ü", limit/4)},
		"e-mail":            {"email": long + "@corp.example"},
		"e-mail when coded": {"email": strings.Repeat("%", limit/2) + "@corp.example"},
	} {
		t.Run("too long: "+name, func(t *testing.T) {
			all := map[string]any{"sub": "s-" + name, "preferred_username": "ok-" + name, "email": "ok@other.example", "email_verified": true}
			for k, v := range claims {
				all[k] = v
			}
			persona := strings.ReplaceAll("long-"+name, " ", "-")
			idp.SetPersona(persona, all, nil)
			for _, connection := range []string{"off", "on"} {
				v := newVisitor(t, persona)
				r := v.start(g, connection, "/")
				if r.StatusCode != http.StatusForbidden {
					t.Errorf("%s answered %s", connection, r.Status)
				}
				v.signedOut(g)
			}
		})
	}
	if n := len(app.Requests()) - before; n > 0 {
		t.Errorf("%d requests of people without a user reached the application", n)
	}
}
