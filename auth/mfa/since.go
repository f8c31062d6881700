package mfa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gatehouse/internal/store"
)

// Since returns when the account enrolled its app; zero: it has none. It opens
// no secret. Errors: auth.ErrStoreDown.
func (t *TOTP) Since(ctx context.Context, account string) (time.Time, error) {
	value, err := t.Store.Get(ctx, key(account))
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, trouble("look for TOTP enrolment", err)
	}
	var rec record
	if err := json.Unmarshal(value, &rec); err != nil {
		return time.Time{}, fmt.Errorf("decode TOTP record: %w", err)
	}
	return rec.Since, nil
}
