package signin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/web"
)

// problemNoEntry is the same whatever was wrong with a passkey: that it is
// unknown, that its account is closed, that nobody was verified.
const problemNoEntry = "That passkey does not sign you in here. Try again, or use another way."

// opensAlone reports whether a passkey can be a whole sign-in here.
func (f *Flow) opensAlone() bool {
	return f.Passwords != nil && f.Passkeys != nil && f.allowed(auth.KindPasskey)
}

// passkey is POST passkey: the beginning of a sign-in by passkey alone, or the
// answer of the browser. It is a POST because it leaves a record behind, of which
// each client may make so many as at start.
func (f *Flow) passkey(w http.ResponseWriter, r *http.Request) (reached, error) {
	if !f.opensAlone() {
		return reached{}, auth.ErrNotFound
	}
	form, err := postForm(r, "code", "rd")
	if err != nil {
		return reached{}, err
	}
	if !form.Has("code") {
		returnTo := f.returnTo(r, form.Get("rd"))
		if f.elsewhere(r) {
			redirect(w, r, f.Site.SignIn(returnTo))
			return reached{}, nil
		}
		if _, err := f.askPasskey(w, r, returnTo); err != nil {
			return reached{}, err
		}
		redirect(w, r, f.Prefix+"/passkey")
		return reached{}, nil
	}
	// Taken before it is judged: a challenge is answered once, right or wrong.
	p, err := f.take(r.Context(), atPasskey, cookie.ID(r, f.Cookies.Step(passkeySuffix)))
	if err != nil {
		return reached{}, f.noPasskey(w, r, err)
	}
	f.Quotas.away.give(f.client(r))
	began := f.now().UTC() // whoever ends the sessions while it is judged ends this sign-in too
	id, err := f.entrant(r, p, form.Get("code"))
	if errors.Is(err, auth.ErrWrongCode) {
		f.failed(r, auth.Local, err, slog.String("factor", auth.KindPasskey), slog.Any("error", err))
		again, err := f.askPasskey(w, r, p.ReturnTo)
		if err != nil {
			return reached{}, err
		}
		f.passkeyPage(w, r, http.StatusUnauthorized, again, problemNoEntry)
		return reached{}, nil
	}
	if err != nil {
		return reached{}, err
	}
	f.drop(w, r, passkeySuffix)
	p.Identity, p.Factor, p.Challenge, p.Created = &id, auth.KindPasskey, nil, began
	return reached{milestone: entered, pending: p}, nil
}

// showPasskey is GET passkey.
func (f *Flow) showPasskey(w http.ResponseWriter, r *http.Request) (reached, error) {
	if !f.opensAlone() {
		return reached{}, auth.ErrNotFound
	}
	p, err := f.look(r.Context(), atPasskey, cookie.ID(r, f.Cookies.Step(passkeySuffix)))
	if err != nil {
		return reached{}, f.noPasskey(w, r, err)
	}
	f.passkeyPage(w, r, http.StatusOK, p, "")
	return reached{}, nil
}

// askPasskey parks a sign-in that waits for a passkey.
func (f *Flow) askPasskey(w http.ResponseWriter, r *http.Request, returnTo string) (auth.Pending, error) {
	if wait := f.Quotas.away.take(f.client(r), f.now()); wait > 0 {
		f.crowded(r)
		return auth.Pending{}, fmt.Errorf("%w: %w", auth.ErrTooManySignIns, &auth.Throttled{RetryAfter: wait})
	}
	asked, err := f.Passkeys.Discover(r.Context())
	handle := cookie.NewID()
	p := auth.Pending{Connection: auth.Local, ReturnTo: returnTo, Challenge: &asked, Created: f.now().UTC()}
	if err == nil {
		err = f.keep(r.Context(), atPasskey, handle, p)
	}
	if err != nil {
		f.Quotas.away.give(f.client(r))
		return auth.Pending{}, err
	}
	f.Cookies.SetStep(w, f.Cookies.Step(passkeySuffix), handle, pendingLife)
	return p, nil
}

// entrant is who answered with a passkey, which proves that they hold it and, as
// the authenticator has verified, that it is them. It is another way into an
// account that has a password; to people of a provider, where all owe a second
// factor, it is that and no more: they would come in past the provider's gate,
// and after it has dropped them. Errors: auth.ErrWrongCode also for an account
// that may not come in, auth.ErrStoreDown.
func (f *Flow) entrant(r *http.Request, p auth.Pending, answer string) (auth.Identity, error) {
	if p.Challenge == nil || answer == "" || len(answer) > auth.MaxAnswer {
		return auth.Identity{}, auth.ErrWrongCode
	}
	account, err := f.Passkeys.Identify(r.Context(), *p.Challenge, answer)
	if err != nil {
		return auth.Identity{}, err
	}
	profile, err := f.Accounts.Profile(r.Context(), account)
	if errors.Is(err, auth.ErrNotFound) || err == nil && !profile.Active {
		return auth.Identity{}, fmt.Errorf("%w: account %s is gone or disabled", auth.ErrWrongCode, account)
	}
	if err != nil {
		return auth.Identity{}, err
	}
	switch has, err := f.Passwords.HasPassword(r.Context(), account); {
	case err != nil:
		return auth.Identity{}, err
	case !has:
		return auth.Identity{}, fmt.Errorf("%w: account %s has no local sign-in", auth.ErrWrongCode, account)
	}
	return auth.Identity{
		Connection: auth.Local, Subject: profile.ID, Username: profile.Username,
		AMR: []string{auth.MethodUser}, AuthTime: f.now().UTC(),
	}, nil
}

// noPasskey answers who has no sign-in at this step: the sign-in page. Trouble
// stays trouble.
func (f *Flow) noPasskey(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, auth.ErrInvalidState) {
		return err
	}
	f.drop(w, r, passkeySuffix)
	redirect(w, r, f.Prefix+"/sign_in")
	return nil
}

func (f *Flow) passkeyPage(w http.ResponseWriter, r *http.Request, status int, p auth.Pending, problem string) {
	f.Pages.Passkey(w, r, status, web.Passkey{Options: string(p.Challenge.Options), SignIn: f.Site.SignIn(p.ReturnTo), Problem: problem})
}
