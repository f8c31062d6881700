package signin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// maxResets bounds how often one client may have forgotten a password, within
// the time of a pending sign-in.
const maxResets = 20

// showReset is GET reset: who has forgotten their password says as whom they
// sign in.
func (f *Flow) showReset(w http.ResponseWriter, r *http.Request) {
	if f.Passwords == nil || f.Resets == nil {
		f.Pages.Error(w, r, auth.ErrNotFound)
		return
	}
	f.Pages.Reset(w, r, web.Reset{})
}

// askReset is POST reset. Whatever was typed, the answer is the same, and so is
// the time that it takes: what becomes of it is found out later. One that comes
// too often gets it too.
func (f *Flow) askReset(w http.ResponseWriter, r *http.Request) {
	if f.Passwords == nil || f.Resets == nil {
		f.Pages.Error(w, r, auth.ErrNotFound)
		return
	}
	form, err := postForm(r, "username")
	if err != nil {
		f.fail(w, r, "password_reset_failed", "", err)
		return
	}
	if login := strings.TrimSpace(form.Get("username")); login != "" && f.Quotas.forgot.takeUpTo(maxResets, f.client(r), f.now()) == 0 {
		f.Resets.Ask(r.Context(), login)
	}
	f.Pages.Reset(w, r, web.Reset{Sent: true})
}

// showChoosePassword is GET password: the page of a link. It uses nothing up,
// because programs that look through mails open every link.
func (f *Flow) showChoosePassword(w http.ResponseWriter, r *http.Request) {
	f.choosePassword(w, r, r.URL.Query().Get("token"), func(link auth.PasswordLink, p auth.Profile) error {
		f.Pages.ChoosePassword(w, r, http.StatusOK, web.ChoosePassword{Token: r.URL.Query().Get("token"), Username: p.Username, First: link.Kind == auth.LinkSetup})
		return nil
	})
}

// setPassword is POST password. Nobody is signed in by it, and whoever has a
// second factor needs it as before: the link proves that somebody reads a
// mailbox, and nothing else.
func (f *Flow) setPassword(w http.ResponseWriter, r *http.Request) {
	form, err := postForm(r, "token", "password")
	if err != nil {
		f.fail(w, r, "password_link_failed", "", err)
		return
	}
	token := form.Get("token")
	f.choosePassword(w, r, token, func(link auth.PasswordLink, p auth.Profile) error {
		// Before it too: were they not ended afterwards because the store has gone,
		// whoever knew the old password would stay.
		if _, err := f.Sessions.EndAccount(r.Context(), p.ID); err != nil {
			return err
		}
		names := []string{p.Username, p.Name, p.VerifiedEmail()}
		link, err := f.Links.SetByLink(r.Context(), token, form.Get("password"), names...)
		if unsuitable, ok := errors.AsType[*auth.Unsuitable](err); ok {
			f.Pages.ChoosePassword(w, r, http.StatusUnprocessableEntity, web.ChoosePassword{
				Token: token, Username: p.Username, First: link.Kind == auth.LinkSetup, Problem: sentence(unsuitable.Reason),
			})
			return nil
		}
		if err != nil {
			return err
		}
		event := auth.EventPasswordSet
		if link.Kind == auth.LinkReset {
			event = auth.EventPasswordReset
		}
		f.audit(r, string(event), slog.String("account", p.ID))
		f.Events.Happened(r.Context(), p.ID, event, "")
		if _, err := f.Sessions.EndAccount(r.Context(), p.ID); err != nil {
			return err
		}
		f.forget(w, r)
		redirect(w, r, f.Prefix+"/sign_in?"+url.Values{"done": {donePassword}}.Encode())
		return nil
	})
}

// choosePassword goes on with the link of a token and the account that it is
// for.
func (f *Flow) choosePassword(w http.ResponseWriter, r *http.Request, token string, on func(auth.PasswordLink, auth.Profile) error) {
	if f.Passwords == nil || f.Links == nil {
		f.Pages.Error(w, r, auth.ErrNotFound)
		return
	}
	link, err := f.Links.LookAtLink(r.Context(), token)
	var p auth.Profile
	if err == nil {
		p, err = f.Accounts.Profile(r.Context(), link.Account)
	}
	if err == nil && link.Mailed != "" && link.Mailed != p.VerifiedEmail() {
		err = fmt.Errorf("%w: the account has another address than the link went to", auth.ErrInvalidState)
	}
	if err == nil && !p.Active {
		err = &auth.Denied{Reason: auth.DeniedDisabled, Connection: auth.Local, Detail: "the account of a link to choose a password"}
	}
	if err == nil {
		err = on(link, p)
	}
	if errors.Is(err, auth.ErrInvalidState) || errors.Is(err, auth.ErrNotFound) {
		err = fmt.Errorf("%w: %w", auth.ErrVoidLink, err)
	}
	if err != nil {
		f.fail(w, r, "password_link_failed", "", err)
	}
}

// sentence is a text as a page says it.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
