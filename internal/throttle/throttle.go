package throttle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

// busy is the answer to an attempt that lost the race for the counter too
// often: so many parallel attempts are an attack, and letting an uncounted one
// through would be what it is after.
const busy = time.Second

// Index makes key names that tell nothing about the account
// (*seal.IndexKey).
type Index interface {
	Hash(kind string, parts ...string) string
}

// Throttle limits attempts per account. All replicas that share a store share
// its counters. It is safe for concurrent use.
type Throttle struct {
	Store store.Store
	Index Index

	Now func() time.Time // nil: time.Now
}

// Attempt is one attempt that was counted.
type Attempt struct {
	// Closed says that the account takes no attempts now, because of those
	// under other logins. This one must not pass, and must look as if it had
	// been judged and was wrong.
	Closed bool

	throttle *Throttle
	key      string
	login    string
	ofAll    span
	ofLogin  span
	client   string // key of the client's counter; "": none
	ofClient span
}

// Begin counts an attempt on an account, made on a device ("" or what Remember
// gave; a device that the account does not know counts as none), by somebody
// who may know that the account exists. It is counted for the client of the
// context (auth.ClientOf) too, but for one on a known device.
//
// Errors: *auth.Throttled when the attempt must not be judged,
// auth.ErrStoreDown.
func (t *Throttle) Begin(ctx context.Context, account, device string) (*Attempt, error) {
	return t.begin(ctx, account, "", device)
}

// BeginLogin is Begin for somebody who typed a login, in its normal form, and
// must not learn which account it names, or whether it names one. Callers pass
// a stand-in for an account that does not exist. *auth.Throttled then comes
// from the attempts under this login alone; see Attempt.Closed for the others.
// A known device belongs to somebody who signed in before: there, it is Begin.
func (t *Throttle) BeginLogin(ctx context.Context, account, login, device string) (*Attempt, error) {
	return t.begin(ctx, account, t.Index.Hash("attempts-login", login), device)
}

func (t *Throttle) begin(ctx context.Context, account, login, device string) (*Attempt, error) {
	key, known, err := t.key(ctx, account, device)
	if err != nil {
		return nil, err
	}
	if known {
		login = ""
	}
	a := &Attempt{throttle: t, key: key, login: login}
	err = t.Store.Update(ctx, key, func(old []byte) ([]byte, time.Duration, error) {
		now := t.now()
		c := decode(old, now)
		decides := c.All
		if login != "" {
			decides = c.Logins[login]
		}
		if wait := decides.Until.Sub(now); wait > 0 {
			return nil, 0, &auth.Throttled{RetryAfter: wait}
		}
		// A closed account's own count stays, so that its lock ends.
		a.Closed = c.All.Until.After(now)
		if !a.Closed {
			c.All, a.ofAll = c.All.add(now)
		}
		if login != "" {
			c.Logins[login], a.ofLogin = decides.add(now)
		}
		value, err := json.Marshal(c)
		return value, c.ends().Sub(now), err
	})
	if err != nil {
		return nil, trouble("count attempt", err)
	}
	if known {
		return a, nil
	}
	if err := a.countClient(ctx); err != nil {
		// It will not be judged: the owner of the account does not pay for it.
		if refund := a.Refund(ctx); refund != nil {
			return nil, refund
		}
		return nil, err
	}
	return a, nil
}

// Refund takes the attempt back: it was right, but it is only one step of a
// sign-in, so those before it stay counted. Were they forgotten here, somebody
// who knows the password could guess second factors without end, by giving the
// right password after every few wrong codes.
func (a *Attempt) Refund(ctx context.Context) error {
	if err := a.refundClient(ctx); err != nil {
		return err
	}
	err := a.throttle.Store.Update(ctx, a.key, func(old []byte) ([]byte, time.Duration, error) {
		c := decode(old, a.throttle.now())
		if !a.Closed {
			c.All = c.All.remove(a.ofAll)
		}
		if of, counted := c.Logins[a.login]; counted {
			c.Logins[a.login] = of.remove(a.ofLogin)
		}
		if c.empty() {
			return nil, 0, nil
		}
		value, err := json.Marshal(c)
		return value, store.KeepTTL, err
	})
	return trouble("refund attempt", err)
}

// Settle ends an attempt that was right and finishes a proof: those on the
// account before it are forgotten, as by Reset. Errors: auth.ErrStoreDown.
func (a *Attempt) Settle(ctx context.Context) error {
	return errors.Join(a.refundClient(ctx), trouble("settle attempt", a.throttle.Store.Delete(ctx, a.key)))
}

// Reset forgets the attempts on an account that this device was counted with:
// a sign-in was finished on it.
func (t *Throttle) Reset(ctx context.Context, account, device string) error {
	key, _, err := t.key(ctx, account, device)
	if err != nil {
		return err
	}
	return trouble("reset attempts", t.Store.Delete(ctx, key))
}

// Unlock forgets the attempts on an account, whoever made them and on whatever
// device, and leaves its devices known. Errors: auth.ErrStoreDown.
func (t *Throttle) Unlock(ctx context.Context, account string) error {
	value, err := t.Store.Get(ctx, t.deviceKey(account))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return trouble("look for devices", err)
	}
	err = t.Store.Delete(ctx, t.attemptsKey(account, ""))
	for _, d := range alive(value, t.now()) {
		err = errors.Join(err, t.Store.Delete(ctx, t.attemptsKey(account, d.Hash)))
	}
	return trouble("forget attempts", err)
}

// ForgetOthers forgets the attempts on an account and its devices, but for one
// that it knows: its password was changed there. That there were some is kept,
// so that the next one is told of as new. Errors: auth.ErrStoreDown.
func (t *Throttle) ForgetOthers(ctx context.Context, account, device string) error {
	err := t.Store.Update(ctx, t.deviceKey(account), func(old []byte) ([]byte, time.Duration, error) {
		if old == nil {
			return nil, 0, store.ErrNoChange
		}
		devices := alive(old, t.now())
		kept := devices[:0]
		if i := t.find(devices, account, device); i >= 0 {
			kept = append(kept, devices[i])
		}
		record, err := json.Marshal(kept)
		return record, DeviceLife, err
	})
	return trouble("forget attempts", errors.Join(err, t.Store.Delete(ctx, t.attemptsKey(account, ""))))
}

// Forget forgets the attempts on an account and its devices: it is gone. Errors:
// auth.ErrStoreDown.
func (t *Throttle) Forget(ctx context.Context, account string) error {
	err := errors.Join(
		t.Store.Delete(ctx, t.attemptsKey(account, "")),
		t.Store.Delete(ctx, t.deviceKey(account)),
	)
	return trouble("forget attempts", err)
}

// key is the record's key: the device's own where the account knows it.
func (t *Throttle) key(ctx context.Context, account, device string) (key string, known bool, err error) {
	known, err = t.known(ctx, account, device)
	if err != nil {
		return "", false, err
	}
	hash := ""
	if known {
		hash = t.deviceHash(account, device)
	}
	return t.attemptsKey(account, hash), known, nil
}

// attemptsKey is the key of the attempts on an account, on the device of that
// hash or on no known one.
func (t *Throttle) attemptsKey(account, deviceHash string) string {
	return "attempts:" + t.Index.Hash("attempts", account, deviceHash)
}

func (t *Throttle) now() time.Time {
	if t.Now == nil {
		return time.Now()
	}
	return t.Now()
}

// trouble wraps an error of the store in what callers look for.
func trouble(doing string, err error) error {
	var throttled *auth.Throttled
	switch {
	case err == nil:
		return nil
	case errors.As(err, &throttled):
		return throttled
	case errors.Is(err, store.ErrConflict):
		return &auth.Throttled{RetryAfter: busy}
	}
	return fmt.Errorf("%s: %w: %w", doing, auth.ErrStoreDown, err)
}
