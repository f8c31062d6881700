package session

import (
	"context"
	"encoding/hex"
	"errors"

	"gatehouse/auth"
)

// Open calls f for each live session of an account, in no order. It does not
// look at anybody else's. Errors: those of f, auth.ErrStoreDown.
func (s *Sessions) Open(ctx context.Context, account string, f func(*auth.Session) error) error {
	if account == "" {
		return nil
	}
	for _, shard := range shards {
		list, err := s.listed(ctx, ofAccount(account), string(shard))
		if err != nil {
			return err
		}
		for ; len(list) > 0; list = list[entrySize:] {
			sess, err := s.read(ctx, keyPrefix+hex.EncodeToString(list[:idDigits/2]))
			if errors.Is(err, auth.ErrUnauthenticated) {
				continue
			}
			if err != nil {
				return err
			}
			// An entry is a hint, the record is the truth.
			if sess.Account != account {
				continue
			}
			if err := f(sess); err != nil {
				return err
			}
		}
	}
	return nil
}
