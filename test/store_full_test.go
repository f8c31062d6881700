package test

import (
	"net/http"
	"net/url"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestStoreTakesNoWrites: a Redis that is full, or whose replicas are away,
// still reads. Who is signed in goes on; who comes now is told to try again,
// and nothing is half provisioned.
func TestStoreTakesNoWrites(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string]struct{ key, broken, whole string }{
		"full":        {"maxmemory", "1", "0"},
		"no_replicas": {"min-replicas-to-write", "1", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, idp, redis := servers.StartApp(t), badidp.Start(t), servers.Redis(t, servers.RedisOptions{})
			idp.SetPersona("new", map[string]any{"sub": "new", "preferred_username": "new"}, nil)
			g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())},
				redisStore(redis, "gatehouse:"), "session: {cache_ttl: 0s}"))
			pat, late, fresh := newVisitor(t, ""), newVisitor(t, "new"), newVisitor(t, "new")
			pat.start(g, "acme", "/").wants(t, http.StatusOK)
			answer := late.look(late.look(g.URL + "/oauth2/start?connection=acme&rd=/").to(t).String()).to(t).String()

			set := func(value string) {
				t.Helper()
				if err := redis.Client(t).ConfigSet(t.Context(), setting.key, value).Err(); err != nil {
					t.Fatal(err)
				}
			}
			set(setting.broken)
			pat.look(g.URL+"/").wants(t, http.StatusOK)
			for what, r := range map[string]reply{
				"the start of a sign-in": fresh.look(g.URL + "/oauth2/start?connection=acme"),
				"the end of a sign-in":   late.look(answer),
			} {
				if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %s with Retry-After %q, want 503", what, r.Status, r.Header.Get("Retry-After"))
				}
			}
			late.signedOut(g)
			if all := accounts(t, g); len(all) != 1 {
				t.Errorf("accounts: %+v; want that of pat", all)
			}

			set(setting.whole)
			late.start(g, "acme", "/").wants(t, http.StatusOK)
			late.signedIn(g)
			if all := accounts(t, g); len(all) != 2 {
				t.Errorf("accounts: %+v; want two", all)
			}
			pat.post(g.URL+"/oauth2/sign_out", url.Values{}).wants(t, http.StatusOK)
			pat.signedOut(g)
		})
	}
}

// TestSignInOutlivesTheProcess: a new version is rolled out while somebody is
// at the identity provider, or types a code.
func TestSignInOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(t *testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			return redisStore(servers.Redis(t, servers.RedisOptions{}), "gatehouse:")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, idp := servers.StartApp(t), badidp.Start(t)
			g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())},
				"local: {enabled: true}", store(t)))
			addUser(t, g, "alice")
			pat, alice := newVisitor(t, ""), newVisitor(t, "")
			answer := pat.look(pat.look(g.URL + "/oauth2/start?connection=acme&rd=/wanted").to(t).String()).to(t).String()
			alice.challenged(g, "alice", "/")
			phone := alice.offered(g)

			g.Kill()
			g.Start(t)
			if to := pat.look(answer).to(t).Path; to != "/wanted" {
				t.Errorf("back at %s", to)
			}
			pat.signedIn(g)
			if again := alice.offered(g); again.secret != phone.secret {
				t.Error("what alice scanned is worthless now")
			}
			alice.code(g, phone.code(t)).wants(t, http.StatusSeeOther)
			alice.signedIn(g)
		})
	}
}
