package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"gatehouse/internal/store"
)

// expirySize is the length of the expiry before a value, in bytes.
const expirySize = 8

var errDamaged = errors.New("the record is damaged")

// record is what a key holds. The zero record is none.
type record struct {
	exists  bool
	value   []byte // the file's memory: valid within the transaction
	expires int64  // Unix milliseconds; 0: never
}

// find returns the record of key, the zero record when there is none or it
// has expired.
func (s *Store) find(b *bbolt.Bucket, key string) (record, error) {
	data := b.Get([]byte(key))
	if data == nil {
		return record{}, nil
	}
	r, err := decode(data)
	if err != nil {
		return record{}, fmt.Errorf("%q: %w", key, err)
	}
	if r.expired(s.now()) {
		return record{}, nil
	}
	return r, nil
}

func encode(expires int64, value []byte) []byte {
	data := make([]byte, 0, expirySize+len(value))
	data = binary.BigEndian.AppendUint64(data, uint64(expires))
	return append(data, value...)
}

// decode reads what is stored under a key. Error: errDamaged; what cannot be
// read is never taken for a record without an expiry.
func decode(data []byte) (record, error) {
	if len(data) < expirySize {
		return record{}, errDamaged
	}
	expires := int64(binary.BigEndian.Uint64(data))
	if expires < 0 {
		return record{}, errDamaged
	}
	return record{exists: true, value: data[expirySize:], expires: expires}, nil
}

func (r record) expired(now time.Time) bool {
	return r.expires != 0 && now.UnixMilli() >= r.expires
}

// expiry returns when a record of that ttl expires, rounded up to the
// millisecond.
func (s *Store) expiry(ttl time.Duration) int64 {
	if ttl = store.RoundTTL(ttl); ttl == 0 {
		return 0
	}
	return s.now().Add(ttl + time.Millisecond - time.Nanosecond).UnixMilli()
}
