package session

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"gatehouse/internal/store"
)

// endedLife is how long it is remembered that an account's sessions were
// ended: longer than any sign-in can be under way.
const endedLife = time.Hour

func (s *Sessions) endedKey(account string) string {
	return "index:" + s.Index.Hash("ended", account)
}

// noteEnd remembers that the account's sessions end now. It comes before they
// are looked for, so that a session is either found or refused by Start.
func (s *Sessions) noteEnd(ctx context.Context, account string) error {
	now := binary.BigEndian.AppendUint64(nil, uint64(s.Now().UnixNano()))
	err := s.Store.Update(ctx, s.endedKey(account), func([]byte) ([]byte, time.Duration, error) {
		return now, endedLife, nil
	})
	if err != nil {
		return trouble("end sessions of an account", err)
	}
	return nil
}

// EndedSince reports whether EndAccount was called for the account at or after
// t, within the last hour. What was proved before that, a password that has
// been changed since, must not become a session. Errors: auth.ErrStoreDown.
func (s *Sessions) EndedSince(ctx context.Context, account string, t time.Time) (bool, error) {
	if account == "" {
		return false, nil
	}
	value, err := s.Store.Get(ctx, s.endedKey(account))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, trouble("sessions of an account", err)
	}
	if len(value) != 8 {
		return true, nil // damaged: refused for an hour at most
	}
	ended := time.Unix(0, int64(binary.BigEndian.Uint64(value)))
	return !t.After(ended), nil
}
