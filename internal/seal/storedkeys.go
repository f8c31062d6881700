package seal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"gatehouse/internal/store"
)

// StoredKeys returns the keys of an installation whose configuration names
// none: made once, kept in the store, the same for every replica. They
// protect a copied record, not a copied store; that is why doing so with
// Redis deserves a warning. Errors are those of the store, or say that the
// record cannot be read.
func StoredKeys(ctx context.Context, st store.Store) ([]string, error) {
	value, err := st.Get(ctx, storedKeysName)
	if errors.Is(err, store.ErrNotFound) {
		value, err = json.Marshal([]string{rand.Text() + rand.Text()}) // 256 bits and more
		if err == nil {
			value, err = createOrGet(ctx, st, storedKeysName, value)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stored keys: %w", err)
	}
	return decodeStored(value)
}

// GeneratedKeys returns what StoredKeys has once made, or nothing. An
// installation that has got secrets.keys of its own needs them to open what
// they sealed before. Errors are those of StoredKeys.
func GeneratedKeys(ctx context.Context, st store.Store) ([]string, error) {
	value, err := st.Get(ctx, storedKeysName)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("stored keys: %w", err)
	}
	return decodeStored(value)
}

func decodeStored(value []byte) ([]string, error) {
	var keys []string
	if err := json.Unmarshal(value, &keys); err != nil || len(keys) == 0 {
		return nil, fmt.Errorf("stored keys: %s cannot be read; restore it from a backup of the store", storedKeysName)
	}
	return keys, nil
}
