package provision

import (
	"context"
	"fmt"

	"gatehouse/auth"
)

// Acting returns who an account would be in a session that came in as id says:
// its connection, and what is known of how (AMR, ACR). Errors: auth.ErrNotFound
// when there is no such account, or the connection is not linked to it or may not
// be used; auth.ErrForbidden when the account may not come in; auth.ErrStoreDown.
func (r *Resolver) Acting(ctx context.Context, account string, id auth.Identity) (*auth.Person, error) {
	s := &auth.Session{Account: account, Identity: id}
	a, err := r.directory.read(ctx, account)
	if err != nil {
		return nil, storeTrouble("act as account", err)
	}
	if a.refused() {
		return nil, fmt.Errorf("account %s is %s: %w", a.Username, a.Status, auth.ErrForbidden)
	}
	if id.Connection != auth.Local {
		conn := r.connections[id.Connection]
		if conn == nil || !conn.JIT.Enabled {
			return nil, fmt.Errorf("connection %q gives no account: %w", id.Connection, auth.ErrNotFound)
		}
		for _, l := range a.Links {
			if l.Connection == id.Connection && l.Issuer == conn.Issuer {
				s.Identity.Issuer, s.Identity.Subject = l.Issuer, l.Subject
			}
		}
		if s.Identity.Subject == "" {
			return nil, fmt.Errorf("account %s is not linked to connection %s: %w", a.Username, id.Connection, auth.ErrNotFound)
		}
		s.JIT, s.Rules = true, conn.rules
	}
	return r.Person(ctx, s)
}
