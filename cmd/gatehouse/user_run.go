package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"gatehouse/auth"
	"gatehouse/internal/auditlog"
	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/provision"
	"gatehouse/provision/console"
)

// administration is what the user and session commands work on. The running
// server makes one of its own parts, so that what it cached is forgotten at
// once; a command without a server opens the store itself.
type administration struct {
	*state
	inactivity *provision.Inactivity
	// passThrough are the connections whose people have no account.
	passThrough []string
}

// user executes the arguments after "gatehouse user".
func (a *administration) user(ctx context.Context, args []string, stdin []byte, stdout, stderr io.Writer) int {
	c, err := parseUser(args)
	if err != nil {
		return usageError(stderr, "user", err, "")
	}
	password := ""
	if c.passwordStdin {
		if password, err = passwordLine(bytes.NewReader(stdin)); err != nil {
			return failed(stderr, err)
		}
	}
	if c.verb == "import" {
		err = a.importAccounts(ctx, c, stdin, stdout, stderr)
	} else {
		err = a.execute(ctx, c, password, stdout, stderr)
	}
	if err != nil {
		return failed(stderr, forPeople(err))
	}
	return exitOK
}

// overHTTP executes the same for console.API.
func (a *administration) overHTTP(ctx context.Context, args []string, stdout io.Writer) error {
	c, err := parseUser(args)
	if err != nil {
		return fmt.Errorf("%w: %w", auth.ErrMalformed, err)
	}
	if err := a.execute(ctx, c, "", stdout, io.Discard); err != nil {
		return told{forPeople(err), err}
	}
	return nil
}

// told is an error in words for people.
type told struct{ words, cause error }

func (t told) Error() string { return t.words.Error() }
func (t told) Unwrap() error { return t.cause }

// noAccount is the name of an account that does not exist.
type noAccount string

func (n noAccount) Error() string   { return fmt.Sprintf("there is no account %q", string(n)) }
func (n noAccount) Is(e error) bool { return e == auth.ErrNotFound }

func (a *administration) execute(ctx context.Context, c *userCommand, password string, stdout, stderr io.Writer) error {
	switch c.verb {
	case "list":
		return a.list(ctx, c, stdout)
	case "add":
		return a.add(ctx, c, password, stdout, stderr)
	case "inactive":
		return a.inactive(ctx, c, stdout, stderr)
	}
	if c.all {
		return a.exportAll(ctx, stdout)
	}
	account, err := a.find(ctx, c.name)
	if err != nil {
		return err
	}
	decision := ""
	switch c.verb {
	case "show":
		return a.show(ctx, c, account, stdout)
	case "export":
		return a.exportOne(ctx, account, stdout)
	case "history":
		return a.history(ctx, c, account.ID, stdout)
	case "setup-link":
		return a.setupLink(ctx, c, account, stdout, stderr)
	case "factors":
		return a.listFactors(ctx, c, account, stdout)
	case "set":
		decision, err = a.set(ctx, c, account.ID)
	case "disable":
		decision, err = a.disable(ctx, account.ID, stderr)
	case "enable":
		decision, err = decisionOf(a.directory.Enable(ctx, account.ID))
	case "delete":
		err = a.delete(ctx, account.ID)
	case "set-password":
		decision, err = a.setPassword(ctx, account, password, stderr)
	case "reset-mfa":
		decision, err = a.resetMFA(ctx, c, account.ID, stderr)
	case "unlock":
		decision, err = a.unlock(ctx, account.ID, stderr)
	case "require-mfa":
		decision, err = a.requireMFA(ctx, account.ID, stderr)
	case "unlink":
		decision, err = a.unlink(ctx, c, account.ID, stderr)
	}
	if err != nil {
		return err
	}
	if decision == account.Decision {
		decision = "" // there was nothing to change
	}
	return a.done(ctx, c, account, decision, stdout, stderr)
}

// done says what was done: to the log, to people, and with --json to programs.
// The decision is the id under which the change stands in the history, if it
// does.
func (a *administration) done(ctx context.Context, c *userCommand, account provision.View, decision string, stdout, stderr io.Writer) error {
	a.auditChange(ctx, c.verb, account.ID, decision)
	past := map[string]string{
		"add": "Added", "set": "Changed", "disable": "Disabled", "enable": "Enabled", "delete": "Deleted",
		"set-password": "Changed the password of", "reset-mfa": "Reset the second factors of", "unlink": "Unlinked",
		"unlock":      "Unlocked",
		"require-mfa": "The next local sign-in enrols a second factor of",
	}[c.verb]
	fmt.Fprintf(stderr, "%s %s.\n", past, printable(account.Username))
	if decision != "" {
		fmt.Fprintf(stderr, "Decision %s.\n", decision)
	}
	switch c.verb {
	case "disable":
		a.warnOfPassThrough(stderr)
	case "delete":
		a.tellOfQuarantine(account, stderr)
	}
	if !c.json || c.verb == "delete" {
		return nil
	}
	now, err := a.directory.Show(ctx, account.ID)
	if err != nil {
		return err
	}
	return a.show(ctx, c, now, stdout)
}

// auditChange writes the line about a change of an account. The decision is "" where
// none stands in the history.
func (a *administration) auditChange(ctx context.Context, change, account, decision string) {
	auditlog.Write(ctx, a.log, "account changed by an administrator", slog.String("change", change), slog.String("account", account),
		slog.String("administrator", administrator(ctx)), slog.String("decision_id", decision))
}

// find returns the account with that username, verified e-mail or id.
func (a *administration) find(ctx context.Context, name string) (provision.View, error) {
	account, err := a.directory.Show(ctx, name)
	if errors.Is(err, auth.ErrNotFound) {
		return account, noAccount(name)
	}
	return account, err
}

func (a *administration) list(ctx context.Context, c *userCommand, stdout io.Writer) error {
	accounts, unreadable, err := a.directory.List(ctx)
	if err != nil {
		return err
	}
	views, err := a.views(ctx, accounts)
	if err != nil {
		return err
	}
	if c.json {
		err = writeJSON(stdout, views)
	} else {
		err = writeAccounts(stdout, views)
	}
	if err == nil && unreadable > 0 {
		err = &console.Incomplete{Missing: counted(unreadable, "account") + " cannot be read and left out; gatehouse doctor names them"}
	}
	return err
}

func (a *administration) show(ctx context.Context, c *userCommand, account provision.View, stdout io.Writer) error {
	view, err := a.view(ctx, account)
	if err != nil {
		return err
	}
	view.SetupLink = c.link
	if c.json {
		return writeJSON(stdout, view)
	}
	return writeAccount(stdout, view)
}

// forPeople makes a sentence of an error. A chain of operations is for logs.
func forPeople(err error) error {
	if refused, ok := errors.AsType[*provision.RefusedError](err); ok {
		return refused
	}
	if unsuitable, ok := errors.AsType[*auth.Unsuitable](err); ok {
		return unsuitable
	}
	if _, ok := errors.AsType[*auth.Throttled](err); ok {
		return errors.New("too much is going on at this account; try again")
	}
	if errors.Is(err, redis.ErrCredentials) {
		return fmt.Errorf("redis refuses the username or the password; correct store.redis.username and password (%v)", reason(err))
	}
	if errors.Is(err, store.ErrDown) {
		return fmt.Errorf("the store does not answer (%v); see that it runs and that the configuration names it, then try again", reason(err))
	}
	if errors.Is(err, auth.ErrStoreDown) {
		return fmt.Errorf("the store cannot be used: %v", reason(err))
	}
	return err
}

// reason is what a store said itself, without who asked it for what.
func reason(err error) error {
	said := err
	for err != nil {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			all := several.Unwrap()
			err = all[len(all)-1] // after the sentinel, the cause
			said = err
			continue
		}
		err = errors.Unwrap(err)
	}
	return said
}
