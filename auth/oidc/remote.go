package oidc

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"gatehouse/auth"
)

const (
	// firstRetry and lastRetry bound how long a failure is remembered. While
	// it is, callers get it at once: people must not queue behind a provider
	// that is down. It doubles from one to the other; the end is near, so
	// that a provider that is back is noticed soon.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 4 * time.Second
)

// remote is a document of the identity provider. It is fetched when first
// needed, by one caller for all, and again once it is older than maxAge. When
// that fails, the last good document stays.
type remote[T any] struct {
	fetch   func(context.Context) (T, error)
	maxAge  time.Duration
	timeout time.Duration
	now     func() time.Time
	failed  func(err error, kept bool) // reports a failed fetch

	flight singleflight.Group

	mu       sync.Mutex
	value    T
	fetched  time.Time // zero: never
	retry    time.Time // no fetch before this
	failures int       // since the last good fetch
	err      error     // of the last fetch
}

// get returns the document, and whether it was asked for just now. Errors:
// auth.ErrProviderDown, auth.ErrInvalidAnswer; none as long as there is a
// last good document.
func (r *remote[T]) get(ctx context.Context) (value T, asked bool, err error) {
	r.mu.Lock()
	now := r.now()
	fresh := !r.fetched.IsZero() && now.Before(r.fetched.Add(r.maxAge))
	if fresh || now.Before(r.retry) {
		defer r.mu.Unlock()
		value, err = r.last()
		return value, false, err
	}
	r.mu.Unlock()
	value, err = r.refresh(ctx)
	return value, true, err
}

// refresh fetches the document now, joining a fetch that is under way. It
// answers as get does.
func (r *remote[T]) refresh(ctx context.Context) (T, error) {
	// The fetch belongs to all who wait for it: that one of them goes away
	// must not fail the others.
	done := r.flight.DoChan("", func() (any, error) {
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
		defer cancel()
		value, err := r.fetch(fetchCtx)
		r.keep(value, err)
		return nil, nil
	})
	select {
	case <-done:
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("%w: %w", auth.ErrProviderDown, context.Cause(ctx))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last()
}

func (r *remote[T]) keep(value T, err error) {
	r.mu.Lock()
	now, kept := r.now(), !r.fetched.IsZero()
	r.err = err
	if err == nil {
		r.value, r.fetched, r.retry, r.failures = value, now, time.Time{}, 0
	} else {
		r.retry = now.Add(min(firstRetry<<min(r.failures, 8), lastRetry))
		r.failures++
	}
	r.mu.Unlock()
	if err != nil {
		r.failed(err, kept)
	}
}

// last returns the last good document, or why there is none. The lock is held.
func (r *remote[T]) last() (T, error) {
	if r.fetched.IsZero() {
		return r.value, r.err
	}
	return r.value, nil
}
