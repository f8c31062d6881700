package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/store"
)

// measured is a store whose operations are timed and whose failures are
// counted.
type measured struct {
	store.Store
	get, create, update, take, remove, scan operation
}

// Store returns s, measured.
func (m *Metrics) Store(s store.Store) store.Store {
	of := func(name string) operation {
		return operation{
			seconds:    m.operations.WithLabelValues(name),
			down:       m.failures.WithLabelValues(name, "down"),
			contention: m.failures.WithLabelValues(name, "contention"),
		}
	}
	return &measured{
		Store: s,
		get:   of("get"), create: of("create"), update: of("update"), take: of("take"), remove: of("delete"), scan: of("scan"),
	}
}

// operation counts one kind of operation.
type operation struct {
	seconds          prometheus.Observer
	down, contention prometheus.Counter
}

// done counts an operation that is over. That a record is or is not there is
// an answer, and no failure; nor is it one of the store that somebody has hung
// up, or any stranger could raise the alarm.
func (o operation) done(ctx context.Context, began time.Time, err error) {
	o.seconds.Observe(time.Since(began).Seconds())
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExists):
	case errors.Is(err, store.ErrConflict):
		o.contention.Inc()
	case !errors.Is(ctx.Err(), context.Canceled):
		o.down.Inc()
	}
}

func (m *measured) Get(ctx context.Context, key string) ([]byte, error) {
	began := time.Now()
	value, err := m.Store.Get(ctx, key)
	m.get.done(ctx, began, err)
	return value, err
}

func (m *measured) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	began := time.Now()
	err := m.Store.Create(ctx, key, value, ttl)
	m.create.done(ctx, began, err)
	return err
}

// Update counts what the store failed at, and not what f refuses.
func (m *measured) Update(ctx context.Context, key string, f func(old []byte) ([]byte, time.Duration, error)) error {
	began := time.Now()
	refused := false
	err := m.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
		value, ttl, err := f(old)
		refused = err != nil
		return value, ttl, err
	})
	m.update.done(ctx, began, unless(refused, err))
	return err
}

func (m *measured) Take(ctx context.Context, key string) ([]byte, error) {
	began := time.Now()
	value, err := m.Store.Take(ctx, key)
	m.take.done(ctx, began, err)
	return value, err
}

func (m *measured) Delete(ctx context.Context, key string) error {
	began := time.Now()
	err := m.Store.Delete(ctx, key)
	m.remove.done(ctx, began, err)
	return err
}

// Scan counts what the store failed at, and not what f has had enough of.
func (m *measured) Scan(ctx context.Context, prefix string, f func(key string, value []byte) error) error {
	began := time.Now()
	enough := false
	err := m.Store.Scan(ctx, prefix, func(key string, value []byte) error {
		err := f(key, value)
		enough = enough || err != nil
		return err
	})
	m.scan.done(ctx, began, unless(enough, err))
	return err
}

// unless is err, or nil where it is the caller's own.
func unless(own bool, err error) error {
	if own {
		return nil
	}
	return err
}
