package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// SentinelGroup is a Redis master, its replica, and three Sentinels that
// watch them.
type SentinelGroup struct {
	Addrs      []string // of the Sentinels
	MasterName string
	Password   string // of master and replica, and of the Sentinels too when they were asked to
	Master     *RedisServer
	Replica    *RedisServer
	sentinels  []*RedisServer
}

// RedisSentinel starts a group that notices a dead master within a second and
// promotes the replica a few seconds later. An empty password is none;
// guarded Sentinels ask for it too.
func RedisSentinel(t testing.TB, password string, guarded bool) *SentinelGroup {
	t.Helper()
	quick := []string{"--repl-diskless-sync-delay", "0"}
	g := &SentinelGroup{MasterName: "gatehouse", Password: password}
	g.Master = Redis(t, RedisOptions{Password: password, Args: quick})
	g.Replica = Redis(t, RedisOptions{Password: password, Args: append(quick, "--replicaof", "127.0.0.1 "+port(g.Master.Addr))})
	// Sentinels that find the replica at once need not wait for their next look.
	replica := g.Replica.Client(t)
	defer replica.Close()
	WaitFor(t, "the replica to follow", func(ctx context.Context) bool {
		info, err := replica.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})
	for range 3 {
		s := sentinel(t, g, guarded)
		g.sentinels = append(g.sentinels, s)
		g.Addrs = append(g.Addrs, s.Addr)
	}
	for _, s := range g.sentinels {
		client := s.Client(t)
		defer client.Close()
		WaitFor(t, "the Sentinels to know each other", func(ctx context.Context) bool {
			cmd := redis.NewMapStringStringCmd(ctx, "sentinel", "master", g.MasterName)
			_ = client.Process(ctx, cmd)
			return cmd.Val()["num-slaves"] == "1" && cmd.Val()["num-other-sentinels"] == "2"
		})
	}
	return g
}

// PauseSentinel stops one of the Sentinels where it is.
func (g *SentinelGroup) PauseSentinel(i int) { g.sentinels[i].Pause() }

func sentinel(t testing.TB, g *SentinelGroup, guarded bool) *RedisServer {
	t.Helper()
	s := &RedisServer{Addr: FreeAddr(t), dir: t.TempDir()}
	text := fmt.Sprintf(`port %[1]s
bind 127.0.0.1
dir %[2]s
sentinel monitor %[3]s 127.0.0.1 %[4]s 2
sentinel down-after-milliseconds %[3]s 500
sentinel failover-timeout %[3]s 3000
`, port(s.Addr), s.dir, g.MasterName, port(g.Master.Addr))
	if g.Password != "" {
		text += fmt.Sprintf("sentinel auth-pass %s %q\n", g.MasterName, g.Password)
	}
	if guarded {
		s.Password = g.Password
		text += fmt.Sprintf("requirepass %[1]q\nsentinel sentinel-pass %[1]q\n", g.Password)
	}
	config := filepath.Join(s.dir, "sentinel.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{config, "--sentinel"}
	s.Start(t)
	return s
}
