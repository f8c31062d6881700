package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/provision"
)

// age makes an account look as if it had been made, and used, so long ago.
func (p *place) age(t *testing.T, name string, by time.Duration) {
	t.Helper()
	id := p.shown(t, name).ID
	back := func(a *state, key string, fields ...string) {
		err := a.store.Update(t.Context(), key, func(old []byte) ([]byte, time.Duration, error) {
			var record map[string]any
			if old == nil {
				return nil, 0, store.ErrNoChange
			}
			if err := json.Unmarshal(old, &record); err != nil {
				return nil, 0, err
			}
			for _, f := range fields {
				if at, ok := record[f].(string); ok {
					then, err := time.Parse(time.RFC3339, at)
					if err != nil {
						return nil, 0, err
					}
					record[f] = then.Add(-by)
				}
			}
			value, err := json.Marshal(record)
			return value, store.KeepTTL, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	p.use(t, func(a *state) {
		back(a, "account:"+id, "created", "enabled")
		back(a, "signin:"+id, "time", "seen")
	})
}

const oneDay = 24 * time.Hour

const inactiveText = `
jit_provisioning: {protected_groups: [auditors], inactive: {disable_after: 90d, delete_after: 180d, exempt_groups: [admins]}}
connections:
  - {id: acme, name: Acme, type: oidc, issuer: "https://id.acme.example", client_id: x, client_secret: s, jit: {link_protected_groups: [operators]}}
`

func TestInactiveCommand(t *testing.T) {
	for name, open := range places(t, inactiveText) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			for user, group := range map[string]string{
				"old": "staff", "older": "staff", "new": "staff", "there": "staff", "back": "staff",
				"admin": "admins", "operator": "operators", "auditor": "auditors",
			} {
				p.must(t, "", "user", "add", user, "--group", group)
				if user != "new" {
					p.age(t, user, 100*oneDay)
				}
			}
			p.age(t, "older", 100*oneDay)
			p.signIn(t, p.shown(t, "there").ID)
			p.must(t, "", "user", "disable", "back")
			p.must(t, "", "user", "enable", "back")

			acts := func(text string, done bool) map[string]string {
				t.Helper()
				var all []provision.Idle
				if err := json.Unmarshal([]byte(text), &all); err != nil {
					t.Fatalf("%v in %q", err, text)
				}
				got := map[string]string{}
				for _, i := range all {
					if i.Done != done {
						t.Errorf("done: %+v", i)
					}
					got[i.Username] = string(i.Act)
				}
				return got
			}
			want := fmt.Sprint(map[string]string{"old": "disable", "older": "delete"})
			dry := p.must(t, "", "user", "inactive", "--dry-run", "--json")
			if got := fmt.Sprint(acts(dry.stdout, false)); got != want {
				t.Errorf("a dry run finds %s, want %s", got, want)
			}
			if !strings.Contains(dry.stderr, "Of 8 accounts (disabled after 90 days, deleted after 180 days): 1 would be disabled, 1 would be deleted; 3 left alone because of their groups, 1 because of an open session.") {
				t.Errorf("a dry run says %q", dry.stderr)
			}
			if r := p.must(t, "", "user", "inactive", "--dry-run"); !strings.Contains(r.stdout, "older") || !strings.Contains(r.stdout, "never") {
				t.Errorf("for people: %s", r.stdout)
			}
			if p.shown(t, "old").Status != provision.Active || p.shown(t, "older").Status != provision.Active {
				t.Error("a dry run has changed something")
			}
			if got := fmt.Sprint(acts(p.must(t, "", "user", "inactive", "--json").stdout, true)); got != want {
				t.Errorf("it acts on %s, want %s", got, want)
			}
			if p.shown(t, "old").Status != provision.Disabled {
				t.Error("old is not disabled")
			}
			p.refused(t, "there is no account", "user", "show", "older")
			for _, user := range []string{"new", "there", "back", "admin", "operator", "auditor"} {
				if p.shown(t, user).Status != provision.Active {
					t.Errorf("%s is gone", user)
				}
			}
			if r := p.must(t, "", "user", "history", "old"); !strings.Contains(r.stdout, "disabled by rule inactive") {
				t.Errorf("the history of old: %s", r.stdout)
			}
			if got := acts(p.must(t, "", "user", "inactive", "--json").stdout, true); len(got) > 0 {
				t.Errorf("again it acts on %v", got)
			}
			// Who is enabled again has as long as anybody.
			p.must(t, "", "user", "enable", "old")
			if got := acts(p.must(t, "", "user", "inactive", "--json").stdout, true); len(got) > 0 || p.shown(t, "old").Status != provision.Active {
				t.Errorf("at once after they were enabled: %v", got)
			}
		})
	}
}

// Not everybody at once, unless an administrator says so.
func TestInactiveCommandGuard(t *testing.T) {
	p := &place{config: writeConfig(t, routesText+inactiveText)}
	p.serve(t)
	for i := range 12 {
		p.must(t, "", "user", "add", fmt.Sprint("user", i))
		p.age(t, fmt.Sprint("user", i), 100*oneDay)
	}
	r := p.command("", "user", "inactive", "--json")
	if r.code != exitFailed || r.stdout != "[]\n" || !strings.Contains(r.stderr, "12 of 12 accounts") || !strings.Contains(r.stderr, "--force") {
		t.Errorf("%+v", r)
	}
	if r := p.must(t, "", "user", "inactive", "--dry-run"); !strings.Contains(r.stderr, "12 would be disabled") {
		t.Errorf("a dry run says %q", r.stderr)
	}
	if r := p.must(t, "", "user", "inactive", "--force"); !strings.Contains(r.stderr, "12 disabled") || p.shown(t, "user0").Status != provision.Disabled {
		t.Errorf("forced: %+v", r)
	}
}

func TestInactiveCommandWithoutARule(t *testing.T) {
	p := &place{config: writeConfig(t, routesText)}
	p.must(t, "", "user", "add", "ada")
	for _, args := range [][]string{{"user", "inactive"}, {"user", "inactive", "--dry-run"}, {"user", "inactive", "--json"}} {
		p.refused(t, "there is no rule for inactive accounts", args...)
	}
}

// A deletion says for how long it keeps the names, and they come back to
// whoever had them, or by an administrator.
func TestDeleteUnderQuarantine(t *testing.T) {
	for name, open := range places(t, `
jit_provisioning: {quarantine: 30d}
connections:
  - {id: acme, name: Acme, type: oidc, issuer: "https://id.acme.example", client_id: x, client_secret: s}
`) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			comes := func(subject string) (outcome auth.Outcome, err error) {
				p.use(t, func(a *state) {
					outcome, err = a.resolver.Resolve(t.Context(), auth.Identity{
						Connection: "acme", Issuer: "https://id.acme.example", Subject: subject, Username: "ada",
						Email: "ada@corp.example", EmailVerified: true,
					})
				})
				return outcome, err
			}
			first, err := comes("s1")
			if err != nil {
				t.Fatal(err)
			}
			_, alive := p.signIn(t, first.Account)
			until := time.Now().Add(30 * oneDay).UTC()
			r := p.must(t, "", "user", "delete", "ada")
			if !strings.Contains(r.stderr, "Until "+until.Format("2006-01-02")) || !strings.Contains(r.stderr, "the username ada and the e-mail ada@corp.example") {
				t.Errorf("delete says %q", r.stderr)
			}
			if alive() {
				t.Error("the session goes on")
			}
			if _, err := comes("s2"); err == nil || !strings.Contains(err.Error(), string(auth.DeniedQuarantine)) {
				t.Errorf("somebody else: %v", err)
			}
			again, err := comes("s1")
			if err != nil || again.Account == first.Account || p.shown(t, "ada").ID != again.Account {
				t.Errorf("the same person: %+v, %v", again, err)
			}
			p.must(t, "", "user", "set", "ada", "--username", "ada.l")
			if r := p.must(t, "", "user", "delete", "ada.l"); !strings.Contains(r.stderr, "the username ada.l, the former one ada and the e-mail") {
				t.Errorf("delete of a renamed account says %q", r.stderr)
			}
			p.must(t, "", "user", "add", "ada", "--email", "ada@corp.example")
			if linked, err := comes("s2"); err != nil || linked.Account != p.shown(t, "ada").ID {
				t.Errorf("after an administrator gave the names anew: %+v, %v", linked, err)
			}
		})
	}
}

// An administrator is told when nobody can come in any more, and when the same
// person can come back.
func TestUnlinkWarns(t *testing.T) {
	const connections = routesText + `
local: {enabled: true}
connections:
  - {id: acme, name: Acme, type: oidc, issuer: "https://id.acme.example", client_id: x, client_secret: s}
  - {id: partner, name: Partner, type: oidc, issuer: "https://id.partner.example", client_id: x, client_secret: s, jit: {link_existing: deny}}
  - {id: closed, name: Closed, type: oidc, issuer: "https://id.closed.example", client_id: x, client_secret: s}
`
	const last, again = "last way in", "can be linked to the account again"
	tests := []struct {
		name     string
		links    []string
		unlink   string
		password bool
		want     []string
		not      []string
	}{
		{"the only link", []string{"acme"}, "acme", false, []string{last, "set-password", again, "link_existing: auto"}, nil},
		{"with a password", []string{"acme"}, "acme", true, []string{again}, []string{last}},
		{"one of two", []string{"acme", "partner"}, "partner", false, nil, []string{last, again}},
		{"the other is of a connection that is not enabled", []string{"acme", "closed"}, "acme", false, []string{last, again}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &place{config: writeConfig(t, strings.ReplaceAll(connections, "link_existing: deny", "link_existing: auto"))}
			p.use(t, func(a *state) {
				for _, c := range tt.links {
					if _, err := a.resolver.Resolve(t.Context(), auth.Identity{
						Connection: c, Issuer: "https://id." + c + ".example", Subject: "s1", Username: "ada",
						Email: "ada@corp.example", EmailVerified: true,
					}); err != nil {
						t.Fatal(err)
					}
				}
			})
			if tt.password {
				p.must(t, goodPassword+"\n", "user", "set-password", "ada", "--password-stdin")
			}
			p.config = writeConfig(t, strings.Replace(connections, "id: closed,", "id: closed, enabled: false,", 1)+"server: {admin_socket: other.sock}\nstore: {embedded: {path: "+p.storePath(t)+"}}\n")
			r := p.must(t, "", "user", "unlink", "ada", "--connection", tt.unlink)
			for _, part := range tt.want {
				if !strings.Contains(r.stderr, part) {
					t.Errorf("does not say %q: %s", part, r.stderr)
				}
			}
			for _, part := range tt.not {
				if strings.Contains(r.stderr, part) {
					t.Errorf("says %q: %s", part, r.stderr)
				}
			}
		})
	}
}

func (p *place) storePath(t *testing.T) string { return p.load(t).Store.Embedded.Path }
