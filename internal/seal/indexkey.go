package seal

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"gatehouse/internal/store"
)

// Store keys of what this package keeps.
const (
	indexKeyName   = "meta:index-key"
	storedKeysName = "meta:keys"
)

const indexKeySize = 32 // bytes

// IndexKey hashes the parts of index keys. Every replica of one installation
// has the same, for ever. It is safe for concurrent use.
type IndexKey struct {
	key     []byte
	hashers sync.Pool // of *hasher; a request hashes its cookie, so this is on the hot road
}

// hasher holds what one hash needs, so that it costs one allocation.
type hasher struct {
	mac    hash.Hash
	data   []byte
	sum    []byte
	digits [2 * sha256.Size]byte
}

func newIndexKey(key []byte) *IndexKey {
	k := &IndexKey{key: key}
	k.hashers.New = func() any { return &hasher{mac: hmac.New(sha256.New, key)} }
	return k
}

// Hash returns the keyed hash (HMAC-SHA256, RFC 2104) of kind and parts as 64
// lower-case hexadecimal digits. Every part is preceded by its length: parts
// that an attacker picks cannot imitate other parts.
func (k *IndexKey) Hash(kind string, parts ...string) string {
	h := k.hashers.Get().(*hasher)
	defer k.hashers.Put(h)
	h.data = appendDelimited(h.data[:0], kind)
	for _, part := range parts {
		h.data = appendDelimited(h.data, part)
	}
	h.mac.Reset()
	h.mac.Write(h.data)
	h.sum = h.mac.Sum(h.sum[:0])
	hex.Encode(h.digits[:], h.sum)
	return string(h.digits[:])
}

// Format keeps the key out of whatever prints an IndexKey with fmt or slog,
// whichever verb it uses.
func (k *IndexKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[index key]") }

// LoadIndexKey returns the installation's index key. The first process to ask
// makes it; whoever comes at the same moment gets that same one. It is stored
// sealed, and sealed anew under the first key of the ring when an older one
// had sealed it.
//
// An error that is ErrKey or ErrCorrupt means that the process must not
// start: with another index key nobody would be found again, and every person
// would get a second account. Other errors are those of the store.
func LoadIndexKey(ctx context.Context, st store.Store, ring *Keyring) (*IndexKey, error) {
	sealed, err := st.Get(ctx, indexKeyName)
	if errors.Is(err, store.ErrNotFound) {
		sealed, err = createIndexKey(ctx, st, ring)
	}
	if err != nil {
		return nil, fmt.Errorf("index key: %w", err)
	}
	key, err := openIndexKey(ring, sealed)
	if err != nil {
		return nil, err
	}
	if !ring.Current(sealed) {
		if err := resealIndexKey(ctx, st, ring, key); err != nil {
			return nil, err
		}
	}
	return newIndexKey(key), nil
}

func createIndexKey(ctx context.Context, st store.Store, ring *Keyring) ([]byte, error) {
	key := make([]byte, indexKeySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	sealed, err := ring.Seal(key, "meta", indexKeyName)
	if err != nil {
		return nil, err
	}
	return createOrGet(ctx, st, indexKeyName, sealed)
}

func openIndexKey(ring *Keyring, sealed []byte) ([]byte, error) {
	key, err := ring.Open(sealed, "meta", indexKeyName)
	if err == nil && len(key) != indexKeySize {
		err = ErrCorrupt
	}
	switch {
	case errors.Is(err, ErrKey):
		return nil, fmt.Errorf("index key: %w; add the key that this installation was first started with "+
			"(or rotated from) to secrets.keys: without it no account can be found", err)
	case err != nil:
		return nil, fmt.Errorf("index key: %w; restore %s from a backup of the store: "+
			"without it no account can be found", err, indexKeyName)
	}
	return key, nil
}

// resealIndexKey completes a rotation of secrets.keys. It works by
// compare-and-swap: of several replicas that start together one writes, and a
// value that is not the key we opened is left alone.
func resealIndexKey(ctx context.Context, st store.Store, ring *Keyring, key []byte) error {
	err := st.Update(ctx, indexKeyName, func(old []byte) ([]byte, time.Duration, error) {
		if ring.Current(old) {
			return nil, 0, store.ErrNoChange
		}
		present, err := openIndexKey(ring, old)
		if err != nil {
			return nil, 0, err
		}
		if !bytes.Equal(present, key) {
			return nil, 0, errors.New("it changed while it was read")
		}
		sealed, err := ring.Seal(key, "meta", indexKeyName)
		return sealed, 0, err
	})
	if err != nil {
		return fmt.Errorf("index key: seal under the first of secrets.keys: %w", err)
	}
	return nil
}

// createOrGet writes value where there is none and returns what is there.
func createOrGet(ctx context.Context, st store.Store, key string, value []byte) ([]byte, error) {
	err := st.Create(ctx, key, value, 0)
	if errors.Is(err, store.ErrExists) {
		return st.Get(ctx, key)
	}
	if err != nil {
		return nil, err
	}
	return value, nil
}
