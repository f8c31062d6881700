package throttle

import (
	"context"
	"errors"
	"time"

	"gatehouse/internal/store"
)

// WaitsUntil tells until when attempts on an account have to wait, under
// whatever login and on whatever device, the longest of them; zero: none has to.
// Unlock ends it. It is for administrators: to people it would tell what others
// do at the account. Errors: auth.ErrStoreDown.
func (t *Throttle) WaitsUntil(ctx context.Context, account string) (time.Time, error) {
	devices, err := t.Store.Get(ctx, t.deviceKey(account))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return time.Time{}, trouble("look for devices", err)
	}
	now := t.now()
	keys := []string{t.attemptsKey(account, "")}
	for _, d := range alive(devices, now) {
		keys = append(keys, t.attemptsKey(account, d.Hash))
	}
	var last time.Time
	for _, key := range keys {
		value, err := t.Store.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return time.Time{}, trouble("look for attempts", err)
		}
		if until := decode(value, now).waitsUntil(); until.After(now) && until.After(last) {
			last = until.UTC()
		}
	}
	return last, nil
}

// waitsUntil is when all attempts are taken again that the record counts.
func (c counters) waitsUntil() time.Time {
	last := c.All.Until
	for _, of := range c.Logins {
		if of.Until.After(last) {
			last = of.Until
		}
	}
	return last
}
