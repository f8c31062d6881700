package account

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

const (
	problemLastFactor = "That is your only second factor that can be used now, and one is required here. Add another first."
	problemBusy       = "Your account is being changed right now, perhaps in another window. Wait a moment, look at what has changed, and try again."
	problemName       = "That cannot be the name of a second factor."
	problemGoneFactor = "There is no such second factor, or not any more, so nothing was renamed."
)

// rename is POST account/factors/rename.
func (a *Account) rename(v *visit) error {
	kind := v.form.Get("kind")
	err := a.Factors.Rename(v.r.Context(), v.session.Account, kind, v.form.Get("id"), v.form.Get("name"))
	switch {
	case err == nil:
		a.audit(v, "factor_renamed", slog.String("factor", kind))
	case errors.Is(err, auth.ErrMalformed):
		return a.show(v, http.StatusUnprocessableEntity, problemName)
	case gone(err):
		return a.show(v, http.StatusNotFound, problemGoneFactor)
	default:
		return err
	}
	a.redirect(v, "/account#factors")
	return nil
}

// remove is POST account/factors/remove. Where a factor is required the last
// one stays: whoever learns the password could else enrol one of their own at
// the next sign-in. One that can prove nothing now does not count beside it: its
// owner would be asked for a factor and have none to give. Recovery codes are no
// factor of that sense, and are not removed here.
func (a *Account) remove(v *visit) error {
	ctx, account := v.r.Context(), v.session.Account
	var removed auth.Authenticator
	err := a.alone(v, func(ctx context.Context) (err error) {
		removed, err = a.removeAlone(ctx, account, v.form.Get("kind"), v.form.Get("id"))
		return err
	})
	switch {
	case errors.Is(err, errLastFactor):
		return a.show(v, http.StatusConflict, problemLastFactor)
	case err != nil && !gone(err):
		return a.busy(v, err)
	case err == nil:
		a.audit(v, "factor_removed", slog.String("factor", removed.Kind))
		a.Events.Happened(ctx, account, auth.EventFactorRemoved, detail(removed))
	}
	a.redirect(v, "/account#factors")
	return nil
}

var errLastFactor = errors.New("the last second factor stays")

// removeAlone removes a factor while nobody else changes any of the account:
// of two requests that each remove one of the last two, both would otherwise
// find the other's still there. Errors: errLastFactor, auth.ErrNotFound,
// auth.ErrStoreDown.
func (a *Account) removeAlone(ctx context.Context, account, kind, id string) (auth.Authenticator, error) {
	all, err := a.Factors.All(ctx, account)
	if err != nil {
		return auth.Authenticator{}, err
	}
	all = slices.DeleteFunc(all, func(f auth.Authenticator) bool { return f.Kind == auth.KindRecovery })
	at := slices.IndexFunc(all, func(f auth.Authenticator) bool { return f.Kind == kind && f.ID == id })
	switch {
	case at < 0:
		return auth.Authenticator{}, auth.ErrNotFound
	case a.Required && !slices.ContainsFunc(slices.Delete(slices.Clone(all), at, at+1), usable):
		return auth.Authenticator{}, errLastFactor
	}
	return all[at], a.Factors.Remove(ctx, account, kind, id)
}

// usable tells whether a sign-in takes it: one of a kind that was taken out of
// mfa.methods too, where there is nothing else.
func usable(f auth.Authenticator) bool { return !f.Barred }

// busy answers who has pressed a button twice, or in two windows at once.
func (a *Account) busy(v *visit, err error) error {
	if slow, throttled := errors.AsType[*auth.Throttled](err); throttled {
		web.SetRetryAfter(v.w, slow.RetryAfter)
		return a.show(v, http.StatusTooManyRequests, problemBusy)
	}
	return err
}

// detail is a factor as events tell of it.
func detail(f auth.Authenticator) string {
	if f.Name == "" {
		return f.Kind
	}
	return f.Kind + ": " + f.Name
}
