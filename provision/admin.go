package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"gatehouse/auth"
)

// RefusedError is the refusal of what an administrator asked for. Its text is
// for them.
type RefusedError struct{ Field, Problem string }

func (e *RefusedError) Error() string { return e.Field + ": " + e.Problem }

// New is an account that an administrator adds.
type New struct {
	Username   string
	Email      string // "": none. The administrator vouches for it
	Name       string
	Groups     []string
	Attributes map[string][]string
	Disabled   bool // from its first moment
}

// Edit is a change by an administrator. What is nil or not named stays.
type Edit struct {
	Username   *string             // the former one stays reserved for the account
	Email      *string             // "": none. The administrator vouches for it
	Name       *string             // "": none
	Groups     *[]string           // replace those that were assigned locally
	Attributes map[string][]string // written
	Unset      []string            // removed, whoever gave them
}

// Add makes an account. Errors: *RefusedError, auth.ErrStoreDown.
func (d *Directory) Add(ctx context.Context, n New) (View, error) {
	a, err := d.draft(n)
	if err != nil {
		return View{}, err
	}
	if by := actorOf(ctx).actor; by.Kind == ActorAdministrator {
		a.MadeBy = by.Name
	}
	b := d.book()
	err = b.run(ctx, func(ctx context.Context) error {
		a.ID = newID()
		var mine []name
		for _, n := range d.names().of(a) {
			if err := b.take(ctx, n, a); err != nil {
				return err
			}
			mine = append(mine, n)
		}
		if err := b.write(ctx, a, mine); err != nil {
			return err
		}
		b.committed()
		return nil
	})
	if err != nil {
		return View{}, storeTrouble("add account", err)
	}
	return a.view(), nil
}

// draft is the account that Add would make. Errors: *RefusedError.
func (d *Directory) draft(n New) (*Account, error) {
	a := &Account{
		Version: accountVersion, Created: d.now(), Source: auth.Local, Attributes: map[string]Attribute{}, Status: Active,
	}
	if n.Disabled {
		a.Status = Disabled
	}
	if err := d.edit(a, Edit{Email: &n.Email, Name: &n.Name, Groups: &n.Groups, Attributes: n.Attributes}); err != nil {
		return nil, err
	}
	username, err := NormalizeUsername(n.Username, a.verifiedEmail())
	if err != nil {
		return nil, &RefusedError{"username", fmt.Sprintf("%q cannot be one: %v", n.Username, err)}
	}
	a.Username = username
	if err := d.fits(a.Username, a.verifiedEmail()); err != nil {
		return nil, &RefusedError{"account", err.Error()}
	}
	return a, nil
}

// take reserves a name for an administrator's account, who is told if somebody
// has it.
func (b *booking) take(ctx context.Context, n name, a *Account) error {
	f, err := b.look(ctx, n)
	if err != nil {
		return err
	}
	if f.account != nil {
		return taken(n, f.account)
	}
	return b.reserve(ctx, n, a.ID, f)
}

func taken(n name, by *Account) error {
	field := "username"
	if n.kind == byEmail {
		field = "email"
	}
	if !by.answersTo(n) {
		return &RefusedError{field, fmt.Sprintf("%q is a former username of account %s (%s), and stays reserved for it", n.value, by.Username, by.ID)}
	}
	return &RefusedError{field, fmt.Sprintf("%q is that of account %s (%s) already", n.value, by.Username, by.ID)}
}

// Set changes an account, found as by Find. Errors: auth.ErrNotFound,
// *RefusedError, auth.ErrStoreDown.
func (d *Directory) Set(ctx context.Context, who string, e Edit) (View, error) {
	return d.alter(ctx, who, func(ctx context.Context, b *booking, a, next *Account) error {
		if err := d.edit(next, e); err != nil {
			return err
		}
		free, err := b.vacant(ctx, a, next)
		if err != nil {
			return err
		}
		if len(free) == 0 {
			return b.replace(ctx, a, next)
		}
		return b.move(ctx, a, next, free)
	})
}

// edit applies an administrator's values to a record.
func (d *Directory) edit(a *Account, e Edit) error {
	now := d.now()
	if e.Email != nil {
		email := Email{}
		if *e.Email != "" {
			address, err := NormalizeEmail(*e.Email)
			if err != nil {
				return &RefusedError{"email", fmt.Sprintf("%q: %v", *e.Email, err)}
			}
			email = Email{Address: address, Verified: true, Source: auth.Local, Time: now}
		}
		if email.Address != a.Email.Address || email.Verified != a.Email.Verified || a.Email.Source != auth.Local {
			a.Email = email
		}
	}
	if e.Username != nil {
		// After the e-mail: a username with an @ is the address that there is then.
		if err := rename(a, *e.Username, now); err != nil {
			return err
		}
	}
	if e.Groups != nil {
		if err := editGroups(a, *e.Groups, d); err != nil {
			return err
		}
	}
	values := maps.Clone(e.Attributes)
	unset := e.Unset
	if e.Name != nil {
		if values == nil {
			values = map[string][]string{}
		}
		if *e.Name != "" {
			values[auth.AttributeName] = []string{*e.Name}
		} else {
			unset = append(slices.Clone(unset), auth.AttributeName)
		}
	}
	for _, name := range e.Unset {
		if err := checkUnset(a, name); err != nil {
			return err
		}
	}
	for _, name := range unset {
		delete(a.Attributes, name)
	}
	for name, list := range values {
		if err := checkAttribute(a, name, list); err != nil {
			return err
		}
		old, had := a.Attributes[name]
		if !had || old.Source != auth.Local || !slices.Equal(old.Values, list) {
			a.Attributes[name] = Attribute{Values: append([]string{}, list...), Source: auth.Local, Time: now}
		}
	}
	return nil
}

func editGroups(a *Account, groups []string, d *Directory) error {
	for _, g := range groups {
		if strings.TrimSpace(g) != g || g == "" || !utf8.ValidString(g) || strings.ContainsFunc(g, unseen) {
			return &RefusedError{"groups", fmt.Sprintf("%q cannot be the name of one", g)}
		}
	}
	kept := a.Groups[:0:0]
	had := map[string]bool{}
	for _, g := range a.Groups {
		own := g.Source == auth.Local
		if own && !slices.Contains(groups, g.Name) {
			continue
		}
		had[g.Name] = had[g.Name] || own
		kept = append(kept, g)
	}
	for _, g := range groups {
		if !had[g] {
			had[g] = true
			kept = append(kept, Group{Name: g, Source: auth.Local, Time: d.now()})
		}
	}
	a.Groups = kept
	return nil
}

// Disable refuses every sign-in as the account and ends its sessions at their
// next use. It does not reach people who come through a connection whose JIT
// is off: they have no account. Errors: auth.ErrNotFound, *RefusedError,
// auth.ErrStoreDown.
func (d *Directory) Disable(ctx context.Context, who string) (View, error) {
	return d.setStatus(ctx, who, Disabled)
}

// Enable is the opposite of Disable; only administrators do it. Errors:
// auth.ErrNotFound, *RefusedError, auth.ErrStoreDown.
func (d *Directory) Enable(ctx context.Context, who string) (View, error) {
	return d.setStatus(ctx, who, Active)
}

func (d *Directory) setStatus(ctx context.Context, who string, status Status) (View, error) {
	return d.alter(ctx, who, func(ctx context.Context, b *booking, a, next *Account) error {
		next.Status, next.Unused = status, false
		if status == Active && a.Status == Disabled {
			next.Enabled = d.now()
		}
		return b.replace(ctx, a, next)
	})
}

// alter changes an account that is not being deleted, by compare-and-swap,
// planned anew when somebody else came first. f writes next, a copy of a.
func (d *Directory) alter(ctx context.Context, who string, f func(ctx context.Context, b *booking, a, next *Account) error) (View, error) {
	var view View
	b := d.book()
	err := b.run(ctx, func(ctx context.Context) error {
		a, err := d.Find(ctx, who)
		if err != nil {
			return err
		}
		if a.Status == Deleting {
			return &RefusedError{"account", a.Username + " is being deleted; delete it again to finish that"}
		}
		next := a.clone()
		if err := f(ctx, b, a, next); err != nil {
			return err
		}
		b.committed()
		view = next.view()
		return nil
	})
	if errors.Is(err, auth.ErrNotFound) {
		return View{}, fmt.Errorf("account %q: %w", who, auth.ErrNotFound)
	}
	return view, storeTrouble("change account", err)
}
