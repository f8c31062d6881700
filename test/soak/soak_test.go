//go:build soak

package soak_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gatehouse/test/servers"
	"gatehouse/test/soak"
)

var (
	duration = flag.Duration("soak.for", 10*time.Minute, "how long each storm lasts at least")
	seed     = flag.Uint64("soak.seed", rand.Uint64(), "of the storms' choices")
)

func TestSoak(t *testing.T) {
	bin, err := servers.BuildGateway("../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	storm := soak.Storm{Bin: bin, Replicas: 2, People: 12, Kills: 5, For: *duration, Seed: *seed}
	t.Run("embedded", func(t *testing.T) {
		storm := storm
		storm.Replicas = 1
		storm.Run(t)
	})
	t.Run("redis", func(t *testing.T) {
		storm := storm
		storm.Store = fmt.Sprintf("store: {redis: {addresses: [%q]}}", servers.Redis(t, servers.RedisOptions{}).Addr)
		storm.Run(t)
	})
	t.Run("cluster", func(t *testing.T) {
		storm := storm
		addrs := servers.RedisCluster(t)
		storm.Store = fmt.Sprintf("store: {redis: {mode: cluster, addresses: [%q, %q, %q]}}", addrs[0], addrs[1], addrs[2])
		storm.Run(t)
	})
}
