package servers

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const slots = 16384

// Cluster is a Redis Cluster of three masters. The lists keep the order in
// which the nodes were started, whatever becomes of them.
type Cluster struct {
	Addrs    []string // of the masters
	Masters  []*RedisServer
	Replicas []*RedisServer // of the master with the same index; none unless they were asked for
	ids      map[*RedisServer]string
}

// RedisCluster starts a Redis Cluster of three masters and returns their
// addresses when every one of them serves every slot.
func RedisCluster(t testing.TB) []string {
	t.Helper()
	return StartCluster(t, false).Addrs
}

// StartCluster starts a Redis Cluster of three masters, and a replica for each
// if they are asked for. A replica takes a dead master's place after about
// three seconds; until then the cluster serves nothing.
func StartCluster(t testing.TB, replicas bool) *Cluster {
	t.Helper()
	c := &Cluster{ids: map[*RedisServer]string{}}
	var buses []string
	start := func() *RedisServer {
		buses = append(buses, port(FreeAddr(t))) // the default, port + 10000, may not exist
		return Redis(t, RedisOptions{Args: []string{
			"--cluster-enabled", "yes", "--cluster-port", buses[len(buses)-1], "--cluster-node-timeout", "2000",
			"--repl-diskless-sync-delay", "0", "--cluster-allow-replica-migration", "no", // an emptied master stays one
		}})
	}
	for range 3 {
		c.Masters = append(c.Masters, start())
	}
	if replicas {
		for range c.Masters {
			c.Replicas = append(c.Replicas, start())
		}
	}
	ctx := context.Background()
	all := append(append([]*RedisServer{}, c.Masters...), c.Replicas...)
	clients := make([]*redis.Client, len(all))
	for i, node := range all {
		clients[i] = node.Client(t)
		defer clients[i].Close()
		id, err := clients[i].ClusterMyID(ctx).Result()
		if err != nil {
			t.Fatal(err)
		}
		c.ids[node] = id
		if i >= len(c.Masters) {
			continue
		}
		c.Addrs = append(c.Addrs, node.Addr)
		first, last := i*slots/len(c.Masters), (i+1)*slots/len(c.Masters)-1
		do(ctx, t, clients[i], "cluster", "addslotsrange", strconv.Itoa(first), strconv.Itoa(last))
		// Different epochs spare the nodes a vote about who is who.
		do(ctx, t, clients[i], "cluster", "set-config-epoch", strconv.Itoa(i+1))
	}
	for i := 1; i < len(all); i++ {
		do(ctx, t, clients[0], "cluster", "meet", "127.0.0.1", port(all[i].Addr), buses[i])
	}
	agree(t, clients)
	for i, replica := range clients[len(c.Masters):] {
		do(ctx, t, replica, "cluster", "replicate", c.ids[c.Masters[i]])
	}
	for i, replica := range clients[len(c.Masters):] {
		WaitFor(t, "the replicas to follow", func(ctx context.Context) bool {
			info, err := replica.Info(ctx, "replication").Result()
			return err == nil && strings.Contains(info, "master_link_status:up") && known(ctx, clients, "slave", c.ids[c.Replicas[i]])
		})
	}
	return c
}

// agree waits until every node serves every slot.
func agree(t testing.TB, clients []*redis.Client) {
	t.Helper()
	WaitFor(t, "the Redis cluster to agree", func(ctx context.Context) bool {
		for _, client := range clients {
			info, err := client.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") ||
				!strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(len(clients))) ||
				!strings.Contains(info, "cluster_slots_ok:"+strconv.Itoa(slots)) {
				return false
			}
		}
		return true
	})
}

// known reports whether every node knows a node in that role.
func known(ctx context.Context, clients []*redis.Client, role, id string) bool {
	for _, client := range clients {
		nodes, err := client.ClusterNodes(ctx).Result()
		if err != nil {
			return false
		}
		found := false
		for line := range strings.Lines(nodes) {
			found = found || strings.HasPrefix(line, id+" ") && strings.Contains(strings.Fields(line)[2], role)
		}
		if !found {
			return false
		}
	}
	return true
}

func do(ctx context.Context, t testing.TB, client *redis.Client, args ...any) {
	t.Helper()
	if err := client.Do(ctx, args...).Err(); err != nil {
		t.Fatalf("redis %v: %v", args, err)
	}
}
