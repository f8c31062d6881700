package test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestStoreDown: a store in trouble is not a sign-out. Whatever needs it is
// 503 and keeps every cookie, whatever does not goes on, nothing is half done,
// and when the store is back so is everything, without a restart.
func TestStoreDown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		down, up func(t *testing.T, s *servers.RedisServer)
	}{
		{"killed", func(_ *testing.T, s *servers.RedisServer) { s.Kill() }, func(t *testing.T, s *servers.RedisServer) { s.Start(t) }},
		{"hangs", func(_ *testing.T, s *servers.RedisServer) { s.Pause() }, func(_ *testing.T, s *servers.RedisServer) { s.Resume() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			redis := servers.Redis(t, servers.RedisOptions{Persist: true})
			app, idp := servers.StartApp(t), badidp.Start(t)
			admin := servers.FreeAddr(t)
			idp.SetPersona("new", map[string]any{"sub": "new", "preferred_username": "new", "email": "new@corp.example", "email_verified": true}, nil)
			text := configText(app.URL, []string{connectionText("acme", idp.URL())},
				"local: {enabled: true}", `mfa: {enforce: "off"}`, "session: {cache_ttl: 1s}",
				fmt.Sprintf("store: {redis: {addresses: [%q], timeout: 300ms}}", redis.Addr))
			text = strings.Replace(text, "routes:\n", "routes:\n  - {path: /public, access: public, upstream: \""+app.URL+"\"}\n", 1)
			g := servers.StartGateway(t, binary, strings.Replace(text, "{{admin}}", admin, 1))
			addUser(t, g, "local")

			pat := newVisitor(t, "")
			pat.start(g, "acme", "/").wants(t, http.StatusOK)
			cookie := pat.cookie(g.URL, "_gatehouse")
			late := newVisitor(t, "new")
			answer := late.look(late.look(g.URL + "/oauth2/start?connection=acme&rd=/").to(t).String()).to(t).String()

			tt.down(t, redis)
			servers.WaitFor(t, "the cache to grow old", func(context.Context) bool {
				r := pat.look(g.URL + "/").keepsCookies(t)
				if r.StatusCode != http.StatusOK {
					r.wants(t, http.StatusServiceUnavailable)
				}
				return r.StatusCode == http.StatusServiceUnavailable
			})
			before := len(app.Requests())
			stranger := newVisitor(t, "new")
			for what, r := range map[string]reply{
				"a page":                 pat.look(g.URL + "/"),
				"an API call":            pat.look(g.URL+"/", "Accept", "application/json"),
				"forward-auth":           pat.look(g.URL + "/oauth2/auth"),
				"userinfo":               pat.look(g.URL + "/oauth2/userinfo"),
				"sign-out":               pat.post(g.URL+"/oauth2/sign_out", url.Values{}),
				"the start of a sign-in": stranger.look(g.URL + "/oauth2/start?connection=acme"),
				"a password":             stranger.password(g, "local", goodPassword),
				"a wrong password":       stranger.password(g, "nobody", goodPassword),
				"the end of a sign-in":   late.look(answer),
			} {
				if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
					t.Errorf("%s: %s with Retry-After %q, want 503:\n%s", what, r.Status, r.Header.Get("Retry-After"), r.Text)
				}
				for _, c := range r.Cookies() {
					if c.Name == "_gatehouse" {
						t.Errorf("%s touches the session's cookie: %s", what, c)
					}
				}
				if strings.Contains(strings.ToLower(r.Text), "redis") || strings.Contains(r.Text, redis.Addr) {
					t.Errorf("%s tells strangers about the store:\n%s", what, r.Text)
				}
			}
			if n := len(app.Requests()); n != before {
				t.Errorf("%d requests reached the application", n-before)
			}
			pat.look(g.URL+"/public").wants(t, http.StatusOK)
			if user, there := app.Last(t).Header["X-Forwarded-User"]; there {
				t.Errorf("a public page was told of a user that cannot be known: %q", user)
			}
			pat.look(g.URL+"/ping").wants(t, http.StatusOK)
			pat.look(g.URL+"/ready").wants(t, http.StatusServiceUnavailable)
			if r := pat.look("http://"+admin+"/ready").wants(t, http.StatusServiceUnavailable); !strings.Contains(r.Text, `"store"`) {
				t.Errorf("the admin listener gives no reason: %s", r.Text)
			}

			tt.up(t, redis)
			servers.WaitFor(t, "the store to be back", func(context.Context) bool {
				return pat.look(g.URL+"/ready").StatusCode == http.StatusOK && pat.look(g.URL+"/").StatusCode == http.StatusOK
			})
			if now := pat.cookie(g.URL, "_gatehouse"); now != cookie {
				t.Error("the session has another cookie")
			}
			if all := accounts(t, g); len(all) != 2 {
				t.Errorf("accounts: %+v; want that of pat and the local one", all)
			}
			late.start(g, "acme", "/").wants(t, http.StatusOK)
			if user := late.signedIn(g)["user"]; user != "new" {
				t.Errorf("signed in as %v", user)
			}
			if all := accounts(t, g); len(all) != 3 {
				t.Errorf("accounts: %+v; want three", all)
			}
		})
	}
}

// TestStoreComesLate: services start in any order.
func TestStoreComesLate(t *testing.T) {
	t.Parallel()
	redis, idp := servers.Redis(t, servers.RedisOptions{}), badidp.Start(t)
	redis.Stop()
	g := servers.NewGateway(t, binary, configText(servers.StartApp(t).URL, []string{connectionText("acme", idp.URL())}, redisStore(redis, "gatehouse:")))
	launch(t, g)
	logs(t, g, "the store does not answer")
	redis.Start(t)
	logs(t, g, "the gateway listens")
	v := newVisitor(t, "")
	v.start(g, "acme", "/").wants(t, http.StatusOK)
	v.signedIn(g)
}

// TestEviction: a Redis that may throw accounts away is warned about.
func TestEviction(t *testing.T) {
	t.Parallel()
	const warning = "REDIS MAY EVICT ACCOUNTS"
	careless := servers.Redis(t, servers.RedisOptions{Args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}})
	g := servers.StartGateway(t, binary, configText("http://127.0.0.1:1", nil, "local: {enabled: true}", redisStore(careless, "gatehouse:")))
	logs(t, g, warning)
	logs(t, g, "allkeys-lru")
	careful := servers.Redis(t, servers.RedisOptions{})
	g = servers.StartGateway(t, binary, configText("http://127.0.0.1:1", nil, "local: {enabled: true}", redisStore(careful, "gatehouse:")))
	if strings.Contains(g.Output(), warning) {
		t.Errorf("warned without reason:\n%s", g.Output())
	}
}
