// Package cache keeps decoded records in the process, so that a request on a
// warm gateway asks the store nothing. It owns one bounded read-through cache
// with three promises:
//
//   - an entry is never served once it is ttl old, counted from the moment
//     its load began: whatever else fails, a revoked session or account is
//     gone after that time;
//   - after Forget returns, nobody who asks gets what was read before it;
//   - an error is never kept, and never answered with an old value.
//
// It does not listen for changes: whoever wires it subscribes Forget and
// Flush to store.Bus.
package cache

import (
	"context"
	"hash/maphash"
	"time"
)

// Cache is a bounded read-through cache, safe for concurrent use. Values are
// shared between callers and must not be changed by them.
type Cache[T any] struct {
	// Now is the clock; nil: time.Now. Set it before the first use.
	Now func() time.Time

	ttl    time.Duration
	load   func(ctx context.Context, key string) (T, error)
	seed   maphash.Seed
	shards []shard[T]
}

// A shard has a lock of its own, so that cores do not queue for one. Small
// caches are one shard: their bound would otherwise be very uneven.
const (
	maxShards    = 16 // a power of two
	minShardSize = 256
)

// New returns a cache of at most size entries, each served for at most ttl.
// A ttl or size of zero or less means no caching: every Get loads. load is
// called without any lock held and must end soon after its context does; its
// error goes to whoever waited for it.
func New[T any](size int, ttl time.Duration, load func(ctx context.Context, key string) (T, error)) *Cache[T] {
	c := &Cache[T]{ttl: ttl, load: load, seed: maphash.MakeSeed()}
	if size <= 0 || ttl <= 0 {
		return c
	}
	count := 1
	for count < maxShards && size/(2*count) >= minShardSize {
		count *= 2
	}
	c.shards = make([]shard[T], count)
	for i := range c.shards {
		c.shards[i].init(size / count)
	}
	return c
}

// Get returns the value of key, from the cache or by loading it. Callers that
// ask at the same time share one load, unless the key was forgotten since it
// began or it is ttl old already. It ends early only when all of them have
// gone, so one cancelled request does not fail the others. Errors: those of
// load, and ctx's.
func (c *Cache[T]) Get(ctx context.Context, key string) (T, error) {
	if c.shards == nil {
		return c.load(ctx, key)
	}
	s := c.shard(key)
	now := c.now()
	s.mu.Lock()
	if e, ok := s.entries[key]; ok {
		if age := now.Sub(e.began); age < c.ttl && age >= 0 {
			e.visited = true
			value := e.value
			s.mu.Unlock()
			return value, nil
		}
		s.remove(e)
	}
	f := s.flights[key]
	if f == nil || now.Sub(f.began) >= c.ttl {
		f = c.begin(ctx, s, key, now)
	}
	f.waiters++
	s.mu.Unlock()
	return c.wait(ctx, s, f)
}

// Forget drops key. A load of it that runs already answers those who wait for
// it and nobody else: it may have read the record before it changed.
func (c *Cache[T]) Forget(key string) {
	if c.shards == nil {
		return
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[key]; ok {
		s.remove(e)
	}
	delete(s.flights, key)
}

// Flush forgets every key.
func (c *Cache[T]) Flush() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.init(s.size)
		s.mu.Unlock()
	}
}

// Len returns the number of entries held, expired ones included.
func (c *Cache[T]) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.entries)
		s.mu.Unlock()
	}
	return n
}

func (c *Cache[T]) shard(key string) *shard[T] {
	return &c.shards[maphash.String(c.seed, key)&uint64(len(c.shards)-1)]
}

func (c *Cache[T]) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}
