// Package overlay lets something be tried on a store without touching it: what
// is written goes into another store on top, and what is read comes from there,
// or else from below. Explain runs a whole sign-in that way.
//
// It is for one caller at a time that is done soon. It keeps no expiry of
// records from below that it has written anew, and while it works it does not
// see what becomes of those below.
package overlay

import (
	"context"
	"errors"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// Store is a store on top of another one. Both are needed. Of Below nothing but
// Get and Scan is ever called.
type Store struct {
	Below store.Store
	Top   store.Store // empty at first

	mu  sync.Mutex
	own map[string]bool // keys that live, or have died, in Top
}

var _ store.Store = (*Store)(nil)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if s.owns(key) {
		return s.Top.Get(ctx, key)
	}
	return s.Below.Get(ctx, key)
}

func (s *Store) owns(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own[key]
}

// lift makes a key the top's, with the value that it has below.
func (s *Store) lift(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.own[key] {
		return nil
	}
	value, err := s.Below.Get(ctx, key)
	if err == nil {
		err = s.Top.Create(ctx, key, value, 0)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if s.own == nil {
		s.own = map[string]bool{}
	}
	s.own[key] = true
	return nil
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.lift(ctx, key); err != nil {
		return err
	}
	return s.Top.Create(ctx, key, value, ttl)
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	if err := s.lift(ctx, key); err != nil {
		return err
	}
	return s.Top.Update(ctx, key, f)
}

// Take implements store.Store.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	if err := s.lift(ctx, key); err != nil {
		return nil, err
	}
	return s.Top.Take(ctx, key)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.lift(ctx, key); err != nil {
		return err
	}
	return s.Top.Delete(ctx, key)
}

// Scan implements store.Store.
func (s *Store) Scan(ctx context.Context, prefix string, f func(string, []byte) error) error {
	if err := s.Top.Scan(ctx, prefix, f); err != nil {
		return err
	}
	return s.Below.Scan(ctx, prefix, func(key string, value []byte) error {
		if s.owns(key) {
			return nil
		}
		return f(key, value)
	})
}

// Close releases the top. What is below belongs to somebody else.
func (s *Store) Close() error { return s.Top.Close() }
