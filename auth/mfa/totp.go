package mfa

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"gatehouse/auth"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
)

const (
	kind       = "totp"
	secretSize = 20 // bytes: 160 bits, as RFC 4226, section 4 recommends
	digits     = 6
	period     = 30 // seconds
	window     = 1  // steps before and after the present one (RFC 6238, section 5.2)
)

// TOTP is the factor of authenticator apps. It implements auth.Factor and is
// safe for concurrent use.
type TOTP struct {
	Store    store.Store
	Keyring  *seal.Keyring
	Throttle *throttle.Throttle
	Issuer   string // how Gatehouse names itself in the app

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

// record is what rests under totp:<account>.
type record struct {
	Secret []byte    `json:"secret"` // sealed
	Last   int64     `json:"last"`   // the last step that passed
	Since  time.Time `json:"since"`
}

// Kind is the factor's name in mfa.methods.
func (t *TOTP) Kind() string { return kind }

// Enrolled returns the account's authenticator app, if it has one. It opens no
// secret. Errors: auth.ErrStoreDown.
func (t *TOTP) Enrolled(ctx context.Context, account string) ([]auth.Authenticator, error) {
	value, err := t.Store.Get(ctx, key(account))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, trouble("look for TOTP enrolment", err)
	}
	// One that cannot be read is there all the same: nobody gets around it.
	var rec record
	_ = json.Unmarshal(value, &rec)
	return []auth.Authenticator{{ID: kind, Kind: kind, Since: rec.Since}}, nil
}

// Challenge asks for the code that the app shows now.
func (t *TOTP) Challenge(context.Context, auth.Claimant) (auth.Challenge, error) {
	return auth.Challenge{Kind: kind}, nil
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

// Verify checks a code. The device of the attempt is that of throttle.Device.
// Errors: auth.ErrWrongCode also for a code that passed before and for an
// account that is not enrolled, *auth.Throttled, auth.ErrStoreDown.
func (t *TOTP) Verify(ctx context.Context, c auth.Claimant, _ auth.Challenge, answer string) error {
	account := c.Account
	return t.counted(ctx, account, func() error {
		return t.Store.Update(ctx, key(account), func(old []byte) ([]byte, time.Duration, error) {
			if old == nil {
				return nil, 0, auth.ErrWrongCode
			}
			rec, secret, err := t.open(account, old)
			if err != nil {
				return nil, 0, err
			}
			step, ok := match(secret, answer, t.step(), rec.Last)
			if !ok {
				return nil, 0, auth.ErrWrongCode
			}
			rec.Last = step
			value, err := t.seal(account, rec, secret)
			return value, 0, err
		})
	})
}

// Confirm enrols the offered app once a code proves that the person has it;
// that code is then used up. Errors: auth.ErrWrongCode, *auth.Throttled,
// auth.ErrStoreDown, and auth.ErrInvalidState for an account that is enrolled
// already: somebody who holds only the password could otherwise begin an
// enrolment, wait until the owner has enrolled, and put his own app in place
// of it.
func (t *TOTP) Confirm(ctx context.Context, c auth.Claimant, e auth.Enrolment, answer string) error {
	account := c.Account
	raw, err := encoding.DecodeString(e.Secret)
	if e.Kind != kind || err != nil || len(raw) != secretSize {
		return fmt.Errorf("confirm TOTP enrolment: %w", auth.ErrInvalidState)
	}
	return t.counted(ctx, account, func() error {
		step, ok := match(e.Secret, answer, t.step(), 0)
		if !ok {
			return auth.ErrWrongCode
		}
		value, err := t.seal(account, record{Last: step, Since: t.now()}, e.Secret)
		if err != nil {
			return err
		}
		err = t.Store.Create(ctx, key(account), value, 0)
		if errors.Is(err, store.ErrExists) {
			return fmt.Errorf("confirm TOTP enrolment: %w", auth.ErrInvalidState)
		}
		return err
	})
}

// Reset forgets the account's app and its last step. Errors:
// auth.ErrStoreDown.
func (t *TOTP) Reset(ctx context.Context, account string) error {
	return trouble("forget TOTP enrolment", t.Store.Delete(ctx, key(account)))
}

// counted judges an attempt after it was counted. A right one clears the
// counter: whoever gets here gave the password first, so both are proved.
func (t *TOTP) counted(ctx context.Context, account string, judge func() error) error {
	device := throttle.Device(ctx)
	if _, err := t.Throttle.Begin(ctx, account, device); err != nil {
		return err
	}
	if err := judge(); err != nil {
		return trouble("check TOTP code", err)
	}
	if err := t.Throttle.Reset(ctx, account, device); err != nil && t.Log != nil {
		// The code is used up; refusing it now would only confuse.
		t.Log.WarnContext(ctx, "a right code stays counted as an attempt", "account", account, "error", err)
	}
	return nil
}

// match finds the step whose code the answer is: within the window around now
// and after the last one that passed. All steps are compared, in constant
// time, so that the time tells nothing about the code.
func match(secret, answer string, now, last int64) (step int64, ok bool) {
	code, wellFormed := normalize(answer)
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

// normalize removes the spaces and hyphens with which people group the digits.
// Anything but six ASCII digits is no code; other scripts' digits are none
// either, since no app shows them.
func normalize(answer string) (code string, ok bool) {
	if len(answer) > 64 {
		return "", false
	}
	code = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '-', '\u00a0', '\u2009', '\u202f':
			return -1
		}
		return r
	}, answer)
	if len(code) != digits {
		return "", false
	}
	for i := range len(code) {
		if code[i] < '0' || code[i] > '9' {
			return "", false
		}
	}
	return code, true
}

// open decodes a record and unseals its secret, base32.
func (t *TOTP) open(account string, value []byte) (record, string, error) {
	var rec record
	if err := json.Unmarshal(value, &rec); err != nil {
		return record{}, "", fmt.Errorf("decode TOTP record: %w", err)
	}
	secret, err := t.Keyring.Open(rec.Secret, kind, account)
	if err != nil {
		return record{}, "", fmt.Errorf("open TOTP secret: %w", err)
	}
	return rec, string(secret), nil
}

// seal encodes a record with its secret sealed under the newest key, so that
// secrets move to it as they are used.
func (t *TOTP) seal(account string, rec record, secret string) ([]byte, error) {
	sealed, err := t.Keyring.Seal([]byte(secret), kind, account)
	if err != nil {
		return nil, fmt.Errorf("seal TOTP secret: %w", err)
	}
	rec.Secret = sealed
	return json.Marshal(rec)
}

func (t *TOTP) step() int64 { return t.now().Unix() / period }

func (t *TOTP) now() time.Time {
	if t.Now == nil {
		return time.Now()
	}
	return t.Now()
}

const prefix = kind + ":"

func key(account string) string { return prefix + account }

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// newSecret returns 160 random bits, base32.
func newSecret() string {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails (crypto/rand)
	return encoding.EncodeToString(b)
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
