//go:build soak

package soak_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gatehouse/test/servers"
	"gatehouse/test/soak"
)

var (
	duration = flag.Duration("soak.for", 10*time.Minute, "how long each storm lasts at least")
	seed     = flag.Uint64("soak.seed", rand.Uint64(), "of the storms' choices")
)

func build(t *testing.T) string {
	t.Helper()
	bin, err := servers.BuildGateway("../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

func clusterStore(c *servers.Cluster, more ...string) string {
	return fmt.Sprintf("store: {redis: {mode: cluster, addresses: [%q, %q, %q], %s}}", c.Addrs[0], c.Addrs[1], c.Addrs[2], strings.Join(more, ", "))
}

// TestSoak kills gateways.
func TestSoak(t *testing.T) {
	storm := soak.Storm{Bin: build(t), Replicas: 2, People: 12, Kills: 5, For: *duration, Seed: *seed}
	t.Run("embedded", func(t *testing.T) {
		storm := storm
		storm.Replicas = 1
		storm.Run(t)
	})
	t.Run("redis", func(t *testing.T) {
		storm := storm
		storm.Store = fmt.Sprintf("store: {redis: {addresses: [%q], timeout: 5s}}", servers.Redis(t, servers.RedisOptions{}).Addr)
		storm.Run(t)
	})
	t.Run("cluster", func(t *testing.T) {
		storm := storm
		storm.Store = clusterStore(servers.StartCluster(t, false), "timeout: 5s")
		storm.Run(t)
	})
}

// TestFailover kills masters of Redis, each time in an installation of its own.
func TestFailover(t *testing.T) {
	bin := build(t)
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 1))
	sentinel := func(t *testing.T) soak.Failover {
		group := servers.RedisSentinel(t, "", false)
		return soak.Failover{
			Master: group.Master, Replica: group.Replica,
			Store: fmt.Sprintf("store: {redis: {mode: sentinel, addresses: [%q, %q, %q], master_name: %s}}",
				group.Addrs[0], group.Addrs[1], group.Addrs[2], group.MasterName),
		}
	}
	for name, open := range map[string]func(t *testing.T) soak.Failover{
		"sentinel": sentinel,
		"sentinel, behind": func(t *testing.T) soak.Failover {
			f := sentinel(t)
			f.Cut = time.Duration(random.IntN(1000)+100) * time.Millisecond
			return f
		},
		"cluster": func(t *testing.T) soak.Failover {
			c, i := servers.StartCluster(t, true), random.IntN(3)
			return soak.Failover{Master: c.Masters[i], Replica: c.Replicas[i], Store: clusterStore(c)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for began := time.Now(); time.Since(began) < *duration; {
				t.Run("death", func(t *testing.T) {
					f := open(t)
					f.Bin, f.Browsers, f.SignIns = bin, 2+random.IntN(10), 10+random.IntN(100)
					f.Run(t)
				})
			}
		})
	}
}

// TestSlots moves every slot of a Redis Cluster to the next master and back.
func TestSlots(t *testing.T) {
	bin := build(t)
	for began := time.Now(); time.Since(began) < *duration; {
		t.Run("round", func(t *testing.T) {
			c := servers.StartCluster(t, false)
			soak.Move{Bin: bin, Store: clusterStore(c), Browsers: 4, Cluster: c, Slots: len(c.Range(0)), Batch: 512, Rounds: 1}.Run(t)
		})
	}
}
