package provision

import (
	"bytes"
	"context"
	"errors"
	"time"

	"gatehouse/internal/store"
)

// removing removes a record if it still is what was judged.
func (x *examination) removing(key string, judged []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		return x.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
			if old == nil || !bytes.Equal(old, judged) {
				return nil, 0, store.ErrNoChange
			}
			return nil, 0, nil
		})
	}
}

// freeing removes an entry if it still is what was judged. A tombstone that it
// stands on is there again.
func (x *examination) freeing(key string, judged []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		return x.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
			if old == nil || !bytes.Equal(old, judged) {
				return nil, 0, store.ErrNoChange
			}
			e, err := decodeEntry(old)
			if err != nil {
				return nil, 0, nil
			}
			value, ttl := e.without(x.now())
			return value, ttl, nil
		})
	}
}

// killing ends what was begun with an account and never finished, in the order
// that a takeover keeps: first the account becomes unable to finish, then its
// names are free. What is alive after all fails at its next write and starts
// anew.
func (x *examination) killing(dead *Account) func(context.Context) error {
	return func(ctx context.Context) error {
		err := x.book().kill(ctx, dead)
		if errors.Is(err, errReplan) {
			return nil // it has come to life; whether it is well is judged after
		}
		if err != nil || dead.Status == Pending {
			return err
		}
		for _, n := range x.names().announced(dead.Change) {
			v, err := x.judgeEntry(ctx, n.key)
			if err != nil {
				return err
			}
			if v == nil || v.Account != dead.ID {
				continue
			}
			if err := v.cure(ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// leading makes the entry of a name that an account bears, in the place of
// what was judged there (nil: nothing).
func (x *examination) leading(n name, account string, judged []byte) func(context.Context) error {
	return func(ctx context.Context) error {
		if free, err := x.disarm(ctx, n, judged); !free || err != nil {
			return err
		}
		value := entry{Account: account, Owner: x.book().owner}.encode()
		made := false
		err := x.Store.Update(ctx, n.key, func(old []byte) ([]byte, time.Duration, error) {
			if made = bytes.Equal(old, judged) && (old == nil) == (judged == nil); !made {
				return nil, 0, store.ErrNoChange
			}
			return value, 0, nil
		})
		if err != nil || !made {
			return err
		}
		// The account may have given the name up since it was judged, and have
		// found no entry to remove.
		a, exists, err := x.bearer(ctx, account)
		if err != nil || exists && (a == nil || a.bears(n)) {
			return err
		}
		return x.removing(n.key, value)(ctx)
	}
}

// disarm sees that the account to which an entry leads cannot come to bear the
// name after all: its last write would make a second bearer. It reports false
// while somebody is at work on it.
func (x *examination) disarm(ctx context.Context, n name, judged []byte) (free bool, err error) {
	e, err := decodeEntry(judged)
	switch {
	case judged == nil || err != nil:
		return true, nil
	case !e.Until.IsZero() && x.now().Before(e.Until):
		return false, nil
	}
	a, _, err := x.bearer(ctx, e.Account)
	if err != nil || a == nil || !a.announces(n) {
		return err == nil, err
	}
	if x.now().Before(a.Change.Until) {
		return false, nil
	}
	err = x.book().kill(ctx, a)
	if errors.Is(err, errReplan) {
		return false, nil
	}
	// An account that was never finished takes its entries with it.
	return err == nil && a.Status != Pending, err
}
