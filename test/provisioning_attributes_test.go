package test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// attributeHeaders are the attributes that the application was told last.
func attributeHeaders(t *testing.T, app *servers.App) map[string]string {
	t.Helper()
	told := map[string]string{}
	for name, values := range app.Last(t).Header {
		if suffix, is := strings.CutPrefix(name, "X-Forwarded-Attr-"); is && suffix != "Name" {
			told[strings.ToLower(suffix)] = strings.Join(values, "|")
		}
	}
	return told
}

// say makes the provider say this of a persona whose name goes without saying.
func say(idp *badidp.IdP, persona string, more map[string]any) {
	claims := person(persona, map[string]any{"name": nil})
	maps.Copy(claims, more)
	idp.SetPersona(persona, claims, nil)
}

// TestAttributePolicies: each mode and on_absent, under each connection-wide
// mode that they are an exception to. The provider gives all, an administrator
// changes some, the provider gives others, and then only one.
func TestAttributePolicies(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	policies := map[string]string{
		"plain": "", "over": "mode: override", "keep": "mode: override, on_absent: keep", "mine": "mode: override, on_absent: delete_if_mine",
		"gone": "mode: preserve, on_absent: delete", "pres": "mode: preserve", "once": "mode: import_once", "sess": "mode: session_only",
	}
	entries := []string{"stays: stays", "fixed: {constant: [a, b]}"}
	for name, policy := range policies {
		if policy != "" {
			policy = ", " + policy
		}
		entries = append(entries, fmt.Sprintf("%s: {from: %s%s}", name, name, policy))
	}
	mapped := "attributes: {" + strings.Join(entries, ", ") + "}"
	var connections []string
	modes := []string{"override_all", "preserve_local", "none"}
	for _, mode := range modes {
		connections = append(connections, connectionText(mode, idp.URL(), mapped, "jit: {attribute_sync: "+mode+"}"))
	}
	g := servers.StartGateway(t, binary, configText(app.URL, append(connections, connectionText("off", idp.URL(), mapped, "jit: {enabled: false}"))))
	all := func(value string) map[string]any {
		claims := map[string]any{"stays": "x"}
		for name := range policies {
			claims[name] = value
		}
		return claims
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			judge := func(when string, want map[string]string) {
				t.Helper()
				if diff := cmp.Diff(want, attributeHeaders(t, app)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", when, diff)
				}
				stored := attributeValues(showAccount(t, g, mode))
				if _, has := stored["sess"]; has {
					t.Errorf("%s: what is for sessions only is stored: %v", when, stored)
				}
			}
			say(idp, mode, all("1"))
			first := comes(t, g, mode, mode)
			judge("made", map[string]string{
				"plain": "1", "over": "1", "keep": "1", "mine": "1", "gone": "1", "pres": "1", "once": "1", "sess": "1", "stays": "x", "fixed": "a,b",
			})
			args := []string{"user", "set", mode}
			for name := range policies {
				if name != "sess" {
					args = append(args, "--attr", name+"=local")
				}
			}
			run(t, g, args...)

			say(idp, mode, all("2"))
			second := comes(t, g, mode, mode)
			plain := map[string]string{"override_all": "2", "preserve_local": "2", "none": "local"}[mode]
			changed := map[string]string{
				"plain": plain, "over": "2", "keep": "2", "mine": "2", "gone": "local", "pres": "local", "once": "local", "sess": "2", "stays": "x", "fixed": "a,b",
			}
			judge("changed", changed)

			// The session from before sees the account as it is, and keeps its own.
			first.get(g.URL+"/").wants(t, http.StatusOK)
			changed["sess"] = "1"
			judge("changed, in the first session", changed)

			say(idp, mode, map[string]any{"stays": "x"})
			comes(t, g, mode, mode)
			absent := map[string]string{"keep": "2", "pres": "local", "once": "local", "stays": "x", "fixed": "a,b"}
			if mode == "none" {
				absent["plain"], absent["over"] = "local", "2"
			}
			judge("absent", absent)
			second.get(g.URL+"/").wants(t, http.StatusOK)
			absent["sess"] = "2"
			judge("absent, in the second session", absent)

			// An answer without any of them wipes nothing, though there is a
			// constant.
			before := showAccount(t, g, mode)
			idp.SetPersona(mode, map[string]any{"sub": mode + "-1"}, nil)
			comes(t, g, mode, mode)
			if diff := cmp.Diff(before, showAccount(t, g, mode)); diff != "" {
				t.Errorf("after silence (-before +after):\n%s", diff)
			}
		})
	}
	// Without an account there is nothing to have a policy for.
	say(idp, "pat", all("1"))
	comes(t, g, "pat", "off")
	want := map[string]string{"stays": "x", "fixed": "a,b"}
	for name := range policies {
		want[name] = "1"
	}
	if diff := cmp.Diff(want, attributeHeaders(t, app)); diff != "" {
		t.Errorf("JIT off (-want +got):\n%s", diff)
	}
}

// TestAttributePaths: of a list of paths the first that is sent counts, blank
// or not, and the e-mail is verified only by what stands beside its own claim.
func TestAttributePaths(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, bothWays(idp,
		`attributes: {title: [title, job.title, "https://x.example/title"], email: [mail, email]}`)))
	verified := map[string]any{"email": "NAME@corp.example", "email_verified": true}
	tests := []struct {
		name            string
		token, userinfo map[string]any
		title, email    string // "NAME": as the persona's
	}{
		{"the first", map[string]any{"title": "a", "job": map[string]any{"title": "b"}}, nil, "a", "NAME@corp.example"},
		{"the second", map[string]any{"job": map[string]any{"title": "b"}, "https://x.example/title": "c"}, nil, "b", "NAME@corp.example"},
		{"the third", map[string]any{"https://x.example/title": "c"}, nil, "c", "NAME@corp.example"},
		{"null is not sent", map[string]any{"title": nil, "job": map[string]any{"title": nil}, "https://x.example/title": "c"}, nil, "c", "NAME@corp.example"},
		{"blank is", map[string]any{"title": "", "https://x.example/title": "c"}, nil, "", "NAME@corp.example"},
		{"the first, of userinfo", map[string]any{"https://x.example/title": "c"}, map[string]any{"title": "a"}, "a", "NAME@corp.example"},
		{"inside an object, of userinfo", map[string]any{"job": map[string]any{"level": 1}}, map[string]any{"job": map[string]any{"title": "b"}}, "b", "NAME@corp.example"},
		{"the address of the first path", map[string]any{"email": nil, "mail": "NAME-x@corp.example"}, nil, "", "NAME-x@corp.example"},
		// Attack: the person writes their own mail; what is verified is email.
		{"another than the verified address", map[string]any{"mail": "boss@corp.example"}, nil, "", ""},
		{"another than the verified address, of userinfo", nil, map[string]any{"mail": "boss@corp.example"}, "", ""},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprint("path", i)
			fill := func(m map[string]any) map[string]any {
				filled := map[string]any{}
				for key, value := range m {
					if text, isText := value.(string); isText {
						value = strings.ReplaceAll(text, "NAME", name)
					}
					filled[key] = value
				}
				return filled
			}
			token := person(name, fill(verified))
			maps.Copy(token, fill(tt.token))
			idp.SetPersona(name, token, fill(tt.userinfo))
			for _, connection := range []string{"on", "off"} {
				comes(t, g, name, connection)
				email := strings.ReplaceAll(tt.email, "NAME", name)
				if got := app.Last(t).Header; got.Get("X-Forwarded-Attr-Title") != tt.title || got.Get("X-Forwarded-Email") != email {
					t.Errorf("%s: title %q, e-mail %q; want %q, %q", connection, got.Get("X-Forwarded-Attr-Title"), got.Get("X-Forwarded-Email"), tt.title, email)
				}
			}
		})
	}
}

// TestAttributeSources: two providers and an administrator give one attribute to
// one person; the list of attribute_sources decides, whoever signs in last.
func TestAttributeSources(t *testing.T) {
	t.Parallel()
	app, hr, google := servers.StartApp(t), badidp.Start(t), badidp.Start(t)
	mapped := "attributes: {department: department, phone: phone, desk: desk, title: title}"
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("hr", hr.URL(), mapped), connectionText("google", google.URL(), mapped),
	}, "jit_provisioning: {attribute_sources: {department: [hr, google], phone: [local, google, hr], desk: [google]}}"))
	type attrs = map[string]any
	turn := func(connection string, claims attrs) {
		t.Helper()
		idp := map[string]*badidp.IdP{"hr": hr, "google": google}[connection]
		say(idp, "pat", claims)
		comes(t, g, "pat", connection)
	}
	judge := func(when string, want map[string][]string) {
		t.Helper()
		if diff := cmp.Diff(want, attributeValues(showAccount(t, g, "pat"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	both := func(value string) attrs {
		return attrs{"department": value, "phone": value, "desk": value, "title": value}
	}
	turn("google", both("g1"))
	judge("google alone", map[string][]string{
		"department": {"from google", "g1"}, "phone": {"from google", "g1"}, "desk": {"from google", "g1"}, "title": {"from google", "g1"},
	})
	turn("hr", both("h1"))
	settled := map[string][]string{
		"department": {"from hr", "h1"}, "phone": {"from google", "g1"}, "desk": {"from google", "g1"}, "title": {"from hr", "h1"},
	}
	judge("then hr", settled)
	turn("google", both("g1"))
	settled["title"] = []string{"from google", "g1"} // of this nobody has said who is the stronger
	judge("then google again", settled)

	run(t, g, "user", "set", "pat", "--attr", "phone=local", "--attr", "department=local", "--attr", "desk=local")
	turn("hr", attrs{"department": "h2", "phone": "h2", "desk": "h2"})
	turn("google", attrs{"phone": "g2"})
	// For the phone the administrator comes first. For the department they are
	// not in the list, nor for the desk, of which google has none any more.
	judge("after an administrator", map[string][]string{"department": {"from hr", "h2"}, "phone": {"from local", "local"}})

	// What the stronger no longer sends the weaker may give again.
	turn("hr", attrs{"name": "Pat"})
	turn("google", attrs{"department": "g3"})
	judge("hr is silent of it", map[string][]string{"department": {"from google", "g3"}, "phone": {"from local", "local"}})
	turn("hr", attrs{"name": "Pat"})
	want := map[string][]string{"department": {"from google", "g3"}, "phone": {"from local", "local"}, "name": {"from hr", "Pat"}}
	judge("and stays so", want)

	// Nobody signs in through hr any more: its word is the weakest.
	turn("hr", attrs{"department": "h4", "name": "Pat"})
	run(t, g, "user", "unlink", "pat", "--connection", "hr")
	turn("google", attrs{"department": "g4", "name": "Pat"})
	want["department"], want["name"] = []string{"from google", "g4"}, []string{"from google", "Pat"}
	judge("after hr was unlinked", want)
}

// TestProtectedAttributes: what is protected no provider gives, with an account
// or without, and what one gave before is not told from the next start on.
func TestProtectedAttributes(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	text := func(more string) string {
		return configText(app.URL, append(bothWays(idp, "attributes: {clearance: clearance, desk: desk}"),
			connectionText("session", idp.URL(), "attributes: {clearance: {from: clearance, mode: session_only}, desk: desk}")), more)
	}
	g := servers.StartGateway(t, binary, text(""))
	connections := map[string]map[string]string{
		"on": {"desk": "12"}, "off": {"desk": "12"}, "session": {"desk": "12"},
	}
	open := map[string]*visitor{}
	for connection := range connections {
		say(idp, connection, map[string]any{"clearance": "secret", "desk": 12})
		open[connection] = comes(t, g, connection, connection)
		if got := attributeHeaders(t, app); !cmp.Equal(got, map[string]string{"clearance": "secret", "desk": "12"}) {
			t.Errorf("%s: before %v", connection, got)
		}
	}
	restart(t, g, text("jit_provisioning: {protected_attributes: [clearance]}"))
	// What an account has is judged on each request; what only the session has
	// was judged when the person came in.
	open["on"].look(g.URL+"/").wants(t, http.StatusOK)
	if got := attributeHeaders(t, app); !cmp.Equal(got, connections["on"]) {
		t.Errorf("in the open session %v", got)
	}
	open["off"].signedOut(g)
	open["session"].signedOut(g)
	for connection, want := range connections {
		comes(t, g, connection, connection)
		if got := attributeHeaders(t, app); !cmp.Equal(got, want) {
			t.Errorf("%s: %v, want %v", connection, got, want)
		}
	}
	run(t, g, "user", "set", "on", "--attr", "clearance=top")
	comes(t, g, "on", "on")
	if got := attributeHeaders(t, app); !cmp.Equal(got, map[string]string{"clearance": "top", "desk": "12"}) {
		t.Errorf("an administrator's: %v", got)
	}
}
