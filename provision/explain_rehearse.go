package provision

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/seal"
	"gatehouse/internal/store/memory"
)

// Rehearsal returns a resolver over a directory of its own, in memory, with
// this account and no other (nil: none), for Explain. What the account has was
// given by an administrator. fits is Directory.Fits. Errors: *RefusedError for
// an account that there cannot be.
func Rehearsal(ctx context.Context, c *config.Config, account *config.TestAccount, fits func(user, email string) error) (*Resolver, error) {
	st := memory.New()
	ring, err := seal.NewKeyring([]string{rand.Text() + rand.Text()})
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	index, err := seal.LoadIndexKey(ctx, st, ring)
	if err != nil {
		return nil, fmt.Errorf("rehearse: %w", err)
	}
	d := &Directory{
		Store: st, Index: index, Credentials: actorsCredentials{}, Fits: fits,
		Log: slog.New(slog.DiscardHandler),
	}
	if account != nil {
		d.Credentials = actorsCredentials{account.HasPassword, account.HasFactor}
		if err := d.cast(ctx, c, account); err != nil {
			return nil, err
		}
	}
	return NewResolver(c, d), nil
}

// cast makes the account of a rehearsal.
func (d *Directory) cast(ctx context.Context, c *config.Config, t *config.TestAccount) error {
	v, err := d.Add(ctx, New{Username: t.Username, Email: t.Email, Groups: t.Groups, Attributes: t.Attributes})
	if err != nil {
		return err
	}
	a, err := d.read(ctx, v.ID)
	if err != nil {
		return err
	}
	b := a.clone()
	for _, id := range slices.Sorted(maps.Keys(t.Linked)) {
		conn := c.Connection(id)
		if conn == nil {
			return &RefusedError{"linked", fmt.Sprintf("there is no connection %q", id)}
		}
		l := Link{Connection: id, Issuer: conn.Issuer, Subject: t.Linked[id], Time: d.now()}
		b.Links = append(b.Links, l)
		if err := d.Store.Create(ctx, d.names().link(l).key, entry{Account: a.ID}.encode(), 0); err != nil {
			return err
		}
	}
	if t.Disabled {
		b.Status = Disabled
	}
	return d.Store.Update(ctx, accountKey(a.ID), func([]byte) ([]byte, time.Duration, error) { return b.encode(), 0, nil })
}

// actorsCredentials are those of the one account of a rehearsal.
type actorsCredentials struct{ password, factor bool }

// HasPassword implements Credentials.
func (c actorsCredentials) HasPassword(context.Context, string) (bool, error) { return c.password, nil }

// HasFactor implements Credentials.
func (c actorsCredentials) HasFactor(context.Context, string) (bool, error) { return c.factor, nil }

// KeepsEmail implements Credentials; the factor of a rehearsal sends no mail.
func (c actorsCredentials) KeepsEmail(context.Context, string) (bool, error) { return c.password, nil }

// Forget implements Credentials; nothing is deleted in a rehearsal.
func (actorsCredentials) Forget(context.Context, string) error { return nil }
