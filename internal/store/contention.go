package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Limits of the attempts of one Update. Sixty-four writers of one record get
// through; a record that is written faster than that is a design error.
const (
	maxAttempts = 64
	firstPause  = 200 * time.Microsecond
	maxPause    = 20 * time.Millisecond
)

// Contention paces an Update that loses races, for implementations of Store.
// The zero value is ready.
type Contention struct{ lost int }

// Lost is called after each lost race. It waits for a random time that grows
// with the number of losses, so that those who collided do not collide again.
// Errors: ErrConflict when it is time to give up, ErrDown when ctx ends.
func (c *Contention) Lost(ctx context.Context) error {
	c.lost++
	if c.lost >= maxAttempts {
		return fmt.Errorf("update: %w", ErrConflict)
	}
	limit := min(firstPause<<min(c.lost, 10), maxPause)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return Down("update", ctx.Err())
	}
}

// Down wraps a failure of the store itself: errors.Is finds both ErrDown and
// the cause.
func Down(op string, cause error) error {
	return fmt.Errorf("%s: %w: %w", op, ErrDown, cause)
}

// minTTL is the resolution of every store.
const minTTL = time.Millisecond

// RoundTTL returns the ttl that an implementation stores: 0 (no expiry) or at
// least a millisecond. A negative ttl, what is left of a life that is over,
// becomes the shortest and not none: a session must not live for ever because
// it was written a moment too late.
func RoundTTL(ttl time.Duration) time.Duration {
	if ttl == 0 {
		return 0
	}
	return max(ttl, minTTL)
}
