package provision

import (
	"context"
	"fmt"

	"gatehouse/auth"
)

// Acting returns who an account would be in a session that came in by a
// connection, with what is known of how. Errors: auth.ErrNotFound when there is
// no such account, or the connection is not linked to it or gives no account;
// auth.ErrForbidden when the account may not come in; auth.ErrUnauthenticated
// when local sign-in is off; auth.ErrStoreDown.
func (r *Resolver) Acting(ctx context.Context, account, connection string, amr []string, acr string) (*auth.Person, error) {
	s := &auth.Session{Account: account, Identity: auth.Identity{Connection: connection, AMR: amr, ACR: acr}}
	a, err := r.directory.read(ctx, account)
	if err != nil {
		return nil, storeTrouble("act as account", err)
	}
	if a.refused() {
		return nil, fmt.Errorf("account %s is %s: %w", a.Username, a.Status, auth.ErrForbidden)
	}
	if connection != auth.Local {
		conn := r.connections[connection]
		if conn == nil || !conn.JIT.Enabled {
			return nil, fmt.Errorf("connection %q gives no account: %w", connection, auth.ErrNotFound)
		}
		for _, l := range a.Links {
			if l.Connection == connection && l.Issuer == conn.Issuer {
				s.Identity.Issuer, s.Identity.Subject = l.Issuer, l.Subject
			}
		}
		if s.Identity.Subject == "" {
			return nil, fmt.Errorf("account %s is not linked to connection %s: %w", a.Username, connection, auth.ErrNotFound)
		}
		s.JIT, s.Rules = true, conn.rules
	}
	return r.Person(ctx, s)
}
