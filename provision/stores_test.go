package provision

import (
	"path/filepath"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/bolt"
	"gatehouse/internal/store/redis"
	"gatehouse/test/servers"
)

// TestRealStores runs the protocol on every store that an installation may
// have: first sign-ins in parallel at two replicas, deaths and takeovers, and
// the administrators' side.
func TestRealStores(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (a, b store.Store){
		"embedded": func(t *testing.T) (a, b store.Store) {
			s, err := bolt.Open(bolt.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
			return closed(t, s, err), s
		},
		"redis": func(t *testing.T) (a, b store.Store) {
			o := redis.Options{Mode: redis.Standalone, Addresses: []string{servers.Redis(t, servers.RedisOptions{}).Addr}, Timeout: 10 * time.Second}
			return openRedis(t, o), openRedis(t, o)
		},
		"redis cluster": func(t *testing.T) (a, b store.Store) {
			o := redis.Options{Mode: redis.Cluster, Addresses: servers.RedisCluster(t), Timeout: 10 * time.Second}
			return openRedis(t, o), openRedis(t, o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			h := newHouse(t, a)
			_, other := h.replica(b)
			both := func(i int) *Resolver { return []*Resolver{h.resolver, other}[i%2] }
			storm(t, 100, func(i int) (auth.Identity, *Resolver) { return identity("acme", "alice"), both(i) })
			storm(t, 100, func(i int) (auth.Identity, *Resolver) {
				return identity([]string{"acme", "partner"}[i/2%2], "bob"), both(i)
			})
			live := audit(t, h)
			if len(live) != 2 || len(live[0].Links)+len(live[1].Links) != 3 {
				t.Errorf("accounts: %+v", live)
			}
			h.resolve(identity("acme", "alice", email("new@people.example", true)))
			h.resolve(identity("acme", "carol", email("alice@people.example", true)))
			if err := h.directory.Delete(t.Context(), "bob"); err != nil {
				t.Error(err)
			}
			audit(t, h)
			manyWriters(t, h, other, 24)
			for _, who := range []string{"alice", "carol", "busy"} {
				if err := h.directory.Delete(t.Context(), who); err != nil {
					t.Error(err)
				}
			}
			if left := dump(t, a); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
			stormOfMortals(t, h, 8, 2, 0.04)
		})
	}
}

func openRedis(t *testing.T, o redis.Options) store.Store {
	t.Helper()
	s, err := redis.New(o)
	return closed(t, s, err)
}

func closed(t *testing.T, s store.Store, err error) store.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
