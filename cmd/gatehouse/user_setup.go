package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/provision"
)

// setupView is a link by which a person chooses a password, as programs read it.
type setupView struct {
	URL      string    `json:"url,omitempty"` // empty: it was mailed
	MailedTo string    `json:"mailed_to,omitempty"`
	Expires  time.Time `json:"expires"`
}

// passwordURL is the page on which the owner of a token chooses a password.
func passwordURL(cfg *config.Config, token string) string {
	return cfg.Server.PublicURL + cfg.Server.Prefix + "/password?" + url.Values{"token": {token}}.Encode()
}

// newSetupLink makes a link that is mailed, or that the administrator hands
// over: whoever has it chooses the password of the account.
func (a *administration) newSetupLink(ctx context.Context, account provision.View, mailed bool, stderr io.Writer) (setupView, error) {
	address := ""
	if account.EmailVerified {
		address = account.Email
	}
	if err := a.mayLink(mailed, address); err != nil {
		return setupView{}, err
	}
	if account.Status != provision.Active {
		return setupView{}, fmt.Errorf("%s is %s: enable the account first", account.Username, account.Status)
	}
	if !mailed {
		address = ""
	}
	token, link, err := a.passwords.NewLink(ctx, account.ID, auth.LinkSetup, address)
	if err != nil {
		return setupView{}, err
	}
	view := setupView{MailedTo: address, Expires: link.Expires}
	if mailed {
		err = a.mail.Link(ctx, address, string(auth.LinkSetup), passwordURL(a.cfg, token), link.Expires)
	} else {
		view.URL = passwordURL(a.cfg, token)
	}
	if err != nil {
		return setupView{}, err
	}
	a.note(ctx, account.ID, auth.EventSetupLink, stderr)
	if mailed {
		a.warnOfMailedLink(account.Username, stderr)
	}
	return view, nil
}

// warnOfMailedLink says when the person will stand before a second factor that
// they cannot have: a code that goes where the link went proves nothing more.
func (a *administration) warnOfMailedLink(username string, stderr io.Writer) {
	if a.cfg.MFA.Enforce != config.EnforceOff && a.cfg.MFA.OnlyEmailCodes() {
		fmt.Fprintf(stderr, "Codes by mail are the only second factor here (mfa.methods), and after this link a code to the same address is refused: "+
			"unless %s has a recovery code or another factor, they cannot sign in. Allow totp or passkey, or let the link be printed.\n", printable(username))
	}
}

// mayLink refuses a link that would lead nowhere, or reach nobody.
func (a *administration) mayLink(mailed bool, address string) error {
	switch {
	case !a.cfg.Local.Enabled:
		return errors.New("nobody signs in by a password here: local.enabled is false")
	case mailed && a.mail == nil:
		return errors.New("no mail is sent: mail.address is empty; let the link be printed")
	case mailed && address == "":
		return errors.New("the account has no verified e-mail address; give it one, or let the link be printed")
	}
	return nil
}

// setupLink prints or mails a link. It is data: whoever runs the command passes
// it on.
func (a *administration) setupLink(ctx context.Context, c *userCommand, account provision.View, stdout, stderr io.Writer) error {
	view, err := a.newSetupLink(ctx, account, c.mailLink, stderr)
	if err != nil {
		return err
	}
	a.auditChange(ctx, c.verb, account.ID, "")
	if c.json {
		return writeJSON(stdout, view)
	}
	return view.print(stdout, stderr)
}

func (v setupView) print(stdout, stderr io.Writer) error {
	until := v.Expires.UTC().Format("2006-01-02 15:04 MST")
	if v.URL == "" {
		fmt.Fprintf(stderr, "A link goes to %s. Whoever opens it chooses the password; it counts once, until %s.\n", printable(v.MailedTo), until)
		return nil
	}
	fmt.Fprintf(stderr, "Whoever opens this link chooses the password. It counts once, until %s:\n", until)
	_, err := fmt.Fprintln(stdout, v.URL)
	return err
}
