package mfa

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gatehouse/auth"
)

// Keeper is a factor together with the upkeep of what it stores.
type Keeper interface {
	auth.Factor
	// Holders returns the accounts that have this kind. Errors: auth.ErrStoreDown.
	Holders(ctx context.Context) (map[string]bool, error)
	// Remove forgets one authenticator. Errors: auth.ErrNotFound, auth.ErrStoreDown.
	Remove(ctx context.Context, account, id string) error
	// Reset forgets all of an account, and what is outstanding. Errors: auth.ErrStoreDown.
	Reset(ctx context.Context, account string) error
}

// Renamer is the optional ability of a Keeper whose authenticators have names.
type Renamer interface {
	Keeper
	// Rename calls an authenticator something else. Errors: auth.ErrMalformed
	// for what is no name, auth.ErrNotFound, auth.ErrStoreDown.
	Rename(ctx context.Context, account, id, name string) error
}

// Factors are all kinds of factors, in the order in which they are offered.
type Factors struct {
	Kinds   []Keeper
	Demands *Demands
}

// All returns everything that the account has enrolled, by kind and oldest
// first. Errors: auth.ErrStoreDown.
func (f Factors) All(ctx context.Context, account string) ([]auth.Authenticator, error) {
	var all []auth.Authenticator
	for _, k := range f.Kinds {
		enrolled, err := k.Enrolled(ctx, account)
		if err != nil {
			return nil, err
		}
		all = append(all, enrolled...)
	}
	return all, nil
}

// Holders returns the kinds of each account that has any, in the order of
// Kinds. Errors: auth.ErrStoreDown.
func (f Factors) Holders(ctx context.Context) (map[string][]string, error) {
	all := map[string][]string{}
	for _, k := range f.Kinds {
		holders, err := k.Holders(ctx)
		if err != nil {
			return nil, err
		}
		for account := range holders {
			all[account] = append(all[account], k.Kind())
		}
	}
	return all, nil
}

// Remove forgets one authenticator of the account, and with the last one that
// there is to recover the recovery codes. Errors: auth.ErrNotFound,
// auth.ErrStoreDown.
func (f Factors) Remove(ctx context.Context, account, kind, id string) error {
	k := f.find(kind)
	if k == nil {
		return fmt.Errorf("remove %q: %w", kind, auth.ErrNotFound)
	}
	if err := k.Remove(ctx, account, id); err != nil {
		return err
	}
	left, err := f.All(ctx, account)
	if err != nil || Satisfies(left) {
		return err
	}
	if codes := f.find(auth.KindRecovery); codes != nil {
		return codes.Reset(ctx, account)
	}
	return nil
}

// Satisfies tells whether there is a factor among what an account has enrolled.
// Recovery codes alone are none: they are what one gets a lost factor back with.
func Satisfies(enrolled []auth.Authenticator) bool {
	return slices.ContainsFunc(enrolled, func(a auth.Authenticator) bool { return a.Kind != auth.KindRecovery })
}

func (f Factors) find(kind string) Keeper {
	for _, k := range f.Kinds {
		if k.Kind() == kind {
			return k
		}
	}
	return nil
}

// Rename calls one authenticator of the account something else. Errors:
// auth.ErrMalformed for what is no name, auth.ErrNotFound, auth.ErrStoreDown.
func (f Factors) Rename(ctx context.Context, account, kind, id, name string) error {
	if r, ok := f.find(kind).(Renamer); ok {
		return r.Rename(ctx, account, id, name)
	}
	return fmt.Errorf("rename %q: %w", kind, auth.ErrNotFound)
}

// Reset forgets everything that the account has enrolled, what is outstanding,
// and what was demanded of it. Errors: auth.ErrStoreDown.
func (f Factors) Reset(ctx context.Context, account string) error {
	var all error
	for _, k := range f.Kinds {
		all = errors.Join(all, k.Reset(ctx, account))
	}
	return errors.Join(all, f.Demands.Met(ctx, account))
}
