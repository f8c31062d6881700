package mfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
)

// attempts counts the answers to all kinds of factors on one counter, which is
// that of the account's password: guesses do not become more by spreading them.
type attempts struct {
	throttle *throttle.Throttle
	log      *slog.Logger
}

// counted judges an attempt after it was counted. A right one clears the
// counter: whoever gets here gave the password first, so both are proved.
func (a attempts) counted(ctx context.Context, account, doing string, judge func() error) error {
	attempt, err := a.throttle.Begin(ctx, account, throttle.Device(ctx))
	if err != nil {
		return err
	}
	if err := judge(); err != nil {
		return trouble(doing, err)
	}
	if err := attempt.Settle(ctx); err != nil && a.log != nil {
		// The code is used up; refusing it now would only confuse.
		a.log.WarnContext(ctx, "a right code stays counted as an attempt", "account", account, "error", err)
	}
	return nil
}

func timeOf(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}

// trouble wraps an error of the store in what callers look for and lets
// verdicts through.
func trouble(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, auth.ErrWrongCode):
		return auth.ErrWrongCode
	case errors.Is(err, store.ErrConflict):
		return &auth.Throttled{RetryAfter: time.Second}
	case errors.Is(err, store.ErrDown):
		return fmt.Errorf("%s: %w: %w", doing, auth.ErrStoreDown, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
