package redis

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/store"
)

// scanBatch is how many keys a server is asked to look at in one round trip.
const scanBatch = 512

// globs are the characters that mean something in a pattern of Redis.
var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// Scan implements store.Store. Each round trip has the timeout of an operation
// and is made up to three times; the whole has only ctx.
//
// On a cluster it goes over all masters, and over them again where slots have
// moved meanwhile: a record that was there all the time is seen, unless its slot
// was moved away and back within one pass. Slots that do not come to rest make
// it fail; it never ends without an error and incomplete.
func (s *Store) Scan(ctx context.Context, prefix string, f func(string, []byte) error) error {
	pass := func(masters []redis.Cmdable, seen *seen) error {
		return s.pass(ctx, masters, seen, prefix, f)
	}
	if _, cluster := s.client.(*redis.ClusterClient); !cluster {
		return pass([]redis.Cmdable{s.client}, newSeen())
	}
	seen := newSeen()
	for p := (passes{}); p.n < mostPasses; {
		masters, before, err := s.whereabouts(ctx)
		if err != nil {
			return err
		}
		if err := pass(masters, seen); err != nil {
			return err
		}
		_, after, err := s.whereabouts(ctx)
		if err != nil || p.over(before, after) {
			return err
		}
	}
	return store.Down("scan", errRestless)
}

// whereabouts returns the masters of a cluster and what each serves.
func (s *Store) whereabouts(ctx context.Context) ([]redis.Cmdable, *layout, error) {
	masters, err := s.masters(ctx)
	if err != nil {
		return nil, nil, err
	}
	l, err := s.layoutOf(ctx, masters)
	return masters, l, err
}

// pass goes over the masters once and calls f for what has not been seen.
func (s *Store) pass(ctx context.Context, masters []redis.Cmdable, seen *seen, prefix string, f func(string, []byte) error) (err error) {
	pattern := globs.Replace(s.prefix+prefix) + "*"
	for _, master := range masters {
		for cursor, more := uint64(0), true; more; {
			var keys []string
			if keys, cursor, err = s.page(ctx, master, cursor, pattern); err != nil {
				return err
			}
			more = cursor != 0
			// Redis may return a key more than once, and while slots move two
			// masters may both know it.
			if err := s.each(ctx, seen.fresh(keys), prefix, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) page(ctx context.Context, master redis.Cmdable, cursor uint64, pattern string) (keys []string, next uint64, err error) {
	err = s.trip(ctx, func(ctx context.Context) (err error) {
		keys, next, err = master.Scan(ctx, cursor, pattern, scanBatch).Result()
		return err
	})
	return keys, next, err
}

// trip makes a round trip of a Scan, again where it may help: a walk over a
// million records must not be for nothing because the server hung once.
func (s *Store) trip(ctx context.Context, f func(context.Context) error) error {
	for n := 1; ; n++ {
		once, cancel := context.WithTimeout(ctx, s.timeout)
		err := f(once)
		cancel()
		if err == nil || errors.Is(err, redis.Nil) {
			return nil
		}
		if n == attempts || !transient(err) || ctx.Err() != nil {
			return store.Down("scan", explained(err))
		}
		s.lookAround(ctx)
	}
}

// each reads the values in one round trip and calls f for those that exist.
func (s *Store) each(ctx context.Context, keys []string, prefix string, f func(string, []byte) error) error {
	if len(keys) == 0 {
		return nil
	}
	values, err := s.values(ctx, keys)
	if err != nil {
		return err
	}
	for i, value := range values {
		key := strings.TrimPrefix(keys[i], s.prefix)
		bytes, err := value.Bytes()
		switch {
		case errors.Is(err, redis.Nil) || !strings.HasPrefix(key, prefix):
			continue
		case err != nil:
			return store.Down("scan", err)
		}
		if err := f(key, bytes); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) values(ctx context.Context, keys []string) ([]*redis.StringCmd, error) {
	values := make([]*redis.StringCmd, len(keys))
	err := s.trip(ctx, func(ctx context.Context) error {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range keys {
				values[i] = p.Get(ctx, key)
			}
			return nil
		})
		return err
	})
	return values, err
}

// masters returns the servers that hold the keys, always in the same order.
func (s *Store) masters(ctx context.Context) ([]redis.Cmdable, error) {
	if err := ctx.Err(); err != nil {
		return nil, store.Down("find masters", err)
	}
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return []redis.Cmdable{s.client}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var mu sync.Mutex
	var found []*redis.Client
	err := cluster.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		found = append(found, master)
		return nil
	})
	if err != nil {
		return nil, store.Down("find masters", err)
	}
	slices.SortFunc(found, func(a, b *redis.Client) int { return strings.Compare(a.Options().Addr, b.Options().Addr) })
	masters := make([]redis.Cmdable, len(found))
	for i, master := range found {
		masters[i] = master
	}
	return masters, nil
}

// seen remembers keys by 128 bits each, a fraction of what they take: among a
// million keys two collide once in 10^26 scans.
type seen struct {
	a, b maphash.Seed
	keys map[[2]uint64]struct{}
}

func newSeen() *seen {
	return &seen{maphash.MakeSeed(), maphash.MakeSeed(), make(map[[2]uint64]struct{})}
}

// fresh returns those of the keys that were not seen before.
func (s *seen) fresh(keys []string) []string {
	fresh := keys[:0]
	for _, key := range keys {
		sum := [2]uint64{maphash.String(s.a, key), maphash.String(s.b, key)}
		if _, ok := s.keys[sum]; !ok {
			s.keys[sum] = struct{}{}
			fresh = append(fresh, key)
		}
	}
	return fresh
}

// field returns the value of a field of INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && key == name {
			return value
		}
	}
	return "unknown"
}
