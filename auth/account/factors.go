package account

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"gatehouse/auth"
)

const (
	problemLastFactor = "That is your only second factor, and one is required here. Add another first."
	problemName       = "That cannot be the name of a second factor."
)

// rename is POST account/factors/rename.
func (a *Account) rename(v *visit) error {
	err := a.Factors.Rename(v.r.Context(), v.session.Account, v.form.Get("kind"), v.form.Get("id"), v.form.Get("name"))
	switch {
	case errors.Is(err, auth.ErrMalformed):
		return a.show(v, http.StatusUnprocessableEntity, problemName)
	case err != nil && !gone(err):
		return err
	}
	a.redirect(v, "/account#factors")
	return nil
}

// remove is POST account/factors/remove. Where a factor is required the last
// one stays: whoever learns the password could else enrol one of their own at
// the next sign-in. Recovery codes are no factor of that sense, and are not
// removed here.
func (a *Account) remove(v *visit) error {
	ctx, account := v.r.Context(), v.session.Account
	kind, id := v.form.Get("kind"), v.form.Get("id")
	all, err := a.Factors.All(ctx, account)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(f auth.Authenticator) bool { return a.isCodes(f.Kind) })
	at := slices.IndexFunc(all, func(f auth.Authenticator) bool { return f.Kind == kind && f.ID == id })
	if at < 0 {
		a.redirect(v, "/account#factors")
		return nil
	}
	if len(all) == 1 && a.Required {
		return a.show(v, http.StatusConflict, problemLastFactor)
	}
	if err := a.Factors.Remove(ctx, account, kind, id); err != nil && !gone(err) {
		return err
	}
	a.audit(v, "factor_removed", slog.String("factor", kind))
	a.Events.Happened(ctx, account, auth.EventFactorRemoved, detail(all[at]))
	a.redirect(v, "/account#factors")
	return nil
}

// detail is a factor as events tell of it.
func detail(f auth.Authenticator) string {
	if f.Name == "" {
		return f.Kind
	}
	return f.Kind + ": " + f.Name
}
