// Package store is the one place where state rests. A Store keeps opaque
// values under keys, each operation but Scan touching ONE key, so the same
// code runs on the embedded store, Redis, Redis Sentinel and Redis Cluster.
// What must hold across several keys is built by the callers from
// compare-and-swap on single keys.
//
// Implementations are in redis, bolt and memory; storetest holds the
// conformance suite that all of them pass.
package store

import (
	"context"
	"errors"
	"time"
)

// Errors of a Store. Any other error means that the store is in trouble and
// wraps ErrDown.
var (
	ErrNotFound = errors.New("store: not found")
	ErrExists   = errors.New("store: exists already")
	// ErrConflict says that an Update lost the race too many times.
	ErrConflict = errors.New("store: too much contention")
	ErrDown     = errors.New("store: does not answer")
	// ErrNoChange is returned by the function given to Update to leave the
	// record as it is; Update then returns nil.
	ErrNoChange = errors.New("store: no change")
)

// KeepTTL, as the ttl of an Update, keeps the record's expiry; a record that
// the Update makes has none.
const KeepTTL time.Duration = -1

// Store keeps values under keys. An expired record does not exist. Values
// returned and passed belong to the caller. All methods are safe for
// concurrent use; ttl 0 means no expiry, and a negative one, what is left of a
// life that is over, the shortest. An ErrDown from an operation that writes
// does not say whether it happened: its reply may have been lost.
type Store interface {
	// Get returns the value of key. Errors: ErrNotFound, ErrDown.
	Get(ctx context.Context, key string) ([]byte, error)
	// Create writes key only where it does not exist. Errors: ErrExists, ErrDown.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Update replaces the value of key by compare-and-swap. It calls f with
	// the present value, nil when there is none, and again with the new one
	// when another writer came first. A nil result deletes the record. An
	// error of f ends the Update and is returned as it is, except
	// ErrNoChange. Errors: those of f, ErrConflict, ErrDown.
	Update(ctx context.Context, key string, f func(old []byte) (value []byte, ttl time.Duration, err error)) error
	// Take returns the value of key and deletes it, in one step: of any
	// number of callers one gets it. Errors: ErrNotFound, ErrDown.
	Take(ctx context.Context, key string) ([]byte, error)
	// Delete removes key; a key that does not exist is no error.
	Delete(ctx context.Context, key string) error
	// Scan calls f for each record whose key begins with prefix, in no order,
	// until f errors. A record that is written or removed meanwhile may or
	// may not be seen; none is seen twice.
	Scan(ctx context.Context, prefix string, f func(key string, value []byte) error) error
	// Close releases what the store holds.
	Close() error
}

// Bus tells replicas which keys have changed, so that what they cached can
// be dropped. Delivery is best effort: a cache still needs a time limit.
type Bus interface {
	// Publish announces that the record under key has changed.
	Publish(ctx context.Context, key string) error
	// Subscribe calls f for each announcement, also for this process's own,
	// and returns when ctx ends. An empty key means that announcements may
	// have been missed and everything cached is suspect; it comes first, when
	// the subscription stands, and after each interruption.
	Subscribe(ctx context.Context, f func(key string))
}
