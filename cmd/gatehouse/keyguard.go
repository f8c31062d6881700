package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/seal"
)

// keyGuard keeps the index key in a Redis that can lose it. Replicas that
// hash by different keys do not find each other's sessions and accounts, and
// give one person an account each; nothing would ever show it.
type keyGuard struct {
	*process
	suspect chan struct{} // of capacity 1
}

// keyEvery is how often the store is asked when nothing seems to have
// happened: a FLUSHALL breaks no connection.
const keyEvery = 10 * time.Second

// heard is called with each announcement of the bus; an empty one says that
// the connection was away.
func (k *keyGuard) heard(key string) {
	if key != "" {
		return
	}
	select {
	case k.suspect <- struct{}{}:
	default:
	}
}

// watch returns an error when the process must end, and nil when ctx ends.
func (k *keyGuard) watch(ctx context.Context) error {
	if k.current.Load().cfg.Store.Redis == nil {
		return nil // the file is this process's own
	}
	tick := time.NewTicker(keyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.suspect:
		case <-tick.C:
		}
		if err := k.hold(ctx); errors.Is(err, seal.ErrForeign) {
			return fmt.Errorf("the store was emptied and begun anew without this process, which must start again: %w", err)
		} else if errors.Is(err, seal.ErrKey) {
			k.log.WarnContext(ctx, "the index key is sealed under a key that this process does not have: it could not start again; see secrets.keys", "error", err)
		}
		// Other trouble of the store shows elsewhere, and passes.
	}
}

func (k *keyGuard) hold(ctx context.Context) error {
	keys := k.current.Load().keys
	if len(keys.generated) > 0 {
		if err := seal.HoldStored(ctx, k.store, keys.generated); err != nil {
			return err
		}
	}
	restored, err := keys.index.Hold(ctx, k.store, keys.keyring)
	if restored {
		k.log.WarnContext(ctx, "THE STORE HAS LOST WHAT WAS IN IT: the index key was put back, accounts and sessions are gone; see that redis keeps its data")
	}
	return err
}
