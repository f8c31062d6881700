package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// secrets writes the keys of a config; the first seals.
func secrets(keys ...string) string {
	if len(keys) == 0 {
		return ""
	}
	return "secrets: {keys: " + yamlList(keys) + "}"
}

// TestKeys: the keys of secrets.keys are changed under people's feet. With the
// new key first and the old one second everything goes on, and then without
// the old one. With a key that does not fit, nothing starts and nothing is
// harmed: a gateway that made a fresh index key instead would give everybody a
// second account.
func TestKeys(t *testing.T) {
	t.Parallel()
	old, fresh, foreign := strings.Repeat("o", 43), strings.Repeat("n", 43), strings.Repeat("f", 43)
	tests := []struct {
		name   string
		first  []string // what the installation begins with; none: it makes its own
		stores func(t *testing.T) string
	}{
		{"redis", []string{old}, func(t *testing.T) string {
			return redisStore(servers.Redis(t, servers.RedisOptions{}), "gatehouse:")
		}},
		{"embedded", []string{old}, func(*testing.T) string { return "" }},
		{"redis, generated", nil, func(t *testing.T) string {
			return redisStore(servers.Redis(t, servers.RedisOptions{}), "gatehouse:")
		}},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, ", ", "_"), func(t *testing.T) {
			t.Parallel()
			app, idp, where := servers.StartApp(t), badidp.Start(t), tt.stores(t)
			text := func(keys ...string) string {
				return configText(app.URL, []string{connectionText("acme", idp.URL())}, "local: {enabled: true}", where, secrets(keys...))
			}
			g := servers.StartGateway(t, binary, text(tt.first...))
			alice, bob, pat := newVisitor(t, ""), newVisitor(t, ""), newVisitor(t, "")
			for _, name := range []string{"alice", "bob"} {
				addUser(t, g, name)
			}
			phone, bobsPhone := alice.enrol(g, "alice"), bob.enrol(g, "bob")
			pat.start(g, "acme", "/").wants(t, http.StatusOK)
			before := fmt.Sprintf("%+v", accounts(t, g))
			everybodyIsThere := func() {
				t.Helper()
				for _, v := range []*visitor{alice, bob, pat} {
					v.signedIn(g)
				}
				if now := fmt.Sprintf("%+v", accounts(t, g)); now != before {
					t.Errorf("accounts were\n%s\nand are\n%s", before, now)
				}
			}
			signInAgain := func() {
				t.Helper()
				newVisitor(t, "").signInLocal(g, "alice", phone)
				v := newVisitor(t, "")
				v.start(g, "acme", "/").wants(t, http.StatusOK)
				v.signedIn(g)
			}
			everybodyIsThere()

			g.Stop()
			for _, keys := range [][]string{{foreign}, {foreign, fresh}} {
				if len(tt.first) == 0 {
					break // no key is foreign to an installation that has had none
				}
				g.WriteConfig(t, text(keys...))
				refusesToStart(t, g, "secrets.keys", "index key")
				for _, secret := range append(keys, old) {
					if strings.Contains(g.Output(), secret) {
						t.Errorf("a key is in the log:\n%s", g.Output())
					}
				}
				if r := g.Run(t, "", "user", "list", "--config", g.Config); r.Code != 1 || !strings.Contains(r.Stderr, "secrets.keys") {
					t.Errorf("user list ended with %d and says:\n%s", r.Code, r.Stderr)
				}
			}

			restart(t, g, text(append([]string{fresh}, tt.first...)...))
			everybodyIsThere()
			signInAgain()
			logs(t, g, "every secret is sealed under the first of secrets.keys")

			restart(t, g, text(fresh))
			everybodyIsThere()
			signInAgain()
			// Bob was not there in between.
			newVisitor(t, "").signInLocal(g, "bob", bobsPhone)

			if len(tt.first) > 0 { // the old key is of no use any more
				g.Stop()
				g.WriteConfig(t, text(tt.first...))
				refusesToStart(t, g, "secrets.keys")
			}
		})
	}
}
