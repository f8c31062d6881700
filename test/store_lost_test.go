package test

import (
	"context"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
	"gatehouse/test/soak"
)

// TestStoreLost: Redis comes back empty, as one without persistence does.
// People have to sign in anew, and that is all: the replicas that went on and
// one that starts afterwards agree on one index key, so that nobody gets two
// accounts.
func TestStoreLost(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]string{
		"keys of the file": {"0123456789abcdefghijklmnopqrstuvwxyz"},
		"generated keys":   nil,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			redis, idp := servers.Redis(t, servers.RedisOptions{}), badidp.Start(t)
			_, replicas := startReplicas(t, 2, configText(servers.StartApp(t).URL, []string{connectionText("acme", idp.URL())},
				redisStore(redis, "gatehouse:"), secrets(keys...)))
			v := newVisitor(t, "")
			signIn := func(g *servers.Gateway) {
				t.Helper()
				servers.WaitFor(t, "the sign-in to work", func(context.Context) bool {
					r := v.look(g.URL + "/oauth2/start?connection=acme&rd=/")
					return r.StatusCode == http.StatusFound
				})
				comesBack := v.look(v.look(g.URL + "/oauth2/start?connection=acme&rd=/").to(t).String()).to(t)
				v.look(g.URL+comesBack.RequestURI()).wants(t, http.StatusFound)
			}
			signIn(replicas[0])
			redis.Kill()
			redis.Start(t)
			for _, g := range replicas {
				servers.WaitFor(t, "the old session to be gone", func(context.Context) bool {
					return v.look(g.URL+"/oauth2/userinfo").StatusCode == http.StatusUnauthorized
				})
			}
			servers.WaitFor(t, "a replica to put the index key back", func(context.Context) bool {
				const says = "THE STORE HAS LOST WHAT WAS IN IT"
				return strings.Contains(replicas[0].Output(), says) || strings.Contains(replicas[1].Output(), says)
			})
			signIn(replicas[0])
			replicas[1].Kill()
			replicas[1].Start(t)
			v.signedIn(replicas[1])
			signIn(replicas[1])
			v.signedIn(replicas[0])
			if all := soak.Accounts(t, replicas[1]); len(all) != 1 {
				t.Errorf("accounts: %+v; want one", all)
			}
		})
	}
}

// TestStoreBegunAnew: a replica that finds the store begun anew by another one
// ends, rather than give everybody a second account.
func TestStoreBegunAnew(t *testing.T) {
	t.Parallel()
	redis := servers.Redis(t, servers.RedisOptions{})
	g := servers.StartGateway(t, binary, configText("http://127.0.0.1:1", nil, "local: {enabled: true}", redisStore(redis, "gatehouse:")))
	// It must not put its key back first.
	g.Signal(syscall.SIGSTOP)
	if err := redis.Client(t).Del(t.Context(), "gatehouse:meta:index-key", "gatehouse:meta:keys").Err(); err != nil {
		t.Fatal(err)
	}
	run(t, g, "user", "list") // a process that starts now makes keys of its own
	g.Signal(syscall.SIGCONT)
	servers.WaitFor(t, "the gateway to end", func(context.Context) bool {
		select {
		case <-g.Done():
			return true
		default:
			return false
		}
	})
	if code := g.Cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(g.Output(), "begun anew") {
		t.Errorf("ended with %d:\n%s", code, g.Output())
	}
}
