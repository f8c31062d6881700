package local

import (
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"
)

// pbkdf2MaxWork bounds iterations times blocks of output (RFC 8018, section 5.2:
// each block of the key has all iterations).
const (
	pbkdf2MinIterations = 1000
	pbkdf2MaxWork       = 2_000_000
)

// Sizes of what foreign hashes hold, in bytes. An empty key would match every
// password, and of a short one others match.
const (
	foreignMaxSalt = 128
	foreignMinKey  = 12
	foreignMaxKey  = 128
)

// pbkdf2Hash is PBKDF2 in the modular crypt format of Python's passlib, which
// Authelia has too: $pbkdf2-sha512$310000$salt$key.
type pbkdf2Hash struct {
	digest     func() hash.Hash
	iterations int
	salt, key  []byte
}

func parsePBKDF2(s string) (foreignHash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 5 {
		return nil, errForeign
	}
	var h pbkdf2Hash
	switch parts[1] {
	case "pbkdf2-sha224":
		h.digest = sha256.New224
	case "pbkdf2-sha256":
		h.digest = sha256.New
	case "pbkdf2-sha384":
		h.digest = sha512.New384
	case "pbkdf2-sha512":
		h.digest = sha512.New
	default:
		h.digest = sha1.New
	}
	var err error
	if h.salt, h.key, err = saltAndKey(parts[3], parts[4]); err != nil {
		return nil, err
	}
	size := h.digest().Size()
	blocks := (len(h.key) + size - 1) / size
	h.iterations, err = within("iterations", parts[2], pbkdf2MinIterations, pbkdf2MaxWork/blocks)
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (pbkdf2Hash) algorithm() string { return "PBKDF2" }

func (h pbkdf2Hash) matches(password string) bool {
	key, err := pbkdf2.Key(h.digest, password, h.salt, h.iterations, len(h.key))
	return err == nil && sameBytes(key, h.key)
}

// saltAndKey reads two parts in base64 without padding, in which passlib writes
// a dot for the plus sign.
func saltAndKey(one, two string) (salt, key []byte, err error) {
	enc := base64.RawStdEncoding
	plus := func(s string) string { return strings.ReplaceAll(s, ".", "+") }
	if strings.ContainsAny(one+two, "\r\n") { // the decoder would skip them
		return nil, nil, errForeign
	}
	salt, err1 := enc.DecodeString(plus(one))
	key, err2 := enc.DecodeString(plus(two))
	if err1 != nil || err2 != nil || len(salt) == 0 || len(salt) > foreignMaxSalt || len(key) < foreignMinKey || len(key) > foreignMaxKey {
		return nil, nil, errForeign
	}
	return salt, key, nil
}

func sameBytes(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
