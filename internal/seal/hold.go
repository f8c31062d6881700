package seal

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"gatehouse/internal/store"
)

// ErrForeign says that the store holds other keys than this process works
// with. It must end: it and the replicas that started since would each give
// the same person an account.
var ErrForeign = errors.New("seal: the store holds keys of another beginning")

// Hold sees that the store still has this index key and puts it back where
// the store has lost it, as a Redis without persistence does when it is
// restarted: a replica that starts afterwards must not make another one. It
// reports whether it was put back. Errors: ErrForeign; ErrKey, when it was
// sealed meanwhile under a key that this process does not have, which is for
// the next start to judge; those of the store.
func (k *IndexKey) Hold(ctx context.Context, st store.Store, ring *Keyring) (restored bool, err error) {
	sealed, err := st.Get(ctx, indexKeyName)
	if errors.Is(err, store.ErrNotFound) {
		mine, err := ring.Seal(k.key, "meta", indexKeyName)
		if err != nil {
			return false, err
		}
		if sealed, err = createOrGet(ctx, st, indexKeyName, mine); err != nil {
			return false, err
		}
		restored = slices.Equal(sealed, mine)
	} else if err != nil {
		return false, err
	}
	present, err := openIndexKey(ring, sealed)
	if err == nil && !slices.Equal(present, k.key) {
		err = ErrForeign
	}
	return restored, err
}

// HoldStored does the same for the keys that StoredKeys has returned. They
// are put back before the index key that they seal.
func HoldStored(ctx context.Context, st store.Store, keys []string) error {
	mine, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	value, err := createOrGet(ctx, st, storedKeysName, mine)
	if err != nil {
		return err
	}
	present, err := decodeStored(value)
	if err == nil && !slices.Equal(present, keys) {
		err = ErrForeign
	}
	return err
}
