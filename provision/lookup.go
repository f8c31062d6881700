package provision

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/auth"
)

// View is an account as administrators see it, and as commands print it.
type View struct {
	ID             string               `json:"id"`
	Status         Status               `json:"status"`
	Username       string               `json:"username"`
	UsernameSource string               `json:"username_source"`
	UsernameTime   time.Time            `json:"username_time"`
	Former         []string             `json:"former_usernames,omitempty"` // reserved for it
	Email          string               `json:"email"`
	EmailVerified  bool                 `json:"email_verified"`
	EmailSource    string               `json:"email_source,omitempty"`
	EmailTime      time.Time            `json:"email_time,omitzero"`
	Name           string               `json:"name"`
	Groups         []string             `json:"groups"`        // in force
	GroupSources   []Group              `json:"group_sources"` // who gave each, and when
	Attributes     map[string]Attribute `json:"attributes"`
	Links          []Link               `json:"links"`
	Source         string               `json:"source"` // who made the account
	Created        time.Time            `json:"created"`
	Enabled        time.Time            `json:"enabled,omitzero"`      // after it was disabled
	Decision       string               `json:"decision,omitempty"`    // of its last change; see History
	LastSignIn     time.Time            `json:"last_sign_in,omitzero"` // to a day
	LastSeen       time.Time            `json:"last_seen,omitzero"`    // in a session that lasted for longer; see Inactivity
}

func (a *Account) view() View {
	v := View{
		ID: a.ID, Status: a.Status, Username: a.Username, Former: slices.Clone(a.Former),
		Email: a.Email.Address, EmailVerified: a.Email.Verified, EmailSource: a.Email.Source, EmailTime: a.Email.Time,
		Name: a.Name(), Groups: a.GroupNames(), GroupSources: append([]Group{}, a.Groups...),
		Attributes: a.Attributes, Links: append([]Link{}, a.Links...),
		Source: a.Source, Created: a.Created, Enabled: a.Enabled, Decision: a.Decision,
	}
	v.UsernameSource, v.UsernameTime = a.usernameSource()
	if v.Attributes == nil {
		v.Attributes = map[string]Attribute{}
	}
	return v
}

// Find returns the account that has this id, username or verified e-mail; if
// nobody has, the one that had this username formerly. Errors: auth.ErrNotFound; a *RefusedError when several accounts match: a
// username may be the former e-mail of one person and the present one of
// another. auth.ErrStoreDown.
func (d *Directory) Find(ctx context.Context, who string) (*Account, error) {
	var found, former *Account
	for _, get := range []func() (*Account, error){
		func() (*Account, error) { return d.byID(ctx, who) },
		func() (*Account, error) {
			n := d.names().username(who)
			a, err := d.lookup(ctx, n)
			if err == nil && !a.answersTo(n) {
				former = a
				return nil, auth.ErrNotFound
			}
			return a, err
		},
		func() (*Account, error) { return d.byEmail(ctx, who) },
	} {
		a, err := get()
		switch {
		case errors.Is(err, auth.ErrNotFound):
		case err != nil:
			return nil, storeTrouble("find account", err)
		case found != nil && found.ID != a.ID:
			return nil, &RefusedError{"account", "two accounts answer to " + who + ": use the id, " + found.ID + " or " + a.ID}
		default:
			found = a
		}
	}
	if found == nil {
		found = former
	}
	if found == nil {
		return nil, auth.ErrNotFound
	}
	return found, nil
}

func (d *Directory) byID(ctx context.Context, id string) (*Account, error) {
	a, err := d.read(ctx, lower(id))
	if err == nil && a.Status == Pending {
		return nil, auth.ErrNotFound
	}
	return a, err
}

func (d *Directory) byEmail(ctx context.Context, address string) (*Account, error) {
	email, err := NormalizeEmail(address)
	if err != nil {
		return nil, auth.ErrNotFound
	}
	return d.lookup(ctx, d.names().email(email))
}

// ByLogin returns the account whose username or verified e-mail a person has
// typed to sign in. Active tells whether it may. It costs the same reads
// whether or not there is one: how long an answer takes tells nothing. Errors:
// auth.ErrNotFound, also when several accounts match; auth.ErrStoreDown.
func (d *Directory) ByLogin(ctx context.Context, login string) (account, username string, active bool, err error) {
	email, err := NormalizeEmail(login)
	if err != nil {
		email = login // no account has it: the entry's reading is what counts
	}
	var found *Account
	for _, n := range []name{d.names().username(login), d.names().email(email)} {
		a, err := d.lookupEvenly(ctx, n)
		switch {
		case errors.Is(err, auth.ErrNotFound):
		case err != nil:
			return "", "", false, storeTrouble("find login", err)
		case !a.answersTo(n): // a former username, which may be the address of somebody else by now
		case found != nil && found.ID != a.ID:
			return "", "", false, auth.ErrNotFound
		default:
			found = a
		}
	}
	if found == nil {
		return "", "", false, auth.ErrNotFound
	}
	return found.ID, found.Username, found.Status == Active, nil
}

// lookupEvenly is lookup with a read of an account also where the index has
// none.
func (d *Directory) lookupEvenly(ctx context.Context, n name) (*Account, error) {
	a, err := d.lookup(ctx, n)
	if errors.Is(err, auth.ErrNotFound) {
		if _, other := d.read(ctx, "none"); other != nil && !errors.Is(other, auth.ErrNotFound) {
			return nil, other
		}
	}
	return a, err
}

// Show returns one account, found as by Find.
func (d *Directory) Show(ctx context.Context, who string) (View, error) {
	a, err := d.Find(ctx, who)
	if err != nil {
		return View{}, err
	}
	v, err := d.whole(ctx, a)
	return v, storeTrouble("show account", err)
}

// whole is the view of an account with what is kept apart from it.
func (d *Directory) whole(ctx context.Context, a *Account) (View, error) {
	v := a.view()
	used, err := d.lastUse(ctx, a.ID)
	v.LastSignIn, v.LastSeen = used.Time, used.Seen
	return v, err
}

// Each calls f for all accounts, in no order, and holds none of them. Those
// that a sign-in has begun and not finished are left out, and so are those that
// cannot be read: unreadable tells how many. Errors: those of f,
// auth.ErrStoreDown.
func (d *Directory) Each(ctx context.Context, f func(View) error) (unreadable int, err error) {
	var stop error
	err = d.Store.Scan(ctx, accountPrefix, func(key string, value []byte) error {
		a, err := decodeAccount(value)
		if err != nil {
			unreadable++
			d.log().WarnContext(ctx, "an account cannot be read; gatehouse doctor tells more", "key", key, "error", err)
			return nil
		}
		if a.Status == Pending {
			return nil
		}
		v, err := d.whole(ctx, a)
		if err != nil {
			return err
		}
		stop = f(v)
		return stop
	})
	if stop != nil {
		return unreadable, stop
	}
	return unreadable, storeTrouble("list accounts", err)
}

// List returns all accounts in the order of their usernames. Those that a
// sign-in has begun and not finished are nobody and are left out. So are those
// that cannot be read, or one that was damaged would hide all others:
// unreadable tells how many. Errors: auth.ErrStoreDown.
func (d *Directory) List(ctx context.Context) (all []View, unreadable int, err error) {
	all = []View{}
	err = d.Store.Scan(ctx, accountPrefix, func(key string, value []byte) error {
		a, err := decodeAccount(value)
		if err != nil {
			unreadable++
			d.log().WarnContext(ctx, "an account cannot be read; gatehouse doctor tells more", "key", key, "error", err)
			return nil
		}
		if a.Status != Pending {
			all = append(all, a.view())
		}
		return nil
	})
	if err != nil {
		return nil, 0, storeTrouble("list accounts", err)
	}
	last, err := d.lastSignIns(ctx)
	if err != nil {
		return nil, 0, storeTrouble("list accounts", err)
	}
	for i := range all {
		all[i].LastSignIn = last[all[i].ID]
	}
	slices.SortFunc(all, func(a, b View) int {
		return cmp.Or(strings.Compare(foldUsername(a.Username), foldUsername(b.Username)), strings.Compare(a.ID, b.ID))
	})
	return all, unreadable, nil
}
