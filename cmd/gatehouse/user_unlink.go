package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"gatehouse/internal/config"
	"gatehouse/provision"
)

// warnOfUnlink says what an administrator may not have meant: that nobody can
// come in as the account any more, or that the same person can come back.
func (a *administration) warnOfUnlink(ctx context.Context, now provision.View, connection string, stderr io.Writer) error {
	password, err := a.passwords.HasPassword(ctx, now.ID)
	if err != nil {
		return err
	}
	local := a.cfg.Local.Enabled
	if (!password || !local) && !slices.ContainsFunc(now.Links, a.leadsIn) {
		fmt.Fprintf(stderr, "That was the last way in: nobody can sign in as %s now.\n", printable(now.Username))
		if local {
			fmt.Fprintf(stderr, "gatehouse user set-password %s opens one.\n", now.ID)
		}
	}
	c := a.cfg.Connection(connection)
	if c != nil && !c.Disabled && c.JIT.Enabled && c.JIT.LinkExisting != config.LinkDeny && now.Email != "" && now.EmailVerified {
		fmt.Fprintf(stderr, "Whoever comes through %s with the e-mail %s can be linked to the account again, as its link_existing: %s says.\n",
			connection, printable(now.Email), c.JIT.LinkExisting)
	}
	return nil
}

// leadsIn reports whether somebody can sign in by a link: a connection that is
// enabled, and still is the one that it was made with.
func (a *administration) leadsIn(l provision.Link) bool {
	c := a.cfg.Connection(l.Connection)
	return c != nil && !c.Disabled && c.JIT.Enabled && c.Issuer == l.Issuer
}
