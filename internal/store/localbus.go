package store

import (
	"context"
	"sync"
)

// LocalBus is the Bus of an installation that is one process. Publish calls
// every subscriber before it returns. The zero value is ready.
type LocalBus struct {
	mu          sync.Mutex
	subscribers map[*func(string)]struct{}
}

var _ Bus = (*LocalBus)(nil)

// Publish calls every subscriber with key; it never fails.
func (b *LocalBus) Publish(_ context.Context, key string) error {
	b.mu.Lock()
	subscribers := make([]func(string), 0, len(b.subscribers))
	for f := range b.subscribers {
		subscribers = append(subscribers, *f)
	}
	b.mu.Unlock()
	for _, f := range subscribers {
		f(key)
	}
	return nil
}

// Subscribe calls f for each announcement until ctx ends, beginning with the
// empty key: what was announced before is unknown.
func (b *LocalBus) Subscribe(ctx context.Context, f func(key string)) {
	b.mu.Lock()
	if b.subscribers == nil {
		b.subscribers = make(map[*func(string)]struct{})
	}
	b.subscribers[&f] = struct{}{}
	b.mu.Unlock()
	f("")
	<-ctx.Done()
	b.mu.Lock()
	delete(b.subscribers, &f)
	b.mu.Unlock()
}
