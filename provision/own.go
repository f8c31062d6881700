package provision

import (
	"context"
	"errors"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// LinkOwn ties an identity to the account of the person who brings it: they are
// signed in as the account and have signed in with the identity just now, which
// the caller has made sure of. The account is updated as by any sign-in with
// the identity, but for its e-mail, and nobody is signed in. Errors:
// *auth.Denied, also where the identity is another account's, and
// auth.ErrInvalidAnswer, after which nothing has changed; auth.ErrStoreDown.
func (r *Resolver) LinkOwn(ctx context.Context, identity auth.Identity, account string) (auth.Outcome, error) {
	return r.decided(ctx, identity, func(b *booking) (auth.Outcome, error) { return r.linkOwn(ctx, b, identity, account) })
}

func (r *Resolver) linkOwn(ctx context.Context, b *booking, identity auth.Identity, account string) (auth.Outcome, error) {
	conn, id, err := r.admit(identity)
	if err != nil {
		return auth.Outcome{}, err
	}
	switch {
	case !conn.JIT.Enabled:
		return auth.Outcome{}, denied(conn, auth.DeniedLink, "its people have no account")
	case conn.JIT.LinkExisting == config.LinkDeny:
		return auth.Outcome{}, denied(conn, auth.DeniedLink, "link_existing is deny")
	}
	s := &signIn{booking: b, resolver: r, conn: conn, id: id}
	var outcome auth.Outcome
	err = s.run(ctx, func(ctx context.Context) (err error) {
		outcome, err = s.attemptOwn(ctx, account)
		return err
	})
	if err != nil {
		return auth.Outcome{}, storeTrouble("link an identity, decision "+b.decision, err)
	}
	outcome.Rules = conn.rules
	return outcome, nil
}

// attemptOwn goes the whole way once.
func (s *signIn) attemptOwn(ctx context.Context, account string) (auth.Outcome, error) {
	n := s.names().link(linkOf(s.id.Identity, s.now()))
	at, err := s.look(ctx, n)
	if err != nil {
		return auth.Outcome{}, err
	}
	a, err := s.read(ctx, account)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.Outcome{}, denied(s.conn, auth.DeniedNoAccount, "account "+account+" is gone")
	case err != nil:
		return auth.Outcome{}, err
	case a.refused():
		return auth.Outcome{}, denied(s.conn, auth.DeniedDisabled, "account "+account)
	case at.account != nil && at.account.ID != a.ID:
		// Moving it would let whoever holds both for a moment take an account
		// apart; the person unlinks it there first.
		return auth.Outcome{}, denied(s.conn, auth.DeniedTaken, "it is linked to account "+at.account.ID)
	}
	if err := s.fits("", s.id.Email); err != nil {
		return auth.Outcome{}, denied(s.conn, auth.DeniedTooLarge, err.Error())
	}
	s.by = &acting{Actor{Kind: ActorPerson}, "they linked it to their account"}
	// The e-mail stays: whoever links an identity does not ask for another
	// address, and where one may be written the next sign-in does.
	next := synced(a, s.conn, s.id, true, s.now())
	verdict := auth.Unchanged
	switch {
	case at.account == nil:
		verdict = auth.Linked
		if !a.linked(n.link.Connection, n.link.Issuer, n.link.Subject) {
			next.Links = append(next.Links, n.link)
		}
		err = s.link(ctx, n, at, a, next)
	case !next.equal(a):
		verdict = auth.Updated
		err = s.replace(ctx, a, next)
	}
	if err != nil {
		return auth.Outcome{}, err
	}
	s.committed()
	return auth.Outcome{Verdict: verdict, Account: a.ID, Identity: s.id.Identity}, nil
}

// UnlinkOwn cuts one tie of an account on behalf of its person, as Unlink does,
// unless nothing would be left by which they could sign in: their password, or
// another identity of a connection that is in use. That is judged on the very
// record that is replaced, so of two requests that would each leave the other's
// tie one is refused. Errors: auth.ErrLastWay, auth.ErrNotFound,
// *RefusedError, auth.ErrStoreDown.
func (r *Resolver) UnlinkOwn(ctx context.Context, account string, l auth.LinkedIdentity) error {
	d := r.directory
	ctx = WithActor(ctx, Actor{Kind: ActorPerson}, "")
	_, err := d.alter(ctx, account, func(ctx context.Context, b *booking, a, next *Account) error {
		cut := func(has Link) bool { return has.is(l.Connection, l.Issuer, l.Subject) }
		if !slices.ContainsFunc(a.Links, cut) {
			return auth.ErrNotFound
		}
		left := slices.DeleteFunc(slices.Clone(a.Links), cut)
		if !slices.ContainsFunc(left, r.leadsIn) {
			password, err := d.Credentials.HasPassword(ctx, a.ID)
			if err != nil {
				return err
			}
			if !password || !r.local {
				return auth.ErrLastWay
			}
		}
		return b.cut(ctx, a, next, l.Connection, cut)
	})
	return err
}

// leadsIn reports whether somebody can sign in by a link.
func (r *Resolver) leadsIn(l Link) bool {
	c := r.connections[l.Connection]
	return c != nil && c.JIT.Enabled && c.Issuer == l.Issuer
}
