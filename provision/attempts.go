package provision

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// What ends an attempt and begins another one.
var (
	errBusy   = errors.New("another sign-in is at work on the account")
	errReplan = errors.New("the account has changed meanwhile")
)

// committed forgets what the booking held: it belongs to the account now.
func (b *booking) committed() { b.held, b.draft, b.open = nil, "", "" }

// retract undoes what an attempt wrote into accounts: its draft is deleted, its
// announcement cleared. Reservations stay, for the next attempt.
func (b *booking) retract(ctx context.Context) error {
	for _, id := range []string{b.draft, b.open} {
		if id == "" {
			continue
		}
		err := b.Store.Update(ctx, accountKey(id), func(old []byte) ([]byte, time.Duration, error) {
			if old == nil {
				return nil, 0, store.ErrNoChange
			}
			a, err := decodeAccount(old)
			if err != nil || a.Change == nil || a.Change.Owner != b.owner {
				return nil, 0, errors.Join(err, store.ErrNoChange)
			}
			if a.Status == Pending {
				return nil, 0, nil
			}
			a.Change = nil
			return a.encode(), store.KeepTTL, nil
		})
		if err != nil {
			return err
		}
	}
	b.draft, b.open = "", ""
	return nil
}

// drop gives back everything that a booking holds and that came to nothing.
// What cannot be given back expires. Confirmed entries are left: one that
// leads nowhere is taken over by whoever needs the name.
func (b *booking) drop(ctx context.Context) {
	err := b.retract(ctx)
	for _, n := range b.held {
		if err == nil {
			err = b.giveBack(ctx, n, func(e entry) bool { return e.Owner == b.owner && !e.Until.IsZero() })
		}
	}
	if err != nil {
		b.log().WarnContext(ctx, "an unfinished sign-in could not be cleared; it expires by itself", "error", err)
	}
	b.committed()
}

func wait(ctx context.Context, longest time.Duration) error {
	timer := time.NewTimer(longest/2 + rand.N(longest/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run makes attempts until one comes through. It waits for others as long as
// patience lasts, and plans anew a few times.
func (b *booking) run(ctx context.Context, attempt func(context.Context) error) error {
	const (
		patience   = 2*lease + lease/2 // one sign-in that died, and one that died after it
		mostPlans  = 32
		firstPause = time.Millisecond
		longest    = 40 * time.Millisecond
	)
	// A browser that goes away must not leave a sign-in half-way: others would
	// have to wait for its lease.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+lease)
	defer cancel()
	began, pause := time.Now(), firstPause
	for plans := 0; ; {
		b.until = b.now().Add(lease).UTC().Truncate(time.Millisecond)
		b.tries++
		err := attempt(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errBusy):
			if time.Since(began) > patience {
				b.drop(ctx)
				return fmt.Errorf("%w: %w", auth.ErrStoreDown, err)
			}
		case errors.Is(err, errReplan), errors.Is(err, store.ErrConflict):
			plans++
			if failed := b.retract(ctx); failed != nil || plans >= mostPlans {
				b.drop(ctx)
				return fmt.Errorf("%w: %w", auth.ErrStoreDown, errors.Join(err, failed))
			}
		case errors.Is(err, store.ErrDown):
			// The write that failed may have been made. What it wrote is not
			// taken back: if it was the last one, that would tear the account
			// from its names.
			return fmt.Errorf("%w: %w", auth.ErrStoreDown, err)
		default:
			b.drop(ctx)
			return err
		}
		if err := wait(ctx, pause); err != nil {
			return fmt.Errorf("%w: %w", auth.ErrStoreDown, err)
		}
		pause = min(2*pause, longest)
	}
}
