package storetest

import (
	"context"
	"time"

	"gatehouse/internal/store"
)

// Faulty is a Store that fails when a test wants it to. Before runs ahead of
// every operation, which does not happen when it errors: the process died
// before its request reached the store. After runs behind every operation,
// which has happened when it errors: the process died, or the reply was lost,
// when the store had done its work. Either may be nil, may wait, and is called
// by many goroutines at once.
//
// The operations are get, create, update, take, delete and scan, the last
// with the prefix as key.
type Faulty struct {
	store.Store
	Before func(op, key string) error
	After  func(op, key string) error
}

var _ store.Store = (*Faulty)(nil)

// Get implements store.Store.
func (s *Faulty) Get(ctx context.Context, key string) ([]byte, error) {
	return s.value("get", key, func() ([]byte, error) { return s.Store.Get(ctx, key) })
}

// Create implements store.Store.
func (s *Faulty) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.run("create", key, func() error { return s.Store.Create(ctx, key, value, ttl) })
}

// Update implements store.Store.
func (s *Faulty) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	return s.run("update", key, func() error { return s.Store.Update(ctx, key, f) })
}

// Take implements store.Store.
func (s *Faulty) Take(ctx context.Context, key string) ([]byte, error) {
	return s.value("take", key, func() ([]byte, error) { return s.Store.Take(ctx, key) })
}

// Delete implements store.Store.
func (s *Faulty) Delete(ctx context.Context, key string) error {
	return s.run("delete", key, func() error { return s.Store.Delete(ctx, key) })
}

// Scan implements store.Store.
func (s *Faulty) Scan(ctx context.Context, prefix string, f func(string, []byte) error) error {
	return s.run("scan", prefix, func() error { return s.Store.Scan(ctx, prefix, f) })
}

func (s *Faulty) value(op, key string, do func() ([]byte, error)) ([]byte, error) {
	var value []byte
	err := s.run(op, key, func() (err error) {
		value, err = do()
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (s *Faulty) run(op, key string, do func() error) error {
	if s.Before != nil {
		if err := s.Before(op, key); err != nil {
			return err
		}
	}
	err := do()
	if s.After != nil {
		if lost := s.After(op, key); lost != nil {
			return lost
		}
	}
	return err
}
