package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/store"
)

// pendingLife is how long a sign-in may rest at one step.
const pendingLife = 10 * time.Minute

// stage is where a pending sign-in rests. It is part of the record's key and
// of what seals it: the handle of one stage opens nothing at another.
type stage string

const (
	atProvider stage = "state"   // handle: the state parameter
	atFactor   stage = "factor"  // handle: the value of the factor cookie
	atPasskey  stage = "passkey" // handle: the value of the passkey cookie
	atConfirm  stage = "confirm" // handle: the value of the confirm cookie
)

func (f *Flow) pendingKey(at stage, handle string) string {
	return "pending:" + f.Index.Hash(string(at), handle)
}

// keep stores p under a handle. The whole record is sealed: it holds the PKCE
// verifier, the nonce, perhaps the secret of an enrolment.
func (f *Flow) keep(ctx context.Context, at stage, handle string, p auth.Pending) error {
	key := f.pendingKey(at, handle)
	sealed, err := f.seal(key, p)
	if err != nil {
		return err
	}
	return storeError("keep sign-in", f.Store.Create(ctx, key, sealed, pendingLife))
}

// look returns the pending sign-in of a handle and leaves it where it is.
// Errors: auth.ErrInvalidState, auth.ErrStoreDown.
func (f *Flow) look(ctx context.Context, at stage, handle string) (auth.Pending, error) {
	if !cookie.IsID(handle) {
		return auth.Pending{}, auth.ErrInvalidState
	}
	key := f.pendingKey(at, handle)
	sealed, err := f.Store.Get(ctx, key)
	if err != nil {
		return auth.Pending{}, storeError("look up sign-in", err)
	}
	return f.open(key, handle, sealed)
}

// take returns the pending sign-in of a handle and uses the handle up: of any
// number of callers one gets it. Errors: auth.ErrInvalidState,
// auth.ErrStoreDown.
func (f *Flow) take(ctx context.Context, at stage, handle string) (auth.Pending, error) {
	key := f.pendingKey(at, handle)
	sealed, err := f.Store.Take(ctx, key)
	if err != nil {
		return auth.Pending{}, storeError("take sign-in", err)
	}
	return f.open(key, handle, sealed)
}

// amend changes a pending sign-in by compare-and-swap. Errors:
// auth.ErrInvalidState, auth.ErrStoreDown, those of change.
func (f *Flow) amend(ctx context.Context, at stage, handle string, change func(*auth.Pending)) (auth.Pending, error) {
	key := f.pendingKey(at, handle)
	var p auth.Pending
	err := f.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
		if old == nil {
			return nil, 0, auth.ErrInvalidState // finished meanwhile: it must not come back
		}
		var err error
		if p, err = f.open(key, handle, old); err != nil {
			return nil, 0, err
		}
		change(&p)
		sealed, err := f.seal(key, p)
		return sealed, store.KeepTTL, err
	})
	return p, storeError("amend sign-in", err)
}

// kept is a pending sign-in as it rests. An identity that will be resolved once
// more is judged by its claims again, so they rest with it; nowhere else are
// claims kept.
type kept struct {
	auth.Pending
	Claims   map[string]any `json:"claims,omitempty"`
	Withheld bool           `json:"withheld,omitempty"`
}

// maxRecord bounds a record, in bytes: whoever may sign in at a provider could
// otherwise fill the store with answers of a megabyte each that are never
// finished.
const maxRecord = 128 << 10

func (f *Flow) seal(key string, p auth.Pending) ([]byte, error) {
	p.State = "" // who reads the record cannot use it
	rec := kept{Pending: p}
	if confirming(p) {
		rec.Claims, rec.Withheld = p.Identity.Claims, p.Identity.Withheld
	}
	plain, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encode sign-in: %w", err)
	}
	if len(plain) > maxRecord {
		return nil, &auth.Denied{
			Reason: auth.DeniedTooLarge, Connection: p.Connection, Decision: p.Outcome.Decision,
			Detail: fmt.Sprintf("the claims, %d bytes in all, are too many to be kept until the account is proved", len(plain)),
		}
	}
	return f.Keys.Seal(plain, "pending", key)
}

// open unseals a record. One that cannot be opened, because secrets.keys was
// changed or the record is damaged, is a sign-in to begin again. The clock is
// asked too: a store may be late in dropping what has expired.
func (f *Flow) open(key, handle string, sealed []byte) (auth.Pending, error) {
	var rec kept
	plain, err := f.Keys.Open(sealed, "pending", key)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(plain))
		d.UseNumber() // as the claims were when they were first judged
		err = d.Decode(&rec)
	}
	p := rec.Pending
	if err == nil && confirming(p) {
		p.Identity.Claims, p.Identity.Withheld = rec.Claims, rec.Withheld
	}
	if err != nil {
		return auth.Pending{}, fmt.Errorf("%w: %w", auth.ErrInvalidState, err)
	}
	if f.now().Sub(p.Created) > pendingLife {
		return auth.Pending{}, fmt.Errorf("%w: expired", auth.ErrInvalidState)
	}
	p.State = handle
	return p, nil
}

// storeError sorts the errors of the store: a record that is not there is a
// sign-in to begin again, everything else is trouble.
func storeError(doing string, err error) error {
	switch {
	case err == nil, errors.Is(err, auth.ErrInvalidState):
		return err
	case errors.Is(err, store.ErrNotFound):
		return auth.ErrInvalidState
	}
	return fmt.Errorf("%s: %w: %w", doing, auth.ErrStoreDown, err)
}
