package account

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

const problemAgain = "The two do not match. Type the new password twice."

// showPassword is GET account/password.
func (a *Account) showPassword(v *visit) error { return a.passwordPage(v, http.StatusOK, "") }

// changePassword is POST account/password. The old password was given for the
// proof and is not asked again. All other sessions end: the person may change
// it because a stranger is in one of them.
func (a *Account) changePassword(v *visit) error {
	ctx, account := v.r.Context(), v.session.Account
	password := v.form.Get("password")
	if password != v.form.Get("again") {
		return a.passwordPage(v, http.StatusUnprocessableEntity, problemAgain)
	}
	profile, err := a.Profiles.Profile(ctx, account)
	if err != nil {
		return err
	}
	names := []string{profile.Username, profile.Name, first(profile.Email)}
	if refused := a.Passwords.Refuses(password, names...); refused != "" {
		return a.passwordPage(v, http.StatusUnprocessableEntity, refused)
	}
	// Alone: it is the most expensive thing that somebody who is signed in can ask
	// for, and the second of two would replace what its sender no longer knows.
	err = a.alone(v, func(ctx context.Context) error {
		// Before it too: were they not ended afterwards because the store has gone,
		// the stranger would stay.
		if _, err := a.Sessions.EndOthers(ctx, account, v.session.ID); err != nil {
			return err
		}
		return a.Passwords.Change(ctx, account, password, v.session.Proved, names...)
	})
	if errors.Is(err, auth.ErrInvalidState) {
		a.toProve(v)
		return nil
	}
	if err != nil {
		return a.busy(v, err)
	}
	a.audit(v, "password_changed")
	a.Events.Happened(ctx, account, auth.EventPasswordChanged, "")
	if _, err := a.Sessions.EndOthers(ctx, account, v.session.ID); err != nil {
		return err
	}
	a.redirect(v, "/account#password")
	return nil
}

func (a *Account) passwordPage(v *visit, status int, problem string) error {
	label, err := a.label(v)
	if err != nil {
		return err
	}
	a.Pages.NewPassword(v.w, v.r, status, web.NewPassword{Account: label, Problem: problem})
	return nil
}

// label is how the person knows the account.
func (a *Account) label(v *visit) (string, error) {
	profile, err := a.Profiles.Profile(v.r.Context(), v.session.Account)
	return profile.Username, err
}
