package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/internal/store/storetest"
	"gatehouse/test/servers"
)

// prefixes keeps the stores of one test apart on the server that they share,
// and holds what patterns of Redis would misread.
var prefixes atomic.Int64

func newStore(t testing.TB, o redis.Options) *redis.Store {
	t.Helper()
	if o.KeyPrefix == "" {
		o.KeyPrefix = fmt.Sprintf(`gate[*]%d\:`, prefixes.Add(1))
	}
	s, err := redis.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func standalone(t testing.TB, server *servers.RedisServer) redis.Options {
	return redis.Options{
		Mode: redis.Standalone, Addresses: []string{server.Addr},
		Password: server.Password, TLS: server.TLSConfig(t), Timeout: 10 * time.Second,
	}
}

func conforms(t *testing.T, o redis.Options) {
	t.Run("store", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return newStore(t, o) })
	})
	t.Run("bus", func(t *testing.T) {
		storetest.RunBus(t, func(t *testing.T) (a, b store.Bus) {
			o := o
			o.KeyPrefix = fmt.Sprintf("bus%d:", prefixes.Add(1))
			return newStore(t, o), newStore(t, o)
		})
	})
}

func TestStandalone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server servers.RedisOptions
		change func(*redis.Options)
	}{
		{"TCP", servers.RedisOptions{}, nil},
		{"password", servers.RedisOptions{Password: "correct horse"}, nil},
		{"TLS", servers.RedisOptions{TLS: true, Password: "correct horse"}, nil},
		{"Unix socket and another database", servers.RedisOptions{Unix: true}, func(o *redis.Options) { o.DB = 3 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := standalone(t, servers.Redis(t, tt.server))
			if tt.change != nil {
				tt.change(&o)
			}
			conforms(t, o)
		})
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	addrs := servers.RedisCluster(t)
	// One address is enough to find the others.
	conforms(t, redis.Options{Mode: redis.Cluster, Addresses: addrs[:1], Timeout: 10 * time.Second})
}

// Master and Sentinels ask for the same password here; TestSentinelFailover
// has Sentinels without one.
func TestSentinel(t *testing.T) {
	t.Parallel()
	group := servers.RedisSentinel(t, "correct horse", true)
	conforms(t, redis.Options{
		Mode: redis.Sentinel, Addresses: group.Addrs, MasterName: group.MasterName,
		Password: group.Password, Timeout: 10 * time.Second,
	})
}

// Several installations may share one Redis: none sees or changes what is not
// its own.
func TestPrefixesAreApart(t *testing.T) {
	server := servers.Redis(t, servers.RedisOptions{})
	a, b, all := standalone(t, server), standalone(t, server), standalone(t, server)
	a.KeyPrefix, b.KeyPrefix, all.KeyPrefix = "a*:", "ab:", "a"
	sa, sb := newStore(t, a), newStore(t, b)
	ctx := t.Context()
	for _, s := range []*redis.Store{sa, sb} {
		if err := s.Create(ctx, "key", []byte("value"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := sb.Delete(ctx, "key"); err != nil {
		t.Fatal(err)
	}
	if err := sb.Create(ctx, "other", []byte("value"), 0); err != nil {
		t.Fatal(err)
	}
	var seen []string
	if err := sa.Scan(ctx, "", func(key string, _ []byte) error {
		seen = append(seen, key)
		return nil
	}); err != nil || len(seen) != 1 || seen[0] != "key" {
		t.Errorf("scan: %q, %v; want the one key of its own", seen, err)
	}
	keys, err := server.Client(t).Keys(ctx, "*").Result()
	if err != nil || len(keys) != 2 {
		t.Errorf("Redis holds %q, %v", keys, err)
	}
	for _, key := range keys {
		if key != "a*:key" && key != "ab:other" {
			t.Errorf("key %q is under no prefix", key)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	tests := []struct {
		name    string
		options redis.Options
		want    string
	}{
		{"no address", redis.Options{Mode: redis.Standalone}, "no address"},
		{"no mode", redis.Options{Addresses: []string{"localhost:1"}}, `mode ""`},
		{"unknown mode", redis.Options{Mode: "ring", Addresses: []string{"localhost:1"}}, `mode "ring"`},
		{"no port", redis.Options{Mode: redis.Standalone, Addresses: []string{"localhost"}}, `"localhost"`},
		{"two for one", redis.Options{Mode: redis.Standalone, Addresses: []string{"a:1", "b:1"}}, "2 addresses"},
		{"no master", redis.Options{Mode: redis.Sentinel, Addresses: []string{"a:1"}}, "master name"},
		{"socket of a cluster", redis.Options{Mode: redis.Cluster, Addresses: []string{"unix:///a"}}, "host:port"},
		{"relative socket", redis.Options{Mode: redis.Standalone, Addresses: []string{"unix://a"}}, "absolute"},
		{"database of a cluster", redis.Options{Mode: redis.Cluster, Addresses: []string{"a:1"}, DB: 1}, "database 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := redis.New(tt.options)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Wrong credentials are trouble of the store, never "not found".
func TestRefusedConnections(t *testing.T) {
	guarded := servers.Redis(t, servers.RedisOptions{Password: "correct horse"})
	secure := servers.Redis(t, servers.RedisOptions{TLS: true})
	for name, change := range map[string]func() redis.Options{
		"no password": func() redis.Options {
			o := standalone(t, guarded)
			o.Password = ""
			return o
		},
		"wrong password": func() redis.Options {
			o := standalone(t, guarded)
			o.Password = "battery staple"
			return o
		},
		"no TLS": func() redis.Options {
			o := standalone(t, secure)
			o.TLS = nil
			return o
		},
		"authority not trusted": func() redis.Options {
			o := standalone(t, secure)
			o.TLS.RootCAs = nil
			return o
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := change()
			o.Timeout = 2 * time.Second
			_, err := newStore(t, o).Get(t.Context(), "key")
			if !errors.Is(err, store.ErrDown) {
				t.Errorf("get: %v, want ErrDown", err)
			}
			if refused := strings.Contains(name, "password"); errors.Is(err, redis.ErrCredentials) != refused {
				t.Errorf("get: %v; ErrCredentials: want %v", err, refused)
			}
			if err != nil && strings.Contains(err.Error(), "battery staple") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestEvictionPolicy(t *testing.T) {
	server := servers.Redis(t, servers.RedisOptions{})
	s := newStore(t, standalone(t, server))
	ctx := context.Background()
	for _, want := range []string{"noeviction", "allkeys-lru", "volatile-ttl"} {
		if err := server.Client(t).ConfigSet(ctx, "maxmemory-policy", want).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.EvictionPolicy(ctx); err != nil || got != want {
			t.Errorf("eviction policy %q, %v; want %q", got, err, want)
		}
	}
	server.Kill()
	if _, err := s.EvictionPolicy(ctx); !errors.Is(err, store.ErrDown) {
		t.Errorf("eviction policy of a dead server: %v, want ErrDown", err)
	}
}

func BenchmarkStore(b *testing.B) {
	server := servers.Redis(b, servers.RedisOptions{})
	storetest.Benchmark(b, func(tb testing.TB) store.Store { return newStore(tb, standalone(tb, server)) })
}
