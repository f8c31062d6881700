package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/internal/store"
)

// Reseal seals under the newest key whatever an older one has sealed, and
// returns how many secrets that were. Afterwards the older keys can go, also
// for people who have not signed in since; otherwise their codes could never
// be checked again. A secret that no key opens stays as it is, is logged, and
// keeps nobody else's from being sealed anew. Errors: auth.ErrStoreDown; a
// *auth.Throttled for one that others changed all the time.
func (t *TOTP) Reseal(ctx context.Context) (resealed int, err error) {
	var stale []string
	err = t.Store.Scan(ctx, prefix, func(k string, value []byte) error {
		apps, err := decodeApps(value)
		if err != nil || slices.ContainsFunc(apps, func(a app) bool { return !t.Keyring.Current(a.Secret) }) {
			stale = append(stale, strings.TrimPrefix(k, prefix))
		}
		return nil
	})
	if err != nil {
		return 0, trouble("find TOTP secrets under older keys", err)
	}
	for _, account := range stale {
		moved, err := t.resealOf(ctx, account)
		resealed += moved
		if errors.Is(err, store.ErrDown) || errors.Is(err, store.ErrConflict) {
			return resealed, trouble("seal a TOTP secret anew", err)
		}
		if err != nil && t.Log != nil {
			t.Log.WarnContext(ctx, "a TOTP secret cannot be sealed anew; its app proves nothing until it is removed", "account", account, "error", fmt.Errorf("reseal: %w", err))
		}
	}
	return resealed, nil
}

// resealOf seals an account's secrets anew. One that no key opens does not keep
// the account's others from it; the error is of one such.
func (t *TOTP) resealOf(ctx context.Context, account string) (moved int, lost error) {
	err := t.Store.Update(ctx, key(account), func(old []byte) ([]byte, time.Duration, error) {
		moved, lost = 0, nil // of an earlier try
		if old == nil {
			return nil, 0, store.ErrNoChange // forgotten meanwhile
		}
		apps, err := decodeApps(old)
		if err != nil {
			return nil, 0, err
		}
		for i, a := range apps {
			if t.Keyring.Current(a.Secret) {
				continue
			}
			secret, err := t.open(account, a)
			if err == nil {
				apps[i].Secret, err = t.seal(account, secret)
			}
			if err != nil {
				lost = err
				continue
			}
			moved++
		}
		if moved == 0 {
			return nil, 0, store.ErrNoChange
		}
		value, err := encodeApps(apps)
		return value, store.KeepTTL, err
	})
	if err != nil {
		return 0, err
	}
	return moved, lost
}
