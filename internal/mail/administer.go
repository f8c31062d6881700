package mail

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// List returns what waits to be sent, the oldest first. Errors: auth.ErrStoreDown.
func (o *Outbox) List(ctx context.Context) ([]Entry, error) {
	all, err := o.entries(ctx)
	now := o.now()
	return slices.DeleteFunc(all, func(e Entry) bool { return e.over(now) }), err
}

// entries returns all that is in the lists.
func (o *Outbox) entries(ctx context.Context) ([]Entry, error) {
	var all []Entry
	for shard := range shards {
		name := strconv.Itoa(shard)
		value, err := o.Store.Get(ctx, queuePrefix+name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, trouble("list mails", err)
		}
		all = append(all, o.decode(ctx, name, value).entries...)
	}
	slices.SortStableFunc(all, func(a, b Entry) int { return a.Queued.Compare(b.Queued) })
	return all, nil
}

// Retry lets a mail be sent now, also one that was refused for good. One that
// is being sent is left alone. Errors: auth.ErrNotFound, auth.ErrStoreDown.
func (o *Outbox) Retry(ctx context.Context, id string) error {
	err := o.change(ctx, "retry mail", id, func(q *queue, e *Entry) {
		e.Failed, e.Next = false, o.now()
	})
	if err == nil {
		select {
		case o.wake <- struct{}{}:
		default:
		}
	}
	return err
}

// Drop forgets a mail. Errors: auth.ErrNotFound, auth.ErrStoreDown.
func (o *Outbox) Drop(ctx context.Context, id string) error {
	if err := o.change(ctx, "drop mail", id, func(q *queue, _ *Entry) { q.remove(id) }); err != nil {
		return err
	}
	if err := o.Store.Delete(ctx, bodyPrefix+id); err != nil {
		return trouble("drop mail", err)
	}
	return nil
}

func (o *Outbox) change(ctx context.Context, op, id string, f func(*queue, *Entry)) error {
	shard := shardOfID(id)
	if shard == "" {
		return fmt.Errorf("%s: %w", op, auth.ErrNotFound)
	}
	err := o.update(ctx, shard, func(q *queue) error {
		e := q.find(id)
		if e == nil {
			return auth.ErrNotFound
		}
		f(q, e)
		return nil
	})
	if err != nil {
		return trouble(op, err)
	}
	return nil
}

// Reseal seals under the first key what an older one has sealed, and returns
// how many there were. What no key opens stays as it is: it is never sent.
// Errors: auth.ErrStoreDown, also for one that others changed all the time.
func (o *Outbox) Reseal(ctx context.Context) (n int, err error) {
	entries, err := o.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		switch err := o.reseal(ctx, e.ID); {
		case err == nil:
			n++
		case errors.Is(err, store.ErrDown), errors.Is(err, store.ErrConflict):
			return n, trouble("seal mail anew", err)
		case !errors.Is(err, store.ErrNoChange): // what no key opens is not sent
			o.Log.WarnContext(ctx, "a mail cannot be sealed anew", "mail", e.ID, "kind", e.Kind, "error", err)
		}
	}
	return n, nil
}

// reseal returns store.ErrNoChange where there was nothing to do.
func (o *Outbox) reseal(ctx context.Context, id string) error {
	changed := false
	err := o.Store.Update(ctx, bodyPrefix+id, func(old []byte) ([]byte, time.Duration, error) {
		changed = false
		if old == nil || o.Sealer.Current(old) {
			return nil, 0, store.ErrNoChange
		}
		plain, err := o.Sealer.Open(old, bodyKind, id)
		if err != nil {
			return nil, 0, err
		}
		sealed, err := o.Sealer.Seal(plain, bodyKind, id)
		changed = true
		return sealed, store.KeepTTL, err
	})
	if err == nil && !changed {
		return store.ErrNoChange
	}
	return err
}
