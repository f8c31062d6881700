package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/cache"
	"gatehouse/internal/config"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
)

// Credentials tells what an account can prove itself with. Errors:
// auth.ErrStoreDown.
type Credentials interface {
	HasPassword(ctx context.Context, account string) (bool, error)
	HasFactor(ctx context.Context, account string) (bool, error)
	// KeepsEmail reports whether the account has a password, or a factor that
	// sends codes to an address: then no connection changes its e-mail.
	KeepsEmail(ctx context.Context, account string) (bool, error)
	// Forget removes the account's password and factors, for ever.
	Forget(ctx context.Context, account string) error
}

// Directory is the accounts of an installation: their records, the indexes
// that lead to them, and a cache of those that people use right now. It is
// safe for concurrent use. Store, Index and Credentials are needed.
type Directory struct {
	Store       store.Store
	Bus         store.Bus // nil: nobody else caches accounts
	Index       *seal.IndexKey
	Credentials Credentials

	// Fits refuses a user or an e-mail that is too long for its header; nil:
	// everything fits.
	Fits func(user, email string) error

	CacheTTL time.Duration // upper bound on a stale answer; 0: no cache

	// Quarantine is how long others are barred from the e-mail and the username
	// of an account that is deleted; 0: not at all.
	Quarantine time.Duration
	Inactive   config.Inactive // see Inactivity

	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // nil: time.Now

	once  sync.Once
	cache *cache.Cache[*person]
}

// cacheSize is how many accounts are cached.
const cacheSize = 50_000

func (d *Directory) names() names { return names{d.Index} }

// now is the time to the millisecond, as records keep it.
func (d *Directory) now() time.Time {
	now := time.Now
	if d.Now != nil {
		now = d.Now
	}
	return now().UTC().Truncate(time.Millisecond)
}

func (d *Directory) log() *slog.Logger {
	if d.Log == nil {
		return slog.Default()
	}
	return d.Log
}

func (d *Directory) fits(user, email string) error {
	if d.Fits == nil {
		return nil
	}
	return d.Fits(user, email)
}

// people is the cache of accounts by id.
func (d *Directory) people() *cache.Cache[*person] {
	d.once.Do(func() {
		d.cache = cache.New(cacheSize, d.CacheTTL, func(ctx context.Context, id string) (*person, error) {
			a, err := d.read(ctx, id)
			if errors.Is(err, auth.ErrNotFound) {
				// An answer like any other: without it, a session of a deleted
				// account would ask the store on each request.
				return newPerson(nil), nil
			}
			if err != nil {
				return nil, err
			}
			return newPerson(a), nil
		})
		d.cache.Now = d.Now
	})
	return d.cache
}

// Changed drops what is cached under a store key, or everything for the empty
// key. Subscribe it to the Bus.
func (d *Directory) Changed(key string) {
	if key == "" {
		d.people().Flush()
	} else if id, ok := strings.CutPrefix(key, accountPrefix); ok {
		d.people().Forget(id)
	}
}

// changed makes a change of an account act at once here, and soon elsewhere.
func (d *Directory) changed(ctx context.Context, id string) {
	d.people().Forget(id)
	if d.Bus == nil {
		return
	}
	if err := d.Bus.Publish(ctx, accountKey(id)); err != nil {
		d.log().WarnContext(ctx, "a change of an account could not be announced; other replicas see it when their cache expires",
			"account", id, "error", err)
	}
}

// read returns an account as the store has it now. Errors: auth.ErrNotFound,
// and those of the store.
func (d *Directory) read(ctx context.Context, id string) (*Account, error) {
	value, err := d.Store.Get(ctx, accountKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("account %s: %w", id, auth.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return decodeAccount(value)
}

// lookup returns the account that bears a name. Errors: auth.ErrNotFound, and
// those of the store.
func (d *Directory) lookup(ctx context.Context, n name) (*Account, error) {
	value, err := d.Store.Get(ctx, n.key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, auth.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	e, err := decodeEntry(value)
	if err != nil {
		return nil, err
	}
	a, err := d.read(ctx, e.Account)
	if err != nil {
		return nil, err
	}
	if !a.bears(n) {
		return nil, auth.ErrNotFound
	}
	return a, nil
}

// storeTrouble makes one error of everything that is not a refusal: what
// cannot be read or written is no answer, and a sign-in ends with it.
func storeTrouble(op string, err error) error {
	if err == nil || errors.Is(err, auth.ErrForbidden) || errors.Is(err, auth.ErrNotFound) ||
		errors.Is(err, auth.ErrStoreDown) || errors.Is(err, auth.ErrLastWay) {
		return err
	}
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", op, auth.ErrStoreDown, err)
}
