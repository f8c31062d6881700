package test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// TestRedisModes: every way to reach a Redis, through the config alone. What
// one replica and its commands write, another one reads.
func TestRedisModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		store func(t *testing.T) string
	}{
		{"tcp", func(t *testing.T) string {
			return redisStore(servers.Redis(t, servers.RedisOptions{}), "gatehouse:")
		}},
		{"password", func(t *testing.T) string {
			s := servers.Redis(t, servers.RedisOptions{Password: "pass word ' \" : #"})
			return fmt.Sprintf("store: {redis: {addresses: [%q], password_file: %q}}", s.Addr, secretFile(t, s.Password))
		}},
		{"username", func(t *testing.T) string {
			// Just what the store's documentation asks for.
			s := servers.Redis(t, servers.RedisOptions{Args: []string{
				"--user", "gatehouse", "on", ">hunter2", "~mine:*", "&mine:*",
				"+get", "+set", "+getdel", "+del", "+scan", "+eval", "+evalsha", "+publish", "+subscribe", "+info",
			}})
			return fmt.Sprintf("store: {redis: {addresses: [%q], username: gatehouse, password_file: %q, key_prefix: \"mine:\"}}", s.Addr, secretFile(t, "hunter2"))
		}},
		{"tls", func(t *testing.T) string {
			s := servers.Redis(t, servers.RedisOptions{TLS: true})
			return fmt.Sprintf("store: {redis: {addresses: [%q], tls: {enabled: true, ca_file: %q}}}", s.Addr, s.CAFile)
		}},
		{"client certificate", func(t *testing.T) string {
			s := wantsCertificate(t)
			return fmt.Sprintf("store: {redis: {addresses: [%q], tls: {enabled: true, ca_file: %q, cert_file: %q, key_file: %q}}}",
				s.Addr, s.CAFile, s.CertFile, s.KeyFile)
		}},
		{"unix socket", func(t *testing.T) string {
			s := servers.Redis(t, servers.RedisOptions{Unix: true})
			return fmt.Sprintf("store: {redis: {addresses: [%q]}}", s.Addr)
		}},
		{"db", func(t *testing.T) string {
			s := servers.Redis(t, servers.RedisOptions{})
			return fmt.Sprintf("store: {redis: {addresses: [%q], db: 3}}", s.Addr)
		}},
		{"cluster", func(t *testing.T) string { return clusterStore(servers.RedisCluster(t)) }},
		{"sentinel", func(t *testing.T) string {
			group := servers.RedisSentinel(t, "correct horse", true)
			return fmt.Sprintf("store: {redis: {mode: sentinel, addresses: %s, master_name: %s, password_file: %q}}",
				yamlList(group.Addrs), group.MasterName, secretFile(t, group.Password))
		}},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			idp, app := badidp.Start(t), servers.StartApp(t)
			front, replicas := startReplicas(t, 2, configText(app.URL, []string{connectionText("acme", idp.URL())}, tt.store(t)))
			v := newVisitor(t, "")
			v.get(front+"/oauth2/start?rd=/").wants(t, http.StatusOK)
			for _, g := range replicas {
				if user := v.signedIn(g)["user"]; user != "pat" {
					t.Errorf("signed in as %v", user)
				}
				if all := accounts(t, g); len(all) != 1 || all[0].Username != "pat" {
					t.Errorf("accounts: %+v", all)
				}
			}
			run(t, replicas[0], "user", "disable", "pat")
			for _, g := range replicas {
				servers.WaitFor(t, "the session to end", func(context.Context) bool { return v.userinfo(g) == nil })
			}
		})
	}
}

// wantsCertificate starts a Redis that talks only to clients with a
// certificate of its authority.
func wantsCertificate(t *testing.T) *servers.RedisServer {
	t.Helper()
	s := servers.Redis(t, servers.RedisOptions{TLS: true})
	// Only now: the harness itself comes without one.
	if err := s.Client(t).ConfigSet(t.Context(), "tls-auth-clients", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRedisNamespaces: installations that share a server share nothing else,
// whether they differ in the prefix or in the database, and write nothing
// outside their own place.
func TestRedisNamespaces(t *testing.T) {
	t.Parallel()
	idp, app := badidp.Start(t), servers.StartApp(t)
	s := servers.Redis(t, servers.RedisOptions{})
	text := func(prefix string, db int) string {
		return configText(app.URL, []string{connectionText("acme", idp.URL())},
			fmt.Sprintf("store: {redis: {addresses: [%q], key_prefix: %q, db: %d}}", s.Addr, prefix, db))
	}
	one := servers.StartGateway(t, binary, text("one:", 0))
	others := []*servers.Gateway{
		servers.StartGateway(t, binary, text("two:", 0)),
		servers.StartGateway(t, binary, text("one:", 1)),
	}
	v := newVisitor(t, "")
	v.start(one, "acme", "/").wants(t, http.StatusOK)
	v.signedIn(one)
	for _, g := range others {
		v.signedOut(g)
		if n := len(accounts(t, g)); n != 0 {
			t.Errorf("another installation sees %d accounts", n)
		}
	}
	keys, err := s.Client(t).Keys(t.Context(), "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "one:") && !strings.HasPrefix(key, "two:") {
			t.Errorf("key %q is in nobody's place", key)
		}
		if strings.Contains(key, "pat") || strings.Contains(key, "@") || strings.Contains(key, "subject-1") {
			t.Errorf("key %q tells about a person", key)
		}
	}
}

// TestRedisRefuses: where Redis says no, the command and the server say why,
// in words that an administrator can look up, and never what the secret is.
func TestRedisRefuses(t *testing.T) {
	t.Parallel()
	guarded := servers.Redis(t, servers.RedisOptions{Password: "the right one"})
	encrypted, other := servers.Redis(t, servers.RedisOptions{TLS: true}), servers.Redis(t, servers.RedisOptions{TLS: true})
	strict := wantsCertificate(t)
	wrong := secretFile(t, "the wrong one")
	tests := []struct{ name, store, says string }{
		{"wrong password", fmt.Sprintf("{addresses: [%q], password_file: %q}", guarded.Addr, wrong), "WRONGPASS"},
		{"no password", fmt.Sprintf("{addresses: [%q]}", guarded.Addr), "NOAUTH"},
		{"unknown user", fmt.Sprintf("{addresses: [%q], username: nobody, password_file: %q}", guarded.Addr, wrong), "WRONGPASS"},
		{"wrong authority", fmt.Sprintf("{addresses: [%q], tls: {enabled: true, ca_file: %q}}", encrypted.Addr, other.CAFile), "signed by unknown authority"},
		{"the system's authorities", fmt.Sprintf("{addresses: [%q], tls: {enabled: true}}", encrypted.Addr), "signed by unknown authority"},
		{"no client certificate", fmt.Sprintf("{addresses: [%q], tls: {enabled: true, ca_file: %q}}", strict.Addr, strict.CAFile), "tls: certificate required"},
		{"no such database", fmt.Sprintf("{addresses: [%q], password_file: %q, db: 99}", guarded.Addr, secretFile(t, guarded.Password)), "out of range"},
		{"nobody there", fmt.Sprintf("{addresses: [%q]}", servers.FreeAddr(t)), "connection refused"},
		{"no such socket", `{addresses: ["unix:///nowhere/redis.sock"]}`, "no such file"},
		{"no cluster", fmt.Sprintf("{mode: cluster, addresses: [%q], password_file: %q}", guarded.Addr, secretFile(t, guarded.Password)), "cluster support disabled"},
		{"no Sentinel there", fmt.Sprintf("{mode: sentinel, master_name: gatehouse, addresses: [%q]}", servers.FreeAddr(t)), "connection refused"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			g := servers.NewGateway(t, binary, configText("http://127.0.0.1:1", nil, "store: {redis: "+tt.store+"}", "local: {enabled: true}"))
			r := g.Run(t, "", "user", "list", "--config", g.Config)
			// Who is refused for want of a certificate is told so after its own
			// first words, and may see only that the connection breaks.
			says := strings.Contains(r.Stderr, tt.says) || tt.name == "no client certificate" && strings.Contains(r.Stderr, "connection reset")
			if r.Code != 1 || r.Stdout != "" || !says || strings.Contains(r.Stderr, "the wrong one") {
				t.Errorf("user list ended with %d, want 1, and says, want %q:\n%s", r.Code, tt.says, r.Stderr)
			}
			switch tt.says {
			case "WRONGPASS", "NOAUTH": // Redis has answered: trying again would not help
				refusesToStart(t, g, tt.says, "redis refuses the username or the password")
			default:
				launch(t, g) // it goes on trying: services start in any order
				logs(t, g, tt.says)
			}
			if strings.Contains(g.Output(), "the wrong one") {
				t.Errorf("the password is in the log:\n%s", g.Output())
			}
		})
	}
}

// TestSentinelFailover: the master dies. While its replica is promoted people
// see 503 at worst and keep their cookies; then everything goes on, without a
// restart, and nobody has a second account.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	idp, app := badidp.Start(t), servers.StartApp(t)
	group := servers.RedisSentinel(t, "", false)
	front, replicas := startReplicas(t, 2, configText(app.URL, []string{connectionText("acme", idp.URL())},
		fmt.Sprintf("store: {redis: {mode: sentinel, addresses: %s, master_name: %s}}", yamlList(group.Addrs), group.MasterName),
		"session: {cache_ttl: 0s}"))
	v := newVisitor(t, "")
	v.get(front+"/oauth2/start?rd=/").wants(t, http.StatusOK)
	if n, err := group.Master.Client(t).Wait(t.Context(), 1, 10*time.Second).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas follow, %v", n, err)
	}
	group.Master.Kill()
	// Each gateway hears of the new master by itself, and requests alternate.
	interrupted, answered := false, 0
	servers.WaitFor(t, "every gateway to find the new master", func(context.Context) bool {
		r := v.look(front + "/")
		answered++
		if r.StatusCode != http.StatusOK {
			interrupted, answered = true, 0
			r.wants(t, http.StatusServiceUnavailable).keepsCookies(t)
		}
		return interrupted && answered >= len(replicas)
	})
	newVisitor(t, "").get(front+"/oauth2/start?rd=/").wants(t, http.StatusOK)
	for _, g := range replicas {
		v.signedIn(g)
	}
	// A new process may ask a Sentinel that has not heard of it yet.
	servers.WaitFor(t, "a command to find the new master", func(context.Context) bool {
		return replicas[0].Run(t, "", "user", "list", "--config", replicas[0].Config).Code == 0
	})
	if all := accounts(t, replicas[0]); len(all) != 1 {
		t.Errorf("accounts: %+v", all)
	}
}

// keepsCookies fails the test if the answer sets or clears a cookie.
func (r reply) keepsCookies(t testing.TB) reply {
	t.Helper()
	if set := r.Header.Values("Set-Cookie"); len(set) > 0 {
		t.Errorf("%s %s answered %s and set %q", r.Request.Method, r.Request.URL.Path, r.Status, set)
	}
	return r
}
