package account

import (
	"context"
	"fmt"

	"gatehouse/auth"
)

// alone calls change while nobody else changes what opens the account, if the
// visitor's session goes on. An administrator who resets the account ends the
// sessions first: a stranger's request that was let in just before would else
// have its turn just after, and what it makes would stay. The store is asked,
// not what is cached of it. Errors: auth.ErrUnauthenticated when the session has
// ended; those of Turns.Alone.
func (a *Account) alone(v *visit, change func(context.Context) error) error {
	account := v.session.Account
	return a.Turns.Alone(v.r.Context(), account, func(ctx context.Context) error {
		open := false
		err := a.Sessions.Open(ctx, account, func(s *auth.Session) error {
			open = open || s.ID == v.session.ID
			return nil
		})
		if err == nil && !open {
			err = fmt.Errorf("change account: the session has ended: %w", auth.ErrUnauthenticated)
		}
		if err != nil {
			return err
		}
		return change(ctx)
	})
}
