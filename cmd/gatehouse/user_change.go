package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/provision"
)

func (a *administration) add(ctx context.Context, c *userCommand, password string, stdout, stderr io.Writer) error {
	// Judged before anything is written: a refusal leaves no half account.
	if c.passwordStdin {
		if err := a.passwords.Policy.Suitable(password, c.name, c.email.value, c.fullName.value); err != nil {
			return err
		}
	}
	if c.setupLink || c.mailLink {
		if err := a.mayLink(c.mailLink, c.email.value); err != nil {
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
		if err := a.passwords.SetPassword(ctx, account.ID, password, c.name, c.email.value, c.fullName.value); err != nil {
			return fmt.Errorf("%s was added without a password (give it one with set-password): %w",
				account.Username, forPeople(err))
		}
		a.note(ctx, account.ID, auth.EventPasswordSet, stderr)
		a.warnOfLocalOff(stderr)
	}
	if c.setupLink || c.mailLink {
		link, err := a.newSetupLink(ctx, account, c.mailLink, stderr)
		if err != nil {
			return fmt.Errorf("%s was added without a link (make one with setup-link): %w", account.Username, forPeople(err))
		}
		c.link = &link
	}
	if err := a.done(ctx, c, account, account.Decision, stdout, stderr); err != nil || c.link == nil || c.json {
		return err
	}
	return c.link.print(stdout, stderr)
}

func (a *administration) set(ctx context.Context, c *userCommand, id string) (decision string, err error) {
	edit := provision.Edit{Attributes: c.attributes, Unset: c.unset}
	if c.username.given {
		edit.Username = &c.username.value
	}
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
	decision, err = decisionOf(a.directory.Set(ctx, id, edit))
	if refused, ok := errors.AsType[*provision.RefusedError](err); ok {
		// Of several changes one was refused, and the command names only that one.
		return "", &provision.RefusedError{Field: refused.Field, Problem: refused.Problem + "; nothing was changed"}
	}
	return decision, err
}

// disable refuses every sign-in of the account, ends its sessions and voids its
// links. They end for good: were they only refused while the account is disabled,
// enabling it would bring them back.
func (a *administration) disable(ctx context.Context, id string, stderr io.Writer) (decision string, err error) {
	decision, err = decisionOf(a.directory.Disable(ctx, id))
	if err != nil {
		return "", err
	}
	return decision, errors.Join(a.passwords.VoidLinks(ctx, id), a.endAll(ctx, id, stderr))
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

// delete ends the sessions too: they go with the credentials, after the first
// write has made sure that there are no new ones.
func (a *administration) delete(ctx context.Context, id string) error {
	return a.directory.Delete(ctx, id)
}

// tellOfQuarantine says what a deletion keeps, and for how long.
func (a *administration) tellOfQuarantine(account provision.View, stderr io.Writer) {
	quarantine := a.directory.Quarantine
	if quarantine == 0 {
		return
	}
	names := "the username " + printable(account.Username)
	for _, former := range account.Former {
		names += ", the former one " + printable(former)
	}
	if account.Email != "" && account.EmailVerified {
		names += " and the e-mail " + printable(account.Email)
	}
	fmt.Fprintf(stderr, "Until %s nobody else gets %s by a sign-in; whoever was linked may come back as a new account, and user add or set ends this earlier.\n",
		time.Now().Add(quarantine).UTC().Format("2006-01-02 15:04 MST"), names)
}

func (a *administration) setPassword(ctx context.Context, account provision.View, password string, stderr io.Writer) (decision string, err error) {
	names := []string{account.Username, account.Email, account.Name}
	if err := a.passwords.Policy.Suitable(password, names...); err != nil {
		return "", err // and nobody is signed out
	}
	// Whoever knew the old one must not stay. Before the change too: were they not
	// ended afterwards because the store has gone, they would.
	if err := a.endAll(ctx, account.ID, stderr); err != nil {
		return "", err
	}
	if err := a.passwords.SetPassword(ctx, account.ID, password, names...); err != nil {
		return "", err
	}
	decision = a.note(ctx, account.ID, auth.EventPasswordSet, stderr)
	a.warnOfLocalOff(stderr)
	return decision, a.endAll(ctx, account.ID, stderr)
}

// warnOfLocalOff says that a password is given in vain.
func (a *administration) warnOfLocalOff(stderr io.Writer) {
	if !a.cfg.Local.Enabled {
		fmt.Fprintln(stderr, "Nobody signs in by a password here as yet: local.enabled is false.")
	}
}

// unlock lets the owner of an account try again at once. Nobody is signed out by
// it, and no device is forgotten.
func (a *administration) unlock(ctx context.Context, id string, stderr io.Writer) (decision string, err error) {
	if err := a.passwords.Unlock(ctx, id); err != nil {
		return "", err
	}
	return a.note(ctx, id, auth.EventUnlocked, stderr), nil
}

// unlink ends no session itself: those that came through the link end at their
// next use, because the account no longer has it.
func (a *administration) unlink(ctx context.Context, c *userCommand, id string, stderr io.Writer) (decision string, err error) {
	var subject *string
	if c.subject.given {
		subject = &c.subject.value
	}
	view, err := a.directory.Unlink(ctx, id, c.connection, subject)
	if err != nil {
		return "", err
	}
	return view.Decision, a.warnOfUnlink(ctx, view, c.connection, stderr)
}

func (a *administration) endAll(ctx context.Context, id string, stderr io.Writer) error {
	ended, err := a.sessions.EndAccount(ctx, id)
	if ended > 0 {
		fmt.Fprintf(stderr, "Ended %s.\n", counted(ended, "session"))
	}
	return err
}
