package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/store"
)

// Reseal seals under the newest key whatever an older one has sealed, and
// returns how many secrets that were. Afterwards the older keys can go, also
// for people who have not signed in since; otherwise their codes could never
// be checked again. A secret that no key opens stays as it is, is logged, and
// keeps nobody else's from being sealed anew. Errors: auth.ErrStoreDown.
func (t *TOTP) Reseal(ctx context.Context) (resealed int, err error) {
	var stale []string
	err = t.Store.Scan(ctx, prefix, func(k string, value []byte) error {
		var rec record
		if json.Unmarshal(value, &rec) != nil || !t.Keyring.Current(rec.Secret) {
			stale = append(stale, strings.TrimPrefix(k, prefix))
		}
		return nil
	})
	if err != nil {
		return 0, trouble("find TOTP secrets under older keys", err)
	}
	for _, account := range stale {
		err := t.Store.Update(ctx, key(account), func(old []byte) ([]byte, time.Duration, error) {
			if old == nil {
				return nil, 0, store.ErrNoChange // forgotten meanwhile
			}
			rec, secret, err := t.open(account, old)
			if err != nil {
				return nil, 0, err
			}
			value, err := t.seal(account, rec, secret)
			return value, store.KeepTTL, err
		})
		switch {
		case errors.Is(err, store.ErrDown):
			return resealed, trouble("seal a TOTP secret anew", err)
		case err != nil && t.Log != nil:
			t.Log.WarnContext(ctx, "a TOTP secret cannot be sealed anew; its owner cannot sign in until reset-mfa", "account", account, "error", fmt.Errorf("reseal: %w", err))
		case err == nil:
			resealed++
		}
	}
	return resealed, nil
}
