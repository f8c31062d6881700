package account

import (
	"errors"
	"log/slog"
	"net/http"

	"gatehouse/auth"
)

const (
	problemNoLink  = "No such identity is linked to your account, or not any more, so nothing was unlinked."
	problemLastWay = "That is the last way in to your account: without it you could not sign in any more. Link another identity first, or ask an administrator for a password."
)

// unlink is POST account/unlink.
func (a *Account) unlink(v *visit) error {
	l := auth.LinkedIdentity{Connection: v.form.Get("connection"), Issuer: v.form.Get("issuer"), Subject: v.form.Get("subject")}
	err := a.Links.UnlinkOwn(v.r.Context(), v.session.Account, l)
	switch {
	case errors.Is(err, auth.ErrLastWay):
		return a.show(v, http.StatusConflict, problemLastWay)
	case err == nil:
		a.audit(v, "identity_unlinked", slog.String("connection", l.Connection))
	case gone(err):
		return a.show(v, http.StatusNotFound, problemNoLink)
	default:
		return err
	}
	a.redirect(v, "/account#links")
	return nil
}

// gone reports whether what was to be taken away is not there any more.
func gone(err error) bool { return errors.Is(err, auth.ErrNotFound) }
