package main

import (
	"context"

	"gatehouse/auth/local"
	"gatehouse/provision"
)

// addresses tells where accounts get mail.
type addresses struct {
	directory *provision.Directory
	passwords *local.Passwords
}

// VerifiedEmail returns the account's address, or "". Errors: auth.ErrNotFound,
// auth.ErrStoreDown.
func (a addresses) VerifiedEmail(ctx context.Context, account string) (string, error) {
	v, err := a.directory.Show(ctx, account)
	if err != nil || !v.EmailVerified {
		return "", err
	}
	return v.Email, nil
}

// MailedTo returns the address to which the link went by which the account's
// password was chosen, or "". Errors: auth.ErrStoreDown.
func (a addresses) MailedTo(ctx context.Context, account string) (string, error) {
	return a.passwords.MailedTo(ctx, account)
}
