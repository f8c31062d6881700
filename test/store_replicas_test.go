package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/test/servers"
)

// soon is how long a change may take to act at another replica: normally less
// than a second, of which a busy machine makes some.
const soon = 5 * time.Second

// TestChangesReachTheOtherReplica: whatever takes a right away acts at every
// replica at once, not only when what that one has cached is too old: here
// that would take ten minutes.
func TestChangesReachTheOtherReplica(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	redis := servers.Redis(t, servers.RedisOptions{})
	_, replicas := startReplicas(t, 2, configText(app.URL, nil,
		"  - {path: /ops, upstream: \""+app.URL+"\", access: {groups: [ops]}}",
		"local: {enabled: true}", `mfa: {enforce: "off"}`, "session: {cache_ttl: 10m}", redisStore(redis, "gatehouse:")))
	here, there := replicas[0], replicas[1]

	gone := func(v *visitor, g *servers.Gateway) bool { return v.userinfo(g) == nil }
	tests := []struct {
		name string
		act  func(t *testing.T, v *visitor, user string)
		done func(v *visitor, g *servers.Gateway) bool
	}{
		{"sign-out", func(_ *testing.T, v *visitor, _ string) {
			// The cookie stays in a thief's browser.
			cookie := v.cookie(here.URL, "_gatehouse")
			v.post(here.URL+"/oauth2/sign_out", url.Values{}).wants(v.t, http.StatusOK)
			v.setCookie(here.URL, &http.Cookie{Name: "_gatehouse", Value: cookie})
		}, gone},
		{"disable", func(t *testing.T, _ *visitor, user string) { run(t, here, "user", "disable", user) }, gone},
		{"delete", func(t *testing.T, _ *visitor, user string) { run(t, here, "user", "delete", user) }, gone},
		{"set-password", func(t *testing.T, _ *visitor, user string) {
			if r := here.Run(t, "another "+goodPassword+"\n", "user", "set-password", user, "--password-stdin", "--config", here.Config); r.Code != 0 {
				t.Fatal(r.Stderr)
			}
		}, gone},
		{"session end", func(t *testing.T, _ *visitor, user string) {
			run(t, here, "session", "end", sessionOf(t, here, user))
		}, gone},
		{"session end of all", func(t *testing.T, _ *visitor, user string) { run(t, here, "session", "end", "--user", user) }, gone},
		{
			"group removed", func(t *testing.T, _ *visitor, user string) { run(t, here, "user", "set", user, "--groups", "staff") },
			func(v *visitor, g *servers.Gateway) bool {
				return v.look(g.URL+"/ops").StatusCode == http.StatusForbidden
			},
		},
	}
	for i, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			user := fmt.Sprintf("user%d", i)
			addUser(t, here, user, "--group", "ops")
			v := newVisitor(t, "")
			v.password(here, user, goodPassword).wants(t, http.StatusSeeOther)
			bystander := newVisitor(t, "")
			addUser(t, here, "bystander-of-"+user)
			bystander.password(there, "bystander-of-"+user, goodPassword).wants(t, http.StatusSeeOther)
			for _, g := range replicas {
				v.look(g.URL+"/ops").wants(t, http.StatusOK)
				if tt.done(v, g) {
					t.Fatal("it is so already")
				}
			}
			tt.act(t, v, user)
			began := time.Now()
			for _, g := range replicas {
				servers.WaitFor(t, "the change to act", func(context.Context) bool { return tt.done(v, g) })
			}
			if took := time.Since(began); took > soon {
				t.Errorf("acted after %v", took)
			}
			bystander.signedIn(here)
			bystander.signedIn(there)
		})
	}
}

// sessionOf is the id of somebody's only session.
func sessionOf(t *testing.T, g *servers.Gateway, user string) string {
	t.Helper()
	var all []struct{ ID, Username string }
	if err := json.Unmarshal([]byte(run(t, g, "session", "list", "--json")), &all); err != nil {
		t.Fatal(err)
	}
	id := ""
	for _, s := range all {
		if s.Username == user && id != "" {
			t.Fatalf("%s has several sessions", user)
		} else if s.Username == user {
			id = s.ID
		}
	}
	return id
}

// TestChangesThatAreNotHeard: announcements are best effort. Where none
// arrives, because this Redis lets nobody subscribe, cache_ttl is the limit.
func TestChangesThatAreNotHeard(t *testing.T) {
	t.Parallel()
	redis := servers.Redis(t, servers.RedisOptions{Args: []string{
		"--user", "deaf", "on", ">hunter2", "~*", "&*", "+@all", "-subscribe",
	}})
	_, replicas := startReplicas(t, 2, configText(servers.StartApp(t).URL, nil,
		"local: {enabled: true}", `mfa: {enforce: "off"}`, "session: {cache_ttl: 3s}",
		fmt.Sprintf("store: {redis: {addresses: [%q], username: deaf, password_file: %q}}", redis.Addr, secretFile(t, "hunter2"))))
	addUser(t, replicas[0], "pat")
	v := newVisitor(t, "")
	v.password(replicas[0], "pat", goodPassword).wants(t, http.StatusSeeOther)
	v.signedIn(replicas[1])
	run(t, replicas[0], "user", "disable", "pat")
	began := time.Now()
	for _, g := range replicas {
		servers.WaitFor(t, "the change to act", func(context.Context) bool { return v.userinfo(g) == nil })
	}
	if took := time.Since(began); took > 3*time.Second+soon {
		t.Errorf("acted after %v", took)
	}
}
