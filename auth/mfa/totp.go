package mfa

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"gatehouse/auth"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
)

const (
	secretSize = 20 // bytes: 160 bits, as RFC 4226, section 4 recommends
	digits     = 6
	period     = 30 // seconds
	window     = 1  // steps before and after the present one (RFC 6238, section 5.2)
)

// TOTP is the factor of authenticator apps. It implements auth.Enroller and
// is safe for concurrent use.
type TOTP struct {
	Store    store.Store
	Keyring  *seal.Keyring
	Throttle *throttle.Throttle
	Issuer   string // how Gatehouse names itself in the app

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

const (
	maxApps = 10
	appName = "Authenticator app" // until the person calls it something else
)

// Kind is the factor's name in mfa.methods.
func (t *TOTP) Kind() string { return auth.KindTOTP }

// Enrolled returns the account's authenticator apps. It opens no secret.
// Errors: auth.ErrStoreDown.
func (t *TOTP) Enrolled(ctx context.Context, account string) ([]auth.Authenticator, error) {
	value, err := t.Store.Get(ctx, key(account))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, trouble("look for TOTP enrolment", err)
	}
	apps, err := decodeApps(value)
	if err != nil {
		// One that cannot be read is there all the same: nobody gets around it.
		return []auth.Authenticator{{ID: auth.KindTOTP, Kind: auth.KindTOTP, Name: appName}}, nil
	}
	var all []auth.Authenticator
	for _, a := range apps {
		all = append(all, a.authenticator(auth.KindTOTP))
	}
	return all, nil
}

// Enrollable tells whether there is room for one more app. Errors:
// auth.ErrNotFound when there is none, auth.ErrStoreDown.
func (t *TOTP) Enrollable(ctx context.Context, account string) error {
	apps, err := t.Enrolled(ctx, account)
	return cmp.Or(err, room(apps, maxApps))
}

// Challenge asks for the code that the app shows now.
func (t *TOTP) Challenge(context.Context, auth.Claimant) (auth.Challenge, error) {
	return auth.Challenge{Kind: auth.KindTOTP}, nil
}

// Holders returns the accounts that have an authenticator app. Errors:
// auth.ErrStoreDown.
func (t *TOTP) Holders(ctx context.Context) (map[string]bool, error) {
	holders, err := store.IDs(ctx, t.Store, prefix)
	if err != nil {
		return nil, trouble("list TOTP enrolments", err)
	}
	return holders, nil
}

// Verify checks a code of any of the account's apps. The device of the attempt
// is that of throttle.Device. Errors: auth.ErrWrongCode also for a code that
// passed before and for an account that is not enrolled, *auth.Throttled,
// auth.ErrStoreDown.
func (t *TOTP) Verify(ctx context.Context, c auth.Claimant, _ auth.Challenge, answer string) error {
	account := c.Account
	return t.counted(ctx, account, "check TOTP code", func() error {
		return t.Store.Update(ctx, key(account), func(old []byte) ([]byte, time.Duration, error) {
			if old == nil {
				return nil, 0, auth.ErrWrongCode
			}
			apps, err := decodeApps(old)
			if err != nil {
				return nil, 0, err
			}
			if err := t.use(account, apps, answer); err != nil {
				return nil, 0, err
			}
			value, err := encodeApps(apps)
			return value, 0, err
		})
	})
}

// use finds the app that showed the answer and moves its last step forward. An
// app that cannot be opened keeps nobody from using another; where none
// matches, it is what went wrong.
func (t *TOTP) use(account string, apps []app, answer string) error {
	var unreadable error
	for i := range apps {
		a := &apps[i]
		secret, err := t.open(account, *a)
		if err != nil {
			unreadable = err
			continue
		}
		step, ok := match(secret, answer, t.step(), a.Last)
		if !ok {
			continue
		}
		a.Last, a.Used = step, t.now().UTC()
		// Under the newest key, so that secrets move to it as they are used.
		a.Secret, err = t.seal(account, secret)
		return err
	}
	if unreadable != nil {
		return unreadable
	}
	return auth.ErrWrongCode
}

// Confirm enrols the offered app, beside those that the account has, once a
// code proves that the person has it; that code is then used up. Errors:
// auth.ErrWrongCode, *auth.Throttled, auth.ErrStoreDown, and
// auth.ErrInvalidState for an offer that was confirmed before, for one app too
// many, and at a sign-in for an account that is enrolled already: somebody who
// holds only the password could otherwise begin an enrolment, wait until the
// owner has enrolled, and add an app of his own.
func (t *TOTP) Confirm(ctx context.Context, c auth.Claimant, e auth.Enrolment, answer string) error {
	account := c.Account
	raw, err := encoding.DecodeString(e.Secret)
	if e.Kind != auth.KindTOTP || err != nil || len(raw) != secretSize {
		return fmt.Errorf("confirm TOTP enrolment: %w", auth.ErrInvalidState)
	}
	return t.counted(ctx, account, "enrol authenticator app", func() error {
		step, ok := match(e.Secret, answer, t.step(), 0)
		if !ok {
			return auth.ErrWrongCode
		}
		return t.Store.Update(ctx, key(account), func(old []byte) ([]byte, time.Duration, error) {
			apps, err := t.joined(c, old, e, step)
			if err != nil {
				return nil, 0, err
			}
			value, err := encodeApps(apps)
			return value, 0, err
		})
	})
}

// joined returns the apps of a record with the offered one.
func (t *TOTP) joined(c auth.Claimant, old []byte, e auth.Enrolment, step int64) ([]app, error) {
	var apps []app
	if old != nil {
		var err error
		if apps, err = decodeApps(old); err != nil {
			return nil, err
		}
	}
	if len(apps) > 0 && c.Purpose != auth.PurposeEnrol || len(apps) >= maxApps {
		return nil, fmt.Errorf("confirm TOTP enrolment: %w", auth.ErrInvalidState)
	}
	for _, a := range apps {
		secret, err := t.open(c.Account, a)
		if err == nil && subtle.ConstantTimeCompare([]byte(secret), []byte(e.Secret)) == 1 {
			return nil, fmt.Errorf("confirm TOTP enrolment again: %w", auth.ErrInvalidState)
		}
	}
	sealed, err := t.seal(c.Account, e.Secret)
	if err != nil {
		return nil, err
	}
	return append(apps, app{tag: newTag(e.Name, appName, tagsOf(apps), t.now()), Secret: sealed, Last: step}), nil
}

// Remove forgets one app of the account. Errors: auth.ErrNotFound,
// auth.ErrStoreDown.
func (t *TOTP) Remove(ctx context.Context, account, id string) error {
	return t.edit(ctx, account, id, func(apps []app, i int) []app { return slices.Delete(apps, i, i+1) })
}

// Rename calls one app of the account something else. Errors:
// auth.ErrMalformed for what is no name, auth.ErrNotFound, auth.ErrStoreDown.
func (t *TOTP) Rename(ctx context.Context, account, id, name string) error {
	name = cleanName(name)
	if name == "" {
		return fmt.Errorf("rename authenticator app: %w: no name", auth.ErrMalformed)
	}
	return t.edit(ctx, account, id, func(apps []app, i int) []app {
		apps[i].Name = name
		return apps
	})
}

func (t *TOTP) edit(ctx context.Context, account, id string, change func(apps []app, i int) []app) error {
	err := t.Store.Update(ctx, key(account), func(old []byte) ([]byte, time.Duration, error) {
		if old == nil {
			return nil, 0, auth.ErrNotFound
		}
		apps, err := decodeApps(old)
		if err != nil {
			return nil, 0, err
		}
		i := slices.IndexFunc(apps, func(a app) bool { return a.ID == id })
		if i < 0 {
			return nil, 0, auth.ErrNotFound
		}
		if apps = change(apps, i); len(apps) == 0 {
			return nil, 0, nil
		}
		value, err := encodeApps(apps)
		return value, 0, err
	})
	return trouble("change an authenticator app", err)
}

// Reset forgets the account's apps and their last steps. Errors:
// auth.ErrStoreDown.
func (t *TOTP) Reset(ctx context.Context, account string) error {
	return trouble("forget TOTP enrolment", t.Store.Delete(ctx, key(account)))
}

func (t *TOTP) counted(ctx context.Context, account, doing string, judge func() error) error {
	return attempts{t.Throttle, t.Log}.counted(ctx, account, doing, judge)
}

// match finds the step whose code the answer is: within the window around now
// and after the last one that passed. All steps are compared, in constant
// time, so that the time tells nothing about the code.
func match(secret, answer string, now, last int64) (step int64, ok bool) {
	code, wellFormed := digitsOf(answer, digits)
	for s := now - window; s <= now+window; s++ {
		want, err := hotp.GenerateCodeCustom(secret, uint64(s), hotp.ValidateOpts{Digits: digits, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			return 0, false
		}
		equal := subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1
		if equal && wellFormed && s > last && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

func (t *TOTP) step() int64 { return t.now().Unix() / period }

func (t *TOTP) now() time.Time { return timeOf(t.Now) }

const prefix = auth.KindTOTP + ":"

func key(account string) string { return prefix + account }

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// newSecret returns 160 random bits, base32.
func newSecret() string {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails (crypto/rand)
	return encoding.EncodeToString(b)
}
