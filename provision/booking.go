package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

const (
	// lease is how long others wait for a sign-in that has reserved a name. It
	// is no guard: a sign-in that takes longer loses, and starts anew.
	lease = 3 * time.Second
	// remains is how long unfinished records stay in the store.
	remains = 24 * time.Hour
)

// booking is one sign-in, or one change by an administrator, as far as it
// touches names. Its owner token lives as long as that sign-in and not only
// for one attempt: sign-ins that each gave up what they hold at every conflict
// would conflict for ever.
type booking struct {
	*Directory
	owner string
	until time.Time // of what this attempt reserves
	tries int       // attempts begun
	held  []name    // reserved by an attempt, and not committed
	draft string    // account that is written as pending, and not committed
	open  string    // account that has our Change, and no commit
	seen  map[string]time.Time

	decision string  // id of the next change, in history
	spent    bool    // the decision was carried out
	by       *acting // who decided; nil: whom the context names
	event    string  // to be noted; "": what the change itself tells
}

func (d *Directory) book() *booking {
	return &booking{Directory: d, owner: rand.Text(), decision: newDecision()}
}

// newID returns a fresh account id. Ids are never reused: an index entry that
// was left behind can therefore never lead to somebody else.
func newID() string { return strings.ToLower(rand.Text()) }

// found is what stands under a name.
type found struct {
	account *Account // that bears the name; nil: the name may be reserved
	value   []byte   // the entry as read; nil: none
	dead    *Account // announces the name, and its lease is over
	tomb    *tomb    // the name is in quarantine; nil: it is not
}

// vacancy is a name that nobody has, and what stands under it.
type vacancy struct {
	name
	found found
}

// look reads who has a name. Errors: errBusy while somebody else's reservation
// of it runs, and those of the store.
func (b *booking) look(ctx context.Context, n name) (found, error) {
	value, err := b.Store.Get(ctx, n.key)
	if errors.Is(err, store.ErrNotFound) {
		return found{}, nil
	}
	if err != nil {
		return found{}, err
	}
	e, err := decodeEntry(value)
	if err != nil {
		return found{}, err
	}
	a, err := b.read(ctx, e.Account)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return found{}, err
	}
	if a != nil && a.bears(n) {
		return found{account: a, value: value}, nil
	}
	until, owner, f := e.Until, e.Owner, found{value: value}
	if e.Tomb.holds(b.now()) {
		f.tomb = e.Tomb
	}
	if a != nil && a.announces(n) {
		f.dead, owner = a, a.Change.Owner
		if a.Change.Until.After(until) {
			until = a.Change.Until
		}
	}
	if b.awaits(owner, until) {
		return found{}, errBusy
	}
	return f, nil
}

// awaits reports whether what another owner has begun may still be finished.
// Its lease is also counted by our own clock, from when we first met it: a
// replica whose clock is ahead must not make people wait for hours.
func (b *booking) awaits(owner string, until time.Time) bool {
	now := b.now()
	if owner == b.owner || !now.Before(until) {
		return false
	}
	if b.seen == nil {
		b.seen = map[string]time.Time{}
	}
	met := owner + until.String()
	if _, again := b.seen[met]; !again {
		b.seen[met] = now
	}
	return now.Sub(b.seen[met]) < lease
}

// reserve takes a free name, in the state in which look found it, for an
// account. Errors: errBusy when another one was faster, and those of the store.
func (b *booking) reserve(ctx context.Context, n name, account string, f found) error {
	if f.dead != nil && f.dead.Change.Owner != b.owner {
		// First the account must become unable to finish; then the name is free.
		if err := b.kill(ctx, f.dead); err != nil {
			return err
		}
	}
	b.hold(n)
	value, ttl := entry{Account: account, Owner: b.owner, Try: b.tries, Until: b.until, Tomb: f.tomb}.encode(), remains
	if f.tomb != nil {
		ttl = max(ttl, f.tomb.Until.Sub(b.now()))
	}
	if f.value == nil {
		err := b.Store.Create(ctx, n.key, value, ttl)
		if errors.Is(err, store.ErrExists) {
			return errBusy
		}
		return err
	}
	return b.Store.Update(ctx, n.key, func(old []byte) ([]byte, time.Duration, error) {
		switch {
		case bytes.Equal(old, value):
			return nil, 0, store.ErrNoChange
		case old == nil || bytes.Equal(old, f.value):
			return value, ttl, nil
		}
		return nil, 0, errBusy
	})
}

func (b *booking) hold(n name) {
	for _, h := range b.held {
		if h.key == n.key {
			return
		}
	}
	b.held = append(b.held, n)
}

// confirm turns a reservation of ours into an entry without a lease. A tomb
// stays under it: until the account bears the name, all may come to nothing.
// Errors: errReplan when it was taken over, and those of the store.
func (b *booking) confirm(ctx context.Context, n name, account string) error {
	return b.Store.Update(ctx, n.key, func(old []byte) ([]byte, time.Duration, error) {
		e, err := decodeEntry(old)
		if old == nil || err != nil || e.Owner != b.owner {
			return nil, 0, errReplan
		}
		if e.Account == account && e.Until.IsZero() && e.Try == b.tries {
			return nil, 0, store.ErrNoChange
		}
		return entry{Account: account, Owner: b.owner, Try: b.tries, Tomb: e.Tomb}.encode(), 0, nil
	})
}

// kill makes an account whose lease is over unable to finish its change, and
// frees the names of one that was never finished.
func (b *booking) kill(ctx context.Context, dead *Account) error {
	if dead.Status != Pending {
		alive := dead.clone()
		alive.Change = nil
		return b.swap(ctx, dead, alive)
	}
	err := b.Store.Update(ctx, accountKey(dead.ID), func(old []byte) ([]byte, time.Duration, error) {
		if old == nil {
			return nil, 0, store.ErrNoChange
		}
		if !bytes.Equal(old, dead.raw) {
			return nil, 0, errReplan
		}
		return nil, 0, nil
	})
	if err != nil {
		return err
	}
	for _, n := range b.names().of(dead) {
		if err := b.giveBack(ctx, n, func(e entry) bool { return e.Account == dead.ID }); err != nil {
			return err
		}
	}
	return nil
}

// free removes an index entry, if it is the one that is meant.
func (d *Directory) free(ctx context.Context, n name, meant func(entry) bool) error {
	return d.Store.Update(ctx, n.key, func(old []byte) ([]byte, time.Duration, error) {
		e, err := decodeEntry(old)
		if old == nil || err != nil || !meant(e) {
			return nil, 0, store.ErrNoChange
		}
		return nil, 0, nil
	})
}

// giveBack is free for a name that no account came to bear: a tombstone on
// which the entry stands is there again.
func (d *Directory) giveBack(ctx context.Context, n name, meant func(entry) bool) error {
	return d.Store.Update(ctx, n.key, func(old []byte) ([]byte, time.Duration, error) {
		e, err := decodeEntry(old)
		if old == nil || err != nil || e.isTombstone() || !meant(e) {
			return nil, 0, store.ErrNoChange
		}
		value, ttl := e.without(d.now())
		return value, ttl, nil
	})
}

// swap replaces an account's record if it still is as it was read. What that
// changes is written into its history first. Errors: errReplan when it is not
// as it was read, errBusy, and those of the store.
func (b *booking) swap(ctx context.Context, from, to *Account) error {
	e, told := b.entry(ctx, from, to)
	if told {
		if err := b.foretell(ctx, from.ID, e); err != nil {
			return err
		}
		to.Decision = e.Decision
	}
	value := to.encode()
	gone := false
	err := b.Store.Update(ctx, accountKey(from.ID), func(old []byte) ([]byte, time.Duration, error) {
		switch {
		case bytes.Equal(old, value):
			// A store that lost its answer and asked again finds our own write.
			return nil, 0, store.ErrNoChange
		case !bytes.Equal(old, from.raw):
			gone = lost(old)
			return nil, 0, errReplan
		}
		return value, 0, nil
	})
	if gone && told {
		// Our entry came after the deletion had removed the history. Ids are
		// never reused: it would stay, and tell of a person who is gone.
		if err := b.Store.Delete(ctx, historyKey(from.ID)); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	to.raw = value
	b.spent = b.spent || told || from.Status == Pending
	return nil
}

// lost reports whether a record is that of an account which is deleted, or
// about to be.
func lost(value []byte) bool {
	a, err := decodeAccount(value)
	return value == nil || err == nil && a.Status == Deleting
}

// announce writes into an account which name it is about to bear.
func (b *booking) announce(ctx context.Context, a *Account, c Change) (*Account, error) {
	if a.Change != nil && b.awaits(a.Change.Owner, a.Change.Until) {
		return nil, errBusy
	}
	c.Owner, c.Until = b.owner, b.until
	next := a.clone()
	next.Change = &c
	b.open = a.ID
	return next, b.swap(ctx, a, next)
}
