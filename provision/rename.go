package provision

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gatehouse/auth"
)

// rename gives a record another username. The former one stays reserved for
// the account: whoever got it would be taken for this person by applications
// that know people by username, and would find there what is this person's. An
// account may have a former one of its own again.
func rename(a *Account, username string, now time.Time) error {
	name, err := NormalizeUsername(username, a.verifiedEmail())
	if err != nil {
		return &RefusedError{"username", fmt.Sprintf("%q cannot be one: %v", username, err)}
	}
	if folded := foldUsername(name); folded != foldUsername(a.Username) {
		former := append(slices.Clone(a.Former), a.Username)
		a.Former = slices.DeleteFunc(former, func(f string) bool { return foldUsername(f) == folded })
	}
	if name != a.Username {
		a.Username, a.Renamed = name, now
	}
	return nil
}

// usernameSource is who gave the account its username, and when.
func (a *Account) usernameSource() (source string, at time.Time) {
	if a.Renamed.IsZero() {
		return a.Source, a.Created // no sign-in changes it
	}
	return auth.Local, a.Renamed
}

// vacant returns the names, in the order in which they are reserved, that an
// administrator's change would give to an account beside those that it has.
// Errors: *RefusedError where one is somebody else's, or does not fit its
// header; errBusy, and those of the store.
func (b *booking) vacant(ctx context.Context, before, after *Account) ([]vacancy, error) {
	var free []vacancy
	for _, n := range b.names().of(after) {
		if before.has(n) {
			continue
		}
		field, user, email := "username", after.Username, ""
		if n.kind == byEmail {
			field, user, email = "email", "", after.verifiedEmail()
		}
		if err := b.fits(user, email); err != nil {
			return nil, &RefusedError{field, err.Error()}
		}
		f, err := b.look(ctx, n)
		if err != nil {
			return nil, err
		}
		if f.account != nil {
			return nil, taken(n, f.account)
		}
		free = append(free, vacancy{n, f})
	}
	return free, nil
}
