package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// Errors of Open. Their texts may be logged: they hold neither key nor
// content.
var (
	// ErrKey says that the key which sealed the bytes is not in the keyring.
	ErrKey = errors.New("sealed under a key that is not configured")
	// ErrCorrupt says that the bytes were altered, cut short, never sealed, or
	// sealed for another record.
	ErrCorrupt = errors.New("sealed bytes are damaged or belong to another record")
)

// minKeyLength is the shortest key that NewKeyring takes, in bytes. A key is
// stretched by nothing: what is shorter can be guessed by whoever holds a
// copy of the store. internal/config asks for as many characters.
const minKeyLength = 32

// Sealed bytes are
//
//	version (1) | key id (8) | nonce (24) | ciphertext and tag (n + 16)
const (
	version    = 1
	keyIDSize  = 8
	headerSize = 1 + keyIDSize
	overhead   = headerSize + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// Keyring seals and opens. It is safe for concurrent use.
type Keyring struct {
	keys []sealingKey // the first seals
}

type sealingKey struct {
	id   [keyIDSize]byte
	aead cipher.AEAD
}

// NewKeyring derives a keyring from configured keys. The first seals, all
// open; a key given twice counts once.
func NewKeyring(keys []string) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("seal: no keys")
	}
	ring := &Keyring{}
	for i, key := range keys {
		if len(key) < minKeyLength {
			return nil, fmt.Errorf("seal: key %d is %d bytes long, want at least %d", i+1, len(key), minKeyLength)
		}
		derived, err := derive(key)
		if err != nil {
			return nil, fmt.Errorf("seal: key %d: %w", i+1, err)
		}
		if ring.find(derived.id) == nil {
			ring.keys = append(ring.keys, derived)
		}
	}
	return ring, nil
}

// derive expands a configured key (RFC 5869) into the encryption key and a
// public id, which tells nothing about it.
func derive(key string) (sealingKey, error) {
	const size = chacha20poly1305.KeySize + keyIDSize
	material, err := hkdf.Key(sha256.New, []byte(key), nil, "gatehouse seal v1", size)
	if err != nil {
		return sealingKey{}, err
	}
	aead, err := chacha20poly1305.NewX(material[:chacha20poly1305.KeySize])
	if err != nil {
		return sealingKey{}, err
	}
	return sealingKey{id: [keyIDSize]byte(material[chacha20poly1305.KeySize:]), aead: aead}, nil
}

func (k *Keyring) find(id [keyIDSize]byte) *sealingKey {
	for i := range k.keys {
		if k.keys[i].id == id {
			return &k.keys[i]
		}
	}
	return nil
}

// Seal encrypts plaintext for the record of that kind and id; only Open with
// the same kind and id returns it, so that whoever can write the store cannot
// move a secret from one record to another. The nonce is random: 192 bits
// make a repetition impossible in practice at any number of messages.
func (k *Keyring) Seal(plaintext []byte, kind, id string) ([]byte, error) {
	key := &k.keys[0]
	sealed := make([]byte, headerSize+chacha20poly1305.NonceSizeX, overhead+len(plaintext))
	sealed[0] = version
	copy(sealed[1:], key.id[:])
	nonce := sealed[headerSize:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal: nonce: %w", err)
	}
	return key.aead.Seal(sealed, nonce, plaintext, associated(sealed[:headerSize], kind, id)), nil
}

// Open returns what Seal was given. Errors: ErrKey, ErrCorrupt.
func (k *Keyring) Open(sealed []byte, kind, id string) ([]byte, error) {
	key, err := k.sealedBy(sealed)
	if err != nil {
		return nil, err
	}
	header, rest := sealed[:headerSize], sealed[headerSize:]
	nonce, ciphertext := rest[:chacha20poly1305.NonceSizeX], rest[chacha20poly1305.NonceSizeX:]
	plaintext, err := key.aead.Open(nil, nonce, ciphertext, associated(header, kind, id))
	if err != nil {
		return nil, fmt.Errorf("seal: open %s: %w", kind, ErrCorrupt)
	}
	return plaintext, nil
}

// Current reports whether the bytes were sealed under the first key; what was
// not should be sealed again before its key is dropped.
func (k *Keyring) Current(sealed []byte) bool {
	key, err := k.sealedBy(sealed)
	return err == nil && key == &k.keys[0]
}

func (k *Keyring) sealedBy(sealed []byte) (*sealingKey, error) {
	if len(sealed) < overhead || sealed[0] != version {
		return nil, fmt.Errorf("seal: open: %w", ErrCorrupt)
	}
	key := k.find([keyIDSize]byte(sealed[1:headerSize]))
	if key == nil {
		return nil, fmt.Errorf("seal: open: %w", ErrKey)
	}
	return key, nil
}

// Format keeps the keys out of whatever prints a Keyring with fmt or slog,
// whichever verb it uses.
func (k *Keyring) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[keyring]") }

func associated(header []byte, kind, id string) []byte {
	data := make([]byte, 0, len(header)+16+len(kind)+len(id))
	data = append(data, header...)
	data = appendDelimited(data, kind)
	return appendDelimited(data, id)
}

// appendDelimited writes the length before the part, so that ("ab", "c") and
// ("a", "bc") differ: a delimiter could be part of a name that an attacker
// picks.
func appendDelimited(data []byte, part string) []byte {
	data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
	return append(data, part...)
}
