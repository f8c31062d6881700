package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// signInRecord is the last sign-in of an account, kept apart from it so that
// signing in changes no account.
type signInRecord struct {
	Time time.Time `json:"time,omitzero"` // zero: only seen
	Seen time.Time `json:"seen,omitzero"` // in a session that has lasted for longer
}

// latest is when somebody was there; zero: never.
func (r signInRecord) latest() time.Time {
	if r.Seen.After(r.Time) {
		return r.Seen
	}
	return r.Time
}

const signInPrefix = "signin:"

// signInEvery is how coarsely sign-ins are noted: a day, or less where a rule
// counts in few days.
func (d *Directory) signInEvery() time.Duration {
	every := 24 * time.Hour
	for _, after := range []time.Duration{d.Inactive.DisableAfter, d.Inactive.DeleteAfter} {
		if after > 0 {
			every = min(every, after/8)
		}
	}
	return every
}

// noteSignIn writes when the account signed in, at most once a day. Fresh says
// that it was made just now, so there is no record and it cannot be gone.
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
	if err != nil || now.Sub(last) < d.signInEvery() && !now.Before(last) {
		return err
	}
	err = d.Store.Update(ctx, key, func([]byte) ([]byte, time.Duration, error) { return value, 0, nil })
	if err != nil {
		return err
	}
	return d.forgetUseOfGone(ctx, id)
}

// forgetUseOfGone takes back what was noted of an account whose deletion had
// already removed that: nobody would ever remove it again.
func (d *Directory) forgetUseOfGone(ctx context.Context, id string) error {
	value, err := d.Store.Get(ctx, accountKey(id))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if !lost(value) {
		return nil
	}
	return d.Store.Delete(ctx, signInPrefix+id)
}

// noteUse writes when the account was seen in an open session, at most once a
// day. One that is gone gets no record.
func (d *Directory) noteUse(ctx context.Context, id string, seen time.Time) error {
	newer := func(r signInRecord) bool { return seen.Sub(r.latest()) >= d.signInEvery() }
	if last, err := d.lastUse(ctx, id); err != nil || !newer(last) {
		return err
	}
	a, err := d.read(ctx, id)
	if errors.Is(err, auth.ErrNotFound) || err == nil && !a.settledDown() {
		return nil
	}
	if err != nil {
		return err
	}
	err = d.Store.Update(ctx, signInPrefix+id, func(old []byte) ([]byte, time.Duration, error) {
		var r signInRecord
		if old != nil {
			var err error
			if r, err = decodeSignInRecord(old); err != nil {
				return nil, 0, err
			}
		}
		if !newer(r) {
			return nil, 0, store.ErrNoChange
		}
		r.Seen = seen.UTC().Truncate(time.Millisecond)
		value, err := json.Marshal(r)
		return value, 0, err
	})
	if err != nil {
		return err
	}
	return d.forgetUseOfGone(ctx, id)
}

// lastSignIn is when the account last signed in, to a day; zero: never.
func (d *Directory) lastSignIn(ctx context.Context, id string) (time.Time, error) {
	r, err := d.lastUse(ctx, id)
	return r.Time, err
}

// lastUse is when the account was last used, to a day.
func (d *Directory) lastUse(ctx context.Context, id string) (signInRecord, error) {
	value, err := d.Store.Get(ctx, signInPrefix+id)
	if errors.Is(err, store.ErrNotFound) {
		return signInRecord{}, nil
	}
	if err != nil {
		return signInRecord{}, err
	}
	return decodeSignInRecord(value)
}

// lastSignIns is lastSignIn of every account. One that cannot be read counts as
// none: it says little, and the doctor has a finding of it.
func (d *Directory) lastSignIns(ctx context.Context) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	err := d.Store.Scan(ctx, signInPrefix, func(key string, value []byte) error {
		if last, err := decodeSignIn(value); err == nil {
			all[strings.TrimPrefix(key, signInPrefix)] = last
		}
		return nil
	})
	return all, err
}

func decodeSignIn(value []byte) (time.Time, error) {
	r, err := decodeSignInRecord(value)
	return r.Time, err
}

func decodeSignInRecord(value []byte) (signInRecord, error) {
	var r signInRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return signInRecord{}, fmt.Errorf("decode last sign-in: %w", err)
	}
	return r, nil
}
