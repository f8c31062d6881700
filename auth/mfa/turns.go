package mfa

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// Turns lets the factors of an account be changed by one request at a time, at
// whatever replica. Each kind compares and swaps only its own record; what must
// hold across kinds is looked at and changed in one turn.
type Turns struct {
	Store store.Store
}

const (
	// turnLife is when the turn of a process that died ends by itself.
	turnLife = 15 * time.Second
	// turnWork is how long a change may go on: much shorter than turnLife, so
	// that one which hangs does not write into the turn of another.
	turnWork = turnLife / 2
	// turnRetry is what is asked of whoever comes while another has the turn:
	// the other is a person who has pressed a button too.
	turnRetry = time.Second
)

// Alone calls change while nobody else changes the factors of the account. The
// context that it passes ends with the time for the change. Errors: those of
// change, auth.ErrBusy with a *auth.Throttled when somebody else is changing them
// right now, auth.ErrStoreDown.
func (t *Turns) Alone(ctx context.Context, account string, change func(context.Context) error) error {
	key, mine := turnKey(account), rand.Text()
	ctx, cancel := context.WithTimeout(ctx, turnWork) // before the turn begins: it ends first
	defer cancel()
	switch err := t.Store.Create(ctx, key, []byte(mine), turnLife); {
	case errors.Is(err, store.ErrExists):
		return fmt.Errorf("change second factors: %w: %w", auth.ErrBusy, &auth.Throttled{RetryAfter: turnRetry})
	case err != nil:
		return trouble("change second factors", err)
	}
	defer t.end(ctx, key, mine)
	return change(ctx)
}

// end gives back the turn, also of somebody who has hung up. What cannot be
// given back ends by itself.
func (t *Turns) end(ctx context.Context, key, mine string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnWork)
	defer cancel()
	_ = t.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
		if string(old) != mine { // it has ended, and this is another's
			return nil, 0, store.ErrNoChange
		}
		return nil, 0, nil
	})
}

func turnKey(account string) string { return "factorturn:" + account }
