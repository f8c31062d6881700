package mfa

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
)

const (
	recoveryCodes = 10
	recoverySize  = 12 // characters of a code: 60 random bits, beyond any guessing
	recoveryGroup = 4  // characters between hyphens
	// recoveryAlphabet is Crockford's base32: what looks like 1 or 0 is read as
	// 1 or 0 (crockford.com/base32.html).
	recoveryAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

// Hasher makes keyed hashes, with which nobody who reads the store can try
// codes.
type Hasher interface {
	Hash(kind string, parts ...string) string
}

// Recovery is the factor of recovery codes: ten that a person keeps on paper,
// each of which passes once. It implements auth.Factor and is safe for
// concurrent use. The codes are made beside another factor, never alone, so it
// is no auth.Enroller.
type Recovery struct {
	Store    store.Store
	Index    Hasher
	Throttle *throttle.Throttle

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

// recoveryRecord is what rests under recovery_code:<account>.
type recoveryRecord struct {
	Since time.Time      `json:"since"`
	Codes []recoveryCode `json:"codes"`
}

type recoveryCode struct {
	Hash string    `json:"hash"`          // keyed
	Used time.Time `json:"used,omitzero"` // zero: it is good
}

// Generate makes ten codes, as they are shown to the person. Nothing is stored:
// until Keep they exist only with the caller.
func (r *Recovery) Generate() []string {
	var codes []string
	for range recoveryCodes {
		raw := make([]byte, recoverySize)
		rand.Read(raw) // never fails (crypto/rand)
		var code strings.Builder
		for i, b := range raw {
			if i > 0 && i%recoveryGroup == 0 {
				code.WriteByte('-')
			}
			code.WriteByte(recoveryAlphabet[int(b)%len(recoveryAlphabet)])
		}
		codes = append(codes, code.String())
	}
	return codes
}

// Keep makes those codes the account's; the ones before are void. Errors:
// auth.ErrInvalidState for what Generate has not made, auth.ErrStoreDown.
func (r *Recovery) Keep(ctx context.Context, account string, codes []string) error {
	rec := recoveryRecord{Since: timeOf(r.Now).UTC()}
	distinct := map[string]bool{}
	for _, c := range codes {
		code, ok := readRecovery(c)
		if !ok || distinct[code] {
			return fmt.Errorf("keep recovery codes: %w", auth.ErrInvalidState)
		}
		distinct[code] = true
		rec.Codes = append(rec.Codes, recoveryCode{Hash: r.hash(account, code)})
	}
	if len(rec.Codes) != recoveryCodes {
		return fmt.Errorf("keep recovery codes: %w", auth.ErrInvalidState)
	}
	value, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	err = r.Store.Update(ctx, recoveryKey(account), func([]byte) ([]byte, time.Duration, error) { return value, 0, nil })
	return trouble("keep recovery codes", err)
}

// Kind is the factor's name in mfa.methods.
func (r *Recovery) Kind() string { return auth.KindRecovery }

// Enrolled returns the account's recovery codes as one authenticator. Errors:
// auth.ErrStoreDown.
func (r *Recovery) Enrolled(ctx context.Context, account string) ([]auth.Authenticator, error) {
	value, err := r.Store.Get(ctx, recoveryKey(account))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, trouble("look for recovery codes", err)
	}
	// Codes that cannot be read are there, and none of them is good.
	var rec recoveryRecord
	_ = json.Unmarshal(value, &rec)
	a := auth.Authenticator{ID: auth.KindRecovery, Kind: auth.KindRecovery, Since: rec.Since}
	for _, c := range rec.Codes {
		switch {
		case c.Used.IsZero():
			a.Left++
		case c.Used.After(a.Used):
			a.Used = c.Used
		}
	}
	a.Barred = a.Left == 0
	return []auth.Authenticator{a}, nil
}

// Holders returns the accounts that have recovery codes. Errors:
// auth.ErrStoreDown.
func (r *Recovery) Holders(ctx context.Context) (map[string]bool, error) {
	holders, err := store.IDs(ctx, r.Store, auth.KindRecovery+":")
	return holders, trouble("list recovery codes", err)
}

// Challenge asks for one of the codes. Errors: none; an account without codes
// has none that passes.
func (r *Recovery) Challenge(context.Context, auth.Claimant) (auth.Challenge, error) {
	return auth.Challenge{Kind: auth.KindRecovery}, nil
}

// Verify uses one of the codes up. Errors: auth.ErrWrongCode also for one that
// was used, *auth.Throttled, auth.ErrStoreDown.
func (r *Recovery) Verify(ctx context.Context, c auth.Claimant, _ auth.Challenge, answer string) error {
	return attempts{r.Throttle, r.Log}.counted(ctx, c.Account, "check recovery code", func() error {
		code, ok := readRecovery(answer)
		if !ok {
			return auth.ErrWrongCode
		}
		hash := r.hash(c.Account, code)
		return r.Store.Update(ctx, recoveryKey(c.Account), func(old []byte) ([]byte, time.Duration, error) {
			if old == nil {
				return nil, 0, auth.ErrWrongCode
			}
			var rec recoveryRecord
			if err := json.Unmarshal(old, &rec); err != nil {
				return nil, 0, fmt.Errorf("decode recovery codes: %w", err)
			}
			for i := range rec.Codes {
				of := &rec.Codes[i]
				if subtle.ConstantTimeCompare([]byte(of.Hash), []byte(hash)) == 1 && of.Used.IsZero() {
					of.Used = timeOf(r.Now).UTC()
					value, err := json.Marshal(rec)
					return value, 0, err
				}
			}
			return nil, 0, auth.ErrWrongCode
		})
	})
}

// Remove forgets the account's codes; they go together. Errors:
// auth.ErrNotFound, auth.ErrStoreDown.
func (r *Recovery) Remove(ctx context.Context, account, id string) error {
	if id != auth.KindRecovery {
		return fmt.Errorf("remove recovery codes: %w", auth.ErrNotFound)
	}
	_, err := r.Store.Take(ctx, recoveryKey(account))
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("remove recovery codes: %w", auth.ErrNotFound)
	}
	return trouble("remove recovery codes", err)
}

// Reset forgets the account's codes. Errors: auth.ErrStoreDown.
func (r *Recovery) Reset(ctx context.Context, account string) error {
	return trouble("forget recovery codes", r.Store.Delete(ctx, recoveryKey(account)))
}

// CheckRecord tells whether an account's codes can be read.
func (r *Recovery) CheckRecord(_ string, value []byte) error {
	var rec recoveryRecord
	if err := json.Unmarshal(value, &rec); err != nil {
		return fmt.Errorf("decode recovery codes: %w", err)
	}
	return nil
}

func (r *Recovery) hash(account, code string) string {
	return r.Index.Hash("recovery", account, code)
}

// readRecovery reads a code as people type it off paper: letter case, spaces
// and hyphens do not matter, nor does o for 0, and i or l for 1.
func readRecovery(answer string) (code string, ok bool) {
	if len(answer) > 64 {
		return "", false
	}
	code = strings.Map(func(c rune) rune {
		switch {
		case c == 'o' || c == 'O':
			return '0'
		case strings.ContainsRune("iIlL", c):
			return '1'
		case 'A' <= c && c <= 'Z':
			return c - 'A' + 'a'
		case strings.ContainsRune(" \t\r\n-_.\u00a0\u2009\u2010\u2011\u2012\u2013\u202f", c):
			return -1
		}
		return c
	}, answer)
	if len(code) != recoverySize || strings.Trim(code, recoveryAlphabet) != "" {
		return "", false
	}
	return code, true
}

func recoveryKey(account string) string { return auth.KindRecovery + ":" + account }
