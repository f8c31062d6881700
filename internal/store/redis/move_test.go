package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/internal/store/storetest"
	"gatehouse/test/servers"
)

// movable starts a cluster and writes keys into a few slots of each master.
// Values equal their keys.
func movable(t *testing.T, each int) (c *servers.Cluster, m *servers.Mover, s *redis.Store, keys []string, slotsOf [3][]int) {
	t.Helper()
	c = servers.StartCluster(t, false)
	m = c.Mover(t)
	s = newStore(t, redis.Options{Mode: redis.Cluster, Addresses: c.Addrs[:1], KeyPrefix: "move:", Timeout: 10 * time.Second})
	for tag := 0; len(slotsOf[0]) < 4 || len(slotsOf[1]) < 4 || len(slotsOf[2]) < 4; tag++ {
		slot, err := m.Slot(t.Context(), fmt.Sprintf("{t%d}", tag))
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return slices.Contains(c.Range(i), slot) })
		if len(slotsOf[at]) == 4 || slices.Contains(slotsOf[at], slot) {
			continue
		}
		slotsOf[at] = append(slotsOf[at], slot)
		for i := range each {
			keys = append(keys, fmt.Sprintf("{t%d}:%04d", tag, i))
		}
	}
	slices.Sort(keys)
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := worker; i < len(keys); i += 16 {
				if err := s.Create(t.Context(), keys[i], []byte(keys[i]), 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return c, m, s, keys, slotsOf
}

// A Scan sees each record once although its slot moves meanwhile, be it from a
// master that it has not asked yet to one that it has left already.
func TestScanWhileSlotsMove(t *testing.T) {
	t.Parallel()
	c, m, s, keys, slotsOf := movable(t, 100)
	turn := func(from, to int, slots []int) {
		t.Helper()
		if err := m.Move(t.Context(), c.Masters[from], c.Masters[to], slots...); err != nil {
			t.Fatal(err)
		}
	}
	// Everything goes round by one master, when so many keys have been seen.
	for _, when := range []int{450, 600, 750} {
		var got []string
		err := s.Scan(t.Context(), "", func(key string, value []byte) error {
			if string(value) != key {
				t.Errorf("%q has value %q", key, value)
			}
			if got = append(got, key); len(got) == when {
				for from := range 3 {
					turn(from, (from+1)%3, slotsOf[from])
				}
				slotsOf = [3][]int{slotsOf[2], slotsOf[0], slotsOf[1]}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if diff := cmp.Diff(keys, got); diff != "" {
			t.Errorf("slots move after %d keys; scan (-want +got):\n%s", when, diff)
		}
	}
}

// A resharding that was given up in the middle leaves slots open for days:
// half of their keys here, half there. Every operation finds each key.
func TestSlotsThatStayOpen(t *testing.T) {
	t.Parallel()
	c, m, s, keys, slotsOf := movable(t, 40)
	ctx := t.Context()
	for from := range 3 {
		to := (from + 1) % 3
		if err := m.Open(ctx, c.Masters[from], c.Masters[to], slotsOf[from]...); err != nil {
			t.Fatal(err)
		}
		for _, slot := range slotsOf[from] {
			if err := m.Keys(ctx, c.Masters[from], c.Masters[to], slot, 20); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for range 2 {
		got = nil
		if err := s.Scan(ctx, "", func(key string, _ []byte) error {
			got = append(got, key)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if diff := cmp.Diff(keys, got); diff != "" {
			t.Errorf("scan (-want +got):\n%s", diff)
		}
	}
	for i, key := range keys {
		if err := s.Create(ctx, key, []byte("second"), 0); !errors.Is(err, store.ErrExists) {
			t.Fatalf("create %s again: %v, want ErrExists", key, err)
		}
		if err := s.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
			if string(old) != key {
				t.Errorf("update of %s sees %q", key, old)
			}
			return []byte("new"), store.KeepTTL, nil
		}); err != nil {
			t.Fatal(err)
		}
		if value, err := s.Get(ctx, key); err != nil || string(value) != "new" {
			t.Fatalf("get %s: %q, %v", key, value, err)
		}
		if i%2 == 0 {
			if value, err := s.Take(ctx, key); err != nil || string(value) != "new" {
				t.Fatalf("take %s: %q, %v", key, value, err)
			}
		} else if err := s.Delete(ctx, key); err != nil {
			t.Fatal(err)
		}
		if value, err := s.Get(ctx, key); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("get %s that is gone: %q, %v", key, value, err)
		}
		if err := s.Create(ctx, key, []byte("third"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

// What the documentation asks for is enough for a user of a Cluster.
func TestClusterUser(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, false)
	for _, node := range c.Masters {
		if err := node.Client(t).Do(t.Context(), "acl", "setuser", "gatehouse", "on", ">hunter2", "~mine:*", "&mine:*",
			"+get", "+set", "+getdel", "+del", "+scan", "+eval", "+evalsha", "+publish", "+subscribe", "+info",
			"+cluster|slots", "+cluster|nodes").Err(); err != nil {
			t.Fatal(err)
		}
	}
	s := newStore(t, redis.Options{
		Mode: redis.Cluster, Addresses: c.Addrs, Username: "gatehouse", Password: "hunter2", KeyPrefix: "mine:", Timeout: 10 * time.Second,
	})
	ctx := t.Context()
	for i := range 10 {
		if err := s.Create(ctx, fmt.Sprint("key", i), []byte("value"), 0); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	if err := s.Scan(ctx, "key", func(string, []byte) error { seen++; return nil }); err != nil || seen != 10 {
		t.Errorf("scan: %d of 10, %v", seen, err)
	}
	if err := s.Publish(ctx, "key"); err != nil {
		t.Error(err)
	}
	if policy, err := s.EvictionPolicy(ctx); err != nil || policy != "noeviction" {
		t.Errorf("eviction policy %q, %v", policy, err)
	}
}

// When a replica has taken a dead master's place, it is found at once.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, true)
	s := newStore(t, redis.Options{Mode: redis.Cluster, Addresses: c.Addrs, Timeout: time.Second})
	all := func() error {
		for i := range 30 {
			if err := s.Update(t.Context(), fmt.Sprint("key", i), func([]byte) ([]byte, time.Duration, error) {
				return []byte("value"), 0, nil
			}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := all(); err != nil {
		t.Fatal(err)
	}
	c.Masters[0].Kill()
	if err := all(); !errors.Is(err, store.ErrDown) {
		t.Errorf("with a dead master: %v, want ErrDown", err)
	}
	replica := c.Replicas[0].Client(t)
	servers.WaitFor(t, "the cluster to have its slots again", func(ctx context.Context) bool {
		_ = all() // somebody always asks
		return strings.Contains(replica.Info(ctx, "replication").Val(), "role:master") &&
			strings.Contains(replica.ClusterInfo(ctx).Val(), "cluster_state:ok")
	})
	began := time.Now()
	servers.WaitFor(t, "the new master to be found", func(context.Context) bool { return all() == nil })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the new master was found after %v", took)
	}
}

// The whole contract holds while a tenth of the slots goes round and round.
func TestClusterWhileSlotsMove(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, false)
	m := c.Mover(t)
	ctx, cancel := context.WithCancel(context.Background())
	var moved int
	var failed error
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil && failed == nil; i++ {
			from, to := c.Masters[i%3], c.Masters[(i+1)%3]
			some := c.Range(0)[:500] // began at the first master
			if failed = m.Move(context.WithoutCancel(ctx), from, to, some...); failed == nil {
				moved += len(some)
			}
		}
	}()
	t.Cleanup(func() { // when the suites, which are parallel, are over
		cancel()
		<-done
		t.Logf("%d slots have moved", moved)
		if failed != nil || moved == 0 {
			t.Errorf("%d slots have moved: %v", moved, failed)
		}
	})
	storetest.Run(t, func(t *testing.T) store.Store {
		return newStore(t, redis.Options{Mode: redis.Cluster, Addresses: c.Addrs, Timeout: 10 * time.Second})
	})
}
