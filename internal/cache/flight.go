package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flight is one running load and those who wait for it.
type flight[T any] struct {
	key     string
	began   time.Time
	waiters int // guarded by the shard's lock
	cancel  context.CancelFunc
	done    chan struct{} // closed when value and err are set
	value   T
	err     error
}

var errLoadExited = errors.New("cache: the load ended its goroutine")

// begin starts a load of key; the shard's lock is held. The load runs on a
// context without the caller's cancellation, because it belongs to everybody
// who waits.
func (c *Cache[T]) begin(ctx context.Context, s *shard[T], key string, now time.Time) *flight[T] {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight[T]{key: key, began: now, cancel: cancel, done: make(chan struct{}), err: errLoadExited}
	s.flights[key] = f
	go c.fly(ctx, s, f)
	return f
}

func (c *Cache[T]) fly(ctx context.Context, s *shard[T], f *flight[T]) {
	defer f.cancel()
	defer func() {
		// A record that makes its decoder panic must not take the gateway
		// down: this goroutine is not one that net/http recovers.
		if p := recover(); p != nil {
			f.err = fmt.Errorf("cache: the load panicked: %v", p)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		// Forgotten or flushed since the load began: what was read may be
		// what was changed. The flight is then no longer in the map.
		if s.flights[f.key] == f {
			delete(s.flights, f.key)
			if f.err == nil {
				s.add(&entry[T]{key: f.key, value: f.value, began: f.began})
			}
		}
		close(f.done)
	}()
	f.value, f.err = c.load(ctx, f.key)
}

// wait returns the flight's result, or ctx's error when that comes first.
func (c *Cache[T]) wait(ctx context.Context, s *shard[T], f *flight[T]) (T, error) {
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.waiters--
	if f.waiters == 0 {
		// Nobody waits any more. Nobody may join it either: it would give
		// them somebody else's cancellation.
		f.cancel()
		if s.flights[f.key] == f {
			delete(s.flights, f.key)
		}
	}
	var none T
	return none, ctx.Err()
}
