// Package memory is the store of a test: a map in the process, with the
// semantics of the others and nothing durable.
package memory

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/store"
)

var errClosed = errors.New("memory: closed")

// Store keeps records in a map. The zero value is ready.
type Store struct {
	// Now is the clock; nil: time.Now. Set it before the first use.
	Now func() time.Time

	mu      sync.RWMutex
	records map[string]record
	sweepAt int // sweep when there are so many records
	closed  bool
}

type record struct {
	value   []byte
	expires time.Time // zero: never
}

var _ store.Store = (*Store)(nil)

// New returns an empty Store.
func New() *Store { return &Store{} }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := s.rlock(ctx, "get"); err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	r, ok := s.live(key)
	if !ok {
		return nil, store.ErrNotFound
	}
	return bytes.Clone(r.value), nil
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.lock(ctx, "create"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if _, ok := s.live(key); ok {
		return store.ErrExists
	}
	s.put(key, record{stored(value), s.expiry(ttl)})
	return nil
}

// Update implements store.Store.
func (s *Store) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	var contention store.Contention
	for {
		old, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		// f gets a copy of its own: it may decode in place and return it.
		value, ttl, err := f(bytes.Clone(old))
		if errors.Is(err, store.ErrNoChange) {
			return nil
		}
		if err != nil {
			return err
		}
		swapped, err := s.swap(ctx, key, old, value, ttl)
		if err != nil || swapped {
			return err
		}
		if err := contention.Lost(ctx); err != nil {
			return err
		}
	}
}

// swap writes value where old, or for nil nothing, still is.
func (s *Store) swap(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	if err := s.lock(ctx, "update"); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	present, ok := s.live(key)
	if ok != (old != nil) || !bytes.Equal(present.value, old) {
		return false, nil
	}
	if value == nil {
		delete(s.records, key)
		return true, nil
	}
	expires := present.expires
	if ttl != store.KeepTTL {
		expires = s.expiry(ttl)
	}
	s.put(key, record{stored(value), expires})
	return true, nil
}

// Take implements store.Store.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	if err := s.lock(ctx, "take"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	r, ok := s.live(key)
	if !ok {
		return nil, store.ErrNotFound
	}
	delete(s.records, key)
	return r.value, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.lock(ctx, "delete"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(s.records, key)
	return nil
}

// Scan implements store.Store. No lock is held while f runs.
func (s *Store) Scan(ctx context.Context, prefix string, f func(string, []byte) error) error {
	if err := s.rlock(ctx, "scan"); err != nil {
		return err
	}
	var keys []string
	for key := range s.records {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	s.mu.RUnlock()
	for _, key := range keys {
		value, err := s.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// Close implements store.Store; everything is forgotten.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.records = true, nil
	return nil
}

func (s *Store) lock(ctx context.Context, op string) error {
	s.mu.Lock()
	if err := s.usable(ctx, op); err != nil {
		s.mu.Unlock()
		return err
	}
	return nil
}

func (s *Store) rlock(ctx context.Context, op string) error {
	s.mu.RLock()
	if err := s.usable(ctx, op); err != nil {
		s.mu.RUnlock()
		return err
	}
	return nil
}

func (s *Store) usable(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return store.Down(op, err)
	}
	if s.closed {
		return store.Down(op, errClosed)
	}
	return nil
}

// live returns the record of key unless it has expired.
func (s *Store) live(key string) (record, bool) {
	r, ok := s.records[key]
	if !ok || r.expired(s.now()) {
		return record{}, false
	}
	return r, true
}

// put writes a record and, each time the map has doubled, drops what has
// expired: that costs each write a constant share and bounds the map by twice
// what is alive.
func (s *Store) put(key string, r record) {
	const atLeast = 1024
	if s.records == nil {
		s.records = make(map[string]record)
	}
	s.records[key] = r
	if len(s.records) < max(s.sweepAt, atLeast) {
		return
	}
	now := s.now()
	for key, r := range s.records {
		if r.expired(now) {
			delete(s.records, key)
		}
	}
	s.sweepAt = 2 * len(s.records)
}

func (s *Store) expiry(ttl time.Duration) time.Time {
	if ttl = store.RoundTTL(ttl); ttl == 0 {
		return time.Time{}
	}
	return s.now().Add(ttl)
}

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (r record) expired(now time.Time) bool {
	return !r.expires.IsZero() && !now.Before(r.expires)
}

// stored copies a value that is written; it is never nil, which would mean
// that there is no record.
func stored(value []byte) []byte { return append([]byte{}, value...) }

// Len returns the number of records held, with those that have expired and
// are not dropped yet.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.records)
}
