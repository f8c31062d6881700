package provision

import (
	"context"
	"errors"
	"slices"
	"time"

	"gatehouse/internal/store"
)

// Delete removes an account for ever, with everything that is kept about it.
// From its first write on the account is refused everywhere; a deletion that
// died on its way is finished by another call. Under a quarantine its verified
// e-mail and its username become tombstones, which bar others from them;
// otherwise the username's entry goes last. Either way the same name still
// finds what is left. Errors: auth.ErrNotFound, *RefusedError,
// auth.ErrStoreDown.
func (d *Directory) Delete(ctx context.Context, who string) error {
	var gone *Account
	b := d.book()
	err := b.run(ctx, func(ctx context.Context) error {
		a, err := d.Find(ctx, who)
		if err != nil {
			return err
		}
		gone = a
		if a.Status == Deleting {
			return nil
		}
		gone, err = b.doom(ctx, a)
		return err
	})
	if err != nil {
		return storeTrouble("delete account", err)
	}
	return storeTrouble("delete account", d.remove(ctx, gone))
}

// doom makes the first write of a deletion. It returns the account as it is
// then.
func (b *booking) doom(ctx context.Context, a *Account) (*Account, error) {
	next := a.clone()
	next.Status, next.Change, next.Deleted = Deleting, nil, b.now()
	if err := b.swap(ctx, a, next); err != nil {
		return nil, err
	}
	b.changed(ctx, a.ID)
	return next, nil
}

// remove deletes what an account in status Deleting leaves behind. Entries
// that lead to it lead nowhere from now on, whatever their state.
func (d *Directory) remove(ctx context.Context, a *Account) error {
	mine := func(e entry) bool { return e.Account == a.ID && !e.isTombstone() }
	username := d.names().username(a.Username)
	quarantine := a.Deleted.Add(d.Quarantine)
	for _, n := range d.names().of(a) {
		var err error
		switch {
		case n.kind != byLink && d.now().Before(quarantine):
			err = d.bury(ctx, n, a, quarantine)
		case n.key != username.key:
			err = d.free(ctx, n, mine)
		}
		if err != nil {
			return err
		}
	}
	if err := d.Credentials.Forget(ctx, a.ID); err != nil {
		return err
	}
	if err := d.Store.Delete(ctx, signInPrefix+a.ID); err != nil {
		return err
	}
	if err := d.Store.Delete(ctx, historyKey(a.ID)); err != nil {
		return err
	}
	if err := d.Store.Delete(ctx, accountKey(a.ID)); err != nil {
		return err
	}
	d.changed(ctx, a.ID)
	return d.free(ctx, username, mine)
}

// bury puts a name of a deleted account into quarantine. The tombstone leads
// to the account as long as there is one. A name that another account has got
// meanwhile, because the entry had been lost, stays theirs.
func (d *Directory) bury(ctx context.Context, n name, a *Account, until time.Time) error {
	return d.Store.Update(ctx, n.key, func(old []byte) ([]byte, time.Duration, error) {
		if old != nil {
			if e, err := decodeEntry(old); err != nil || e.Account != a.ID || e.isTombstone() {
				return nil, 0, errors.Join(err, store.ErrNoChange)
			}
		}
		e := entry{Account: a.ID, Tomb: d.names().tombOf(a, until)}
		return e.encode(), until.Sub(d.now()), nil
	})
}

// Unlink cuts the ties of an account to a connection, or the one to a subject
// of it where subject is not nil. The groups that the connection had assigned
// go: nobody could take them away any more. Where another subject of it is
// still linked, they may have been either's, and the next sign-in brings back
// what is that one's. Sessions that came through a cut tie end at their next
// use. Errors: auth.ErrNotFound, *RefusedError, auth.ErrStoreDown.
func (d *Directory) Unlink(ctx context.Context, who, connection string, subject *string) (View, error) {
	return d.alter(ctx, who, func(ctx context.Context, b *booking, a, next *Account) error {
		return b.cut(ctx, a, next, connection, func(l Link) bool { return subject == nil || l.Subject == *subject })
	})
}

// cut writes an account without the links to a connection for which f holds.
// Errors: *RefusedError when there are none, errReplan, and those of the store.
func (b *booking) cut(ctx context.Context, a, next *Account, connection string, f func(Link) bool) error {
	cut := func(l Link) bool { return l.Connection == connection && f(l) }
	entries := map[string][]byte{}
	for _, l := range a.Links {
		if !cut(l) {
			continue
		}
		key := b.names().link(l).key
		value, err := b.Store.Get(ctx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if e, err := decodeEntry(value); err != nil || e.Account != a.ID {
			value = nil // it is another account's, which bears the link as well
		}
		entries[key] = value
	}
	if len(entries) == 0 {
		return &RefusedError{"link", a.Username + " has no such link to " + connection}
	}
	next.Links = slices.DeleteFunc(next.Links, cut)
	next.Groups = slices.DeleteFunc(next.Groups, func(g Group) bool { return g.Source == connection })
	if err := b.replace(ctx, a, next); err != nil {
		return err
	}
	for key, value := range entries {
		// Only the very entry that was read: the person may sign in again
		// at this moment, and be linked anew.
		err := b.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
			if old == nil || !slices.Equal(old, value) {
				return nil, 0, store.ErrNoChange
			}
			return nil, 0, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
