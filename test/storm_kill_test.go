package test

import (
	"math/rand/v2"
	"testing"

	"gatehouse/test/servers"
	"gatehouse/test/soak"
)

// TestStormOfKills: processes die at any moment of a sign-in. Whatever they
// left half done, the people come in afterwards and have one account each.
// Package soak runs the same for long.
func TestStormOfKills(t *testing.T) {
	t.Parallel()
	storm := soak.Storm{Bin: binary, People: 8, Kills: 4, Rounds: 1, Seed: rand.Uint64()}
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		storm := storm
		storm.Replicas = 1
		storm.Run(t)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		storm := storm
		storm.Replicas = 2
		storm.Store = redisStore(servers.Redis(t, servers.RedisOptions{}), "storm:")
		storm.Run(t)
	})
}
