package test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// withGroupRoutes adds to a config routes that need a group each, such as /ops
// for ops.
func withGroupRoutes(text, upstream string, groups ...string) string {
	routes := "routes:\n"
	for _, group := range groups {
		routes += fmt.Sprintf("  - {path: /%s, upstream: %q, access: {groups: [%s]}}\n", group, upstream, group)
	}
	return strings.Replace(text, "routes:\n", routes, 1)
}

// startPair starts two gateways on one Redis. People sign in at the first, whose
// URL is the public one.
func startPair(t *testing.T, text string) (here, there *servers.Gateway) {
	t.Helper()
	here, there = servers.NewGateway(t, binary, ""), servers.NewGateway(t, binary, "")
	text = strings.Replace(text, `public_url: "http://{{addr}}"`, `public_url: "`+here.URL+`"`, 1)
	for _, g := range []*servers.Gateway{here, there} {
		g.WriteConfig(t, text)
		g.Start(t)
	}
	return here, there
}

// TestRemovedGroupActsEverywhere: in each mode of group_sync, what a sign-in
// takes away is gone for a session that was open before: at the replica where
// the person signed in on the next request, at the other within cache_ttl. What
// the mode leaves stays.
func TestRemovedGroupActsEverywhere(t *testing.T) {
	t.Parallel()
	const cacheTTL = 3 * time.Second
	app, idp := servers.StartApp(t), badidp.Start(t)
	redis := servers.Redis(t, servers.RedisOptions{})
	modes := []string{"sync", "override", "merge", "none"}
	var connections []string
	for _, mode := range modes {
		connections = append(connections, connectionText(mode, idp.URL(), "jit: {group_sync: "+mode+"}"))
	}
	here, there := startPair(t, withGroupRoutes(
		configText(app.URL, connections, fmt.Sprintf("session: {cache_ttl: %s}", cacheTTL), redisStore(redis, "gatehouse:")),
		app.URL, "ops", "crew", "fresh"))
	pair := []*servers.Gateway{here, there}
	// Whether the route of a group lets people in after the provider has gone
	// over from ops to fresh; crew is from an administrator.
	for mode, want := range map[string]map[string]int{
		"sync":     {"ops": http.StatusForbidden, "crew": http.StatusOK, "fresh": http.StatusOK},
		"override": {"ops": http.StatusForbidden, "crew": http.StatusForbidden, "fresh": http.StatusOK},
		"merge":    {"ops": http.StatusOK, "crew": http.StatusOK, "fresh": http.StatusOK},
		"none":     {"ops": http.StatusOK, "crew": http.StatusOK, "fresh": http.StatusForbidden},
	} {
		t.Run(mode, func(t *testing.T) {
			idp.SetPersona(mode, person(mode, map[string]any{"groups": []any{"ops"}}), nil)
			open := comes(t, here, mode, mode)
			run(t, here, "user", "set", mode, "--groups", "crew")
			before := map[string]int{"ops": http.StatusOK, "crew": http.StatusOK, "fresh": http.StatusForbidden}
			for group, status := range before {
				for _, g := range pair {
					servers.WaitFor(t, group+" before", func(context.Context) bool { return open.look(g.URL+"/"+group).StatusCode == status })
				}
			}

			idp.SetPersona(mode, person(mode, map[string]any{"groups": []any{"fresh"}}), nil)
			comes(t, here, mode, mode)
			began := time.Now()
			for group, status := range want {
				if got := open.look(here.URL + "/" + group); got.StatusCode != status {
					t.Errorf("%s answers %s on the next request, want %d", group, got.Status, status)
				}
			}
			for group, status := range want {
				servers.WaitFor(t, group+" at the other replica", func(context.Context) bool { return open.look(there.URL+"/"+group).StatusCode == status })
			}
			if took := time.Since(began); took > cacheTTL+soon {
				t.Errorf("acted after %v", took)
			}
			// It stays so.
			for group, status := range want {
				for _, g := range pair {
					open.look(g.URL+"/"+group).wants(t, status)
				}
			}

			// And an administrator's word is as fast.
			run(t, there, "user", "set", mode, "--groups", "")
			crew := http.StatusForbidden
			for _, g := range pair {
				servers.WaitFor(t, "crew to be gone", func(context.Context) bool { return open.look(g.URL+"/crew").StatusCode == crew })
			}
			open.signedIn(here)
		})
	}
}

// TestGroupMapping: the provider's names become those that are used here, after
// the gate and before groups_allowed, with an account and without.
func TestGroupMapping(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	const gate = `require: {groups: ["cn=adm,ou=x", staff-eu]}`
	const mapping = `group_mapping: {"cn=adm,ou=x": ops, staff-eu: [staff, europe]}`
	text := func(more ...string) string {
		return withGroupRoutes(configText(app.URL, bothWays(idp, append(more, "groups_allowed: [ops, staff, crew]")...)), app.URL, "ops")
	}
	g := servers.StartGateway(t, binary, text(gate, mapping))
	tests := []struct {
		name string
		sent []any
		want string
		ops  int
	}{
		{"one to one", []any{"cn=adm,ou=x"}, "ops", http.StatusOK},
		{"one to two, one of them allowed", []any{"staff-eu"}, "staff", http.StatusForbidden},
		{"what is not mapped stays", []any{"crew", "cn=adm,ou=x", "other"}, "crew,ops", http.StatusOK},
		{"twice the same", []any{"staff-eu", "staff", "ops", "cn=adm,ou=x"}, "staff,ops", http.StatusOK},
		{"letter case is another name", []any{"staff-eu", "CN=ADM,OU=X"}, "staff", http.StatusForbidden},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprint("map", i)
			idp.SetPersona(name, person(name, map[string]any{"groups": tt.sent}), nil)
			for _, connection := range []string{"on", "off"} {
				v := comes(t, g, name, connection)
				if got := app.Last(t).Header.Get("X-Forwarded-Groups"); got != tt.want {
					t.Errorf("%s: groups %q, want %q", connection, got, tt.want)
				}
				v.look(g.URL+"/ops").wants(t, tt.ops)
			}
		})
	}
	// The gate knows the provider's names alone.
	idp.SetPersona("gate", person("gate", map[string]any{"groups": []any{"ops", "staff"}}), nil)
	for _, connection := range []string{"on", "off"} {
		refused(t, g, "gate", connection, "Your account may not come in this way")
	}

	// A mapping that is gone has given its last right: who came in by it is
	// judged anew.
	idp.SetPersona("pat", person("pat", map[string]any{"groups": []any{"cn=adm,ou=x"}}), nil)
	open := []*visitor{comes(t, g, "pat", "on"), comes(t, g, "pat", "off")}
	restart(t, g, text(gate))
	for _, v := range open {
		v.signedOut(g)
	}
	for _, connection := range []string{"on", "off"} {
		comes(t, g, "pat", connection).look(g.URL+"/ops").wants(t, http.StatusForbidden)
	}
}

// TestProtectedGroups: what is protected no provider gives, by no way, and what
// one gave before is not in force from the next start on; an administrator's
// stays through every sign-in.
func TestProtectedGroups(t *testing.T) {
	t.Parallel()
	app, idp := servers.StartApp(t), badidp.Start(t)
	text := func(more string) string {
		return withGroupRoutes(configText(app.URL, append(bothWays(idp, "group_mapping: {boss: ops}"),
			connectionText("over", idp.URL(), "group_mapping: {boss: ops}", "jit: {group_sync: override}")), more, "local: {enabled: true}", `mfa: {enforce: "off"}`), app.URL, "ops")
	}
	g := servers.StartGateway(t, binary, text(""))
	addUser(t, g, "lee", "--email", "lee@corp.example")
	idp.SetPersona("pat", person("pat", map[string]any{"groups": []any{"ops", "staff"}}), nil)
	idp.SetPersona("lee", person("lee", map[string]any{"groups": []any{"boss", "staff"}}), nil)
	open := []*visitor{comes(t, g, "pat", "on"), comes(t, g, "pat", "off"), comes(t, g, "lee", "over")}
	local := newVisitor(t, "")
	local.password(g, "lee", goodPassword).wants(t, http.StatusSeeOther)
	for _, v := range append(open, local) {
		v.look(g.URL+"/ops").wants(t, http.StatusOK)
	}

	restart(t, g, text("jit_provisioning: {protected_groups: [ops]}"))
	for _, v := range open {
		v.signedOut(g)
	}
	// Attack: come by password, where no provider is asked.
	local.look(g.URL+"/ops").wants(t, http.StatusForbidden)
	comes(t, g, "pat", "on").look(g.URL+"/ops").wants(t, http.StatusForbidden)
	comes(t, g, "pat", "off").look(g.URL+"/ops").wants(t, http.StatusForbidden)
	comes(t, g, "lee", "over").look(g.URL+"/ops").wants(t, http.StatusForbidden)

	run(t, g, "user", "set", "lee", "--groups", "ops,crew")
	local.look(g.URL+"/ops").wants(t, http.StatusOK)
	// Override takes crew, and leaves what is not the provider's.
	comes(t, g, "lee", "over").look(g.URL+"/ops").wants(t, http.StatusOK)
	local.look(g.URL+"/ops").wants(t, http.StatusOK)
	if groups := showAccount(t, g, "lee").Groups; !slices.Contains(groups, "ops") || slices.Contains(groups, "crew") {
		t.Errorf("lee has the groups %v", groups)
	}
	if diff := cmp.Diff([]any{"staff", "ops"}, local.signedIn(g)["groups"]); diff != "" {
		t.Errorf("in force (-want +got):\n%s", diff)
	}
}
