package test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestProvisioningOnEveryStore: the same story on the embedded store, Redis
// and a Redis Cluster: made, updated, linked, refused, disabled, deleted. The
// tables run on one store; that stores behave alike is what the conformance
// suite and this show.
func TestProvisioningOnEveryStore(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(*testing.T) string{
		"embedded": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			return redisStore(servers.Redis(t, servers.RedisOptions{}), "other:")
		},
		"cluster": func(t *testing.T) string { return clusterStore(servers.RedisCluster(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, idp := servers.StartApp(t), badidp.Start(t)
			department := "attributes: {department: department}"
			text := configText(app.URL, []string{
				connectionText("acme", idp.URL(), department, "jit: {attribute_sync: preserve_local}"),
				connectionText("raw", idp.URL(), department, "jit: {attribute_sync: override_all}"),
				connectionText("strict", idp.URL(), department, "jit: {link_existing: deny}"),
				connectionText("partner", idp.URL(), department, "jit: {enabled: false}"),
			}, store(t))
			g := servers.StartGateway(t, binary, text)
			idp.SetPersona("pat", person("pat", map[string]any{"department": "R&D"}), nil)
			comes(t, g, "pat", "acme")
			run(t, g, "user", "set", "pat", "--attr", "room=12", "--groups", "crew")
			idp.SetPersona("pat", person("pat", map[string]any{"department": "Sales"}), nil)
			comes(t, g, "pat", "acme")
			a := showAccount(t, g, "pat")
			want := map[string][]string{"name": {"from acme", "The pat"}, "department": {"from acme", "Sales"}, "room": {"from local", "12"}}
			if diff := cmp.Diff(want, attributeValues(a)); diff != "" {
				t.Errorf("preserve_local (-want +got):\n%s", diff)
			}
			if got := sorted(a.Groups); !slices.Equal(got, []string{"crew", "staff"}) {
				t.Errorf("groups %v", got)
			}
			refused(t, g, "pat", "strict", "An account with your e-mail address exists already")
			comes(t, g, "pat", "raw") // linked by e-mail
			a = showAccount(t, g, "pat")
			want = map[string][]string{"name": {"from raw", "The pat"}, "department": {"from raw", "Sales"}}
			if diff := cmp.Diff(want, attributeValues(a)); diff != "" || len(a.Links) != 2 {
				t.Errorf("override_all, links %+v (-want +got):\n%s", a.Links, diff)
			}
			passing := comes(t, g, "pat", "partner")

			// All of it outlives the process.
			open := comes(t, g, "pat", "acme")
			restart(t, g, text)
			if got := open.signedIn(g)["user"]; got != "pat" {
				t.Errorf("after a restart they are %q", got)
			}
			passing.signedIn(g)
			run(t, g, "user", "disable", "pat")
			open.signedOut(g)
			refused(t, g, "pat", "acme", "Your account is disabled")
			passing.get(g.URL+"/").wants(t, http.StatusOK)
			run(t, g, "user", "delete", "pat")
			if n := len(accounts(t, g)); n != 0 {
				t.Errorf("%d accounts after delete", n)
			}
			comes(t, g, "pat", "acme")
			if b := showAccount(t, g, "pat@corp.example"); b.ID == a.ID || len(b.Links) != 1 {
				t.Errorf("an account made anew: %+v", b)
			}
		})
	}
}

// TestStoreThatTakesNothing: when the store cannot take the account, the
// sign-in fails and says "try again"; nobody comes in half-provisioned. Redis
// is out of memory here: it still answers reads.
func TestStoreThatTakesNothing(t *testing.T) {
	t.Parallel()
	app, idp, redis := servers.StartApp(t), badidp.Start(t), servers.Redis(t, servers.RedisOptions{})
	g := servers.StartGateway(t, binary, configText(app.URL, []string{connectionText("acme", idp.URL())}, redisStore(redis, "gatehouse:")))
	idp.SetPersona("pat", person("pat", nil), nil)
	v := newVisitor(t, "pat")
	answer := v.look(v.look(g.URL + "/oauth2/start").to(t).String()).to(t).String()
	limit := func(bytes string) {
		if err := redis.Client(t).ConfigSet(t.Context(), "maxmemory", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	limit("1")
	r := v.look(answer).wants(t, http.StatusServiceUnavailable)
	if r.Header.Get("Retry-After") == "" || v.cookie(g.URL, sessionCookie) != "" {
		t.Errorf("Retry-After %q, session cookie %q", r.Header.Get("Retry-After"), v.cookie(g.URL, sessionCookie))
	}
	limit("0")
	v.signedOut(g)
	if n := len(accounts(t, g)); n != 0 {
		t.Errorf("%d accounts of a sign-in that failed", n)
	}
	v.start(g, "acme", "/").wants(t, http.StatusOK)
	if a := accounts(t, g); len(a) != 1 || a[0].Username != "pat" || v.signedIn(g)["user"] != "pat" {
		t.Errorf("after the store has recovered: %+v", a)
	}
}
