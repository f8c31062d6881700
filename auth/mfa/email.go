package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
)

// EmailRecordKind is what stands before the colon in the keys of who enrolled
// codes by mail; the account's id follows it.
const EmailRecordKind = "emailcode"

// Addresses tells where an account gets mail.
type Addresses interface {
	// VerifiedEmail is the account's address, "" for none that is verified.
	// Errors: auth.ErrNotFound, auth.ErrStoreDown.
	VerifiedEmail(ctx context.Context, account string) (string, error)
	// MailedTo is the address to which the link went by which the account's
	// present password was set, "" for none. Errors: auth.ErrStoreDown.
	MailedTo(ctx context.Context, account string) (string, error)
}

// Mailer sends codes. It queues, and does not wait for the mail server.
type Mailer interface {
	Code(ctx context.Context, to, code string, life time.Duration) error
}

// EmailCode is the factor of codes by mail. It implements auth.Enroller and is
// safe for concurrent use.
//
// After the password was set by a link that went to the same address, such a
// code proves nothing that the link has not proved: it is barred.
type EmailCode struct {
	Store     store.Store
	Index     Hasher
	Throttle  *throttle.Throttle
	Addresses Addresses
	Mailer    Mailer // nil: no mail is sent, and what is enrolled is barred

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: nothing is logged
}

// emailRecord is what rests under emailcode:<account>.
type emailRecord struct {
	Address string    `json:"address"` // proved at the enrolment; it stays when the account's changes
	Since   time.Time `json:"since"`
	Used    time.Time `json:"used,omitzero"`
}

// emailOffer is what an offer remembers.
type emailOffer struct {
	Address string `json:"address"`
}

// Kind is the factor's name in mfa.methods.
func (e *EmailCode) Kind() string { return auth.KindEmailCode }

// Enrolled returns the address at which the account gets codes. Errors:
// auth.ErrStoreDown.
func (e *EmailCode) Enrolled(ctx context.Context, account string) ([]auth.Authenticator, error) {
	rec, found, err := e.read(ctx, account)
	switch {
	case errors.Is(err, auth.ErrStoreDown):
		return nil, err
	case err != nil:
		// What cannot be read is there all the same: nobody gets around it.
		return []auth.Authenticator{{ID: auth.KindEmailCode, Kind: auth.KindEmailCode, Barred: true}}, nil
	case !found:
		return nil, nil
	}
	barred, err := e.barred(ctx, account, rec.Address)
	if err != nil {
		return nil, err
	}
	return []auth.Authenticator{{
		ID: auth.KindEmailCode, Kind: auth.KindEmailCode, Name: masked(rec.Address), Since: rec.Since, Used: rec.Used, Barred: barred,
	}}, nil
}

// barred tells whether a code at the address proves nothing now.
func (e *EmailCode) barred(ctx context.Context, account, address string) (bool, error) {
	if e.Mailer == nil {
		return true, nil
	}
	mailedTo, err := e.Addresses.MailedTo(ctx, account)
	if errors.Is(err, auth.ErrStoreDown) {
		return true, trouble("look for the address of a reset", err)
	}
	if err != nil {
		// Where it went cannot be known any more: it may have been here.
		if e.Log != nil {
			e.Log.WarnContext(ctx, "codes by mail are barred: the address of the last reset cannot be read", "account", account, "error", err)
		}
		return true, nil
	}
	return strings.EqualFold(mailedTo, address), nil
}

// Address returns the address at which the account gets codes, in full; "": it
// gets none, or the record cannot be read. Errors: auth.ErrStoreDown.
func (e *EmailCode) Address(ctx context.Context, account string) (string, error) {
	rec, _, err := e.read(ctx, account)
	if errors.Is(err, auth.ErrStoreDown) {
		return "", err
	}
	return rec.Address, nil
}

// Holders returns the accounts that get codes by mail. Errors:
// auth.ErrStoreDown.
func (e *EmailCode) Holders(ctx context.Context) (map[string]bool, error) {
	holders, err := store.IDs(ctx, e.Store, emailKey(""))
	return holders, trouble("list who gets codes by mail", err)
}

// Challenge sends a code to the enrolled address; the one before is void.
// Errors: *auth.Throttled, auth.ErrNotFound when the account gets none or is
// barred, auth.ErrStoreDown.
func (e *EmailCode) Challenge(ctx context.Context, c auth.Claimant) (auth.Challenge, error) {
	rec, found, err := e.read(ctx, c.Account)
	if err != nil {
		return auth.Challenge{}, err
	}
	if !found {
		return auth.Challenge{}, fmt.Errorf("send a code: %w", auth.ErrNotFound)
	}
	barred, err := e.barred(ctx, c.Account, rec.Address)
	if err != nil {
		return auth.Challenge{}, err
	}
	if barred {
		return auth.Challenge{}, fmt.Errorf("send a code: %w: the address is barred", auth.ErrNotFound)
	}
	if err := e.send(ctx, c, forChallenge, rec.Address); err != nil {
		return auth.Challenge{}, err
	}
	return auth.Challenge{Kind: auth.KindEmailCode, Hint: masked(rec.Address)}, nil
}

// Verify checks a code. Errors: auth.ErrWrongCode also for one that passed
// before, was superseded or is too old, and for a barred address;
// *auth.Throttled, auth.ErrStoreDown.
func (e *EmailCode) Verify(ctx context.Context, c auth.Claimant, _ auth.Challenge, answer string) error {
	return attempts{e.Throttle, e.Log}.counted(ctx, c.Account, "check code by mail", func() error {
		rec, found, err := e.read(ctx, c.Account)
		if err != nil {
			return err
		}
		if !found {
			return auth.ErrWrongCode
		}
		if err := e.redeem(ctx, c, forChallenge, rec.Address, answer); err != nil {
			return err
		}
		e.used(ctx, c.Account)
		return nil
	})
}

// used notes when the factor was used. The code is used up by then; that it
// cannot be noted is nothing to send the person away for.
func (e *EmailCode) used(ctx context.Context, account string) {
	err := e.Store.Update(ctx, emailKey(account), func(old []byte) ([]byte, time.Duration, error) {
		var rec emailRecord
		if old == nil || json.Unmarshal(old, &rec) != nil {
			return nil, 0, store.ErrNoChange
		}
		rec.Used = timeOf(e.Now).UTC()
		value, err := json.Marshal(rec)
		return value, 0, err
	})
	if err != nil && e.Log != nil {
		e.Log.WarnContext(ctx, "when a code by mail was used could not be noted", "account", account, "error", err)
	}
}

// Enrollable tells whether the account's address can be enrolled. Errors:
// auth.ErrNotFound when there is none that is verified, or it is enrolled
// already, and with auth.ErrBarred when it is barred; auth.ErrStoreDown.
func (e *EmailCode) Enrollable(ctx context.Context, account string) error {
	_, err := e.enrollable(ctx, account)
	return err
}

// enrollable returns the address that can be enrolled.
func (e *EmailCode) enrollable(ctx context.Context, account string) (address string, err error) {
	if e.Mailer == nil {
		return "", fmt.Errorf("enrol an address: %w: no mail is sent", auth.ErrNotFound)
	}
	address, err = e.Addresses.VerifiedEmail(ctx, account)
	if err != nil {
		return "", trouble("look for an address", err)
	}
	if address == "" {
		return "", fmt.Errorf("enrol an address: %w: none is verified", auth.ErrNotFound)
	}
	barred, err := e.barred(ctx, account, address)
	if err != nil {
		return "", err
	}
	if barred {
		return "", fmt.Errorf("enrol an address: %w: %w", auth.ErrNotFound, auth.ErrBarred)
	}
	enrolled, err := e.Address(ctx, account)
	if err != nil {
		return "", err
	}
	if enrolled == address {
		return "", fmt.Errorf("enrol an address: %w: it is enrolled already", auth.ErrNotFound)
	}
	return address, nil
}

// Offer sends a code to the account's address. Errors: *auth.Throttled, and
// those of Enrollable.
func (e *EmailCode) Offer(ctx context.Context, c auth.Claimant) (auth.Enrolment, error) {
	address, err := e.enrollable(ctx, c.Account)
	if err != nil {
		return auth.Enrolment{}, err
	}
	if err := e.send(ctx, c, forOffer, address); err != nil {
		return auth.Enrolment{}, err
	}
	state, err := json.Marshal(emailOffer{address})
	return auth.Enrolment{Kind: auth.KindEmailCode, State: state, Hint: masked(address)}, err
}

// Confirm enrols the address to which the code was sent, in place of one that
// was enrolled before. Errors: auth.ErrWrongCode, *auth.Throttled,
// auth.ErrStoreDown, and auth.ErrInvalidState when the account has another
// address now, and at a sign-in when it is enrolled already, as in
// TOTP.Confirm.
func (e *EmailCode) Confirm(ctx context.Context, c auth.Claimant, offered auth.Enrolment, answer string) error {
	var offer emailOffer
	if offered.Kind != auth.KindEmailCode || json.Unmarshal(offered.State, &offer) != nil || offer.Address == "" || e.Mailer == nil {
		return fmt.Errorf("confirm address: %w", auth.ErrInvalidState)
	}
	return attempts{e.Throttle, e.Log}.counted(ctx, c.Account, "enrol address", func() error {
		address, err := e.Addresses.VerifiedEmail(ctx, c.Account)
		if err != nil {
			return err
		}
		if address != offer.Address {
			return fmt.Errorf("confirm address: %w: it is another now", auth.ErrInvalidState)
		}
		if err := e.redeem(ctx, c, forOffer, address, answer); err != nil {
			return err
		}
		value, err := json.Marshal(emailRecord{Address: address, Since: timeOf(e.Now).UTC()})
		if err != nil {
			return err
		}
		return e.Store.Update(ctx, emailKey(c.Account), func(old []byte) ([]byte, time.Duration, error) {
			if old != nil && c.Purpose != auth.PurposeEnrol {
				return nil, 0, fmt.Errorf("confirm address: %w", auth.ErrInvalidState)
			}
			return value, 0, nil
		})
	})
}

// Remove forgets the enrolled address. Errors: auth.ErrNotFound,
// auth.ErrStoreDown.
func (e *EmailCode) Remove(ctx context.Context, account, id string) error {
	if id != auth.KindEmailCode {
		return fmt.Errorf("remove address: %w", auth.ErrNotFound)
	}
	_, err := e.Store.Take(ctx, emailKey(account))
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("remove address: %w", auth.ErrNotFound)
	}
	return trouble("remove address", err)
}

// Reset forgets the enrolled address and the code that is outstanding. Errors:
// auth.ErrStoreDown.
func (e *EmailCode) Reset(ctx context.Context, account string) error {
	err := errors.Join(e.Store.Delete(ctx, emailKey(account)), e.Store.Delete(ctx, sentKey(account)))
	return trouble("forget codes by mail", err)
}

// CheckRecord tells whether an enrolment can be read.
func (e *EmailCode) CheckRecord(_ string, value []byte) error {
	var rec emailRecord
	if err := json.Unmarshal(value, &rec); err != nil {
		return fmt.Errorf("decode address: %w", err)
	}
	if rec.Address == "" {
		return errors.New("decode address: there is none")
	}
	return nil
}

func (e *EmailCode) read(ctx context.Context, account string) (rec emailRecord, found bool, err error) {
	value, err := e.Store.Get(ctx, emailKey(account))
	if errors.Is(err, store.ErrNotFound) {
		return rec, false, nil
	}
	if err != nil {
		return rec, false, trouble("look for an enrolled address", err)
	}
	if err := e.CheckRecord("", value); err != nil {
		return rec, false, err
	}
	return rec, true, json.Unmarshal(value, &rec)
}

// masked is an address for who may not be its owner: enough to know one's own.
func masked(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return "…"
	}
	_, size := utf8.DecodeRuneInString(address)
	return address[:min(size, at)] + "…" + address[at:]
}

func emailKey(account string) string { return EmailRecordKind + ":" + account }
