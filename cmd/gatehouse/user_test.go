package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pquerna/otp/totp"

	"gatehouse/auth"
	"gatehouse/provision"
	"gatehouse/test/servers"
)

func TestUserStory(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)

			p.must(t, goodPassword+"\n", "user", "add", "ada", "--email", "Ada@Corp.Example", "--name", "Ada L.",
				"--group", "staff", "--group", "admins", "--attr", "department=R&D", "--password-stdin")
			first := p.shown(t, "ada")
			want := accountView{View: first.View, HasPassword: true, Factors: []string{}}
			want.Status, want.Username, want.Name = provision.Active, "ada", "Ada L."
			want.UsernameSource, want.UsernameTime = "local", first.Created
			want.Email, want.EmailVerified, want.EmailSource = "Ada@Corp.Example", true, "local"
			want.Groups, want.Links = []string{"staff", "admins"}, []provision.Link{}
			want.GroupSources = []provision.Group{{Name: "staff", Source: "local"}, {Name: "admins", Source: "local"}}
			want.Attributes = map[string]provision.Attribute{
				"name":       {Values: []string{"Ada L."}, Source: "local"},
				"department": {Values: []string{"R&D"}, Source: "local"},
			}
			ignoreTimes := cmp.Options{
				cmpopts.IgnoreFields(provision.Attribute{}, "Time"), cmpopts.IgnoreFields(provision.Group{}, "Time"),
				cmpopts.IgnoreFields(provision.View{}, "EmailTime", "Decision"),
			}
			if d := cmp.Diff(want, first, ignoreTimes); d != "" {
				t.Errorf("show (-want +got):\n%s", d)
			}
			if at := first.Attributes["department"].Time; time.Since(at) > time.Minute || time.Since(at) < 0 {
				t.Errorf("the attribute's time is %s", at)
			}
			for _, spelling := range []string{"ADA", "ada@corp.example", " Ada@Corp.Example", first.ID} {
				if got := p.shown(t, spelling); got.ID != first.ID {
					t.Errorf("%q shows %s", spelling, got.Username)
				}
			}

			p.must(t, "", "user", "add", "grace")
			var all []accountView
			if err := json.Unmarshal([]byte(p.must(t, "", "user", "list", "--json").stdout), &all); err != nil {
				t.Fatal(err)
			}
			if len(all) != 2 || all[0].Username != "ada" || all[1].Username != "grace" || all[1].HasPassword {
				t.Errorf("list: %+v", all)
			}

			p.must(t, "", "user", "set", "ada", "--name", "", "--groups", "admins, ops", "--attr", "site=Köln",
				"--attr", "site=Bonn", "--unset", "department", "--email", "countess@corp.example")
			got := p.shown(t, "ada")
			want.Name, want.Email, want.Groups = "", "countess@corp.example", []string{"admins", "ops"}
			want.GroupSources = []provision.Group{{Name: "admins", Source: "local"}, {Name: "ops", Source: "local"}}
			want.Attributes = map[string]provision.Attribute{"site": {Values: []string{"Köln", "Bonn"}, Source: "local"}}
			if d := cmp.Diff(want, got, ignoreTimes); d != "" {
				t.Errorf("after set (-want +got):\n%s", d)
			}
			p.refused(t, `ada has no attribute "stie"`, "user", "set", "ada", "--unset", "stie")
			eve := p.must(t, "", "user", "add", "eve", "--group", "staff,admins")
			if got := p.shown(t, "eve").Groups; len(got) != 1 || got[0] != "staff,admins" || !strings.Contains(eve.stderr, `"staff,admins" is one group`) {
				t.Errorf("one --group is one group: %q, and it says %q", got, eve.stderr)
			}
			p.refused(t, `no account "ada@corp.example"`, "user", "show", "ada@corp.example")

			p.must(t, "", "user", "set", "ada", "--groups", "")
			if got := p.shown(t, "ada"); len(got.Groups) != 0 {
				t.Errorf("groups after --groups \"\": %q", got.Groups)
			}

			p.must(t, "", "user", "delete", "grace")
			p.refused(t, `no account "grace"`, "user", "show", "grace")
		})
	}
}

// Disabling ends sessions for good: they must not come back when the account
// is enabled again.
func TestDisable(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, goodPassword, "user", "add", "ada", "--password-stdin")
			_, alive := p.signIn(t, p.shown(t, "ada").ID)
			if !alive() {
				t.Fatal("there is no session to end")
			}
			r := p.must(t, "", "user", "disable", "ada")
			if !strings.Contains(r.stderr, "jit.enabled: false") || r.stdout != "" {
				t.Errorf("disable prints %q and does not say whom it does not reach", r.stdout+r.stderr)
			}
			if got := p.shown(t, "ada").Status; got != "disabled" {
				t.Errorf("status %q", got)
			}
			if alive() {
				t.Error("the session goes on")
			}
			p.use(t, func(a *state) {
				if _, err := a.passwords.Authenticate(t.Context(), "ada", goodPassword); err != auth.ErrWrongPassword {
					t.Errorf("sign-in while disabled: %v", err)
				}
			})
			p.must(t, "", "user", "enable", "ada")
			p.use(t, func(a *state) {
				if _, err := a.passwords.Authenticate(t.Context(), "ada", goodPassword); err != nil {
					t.Errorf("sign-in after enable: %v", err)
				}
			})
			if alive() {
				t.Error("the session came back")
			}
		})
	}
}

func TestSetPasswordAndResetMFA(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, "", "user", "add", "ada")
			id := p.shown(t, "ada").ID
			p.use(t, func(a *state) {
				e, err := a.totp.Offer(t.Context(), auth.Claimant{Account: id, Label: "ada"})
				if err != nil {
					t.Fatal(err)
				}
				code, err := totp.GenerateCode(e.Secret, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if err := a.totp.Confirm(t.Context(), auth.Claimant{Account: id}, e, code); err != nil {
					t.Fatal(err)
				}
			})
			if got := p.shown(t, "ada"); got.HasPassword || !cmp.Equal(got.Factors, []string{"totp"}) {
				t.Errorf("has_password %v, factors %q", got.HasPassword, got.Factors)
			}

			_, alive := p.signIn(t, id)
			p.must(t, goodPassword+"\r\n", "user", "set-password", "--password-stdin", "ada")
			if alive() {
				t.Error("a session outlives the old password")
			}
			// A new password skips no factor.
			if got := p.shown(t, "ada"); !got.HasPassword || !cmp.Equal(got.Factors, []string{"totp"}) {
				t.Errorf("has_password %v, factors %q", got.HasPassword, got.Factors)
			}
			p.use(t, func(a *state) {
				if _, err := a.passwords.Authenticate(t.Context(), "ada", goodPassword); err != nil {
					t.Errorf("sign-in: %v", err)
				}
			})

			_, alive = p.signIn(t, id)
			// Attack: whoever is in a session enrols a factor of their own while all
			// are forgotten. It is done in a turn, after the sessions have ended.
			p.use(t, func(a *state) {
				if err := a.store.Create(t.Context(), "factorturn:"+id, []byte("somebody enrols"), time.Minute); err != nil {
					t.Fatal(err)
				}
			})
			p.refused(t, "too much is going on at this account", "user", "reset-mfa", "ada")
			if alive() || !cmp.Equal(p.shown(t, "ada").Factors, []string{"totp"}) {
				t.Error("in the turn of somebody else the session is open, or the factor is gone")
			}
			p.use(t, func(a *state) {
				if err := a.store.Delete(t.Context(), "factorturn:"+id); err != nil {
					t.Fatal(err)
				}
			})
			_, alive = p.signIn(t, id)
			p.must(t, "", "user", "reset-mfa", "ada")
			if alive() {
				t.Error("a session outlives its factor")
			}
			if got := p.shown(t, "ada"); len(got.Factors) != 0 || !got.HasPassword {
				t.Errorf("has_password %v, factors %q", got.HasPassword, got.Factors)
			}
		})
	}
}

// What belonged to a deleted account must not serve anybody who comes later
// under its name.
func TestDeleteLeavesNothing(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			p.must(t, goodPassword, "user", "add", "ada", "--email", "ada@corp.example", "--password-stdin")
			id := p.shown(t, "ada").ID
			_, alive := p.signIn(t, id)
			p.must(t, "", "user", "delete", "ada@corp.example")
			if alive() {
				t.Error("the session goes on")
			}
			p.use(t, func(a *state) {
				err := a.store.Scan(t.Context(), "", func(key string, _ []byte) error {
					if strings.Contains(key, id) {
						t.Errorf("left behind: %s", key)
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			})
			p.must(t, "", "user", "add", "ada", "--email", "ada@corp.example")
			if got := p.shown(t, "ada"); got.ID == id || got.HasPassword {
				t.Errorf("the new account is the old one: %+v", got)
			}
		})
	}
}

// A link is cut, and what came through it ends; the account stays.
func TestUnlink(t *testing.T) {
	const connections = routesText + `
connections:
  - {id: acme, name: Acme, type: oidc, issuer: "https://id.acme.example", client_id: x, client_secret: s}
  - {id: partner, name: Partner, type: oidc, issuer: "https://id.partner.example", client_id: x, client_secret: s, jit: {enabled: false}}
`
	p := &place{config: writeConfig(t, connections)}
	p.serve(t)
	identity := auth.Identity{
		Connection: "acme", Issuer: "https://id.acme.example", Subject: "s1", Username: "ada",
		Email: "ada@acme.example", EmailVerified: true, Groups: []string{"staff"},
		Attributes: map[string][]string{"department": {}},
	}
	outcome, err := p.server.resolver.Resolve(t.Context(), identity)
	if err != nil {
		t.Fatal(err)
	}
	session := &auth.Session{Account: outcome.Account, JIT: true, Rules: outcome.Rules, Identity: identity}
	if _, err := p.server.resolver.Person(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	got := p.shown(t, "ada")
	want := []provision.Link{{Connection: "acme", Issuer: "https://id.acme.example", Subject: "s1"}}
	if d := cmp.Diff(want, got.Links, cmpopts.IgnoreFields(provision.Link{}, "Time")); d != "" {
		t.Errorf("links (-want +got):\n%s", d)
	}
	p.refused(t, "no such link", "user", "unlink", "ada", "--connection", "acme", "--subject", "s2")
	p.refused(t, "no such link", "user", "unlink", "ada", "--connection", "partner")
	p.must(t, "", "user", "unlink", "ada", "--connection", "acme", "--subject", "s1")
	if got := p.shown(t, "ada"); len(got.Links) != 0 || got.ID != outcome.Account {
		t.Errorf("after unlink: %+v", got)
	}
	if _, err := p.server.resolver.Person(t.Context(), session); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a session through the link: %v, want ErrUnauthenticated", err)
	}
	// The note names the connection that it is about.
	if r := p.must(t, "", "user", "disable", "ada"); !strings.Contains(r.stderr, "(here: partner)") {
		t.Errorf("disable prints %q", r.stderr)
	}
}

// Programs loop over lists; null is none.
func TestNoNulls(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	if got := p.must(t, "", "user", "list", "--json").stdout; got != "[]\n" {
		t.Errorf("no accounts print as %q", got)
	}
	p.must(t, "", "user", "add", "ada")
	for _, args := range [][]string{{"user", "show", "ada", "--json"}, {"user", "list", "--json"}} {
		if got := p.must(t, "", args...).stdout; strings.Contains(got, "null") {
			t.Errorf("%q prints %s", args, got)
		}
	}
}

func TestSessions(t *testing.T) {
	for name, open := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			if got := p.must(t, "", "session", "list", "--json").stdout; got != "[]\n" {
				t.Errorf("no sessions print as %q", got)
			}
			ids := map[string]string{}
			for _, name := range []string{"ada", "grace"} {
				p.must(t, "", "user", "add", name)
				ids[name], _ = p.signIn(t, p.shown(t, name).ID)
			}
			second, _ := p.signIn(t, p.shown(t, "ada").ID)
			listed := func(args ...string) (got []string) {
				var views []sessionView
				out := p.must(t, "", append([]string{"session", "list", "--json"}, args...)...).stdout
				if err := json.Unmarshal([]byte(out), &views); err != nil {
					t.Fatal(err)
				}
				for _, v := range views {
					got = append(got, v.Username+" "+v.ID)
				}
				return got
			}
			sorted := cmpopts.SortSlices(strings.Compare)
			if d := cmp.Diff([]string{"ada " + ids["ada"], "ada " + second, "grace " + ids["grace"]}, listed(), sorted); d != "" {
				t.Errorf("list (-want +got):\n%s", d)
			}
			p.must(t, "", "session", "end", second)
			if d := cmp.Diff([]string{"ada " + ids["ada"]}, listed("--user", "ada"), sorted); d != "" {
				t.Errorf("list --user after end (-want +got):\n%s", d)
			}
			p.refused(t, `no session "`+second+`"`, "session", "end", second)
			p.must(t, "", "session", "end", "--user", "ada")
			if d := cmp.Diff([]string{"grace " + ids["grace"]}, listed(), sorted); d != "" {
				t.Errorf("list after end --user (-want +got):\n%s", d)
			}
			p.refused(t, `no account "nobody"`, "session", "end", "--user", "nobody")
		})
	}
}

func TestUserRefusals(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.must(t, "", "user", "add", "ada", "--email", "ada@corp.example")
	tests := []struct {
		name  string
		stdin string
		args  []string
		want  string
	}{
		{"name taken", "", []string{"user", "add", "ADA"}, "ada"},
		{"e-mail taken", "", []string{"user", "add", "grace", "--email", "ADA@corp.example"}, "corp.example"},
		{"no e-mail", "", []string{"user", "add", "grace", "--email", "a@b@c.example"}, "e-mail"},
		{"a pass-through user's name", "", []string{"user", "add", "acme:1"}, "colon"},
		{"short password", "short\n", []string{"user", "add", "grace", "--password-stdin"}, "at least 12 characters"},
		{"short new password", "short\n", []string{"user", "set-password", "ada", "--password-stdin"}, "at least 12 characters"},
		{"no password", "", []string{"user", "set-password", "ada", "--password-stdin"}, "no password"},
		{"unknown account", "", []string{"user", "disable", "grace"}, `no account "grace"`},
		{"a terminal's control sequence", "", []string{"user", "show", "\x1b[2J"}, `no account "\x1b[2J"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := p.command(tt.stdin, tt.args...)
			if r.code != exitFailed || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
				t.Errorf("exit code %d, %q, want 1 and %q", r.code, r.stdout+r.stderr, tt.want)
			}
			if strings.Contains(r.stderr, "\x1b") || strings.Contains(r.stderr, "store:") {
				t.Errorf("not for people: %q", r.stderr)
			}
		})
	}
	// A refusal leaves nothing half done.
	p.refused(t, `no account "grace"`, "user", "show", "grace")
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"user"},
		{"user", "remove", "ada"},
		{"user", "show"},
		{"user", "add", "ada", "--nonsense"},
		{"session"},
		{"session", "end"},
		{"session", "list", "x"},
		// A password is asked for on a terminal only, and there is none.
		{"user", "set-password", "ada"},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(args, strings.NewReader(""), &stdout, &stderr); got != exitUsage {
			t.Errorf("%q: exit code %d, want %d", args, got, exitUsage)
		}
		if stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("%q: stdout %q, stderr %q", args, &stdout, &stderr)
		}
	}
}

func TestStoreDown(t *testing.T) {
	redis := servers.Redis(t, servers.RedisOptions{})
	p := &place{config: writeConfig(t, redisText(redis.Addr))}
	p.must(t, "", "user", "add", "ada")
	redis.Kill()
	p.refused(t, "the store does not answer (dial tcp "+redis.Addr, "user", "show", "ada")
}

// A server holds the embedded store, and its socket is elsewhere: the command
// must say so, not wait for ever or break the file.
func TestStoreHeldByAnother(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.serve(t)
	other := filepath.Join(filepath.Dir(p.config), "other.yaml")
	text := routesText + "server: {admin_socket: data/other.sock}\n"
	if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	elsewhere := &place{config: other}
	elsewhere.refused(t, "another process holds", "user", "list")
}

// The file of the embedded store stays the server's own: closed to others, and
// with the owner that it had.
func TestEmbeddedFileStaysClosed(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.must(t, "", "user", "add", "ada")
	for name, want := range map[string]fs.FileMode{"data": 0o700, "data/gatehouse.db": 0o600} {
		info, err := os.Stat(filepath.Join(filepath.Dir(p.config), name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %v", name, info.Mode(), err, want)
		}
	}
}
