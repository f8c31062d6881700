package test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// person is the claims of somebody whose e-mail is verified; more are further
// ones or others in place of these.
func person(name string, more map[string]any) map[string]any {
	claims := map[string]any{
		"sub": name + "-1", "preferred_username": name, "name": "The " + name,
		"email": name + "@corp.example", "email_verified": true, "groups": []any{"staff"},
	}
	maps.Copy(claims, more)
	return claims
}

// comes signs a persona in through a connection, in a browser of their own,
// and fails the test unless they arrive.
func comes(t *testing.T, g *servers.Gateway, persona, connection string) *visitor {
	t.Helper()
	v := newVisitor(t, persona)
	v.start(g, connection, "/").wants(t, http.StatusOK)
	v.signedIn(g)
	return v
}

// refused signs a persona in and fails the test unless that ends with a 403
// page of that heading and with nobody signed in.
func refused(t *testing.T, g *servers.Gateway, persona, connection, heading string) {
	t.Helper()
	v := newVisitor(t, persona)
	r := v.start(g, connection, "/").wants(t, http.StatusForbidden)
	if !strings.Contains(r.Text, "<h1>"+heading+"</h1>") {
		t.Errorf("not the page %q:\n%s", heading, r.Text)
	}
	v.signedOut(g)
}

// linkedTo returns the one account with a link through a connection.
func linkedTo(t *testing.T, g *servers.Gateway, connection, subject string) account {
	t.Helper()
	var found []account
	for _, a := range accounts(t, g) {
		if slices.ContainsFunc(a.Links, func(l accountLink) bool { return l.Connection == connection && l.Subject == subject }) {
			found = append(found, a)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d accounts are linked to %s of %s, want 1: %+v", len(found), subject, connection, found)
	}
	return found[0]
}

// TestAccountIsMadeAndUpdated: the first sign-in makes the account, with what
// the provider said and that it was the provider who said it; a later one
// brings it up to date; one that says nothing new changes nothing.
func TestAccountIsMadeAndUpdated(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL(), "attributes: {department: org.unit}"),
	}))
	say := func(more map[string]any) { idp.SetPersona("pat", person("pat", more), nil) }
	say(map[string]any{"org": map[string]any{"unit": "R&D"}})
	began := time.Now().Add(-time.Second)
	open := comes(t, g, "pat", "acme")
	made := showAccount(t, g, "pat")
	want := account{
		ID: made.ID, Status: "active", Username: "pat", Email: "pat@corp.example", EmailVerified: true, Name: "The pat",
		Groups: []string{"staff"},
		Attributes: map[string]accountDetail{
			"name":       {[]string{"The pat"}, "acme", made.Attributes["name"].Time},
			"department": {[]string{"R&D"}, "acme", made.Attributes["department"].Time},
		},
		Links:   []accountLink{{"acme", idp.URL(), "pat-1"}},
		Factors: []string{},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	for name, a := range made.Attributes {
		if a.Time.Before(began) || a.Time.After(time.Now()) {
			t.Errorf("%s was given at %s", name, a.Time)
		}
	}

	comes(t, g, "pat", "acme")
	if diff := cmp.Diff(made, showAccount(t, g, "pat")); diff != "" {
		t.Errorf("the same claims again changed the account (-before +after):\n%s", diff)
	}

	say(map[string]any{"org": map[string]any{"unit": "Sales"}, "email": "pat.new@corp.example", "groups": []any{"crew", "staff"}, "preferred_username": "patricia"})
	v := comes(t, g, "pat", "acme")
	now := showAccount(t, g, "pat") // a username is fixed at creation
	want.Email, want.Groups = "pat.new@corp.example", []string{"staff", "crew"}
	want.Attributes["department"] = accountDetail{[]string{"Sales"}, "acme", now.Attributes["department"].Time}
	if diff := cmp.Diff(want, now); diff != "" {
		t.Errorf("updated account (-want +got):\n%s", diff)
	}
	if !now.Attributes["department"].Time.After(made.Attributes["department"].Time) {
		t.Error("what changed kept its time")
	}
	got := app.Last(t).Header
	if got.Get("X-Forwarded-User") != "pat" || got.Get("X-Forwarded-Email") != "pat.new@corp.example" || got.Get("X-Forwarded-Attr-Department") != "Sales" {
		t.Errorf("the application sees %v", got)
	}
	if info := v.signedIn(g); info["user"] != "pat" || info["email"] != "pat.new@corp.example" {
		t.Errorf("userinfo: %v", info)
	}
	// What has changed holds for sessions that were open before, on their next
	// request: a removed group is a removed right.
	say(map[string]any{"email": "pat.new@corp.example", "org": map[string]any{"unit": "Sales"}, "groups": []any{"crew"}})
	comes(t, g, "pat", "acme")
	open.get(g.URL+"/").wants(t, http.StatusOK)
	if got := app.Last(t).Header; got.Get("X-Forwarded-Groups") != "crew" || got.Get("X-Forwarded-Attr-Department") != "Sales" {
		t.Errorf("in a session from before the application sees %v", got)
	}
	now = showAccount(t, g, "pat")

	// An answer that says nothing wipes nothing.
	idp.SetPersona("pat", map[string]any{"sub": "pat-1"}, nil)
	comes(t, g, "pat", "acme")
	if diff := cmp.Diff(now, showAccount(t, g, "pat")); diff != "" {
		t.Errorf("an answer without claims changed the account (-before +after):\n%s", diff)
	}
}

// TestDisabledAccount: it is refused, no sign-in enables it again, and what is
// open ends on the next request.
func TestDisabledAccount(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	idp.SetPersona("pat", person("pat", nil), nil)
	open := comes(t, g, "pat", "acme")
	run(t, g, "user", "disable", "pat")
	open.signedOut(g)
	open.look(g.URL+"/").wants(t, http.StatusFound)
	refused(t, g, "pat", "acme", "Your account is disabled")
	idp.SetPersona("pat", person("pat", map[string]any{"groups": []any{"admins"}}), nil)
	refused(t, g, "pat", "acme", "Your account is disabled")
	if a := showAccount(t, g, "pat"); a.Status != "disabled" || !slices.Equal(a.Groups, []string{"staff"}) {
		t.Errorf("after refused sign-ins: %+v", a)
	}
	// Another subject with the same verified e-mail does not get around it.
	idp.SetPersona("twin", person("pat", map[string]any{"sub": "twin-1"}), nil)
	refused(t, g, "twin", "acme", "Your account is disabled")
	run(t, g, "user", "enable", "pat")
	comes(t, g, "pat", "acme")
	run(t, g, "user", "delete", "pat")
	if n := len(accounts(t, g)); n != 0 {
		t.Errorf("%d accounts after delete", n)
	}
}

// TestUsernames: which name a new account gets. A name that is another's, or
// could pass for one, is replaced by one that cannot.
func TestUsernames(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}))
	idp.SetPersona("first", person("first", map[string]any{"preferred_username": "taken"}), nil)
	comes(t, g, "first", "acme")
	const fallback = `^acme-[a-z2-7]{10}$`
	tests := []struct{ persona, username, want string }{
		{"free", "Free.Name", `^Free\.Name$`},
		{"own-email", "own-email@corp.example", `^own-email@corp\.example$`},
		{"taken", "taken", fallback},
		{"taken-case", "TAKEN", fallback},
		{"missing", "", fallback},
		{"others-email", "first@corp.example", fallback},
		{"wide-at", "first＠corp.example", fallback}, // an application that normalizes reads an @
		{"pass-through", "partner:subject-1", fallback},
		{"invisible", "tak\u200ben", fallback},
		{"newline", "a\r\nX-Forwarded-User: root", fallback},
	}
	for _, tt := range tests {
		t.Run(tt.persona, func(t *testing.T) {
			idp.SetPersona(tt.persona, person(tt.persona, map[string]any{"preferred_username": tt.username}), nil)
			v := comes(t, g, tt.persona, "acme")
			user, _ := v.signedIn(g)["user"].(string)
			if !regexp.MustCompile(tt.want).MatchString(user) {
				t.Errorf("user %q, want %s", user, tt.want)
			}
			if a := linkedTo(t, g, "acme", tt.persona+"-1"); a.Username != user {
				t.Errorf("account %q, user header %q", a.Username, user)
			}
		})
	}
}

// TestWhoMayComeIn: the gates of a connection. They hold with JIT on and off
// alike, and nothing comes of a sign-in that they refuse.
func TestWhoMayComeIn(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	gates := map[string]string{
		"domain":  "email_domains: [corp.example]",
		"groups":  "require: {groups: [staff, guests]}",
		"claims":  "require: {claims: {employment.status: [active, leave]}}",
		"members": "jit: {create: false}",
	}
	var connections []string
	for _, id := range slices.Sorted(maps.Keys(gates)) {
		connections = append(connections, connectionText(id, idp.URL(), gates[id]))
		if id != "members" {
			connections = append(connections, connectionText(id+"-off", idp.URL(), gates[id], "jit: {enabled: false}"))
		}
	}
	g := servers.StartGateway(t, binary, configText(app.URL, connections))
	const domain, lacks, none = "This e-mail address is not admitted", "Your account may not come in this way", "You have no account here"
	tests := []struct {
		name, connection string
		claims           map[string]any
		page             string // "": may come in
	}{
		{"domain", "domain", nil, ""},
		{"domain-case", "domain", map[string]any{"email": "Domain-Case@CORP.example"}, ""},
		{"domain-other", "domain", map[string]any{"email": "x@other.example"}, domain},
		{"domain-below", "domain", map[string]any{"email": "x@sub.corp.example"}, domain},
		{"domain-suffix", "domain", map[string]any{"email": "x@evilcorp.example"}, domain},
		{"domain-unverified", "domain", map[string]any{"email_verified": false}, domain},
		{"domain-two-ats", "domain", map[string]any{"email": "x@evil.example@corp.example"}, domain},
		{"domain-no-email", "domain", map[string]any{"email": nil}, domain},
		{"group", "groups", nil, ""},
		{"group-other", "groups", map[string]any{"groups": []any{"visitors"}}, lacks},
		{"group-case", "groups", map[string]any{"groups": []any{"STAFF"}}, lacks},
		{"group-none", "groups", map[string]any{"groups": nil}, lacks},
		{"claim", "claims", map[string]any{"employment": map[string]any{"status": "leave"}}, ""},
		{"claim-list", "claims", map[string]any{"employment": map[string]any{"status": []any{"old", "active"}}}, ""},
		{"claim-other", "claims", map[string]any{"employment": map[string]any{"status": "left"}}, lacks},
		{"claim-none", "claims", nil, lacks},
		{"claim-object", "claims", map[string]any{"employment": map[string]any{"status": map[string]any{"active": true}}}, lacks},
		{"stranger", "members", nil, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			idp.SetPersona(tt.name, person(tt.name, tt.claims), nil)
			through := []string{tt.connection}
			if tt.connection != "members" {
				through = append(through, tt.connection+"-off")
			}
			for _, connection := range through {
				if tt.page == "" {
					comes(t, g, tt.name, connection)
				} else {
					refused(t, g, tt.name, connection, tt.page)
				}
			}
		})
	}
	var names []string
	for _, a := range accounts(t, g) {
		names = append(names, a.Username)
	}
	slices.Sort(names)
	if want := []string{"claim", "claim-list", "domain", "domain-case", "group"}; !slices.Equal(names, want) {
		t.Errorf("accounts: %v, want %v", names, want)
	}
	// With jit.create: false whoever has an account comes in.
	run(t, g, "user", "add", "member", "--email", "member@corp.example")
	idp.SetPersona("member", person("member", nil), nil)
	if got := comes(t, g, "member", "members").signedIn(g)["user"]; got != "member" {
		t.Errorf("user %q, want member", got)
	}
}

// TestUnverifiedEmail: an e-mail that is not verified is kept as such and goes
// nowhere: applications would sign the wrong person in by it.
func TestUnverifiedEmail(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	var connections []string
	for _, trust := range []string{"claim", "always", "never"} {
		connections = append(connections, connectionText(trust, idp.URL(), "trust_email: "+trust),
			connectionText(trust+"-off", idp.URL(), "trust_email: "+trust, "jit: {enabled: false}"))
	}
	g := servers.StartGateway(t, binary, configText(app.URL, connections))
	tests := []struct {
		name     string
		trust    string
		verified any
		want     bool
	}{
		{"true", "claim", true, true},
		{"text true", "claim", "true", true},
		{"false", "claim", false, false},
		{"text false", "claim", "false", false},
		{"one", "claim", 1, false},
		{"text yes", "claim", "yes", false},
		{"missing", "claim", nil, false},
		{"false but always", "always", false, true},
		{"missing but always", "always", nil, true},
		{"true but never", "never", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := strings.ReplaceAll(tt.name, " ", "-")
			idp.SetPersona(name, person(name, map[string]any{"email_verified": tt.verified}), nil)
			email := ""
			if tt.want {
				email = name + "@corp.example"
			}
			for _, connection := range []string{tt.trust, tt.trust + "-off"} {
				v := comes(t, g, name, connection)
				if got := app.Last(t).Header.Get("X-Forwarded-Email"); got != email {
					t.Errorf("%s: X-Forwarded-Email %q, want %q", connection, got, email)
				}
				if got := v.signedIn(g)["email"]; got != email {
					t.Errorf("%s: userinfo says %q, want %q", connection, got, email)
				}
			}
			a := linkedTo(t, g, tt.trust, name+"-1")
			if a.Email != name+"@corp.example" || a.EmailVerified != tt.want {
				t.Errorf("kept as %q, verified %t, want %t", a.Email, a.EmailVerified, tt.want)
			}
			// It is not a way to find the account either.
			if found := g.Run(t, "", "user", "show", name+"@corp.example", "--config", g.Config).Code == 0; found != tt.want {
				t.Errorf("found by e-mail: %t, want %t", found, tt.want)
			}
		})
	}
	t.Run("said in another document", func(t *testing.T) {
		// Whatever fills userinfo may not be what signs ID tokens.
		idp.SetPersona("split", person("split", map[string]any{"email": nil}), map[string]any{"email": "root@corp.example"})
		idp.SetPersona("tilps", person("tilps", map[string]any{"email_verified": nil, "groups": nil}), map[string]any{"email_verified": true, "groups": []any{"g"}})
		for _, name := range []string{"split", "tilps"} {
			comes(t, g, name, "claim")
			if got := app.Last(t).Header.Get("X-Forwarded-Email"); got != "" {
				t.Errorf("%s: X-Forwarded-Email %q", name, got)
			}
			if a := linkedTo(t, g, "claim", name+"-1"); a.EmailVerified || a.Email == "" {
				t.Errorf("%s: kept as %q, verified %t", name, a.Email, a.EmailVerified)
			}
		}
	})
	for _, connection := range []string{"claim", "never"} {
		if n := strings.Count(g.Output(), `"connection":"`+connection+`","trust_email"`); n != 1 {
			t.Errorf("the log explains %d times why people of %s have no e-mail, want once", n, connection)
		}
	}
}

// TestGroupsAllowed: only the names that a connection may supply arrive.
func TestGroupsAllowed(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	allowed := map[string]string{"all": "scopes: [openid]", "some": "groups_allowed: [staff, ops]", "none": "groups_allowed: []"}
	var connections []string
	for _, id := range slices.Sorted(maps.Keys(allowed)) {
		connections = append(connections, connectionText(id, idp.URL(), allowed[id]), connectionText(id+"-off", idp.URL(), allowed[id], "jit: {enabled: false}"))
	}
	g := servers.StartGateway(t, binary, configText(app.URL, connections))
	for connection, want := range map[string]string{"all": "admins,staff", "some": "staff", "none": ""} {
		for _, through := range []string{connection, connection + "-off"} {
			idp.SetPersona(through, person(through, map[string]any{"groups": []any{"admins", "staff"}}), nil)
			comes(t, g, through, through)
			if got := app.Last(t).Header.Get("X-Forwarded-Groups"); got != want {
				t.Errorf("%s: groups %q, want %q", through, got, want)
			}
		}
	}
}

// TestTooLongForAHeader: a user or an e-mail that no header can hold refuses
// the sign-in; cut short it would be somebody else's.
func TestTooLongForAHeader(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	g := servers.StartGateway(t, binary, configText(app.URL, []string{
		connectionText("acme", idp.URL()), connectionText("partner", idp.URL(), "jit: {enabled: false}", `user: "{username}"`),
	}))
	long := strings.Repeat("ü", 1400) // 8400 bytes in a header, 2800 as it is
	for name, claims := range map[string]map[string]any{
		"user":  {"preferred_username": long},
		"email": {"email": long + "@corp.example"},
	} {
		idp.SetPersona(name, person(name, claims), nil)
		for _, connection := range []string{"acme", "partner"} {
			v := newVisitor(t, name)
			r := v.start(g, connection, "/").wants(t, http.StatusForbidden)
			if !strings.Contains(r.Text, "<h1>Your account cannot be used here</h1>") {
				t.Errorf("%s by %s: another page:\n%s", name, connection, r.Text)
			}
			v.signedOut(g)
		}
	}
	if n := len(accounts(t, g)); n != 0 {
		t.Errorf("%d accounts", n)
	}
}
