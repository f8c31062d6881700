// Package bolt is the embedded store: one file of this host, held by one
// process at a time. Writes are durable when they return.
//
// A record is eight bytes of expiry (Unix milliseconds, big-endian, 0 for
// never) and the value. What has expired does not exist for any operation;
// its space is freed by a sweep in the background.
//
// The package does not share its file: several replicas need Redis.
package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"gatehouse/internal/store"
)

// ErrLocked says that another process holds the file.
var ErrLocked = errors.New("another process holds it, and only one can: " +
	"talk to that one through its admin socket, or end it, or use Redis")

// lockTimeout is how long Open waits for another process to let go.
const lockTimeout = time.Second

// records is the one bucket of the file.
var records = []byte("records")

var errClosed = errors.New("bolt: closed")

// Options say where the store is. Path is required.
type Options struct {
	Path string           // of the file; made with mode 0600, its directory with 0700
	Now  func() time.Time // nil: time.Now
}

// Store is an open file. Close it.
type Store struct {
	db      *bbolt.DB
	now     func() time.Time
	writes  chan *write
	closing chan struct{}
	close   func() error
	running sync.WaitGroup // the committer and the sweeper
}

var _ store.Store = (*Store)(nil)

// Open opens the file, or makes it. Errors: ErrLocked, and those of the
// operating system.
func Open(o Options) (*Store, error) {
	if err := makeDir(o.Path); err != nil {
		return nil, fmt.Errorf("open %s: %w", o.Path, err)
	}
	db, err := bbolt.Open(o.Path, fileMode, &bbolt.Options{
		Timeout:  lockTimeout,
		OpenFile: openFile,
		// The array slows down with the size of the file, and the counters
		// make readers queue for a lock.
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: %w", o.Path, ErrLocked)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", o.Path, err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(records)
		return err
	}); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open %s: %w", o.Path, err)
	}
	s := &Store{db: db, now: o.Now, writes: make(chan *write), closing: make(chan struct{})}
	if s.now == nil {
		s.now = time.Now
	}
	s.close = sync.OnceValue(func() error {
		close(s.closing)
		s.running.Wait()
		return s.db.Close()
	})
	s.running.Go(s.commitAll)
	s.running.Go(s.sweepAll)
	return s, nil
}

// Close finishes the writes that have begun and lets go of the file.
func (s *Store) Close() error { return s.close() }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := s.get(ctx, "get", key)
	if err == nil && value == nil {
		return nil, store.ErrNotFound
	}
	return value, err
}

// get returns a copy of the value of key, nil when there is none.
func (s *Store) get(ctx context.Context, op, key string) (value []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, store.Down(op, err)
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		r, err := s.find(tx.Bucket(records), key)
		if r.exists {
			value = append([]byte{}, r.value...) // the file's memory is not ours
		}
		return err
	})
	if err != nil {
		return nil, store.Down(op, err)
	}
	return value, nil
}

// change commits what f makes of the record of key. A record that is damaged
// fails this change alone: others share its commit, and one bad record must
// not keep strangers from signing in.
func (s *Store) change(ctx context.Context, op, key string, f func(*bbolt.Bucket, record) (bool, error)) error {
	var damaged error
	err := s.commit(ctx, op, key, func(b *bbolt.Bucket) (bool, error) {
		var r record
		if r, damaged = s.find(b, key); damaged != nil {
			return false, nil
		}
		return f(b, r)
	})
	if err != nil || damaged == nil {
		return err
	}
	return store.Down(op, damaged)
}

// Create implements store.Store.
func (s *Store) Create(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	exists := false
	err := s.change(ctx, "create", key, func(b *bbolt.Bucket, r record) (bool, error) {
		if exists = r.exists; exists {
			return false, nil
		}
		return true, b.Put([]byte(key), encode(s.expiry(ttl), value))
	})
	if err == nil && exists {
		return store.ErrExists
	}
	return err
}

// Update implements store.Store. f runs outside of any transaction: it may
// take its time and use the store.
func (s *Store) Update(ctx context.Context, key string, f func([]byte) ([]byte, time.Duration, error)) error {
	var contention store.Contention
	for {
		old, err := s.get(ctx, "update", key)
		if err != nil {
			return err
		}
		value, ttl, err := f(bytes.Clone(old)) // f may change what it is given
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
	swapped := false
	err := s.change(ctx, "update", key, func(b *bbolt.Bucket, r record) (bool, error) {
		if r.exists != (old != nil) || !bytes.Equal(r.value, old) {
			return false, nil
		}
		swapped = true
		switch {
		case value == nil && old == nil:
			return false, nil
		case value == nil:
			return true, b.Delete([]byte(key))
		}
		expires := r.expires
		if ttl != store.KeepTTL {
			expires = s.expiry(ttl)
		}
		return true, b.Put([]byte(key), encode(expires, value))
	})
	return err == nil && swapped, err
}

// Take implements store.Store.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	var taken []byte
	err := s.change(ctx, "take", key, func(b *bbolt.Bucket, r record) (bool, error) {
		if !r.exists {
			return false, nil
		}
		taken = append([]byte{}, r.value...)
		return true, b.Delete([]byte(key))
	})
	if err != nil {
		return nil, err
	}
	if taken == nil {
		return nil, store.ErrNotFound
	}
	return taken, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.commit(ctx, "delete", key, func(b *bbolt.Bucket) (bool, error) {
		if b.Get([]byte(key)) == nil {
			return false, nil
		}
		return true, b.Delete([]byte(key))
	})
}
