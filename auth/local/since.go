package local

import (
	"context"
	"time"
)

// Since returns when the account's password was set; zero: it has none.
// Errors: auth.ErrStoreDown.
func (p *Passwords) Since(ctx context.Context, account string) (time.Time, error) {
	_, rec, err := p.read(ctx, account)
	return rec.Set, err
}

// Devices returns when each known device of the account was used for its last
// sign-in. Errors: auth.ErrStoreDown.
func (p *Passwords) Devices(ctx context.Context, account string) ([]time.Time, error) {
	return p.Throttle.Devices(ctx, account)
}
