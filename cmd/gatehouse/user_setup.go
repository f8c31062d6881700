package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/local"
	"gatehouse/internal/config"
	"gatehouse/provision"
)

// setupView is a link by which a person chooses a password, as programs read it.
type setupView struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// passwordURL is the page on which the owner of a token chooses a password.
func passwordURL(cfg *config.Config, token string) string {
	return cfg.Server.PublicURL + cfg.Server.Prefix + "/password?" + url.Values{"token": {token}}.Encode()
}

// newSetupLink makes a link that the administrator hands over: whoever has it
// chooses the password of the account.
func (a *administration) newSetupLink(ctx context.Context, account provision.View, stderr io.Writer) (setupView, error) {
	if err := a.maySetUp(account); err != nil {
		return setupView{}, err
	}
	token, link, err := a.passwords.NewLink(ctx, account.ID, local.LinkSetup, "")
	if err != nil {
		return setupView{}, err
	}
	a.note(ctx, account.ID, auth.EventSetupLink, stderr)
	return setupView{URL: passwordURL(a.cfg, token), Expires: link.Expires()}, nil
}

var errNoPasswords = errors.New("nobody signs in by a password here: local.enabled is false")

// maySetUp refuses a link that would lead nowhere.
func (a *administration) maySetUp(account provision.View) error {
	switch {
	case !a.cfg.Local.Enabled:
		return errNoPasswords
	case account.Status != provision.Active:
		return fmt.Errorf("%s is %s: enable the account first", account.Username, account.Status)
	}
	return nil
}

// setupLink prints a link. It is data: whoever runs the command passes it on.
func (a *administration) setupLink(ctx context.Context, c *userCommand, account provision.View, stdout, stderr io.Writer) error {
	view, err := a.newSetupLink(ctx, account, stderr)
	if err != nil {
		return err
	}
	a.log.InfoContext(ctx, "account changed by an administrator", "change", c.verb, "account", account.ID, "administrator", administrator(ctx))
	if c.json {
		return writeJSON(stdout, view)
	}
	return view.print(stdout, stderr)
}

func (v setupView) print(stdout, stderr io.Writer) error {
	fmt.Fprintf(stderr, "Whoever opens this link chooses the password. It counts once, until %s:\n", v.Expires.UTC().Format("2006-01-02 15:04 MST"))
	_, err := fmt.Fprintln(stdout, v.URL)
	return err
}
