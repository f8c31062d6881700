package test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestUserCommands: accounts are administered by the same commands while the
// server runs on the embedded store, while it does not, and on Redis.
func TestUserCommands(t *testing.T) {
	t.Parallel()
	for _, place := range []struct {
		name    string
		store   string
		running bool
	}{
		{"the server runs", "", true},
		{"no server runs", "", false},
		{"redis", "redis", true},
	} {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			application, idp := servers.StartApp(t), badidp.Start(t)
			more := []string{"local: {enabled: true}"}
			if place.store == "redis" {
				more = append(more, redisStore(servers.Redis(t, servers.RedisOptions{}), "users:"))
			}
			g := servers.StartGateway(t, binary, configText(application.URL, []string{connectionText("acme", idp.URL())}, more...))
			pat := newVisitor(t, "")
			pat.start(g, "acme", "/").wants(t, http.StatusOK)
			if !place.running {
				g.Stop()
			}
			if place.running && place.store == "" {
				onlyForItsOwner(t, g)
			}
			userStory(t, g)
			if place.running {
				pat.signedOut(g) // unlinked, as the last step
			}
		})
	}
}

// onlyForItsOwner fails the test unless the socket that the commands go
// through, and the store, are closed to other users of the machine.
func onlyForItsOwner(t *testing.T, g *servers.Gateway) {
	t.Helper()
	for name, want := range map[string]os.FileMode{"data": 0o700, "data/gatehouse.sock": 0o600, "data/gatehouse.db": 0o600} {
		info, err := os.Stat(filepath.Join(g.Dir, name))
		if err != nil {
			t.Error(err)
		} else if got := info.Mode().Perm(); got != want {
			t.Errorf("%s is open to others: %v, want %v", name, got, want)
		}
	}
}

// userStory is the life of an account in commands. Somebody called pat has
// come through the connection acme before.
func userStory(t *testing.T, g *servers.Gateway) {
	t.Helper()
	began := time.Now().Add(-time.Minute)
	must := func(stdin string, args ...string) servers.Result {
		t.Helper()
		r := g.Run(t, stdin, append(args, "--config", g.Config)...)
		if r.Code != 0 {
			t.Fatalf("gatehouse %v ended with %d:\n%s", args, r.Code, r.Stderr)
		}
		return r
	}
	refused := func(code int, why string, args ...string) {
		t.Helper()
		r := g.Run(t, "", append(args, "--config", g.Config)...)
		if r.Code != code || r.Stdout != "" || !strings.Contains(r.Stderr, why) {
			t.Errorf("gatehouse %q: exit code %d, want %d; stdout %q; stderr does not say %q:\n%s", args, r.Code, code, r.Stdout, why, r.Stderr)
		}
	}

	must(goodPassword+"\n", "user", "add", "ada", "--email", "Ada@Corp.Example", "--name", "Ada L.", "--group", "staff", "--group", "ops",
		"--attr", "department=R&D", "--password-stdin")
	// What programs rely on, by name and by kind.
	var shape map[string]any
	decode(t, run(t, g, "user", "show", "ada", "--json"), &shape)
	want := map[string]any{
		"id": shape["id"], "status": "active", "username": "ada", "email": "Ada@Corp.Example", "email_verified": true, "name": "Ada L.",
		"groups": []any{"staff", "ops"}, "links": []any{}, "has_password": true, "factors": []any{},
	}
	for name, value := range want {
		if !cmp.Equal(value, shape[name]) {
			t.Errorf("show --json: %s is %v, want %v", name, shape[name], value)
		}
	}
	ada := showAccount(t, g, "ada")
	if a := ada.Attributes["department"]; !slices.Equal(a.Values, []string{"R&D"}) || a.Source != "local" || a.Time.Before(began) {
		t.Errorf("show --json: the department is %+v", a)
	}
	if ada.ID == "" || showAccount(t, g, "ADA").ID != ada.ID || showAccount(t, g, "ada@corp.example").ID != ada.ID || showAccount(t, g, ada.ID).ID != ada.ID {
		t.Errorf("ada is not found under every name: %+v", ada)
	}
	pat := showAccount(t, g, "pat")
	if pat.HasPassword || len(pat.Links) != 1 || pat.Links[0].Connection != "acme" || pat.Links[0].Subject != "subject-1" || pat.Attributes["name"].Source != "acme" {
		t.Errorf("who came through acme is shown as %+v", pat)
	}
	var listed []map[string]any
	decode(t, run(t, g, "user", "list", "--json"), &listed)
	if len(listed) != 2 || listed[0]["username"] != "ada" || listed[1]["username"] != "pat" || listed[0]["has_password"] != true {
		t.Errorf("list --json: %v", listed)
	}
	for _, text := range []string{"ada", "Ada@Corp.Example", "staff", "department", "R&D", "local"} {
		if out := run(t, g, "user", "show", "ada"); !strings.Contains(out, text) || json.Valid([]byte(out)) {
			t.Errorf("for people, show does not say %q:\n%s", text, out)
		}
	}

	must("", "user", "set", "ada", "--email", "countess@corp.example", "--name", "", "--groups", "admins, ops", "--attr", "site=Köln", "--unset", "department")
	got := showAccount(t, g, "ada")
	if got.Email != "countess@corp.example" || !got.EmailVerified || got.Name != "" || !slices.Equal(slices.Sorted(slices.Values(got.Groups)), []string{"admins", "ops"}) ||
		len(got.Attributes) != 1 || got.Attributes["site"].Values[0] != "Köln" {
		t.Errorf("after set: %+v", got)
	}
	if r := must("", "user", "disable", "ada"); r.Stdout != "" || !strings.Contains(r.Stderr, "jit.enabled: false") {
		t.Errorf("disable does not say whom it does not reach: %q %q", r.Stdout, r.Stderr)
	}
	if got := showAccount(t, g, "ada"); got.Status != "disabled" {
		t.Errorf("after disable: %s", got.Status)
	}
	must("", "user", "enable", "ada")
	if got := showAccount(t, g, "ada"); got.Status != "active" {
		t.Errorf("after enable: %s", got.Status)
	}
	must("another good passphrase\n", "user", "set-password", "ada", "--password-stdin")
	must("", "user", "reset-mfa", "ada")

	// Bad input, each with what is wrong; nothing comes of it.
	for _, c := range []struct {
		code int
		why  string
		args []string
	}{
		{1, "ada", []string{"add", "ada"}}, // taken
		{1, "countess@corp.example", []string{"add", "x", "--email", "COUNTESS@corp.example"}}, // taken
		{1, "e-mail", []string{"add", "x", "--email", "no address"}},
		{1, "username", []string{"add", "a:b"}},
		{1, "username", []string{"add", "a\u202eb"}}, // looks like another
		{1, "no password", []string{"add", "x", "--password-stdin"}},
		{1, `no account "ghost"`, []string{"show", "ghost"}},
		{1, `no account "ghost"`, []string{"disable", "ghost"}},
		{1, `no account "ghost"`, []string{"delete", "ghost"}},
		{1, `no account "ada@corp.example"`, []string{"show", "ada@corp.example"}}, // was hers
		{1, "partner", []string{"unlink", "pat", "--connection", "partner"}},
		{2, "needs the name", []string{"show"}},
		{2, "another", []string{"show", "ada", "pat"}},
		{2, "something to set", []string{"set", "ada"}},
		{2, "--connection", []string{"unlink", "pat"}},
		{2, "colour", []string{"add", "x", "--colour", "red"}},
		{2, "=", []string{"add", "x", "--attr", "department"}},
		{2, `no command "promote"`, []string{"promote", "ada"}},
		{2, "terminal", []string{"set-password", "ada"}},
	} {
		refused(c.code, c.why, append([]string{"user"}, c.args...)...)
	}
	if r := g.Run(t, "too short\n", "user", "add", "x", "--password-stdin", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, "12") {
		t.Errorf("a short password: exit code %d, %s", r.Code, r.Stderr)
	}
	if r := g.Run(t, "", "user"); r.Code != 2 {
		t.Errorf("gatehouse user: exit code %d", r.Code)
	}

	must("", "user", "delete", "ada")
	refused(1, `no account "ada"`, "user", "show", "ada")
	// Sessions: whose they are, and their end.
	var sessions []struct{ ID, Username, Connection string }
	decode(t, run(t, g, "session", "list", "--json"), &sessions)
	if len(sessions) != 1 || sessions[0].Username != "pat" || sessions[0].Connection != "acme" {
		t.Errorf("sessions: %+v", sessions)
	}
	refused(1, "no session", "session", "end", "nothing")
	refused(2, "either", "session", "end")
	refused(2, "no command", "session", "begin")
	must("", "user", "unlink", "pat", "--connection", "acme", "--subject", "subject-1")
	if got := showAccount(t, g, "pat"); len(got.Links) != 0 {
		t.Errorf("after unlink: %+v", got.Links)
	}
	if names := accounts(t, g); len(names) != 1 {
		t.Errorf("accounts at the end: %+v", names)
	}
}

// TestSessionEnd: a session that an administrator ends is over at the next
// request, one or all of an account.
func TestSessionEnd(t *testing.T) {
	t.Parallel()
	application := servers.StartApp(t)
	g := servers.StartGateway(t, binary, localOnly(application.URL, "mfa: {enforce: off}"))
	addUser(t, g, "ada")
	first, second := newVisitor(t, ""), newVisitor(t, "")
	for _, v := range []*visitor{first, second} {
		v.password(g, "ada", goodPassword).wants(t, http.StatusSeeOther)
		v.signedIn(g)
	}
	var sessions []struct{ ID string }
	decode(t, run(t, g, "session", "list", "--user", "ada", "--json"), &sessions)
	if len(sessions) != 2 {
		t.Fatalf("%d sessions", len(sessions))
	}
	for _, s := range sessions {
		// The list must not be worth stealing.
		if s.ID == first.cookie(g.URL, "_gatehouse") || s.ID == second.cookie(g.URL, "_gatehouse") {
			t.Error("the id in the list is the cookie's value")
		}
	}
	run(t, g, "session", "end", sessions[0].ID) // the older one
	first.signedOut(g)
	second.signedIn(g)
	run(t, g, "session", "end", "--user", "ada")
	second.signedOut(g)
}
