package provision

import (
	"context"
	"fmt"

	"gatehouse/auth"
)

// Foresee tells why Add would refuse an account, and changes nothing. Between
// the two somebody else may take a name. Errors: *RefusedError,
// auth.ErrStoreDown.
func (d *Directory) Foresee(ctx context.Context, n New) error {
	a, err := d.draft(n)
	if err != nil {
		return err
	}
	b := d.book()
	return storeTrouble("foresee account", b.run(ctx, func(ctx context.Context) error {
		for _, n := range d.names().of(a) {
			f, err := b.look(ctx, n)
			if err != nil {
				return err
			}
			if f.account != nil {
				return taken(n, f.account)
			}
		}
		return nil
	}))
}

// Bearer returns the account whose present username this is. Errors:
// auth.ErrNotFound, auth.ErrStoreDown.
func (d *Directory) Bearer(ctx context.Context, username string) (View, error) {
	n := d.names().username(username)
	a, err := d.lookup(ctx, n)
	if err != nil {
		return View{}, storeTrouble("find username", err)
	}
	if !a.answersTo(n) {
		return View{}, fmt.Errorf("find username: %w", auth.ErrNotFound)
	}
	v, err := d.whole(ctx, a)
	return v, storeTrouble("find username", err)
}
