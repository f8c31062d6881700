package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"gatehouse/auth/local"
	"gatehouse/provision"
)

func (a *administration) add(ctx context.Context, c *userCommand, password string, stdout, stderr io.Writer) error {
	// Judged before anything is written: a refusal leaves no half account.
	if c.passwordStdin {
		if err := local.Suitable(password, a.passwords.MinLength); err != nil {
			return err
		}
	}
	for _, g := range c.group {
		if strings.Contains(g, ",") { // legal, and more often a slip
			fmt.Fprintf(stderr, "%q is one group; for several, repeat --group.\n", printable(g))
		}
	}
	account, err := a.directory.Add(ctx, provision.New{
		Username: c.name, Email: c.email.value, Name: c.fullName.value, Groups: c.group, Attributes: c.attributes,
	})
	if err != nil {
		return err
	}
	if c.passwordStdin {
		if err := a.passwords.SetPassword(ctx, account.ID, password); err != nil {
			return fmt.Errorf("%s was added without a password (give it one with set-password): %w",
				account.Username, forPeople(err))
		}
	}
	return a.done(ctx, c, account, stdout, stderr)
}

func (a *administration) set(ctx context.Context, c *userCommand, id string) error {
	edit := provision.Edit{Attributes: c.attributes, Unset: c.unset}
	if c.email.given {
		edit.Email = &c.email.value
	}
	if c.fullName.given {
		edit.Name = &c.fullName.value
	}
	if c.groups.given {
		groups := commaList(c.groups.value)
		edit.Groups = &groups
	}
	_, err := a.directory.Set(ctx, id, edit)
	return err
}

// disable refuses every sign-in of the account and ends its sessions. They end
// for good: were they only refused while the account is disabled, enabling it
// would bring them back.
func (a *administration) disable(ctx context.Context, id string, stderr io.Writer) error {
	if _, err := a.directory.Disable(ctx, id); err != nil {
		return err
	}
	return a.endAll(ctx, id, stderr)
}

// warnOfPassThrough says whom a disabled account does not stop: who disables
// one means the person.
func (a *administration) warnOfPassThrough(stderr io.Writer) {
	here := ""
	if len(a.passThrough) > 0 {
		here = " (here: " + strings.Join(a.passThrough, ", ") + ")"
	}
	fmt.Fprintf(stderr, "People who come through a connection with jit.enabled: false%s have no account, "+
		"so this does not reach them; what refuses them is the connection's require.\n", here)
}

func (a *administration) delete(ctx context.Context, id string) error {
	if _, err := a.sessions.EndAccount(ctx, id); err != nil {
		return err
	}
	return a.directory.Delete(ctx, id)
}

func (a *administration) setPassword(ctx context.Context, id, password string, stderr io.Writer) error {
	if err := a.passwords.SetPassword(ctx, id, password); err != nil {
		return err
	}
	return a.endAll(ctx, id, stderr) // whoever knew the old one must not stay
}

func (a *administration) resetMFA(ctx context.Context, id string, stderr io.Writer) error {
	if err := a.totp.Reset(ctx, id); err != nil {
		return err
	}
	return a.endAll(ctx, id, stderr) // what a lost or stolen app has opened closes
}

// unlink ends no session itself: those that came through the link end at their
// next use, because the account no longer has it.
func (a *administration) unlink(ctx context.Context, c *userCommand, id string) error {
	var subject *string
	if c.subject.given {
		subject = &c.subject.value
	}
	_, err := a.directory.Unlink(ctx, id, c.connection, subject)
	return err
}

func (a *administration) endAll(ctx context.Context, id string, stderr io.Writer) error {
	ended, err := a.sessions.EndAccount(ctx, id)
	if ended > 0 {
		fmt.Fprintf(stderr, "Ended %s.\n", counted(ended, "session"))
	}
	return err
}
