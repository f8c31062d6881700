package mfa

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
)

const (
	emailDigits  = 8
	emailLife    = 10 * time.Minute // of a code
	emailGuesses = 5                // at one code
	emailPause   = 30 * time.Second // between two codes
	emailHour    = 10               // codes of an account in an hour
)

// What a code was sent for, beside the purpose of the claimant.
const (
	forChallenge = "challenge"
	forOffer     = "offer"
)

// sentCode is what rests under emailsent:<account>: the newest code, and when
// any were sent.
type sentCode struct {
	Sent    []time.Time `json:"sent"` // in the last hour
	For     string      `json:"for"`  // keyed hash of what it is bound to
	Hash    string      `json:"hash"` // keyed, of the code; "": it is used up
	Until   time.Time   `json:"until"`
	Guesses int         `json:"guesses"`
}

// send makes a code and has it sent, to an address that is not barred.
func (e *EmailCode) send(ctx context.Context, c auth.Claimant, what, address string) error {
	code, err := emailCode()
	if err != nil {
		return err
	}
	err = e.Store.Update(ctx, sentKey(c.Account), func(old []byte) ([]byte, time.Duration, error) {
		rec := decodeSent(old)
		now := timeOf(e.Now).UTC()
		if err := rec.mayFollow(now); err != nil {
			return nil, 0, err
		}
		rec.Sent = append(rec.Sent, now)
		rec.For = e.boundTo(c, what, address)
		rec.Hash = e.hash(rec.For, code)
		rec.Until, rec.Guesses = now.Add(emailLife), 0
		value, err := json.Marshal(rec)
		return value, time.Hour, err
	})
	if err != nil {
		return trouble("keep a code by mail", err)
	}
	if err := e.Mailer.Code(ctx, address, code, emailLife); err != nil {
		return trouble("send a code by mail", err)
	}
	return nil
}

// mayFollow tells whether another code may be sent. Attack: have somebody's
// mailbox filled, and Gatehouse's mail taken for spam. Errors:
// auth.ErrMailedLately and a *auth.Throttled.
func (s *sentCode) mayFollow(now time.Time) error {
	recent := s.Sent[:0]
	for _, at := range s.Sent {
		if now.Sub(at) < time.Hour {
			recent = append(recent, at)
		}
	}
	s.Sent = recent
	n := len(recent)
	var wait time.Duration
	switch {
	case n >= emailHour:
		wait = recent[n-emailHour].Add(time.Hour).Sub(now)
	case n > 0:
		wait = recent[n-1].Add(emailPause).Sub(now)
	}
	if wait > 0 {
		return fmt.Errorf("%w: %w", auth.ErrMailedLately, &auth.Throttled{RetryAfter: wait})
	}
	return nil
}

// redeem uses a code up. A wrong answer counts as a guess only where the code
// was asked for: it is nobody else's to spoil.
func (e *EmailCode) redeem(ctx context.Context, c auth.Claimant, what, address, answer string) error {
	barred, err := e.barred(ctx, c.Account, address)
	if err != nil {
		return err
	}
	code, ok := digitsOf(answer, emailDigits)
	if barred || !ok {
		return auth.ErrWrongCode
	}
	right := false
	err = e.Store.Update(ctx, sentKey(c.Account), func(old []byte) ([]byte, time.Duration, error) {
		right = false
		rec := decodeSent(old)
		bound := e.boundTo(c, what, address)
		if rec.Hash == "" || rec.For != bound || rec.Guesses >= emailGuesses || !timeOf(e.Now).Before(rec.Until) {
			return nil, 0, store.ErrNoChange
		}
		right = subtle.ConstantTimeCompare([]byte(rec.Hash), []byte(e.hash(bound, code))) == 1
		rec.Guesses++
		if right {
			rec.Hash = ""
		}
		value, err := json.Marshal(rec)
		return value, store.KeepTTL, err
	})
	if err == nil && !right {
		return auth.ErrWrongCode
	}
	return err
}

// boundTo is what a code is good for: this account, this sign-in, this purpose,
// this address.
func (e *EmailCode) boundTo(c auth.Claimant, what, address string) string {
	return e.Index.Hash("emailsent", c.Account, c.Binding, c.Purpose, what, address)
}

func (e *EmailCode) hash(bound, code string) string {
	return e.Index.Hash("emailcode", bound, code)
}

// decodeSent reads what was sent. What cannot be read is no code.
func decodeSent(value []byte) (rec sentCode) {
	if value == nil || json.Unmarshal(value, &rec) != nil {
		return sentCode{}
	}
	return rec
}

// emailCode is eight random digits.
func emailCode() (string, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(100_000_000))
	if err != nil {
		return "", errors.Join(errors.New("make a code"), err)
	}
	return fmt.Sprintf("%0*d", emailDigits, n), nil
}

func sentKey(account string) string { return "emailsent:" + account }
