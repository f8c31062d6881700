package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"gatehouse/internal/store"
)

// Store keeps records in Redis and tells replicas of changes: it is a
// store.Store and a store.Bus. Close it.
type Store struct {
	client  redis.UniversalClient
	prefix  string
	timeout time.Duration
	close   func() error
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Bus   = (*Store)(nil)
)

// New returns a Store. It checks the options and does not connect: whether
// Redis answers shows at the first operation, and may change at any time.
func New(o Options) (*Store, error) {
	silence()
	client, err := o.client()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return &Store{
		client:  client,
		prefix:  o.KeyPrefix,
		timeout: o.timeout(),
		close:   sync.OnceValue(client.Close),
	}, nil
}

// silence keeps the client library from printing lines of its own: what
// matters is returned as an error, and is logged with its request.
var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// Close closes every connection.
func (s *Store) Close() error { return s.close() }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := s.get(ctx, "get", key)
	if err == nil && value == nil {
		return nil, store.ErrNotFound
	}
	return value, err
}

// get returns the value of key, nil when there is none.
func (s *Store) get(ctx context.Context, op, key string) ([]byte, error) {
	return bytesOf(s.read(ctx, op, "get", s.prefix+key))
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	created, err := s.create(ctx, "create", key, value, ttl)
	if err == nil && !created {
		return store.ErrExists
	}
	return err
}

func (s *Store) create(ctx context.Context, op, key string, value []byte, ttl time.Duration) (bool, error) {
	args := []any{"set", s.prefix + key, stored(value), "nx"}
	if ttl = store.RoundTTL(ttl); ttl != 0 {
		args = append(args, "px", ttl.Milliseconds())
	}
	reply, err := s.write(ctx, op, args...)
	return reply != nil, err
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	var contention store.Contention
	for {
		old, err := s.get(ctx, "update", key)
		if err != nil {
			return err
		}
		before := string(old) // f may change what it is given
		value, ttl, err := f(old)
		if errors.Is(err, store.ErrNoChange) {
			return nil
		}
		if err != nil {
			return err
		}
		swapped, err := s.swap(ctx, key, before, old != nil, value, ttl)
		if err != nil || swapped {
			return err
		}
		if err := contention.Lost(ctx); err != nil {
			return err
		}
	}
}

// swap writes value where old, or for not existed nothing, still is.
func (s *Store) swap(ctx context.Context, key, old string, existed bool, value []byte, ttl time.Duration) (bool, error) {
	switch {
	case !existed && value == nil:
		return true, nil
	case !existed && ttl == store.KeepTTL:
		return s.create(ctx, "update", key, value, 0)
	case !existed:
		return s.create(ctx, "update", key, value, ttl)
	case value == nil:
		return s.run(ctx, "update", compareAndDelete, s.prefix+key, old)
	case ttl == store.KeepTTL:
		return s.run(ctx, "update", compareAndSwap, s.prefix+key, old, value, "keepttl")
	}
	if ttl = store.RoundTTL(ttl); ttl == 0 {
		return s.run(ctx, "update", compareAndSwap, s.prefix+key, old, value)
	}
	return s.run(ctx, "update", compareAndSwap, s.prefix+key, old, value, "px", ttl.Milliseconds())
}

// Take implements store.Store. When the reply is lost, so may be the value:
// what is taken (a state, a code) is used once or not at all.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	value, err := bytesOf(s.write(ctx, "take", "getdel", s.prefix+key))
	if err == nil && value == nil {
		return nil, store.ErrNotFound
	}
	return value, err
}

// Delete implements store.Store. It may be repeated: deleting twice is
// deleting.
func (s *Store) Delete(ctx context.Context, key string) error {
	_, err := s.read(ctx, "delete", "del", s.prefix+key)
	return err
}

// EvictionPolicy returns the maxmemory-policy of the masters: noeviction, or
// the first that is another. With another Redis may drop accounts when memory
// runs short, and whoever starts should warn of it. Errors: ErrDown.
func (s *Store) EvictionPolicy(ctx context.Context) (string, error) {
	masters, err := s.masters(ctx)
	if err != nil {
		return "", err
	}
	policy := "unknown"
	for _, master := range masters {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		// INFO, since managed installations refuse CONFIG.
		info, err := master.Info(ctx, "memory").Result()
		cancel()
		if err != nil {
			return "", store.Down("eviction policy", err)
		}
		if policy = field(info, "maxmemory_policy"); policy != "noeviction" {
			return policy, nil
		}
	}
	return policy, nil
}

// stored makes sure that a value is never nil, which means "no record".
func stored(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
