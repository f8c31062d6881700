package servers

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const slots = 16384

// RedisCluster starts a Redis Cluster of three masters and returns their
// addresses when every one of them serves every slot.
func RedisCluster(t testing.TB) []string {
	t.Helper()
	nodes := make([]*RedisServer, 3)
	buses := make([]string, len(nodes))
	addrs := make([]string, len(nodes))
	for i := range nodes {
		buses[i] = port(FreeAddr(t)) // the default, port + 10000, may not exist
		nodes[i] = Redis(t, RedisOptions{Args: []string{
			"--cluster-enabled", "yes", "--cluster-port", buses[i], "--cluster-node-timeout", "2000",
		}})
		addrs[i] = nodes[i].Addr
	}
	ctx := context.Background()
	clients := make([]*redis.Client, len(nodes))
	for i, node := range nodes {
		clients[i] = node.Client(t)
		defer clients[i].Close()
		first, last := i*slots/len(nodes), (i+1)*slots/len(nodes)-1
		do(ctx, t, clients[i], "cluster", "addslotsrange", strconv.Itoa(first), strconv.Itoa(last))
		// Different epochs spare the nodes a vote about who is who.
		do(ctx, t, clients[i], "cluster", "set-config-epoch", strconv.Itoa(i+1))
	}
	for i := 1; i < len(nodes); i++ {
		do(ctx, t, clients[0], "cluster", "meet", "127.0.0.1", port(nodes[i].Addr), buses[i])
	}
	WaitFor(t, "the Redis cluster to agree", func(ctx context.Context) bool {
		for _, client := range clients {
			info, err := client.ClusterInfo(ctx).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") ||
				!strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(len(nodes))) ||
				!strings.Contains(info, "cluster_slots_ok:"+strconv.Itoa(slots)) {
				return false
			}
		}
		return true
	})
	return addrs
}

func do(ctx context.Context, t testing.TB, client *redis.Client, args ...any) {
	t.Helper()
	if err := client.Do(ctx, args...).Err(); err != nil {
		t.Fatalf("redis %v: %v", args, err)
	}
}
