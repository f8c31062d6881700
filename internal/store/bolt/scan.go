package bolt

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/store"
)

const (
	// scanBatch is how many records are read in one transaction. A long one
	// would keep freed pages from being used again, and a write that grows
	// the file would wait for it.
	scanBatch = 256
	// sweepEvery is how often the space of expired records is freed.
	sweepEvery = time.Minute
)

type pair struct {
	key   string
	value []byte
}

// Scan implements store.Store. No transaction is open while f runs, so f may
// use the store.
func (s *Store) Scan(ctx context.Context, prefix string, f func(string, []byte) error) error {
	for next, more := []byte(prefix), true; more; more = next != nil {
		if err := ctx.Err(); err != nil {
			return store.Down("scan", err)
		}
		var batch []pair
		var err error
		batch, next, err = s.batch(next, []byte(prefix))
		if err != nil {
			return store.Down("scan", err)
		}
		for _, p := range batch {
			if err := f(p.key, p.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// batch returns the live records among the next few from a key on, and where
// to go on; nil: that was all.
func (s *Store) batch(from, prefix []byte) (batch []pair, next []byte, err error) {
	now := s.now()
	next, err = s.walk(from, prefix, func(key []byte, r record, err error) error {
		if err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		if !r.expired(now) {
			batch = append(batch, pair{string(key), append([]byte{}, r.value...)})
		}
		return nil
	})
	return batch, next, err
}

// walk calls f for at most scanBatch records, those that cannot be read with
// an error, and returns where to go on; nil: that was all.
func (s *Store) walk(from, prefix []byte, f func(key []byte, r record, err error) error) (next []byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(records).Cursor()
		n := 0
		for key, data := cursor.Seek(from); key != nil && bytes.HasPrefix(key, prefix); key, data = cursor.Next() {
			if n == scanBatch {
				next = bytes.Clone(key)
				return nil
			}
			n++
			r, err := decode(data)
			if err := f(key, r, err); err != nil {
				return err
			}
		}
		return nil
	})
	return next, err
}

// sweepAll frees the space of expired records from time to time until the
// store closes.
func (s *Store) sweepAll() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-ticker.C:
			s.sweep()
		}
	}
}

// sweep deletes what has expired, in batches that share commits with other
// writes. What fails is left for the next sweep: an expired record does no
// harm but take space.
func (s *Store) sweep() {
	for next, more := []byte{}, true; more; more = next != nil {
		select {
		case <-s.closing:
			return
		default:
		}
		var expired []string
		var err error
		now := s.now()
		next, err = s.walk(next, nil, func(key []byte, r record, err error) error {
			if err == nil && r.expired(now) {
				expired = append(expired, string(key))
			}
			return nil
		})
		if err != nil {
			return
		}
		if len(expired) == 0 {
			continue
		}
		if err := s.commit(context.Background(), "sweep", expired[0], func(b *bbolt.Bucket) (bool, error) {
			return s.drop(b, expired)
		}); err != nil {
			return
		}
	}
}

// drop deletes those of the keys that are still expired: they may have been
// written again since.
func (s *Store) drop(b *bbolt.Bucket, keys []string) (changed bool, err error) {
	now := s.now()
	for _, key := range keys {
		r, err := decode(b.Get([]byte(key)))
		if err != nil || !r.expired(now) {
			continue
		}
		if err := b.Delete([]byte(key)); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}
