package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/store"
)

// signInRecord is the last sign-in of an account, kept apart from it so that
// signing in changes no account.
type signInRecord struct {
	Time time.Time `json:"time"`
}

const (
	signInPrefix = "signin:"
	signInEvery  = 24 * time.Hour
)

// noteSignIn writes when the account signed in, at most once a day.
func (d *Directory) noteSignIn(ctx context.Context, id string, fresh bool) error {
	key, now := signInPrefix+id, d.now()
	value, err := json.Marshal(signInRecord{Time: now})
	if err != nil {
		return err
	}
	if fresh {
		if err := d.Store.Create(ctx, key, value, 0); !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	last, err := d.lastSignIn(ctx, id)
	if err != nil || now.Sub(last) < signInEvery && !now.Before(last) {
		return err
	}
	return d.Store.Update(ctx, key, func([]byte) ([]byte, time.Duration, error) { return value, 0, nil })
}

// lastSignIn is when the account last signed in, to a day; zero: never.
func (d *Directory) lastSignIn(ctx context.Context, id string) (time.Time, error) {
	value, err := d.Store.Get(ctx, signInPrefix+id)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return decodeSignIn(value)
}

// lastSignIns is lastSignIn of every account.
func (d *Directory) lastSignIns(ctx context.Context) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	err := d.Store.Scan(ctx, signInPrefix, func(key string, value []byte) (err error) {
		all[strings.TrimPrefix(key, signInPrefix)], err = decodeSignIn(value)
		return err
	})
	return all, err
}

func decodeSignIn(value []byte) (time.Time, error) {
	var r signInRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return time.Time{}, fmt.Errorf("decode last sign-in: %w", err)
	}
	return r.Time, nil
}
