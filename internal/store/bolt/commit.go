package bolt

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"gatehouse/internal/store"
)

// maxGroup is how many writes share one commit at most.
const maxGroup = 256

// write is one change that waits to be committed.
type write struct {
	// change does the work and says whether it changed anything. An error
	// means that the file cannot be written; outcomes such as "exists
	// already" are not errors, since they must not undo the writes beside it.
	change func(*bbolt.Bucket) (bool, error)
	done   chan error
}

// commit makes one change durable. When ctx ends while the change is on its
// way to the disk, nobody knows its outcome and the error is ErrDown.
func (s *Store) commit(ctx context.Context, op, key string, change func(*bbolt.Bucket) (bool, error)) error {
	if err := ctx.Err(); err != nil {
		return store.Down(op, err)
	}
	if s.db.IsReadOnly() {
		return store.Down(op, errReadOnly)
	}
	// One impossible key must not fail the writes that share its commit.
	if len(key) == 0 || len(key) > bbolt.MaxKeySize {
		return fmt.Errorf("%s: a key of %d bytes is not possible", op, len(key))
	}
	w := &write{change: change, done: make(chan error, 1)}
	select {
	case s.writes <- w:
	case <-s.closing:
		return store.Down(op, errClosed)
	case <-ctx.Done():
		return store.Down(op, ctx.Err())
	}
	select {
	case err := <-w.done:
		if err != nil {
			return store.Down(op, err)
		}
		return nil
	case <-ctx.Done():
		return store.Down(op, ctx.Err())
	}
}

// commitAll commits writes until the store closes. A write that comes alone
// is committed at once; those that come while the disk is busy wait for it
// anyway and share the next commit. (bbolt's own Batch makes a lone write
// wait for company.)
func (s *Store) commitAll() {
	group := make([]*write, 0, maxGroup)
	for {
		select {
		case w := <-s.writes:
			group = append(group[:0], w)
		case <-s.closing:
			return
		}
		for more := true; more && len(group) < maxGroup; {
			select {
			case w := <-s.writes:
				group = append(group, w)
			default:
				more = false
			}
		}
		err := s.commitGroup(group)
		for _, w := range group {
			w.done <- err
		}
		clear(group)
	}
}

// commitGroup does the changes one after the other in one transaction. Each
// sees those before it; none is answered before all are on the disk.
func (s *Store) commitGroup(group []*write) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // without effect after Commit
	bucket, changed := tx.Bucket(records), false
	for _, w := range group {
		did, err := w.change(bucket)
		if err != nil {
			return err
		}
		changed = changed || did
	}
	if !changed {
		return nil
	}
	return tx.Commit()
}
