package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/web"
)

// maxCode is how much of a code is looked at, in bytes.
const maxCode = 64

// Texts of the second-factor pages. A key that was just shown has no code that
// was used before: there the phone's clock is what goes wrong.
const (
	problemCode      = "The code is wrong, or it was used before. Wait for the next one."
	problemFirstCode = "The code is wrong. Check that your phone sets its clock by itself, then type the code that the app shows now."
	problemMailed    = "The code is wrong, or it is not the newest one that was sent."
	problemRecovery  = "The recovery code is wrong, or it was used before."
	problemPasskey   = "The passkey was not accepted. Try again, or choose another way."
	problemNotThis   = "This cannot be used for your account now. Choose another way."
	problemLately    = "A code was mailed not long ago, and another cannot be sent yet."
	problemBusy      = "Your second factors are being changed right now, perhaps in another window. Wait a moment, then try again."
)

// raise parks a sign-in that owes a factor, under a new handle in a cookie of
// its own.
func (f *Flow) raise(w http.ResponseWriter, r *http.Request, p auth.Pending) error {
	handle := cookie.NewID()
	p.Nonce, p.Verifier, p.Browser = "", "", "" // used up
	p.Challenge, p.Enrolment = nil, nil         // bound to another handle
	if err := f.keep(r.Context(), atFactor, handle, p); err != nil {
		return err
	}
	if err := f.askFirst(r, p, handle); err != nil {
		return err
	}
	f.Cookies.SetStep(w, f.Cookies.Step(factorSuffix), handle, pendingLife)
	redirect(w, r, f.Prefix+"/mfa")
	return nil
}

// parked is a sign-in that owes a factor: to prove one of those that the
// account has, or to enrol one.
type parked struct {
	auth.Pending
	handle    string
	binding   string        // what of the handle may rest elsewhere
	ways      []auth.Factor // to prove it, the one to ask first in front
	enrolling bool
}

// parkedAt finds the sign-in of the request. Errors: auth.ErrInvalidState when
// there is none at this step, auth.ErrStoreDown, *auth.Denied when nothing can
// prove the account now.
func (f *Flow) parkedAt(r *http.Request) (parked, error) {
	handle := cookie.ID(r, f.Cookies.Step(factorSuffix))
	p, err := f.look(r.Context(), atFactor, handle)
	if err != nil {
		return parked{}, err
	}
	if p.Identity == nil {
		return parked{}, auth.ErrInvalidState
	}
	if err := f.stillGood(r, p); err != nil {
		return parked{}, web.TryAt(err, f.Site.SignIn(p.ReturnTo), "")
	}
	if confirming(p) && !f.provesByPassword(p) {
		return parked{}, web.TryAt(fmt.Errorf("%w: local sign-in was switched off meanwhile", auth.ErrOvertaken), f.Site.SignIn(p.ReturnTo), "")
	}
	at, err := f.owing(r.Context(), p, handle)
	if err == nil && at.enrolling && (confirming(p) || p.Proves != "" && !p.Enrols) {
		// It was taken away meanwhile. Whoever has only the password must not
		// enrol a factor here and prove the account with it.
		err = auth.ErrOvertaken
	}
	return at, web.TryAt(err, f.Site.SignIn(p.ReturnTo), "")
}

// owing finds what a sign-in owes.
func (f *Flow) owing(ctx context.Context, p auth.Pending, handle string) (parked, error) {
	at := parked{Pending: p, handle: handle, binding: f.Index.Hash("factor_handle", handle), enrolling: true}
	if p.Factor != "" {
		return at, nil
	}
	has, err := f.enrolled(ctx, accountOf(p))
	if err != nil || len(has) == 0 {
		return at, err
	}
	at.enrolling, at.ways = false, f.ways(has)
	if len(at.ways) == 0 {
		err = &auth.Denied{
			Reason: auth.DeniedFactorLost, Connection: p.Identity.Connection,
			Detail: fmt.Sprintf("account %s has a second factor, and nothing of it can prove anything now", accountOf(p)),
		}
	}
	return at, err
}

// accountOf is the account whose factor is asked for.
func accountOf(p auth.Pending) string {
	if confirming(p) {
		return p.Outcome.Confirmation.Account
	}
	return p.Outcome.Account
}

// stillGood judges the first step again. Somebody who had stolen a password
// could otherwise wait here while it is changed, then enrol an app of his own
// and be in. Likewise a way in that was closed meanwhile, by a restart with
// another configuration, is closed for those who are half through it. Of a
// sign-in whose account must be proved, that account is meant: it must be now
// what it was when the identity came. Who shows that it is them does so in the
// session in which they began: at a browser that they have left, and whose session
// they ended from elsewhere, a stranger could else enrol a factor of his own.
func (f *Flow) stillGood(r *http.Request, p auth.Pending) error {
	if p.Proves != "" {
		if _, err := f.provingSession(r, p); err != nil {
			return err
		}
	}
	open := f.connection(p.Identity.Connection) != nil
	if p.Identity.Connection == auth.Local {
		open = f.Passwords != nil
	}
	if !open && confirming(p) {
		return &auth.Denied{
			Reason: auth.DeniedConnection, Connection: p.Identity.Connection, Decision: p.Outcome.Decision,
			Detail: "it was to be joined to an account and is no longer configured",
		}
	}
	if !open {
		return fmt.Errorf("%w: sign-in by %s is no longer configured", auth.ErrInvalidState, p.Identity.Connection)
	}
	ended, err := f.Sessions.EndedSince(r.Context(), accountOf(p), p.Created)
	if err == nil && ended {
		reason := auth.ErrInvalidState
		if confirming(p) {
			reason = auth.ErrOvertaken
		}
		err = fmt.Errorf("%w: the account's sessions were ended meanwhile", reason)
	}
	return err
}

// showFactor is GET mfa: the challenge, or the enrolment.
func (f *Flow) showFactor(w http.ResponseWriter, r *http.Request) (reached, error) {
	at, err := f.parkedAt(r)
	if err != nil {
		return reached{}, f.notHere(w, r, err)
	}
	return reached{}, f.factorPage(w, r, http.StatusOK, at, "")
}

// proveFactor is POST mfa: an answer, or the choice of another way. To choose
// is a POST too: it may send a mail.
func (f *Flow) proveFactor(w http.ResponseWriter, r *http.Request) (reached, error) {
	form, err := postForm(r, "method", "code", "name", "challenge", "enrol")
	if err != nil {
		return reached{}, err
	}
	at, err := f.parkedAt(r)
	if err != nil {
		return reached{}, f.notHere(w, r, err)
	}
	switch {
	case form.Has("challenge") || form.Has("enrol"):
		return reached{}, f.chooseFactor(w, r, at, form.Get("challenge"), form.Get("enrol"))
	case at.enrolling:
		if at.Enrolment != nil {
			at.Enrolment.Name = form.Get("name")
		}
		return f.enrol(w, r, at, form.Get("method"), form.Get("code"))
	}
	return f.answer(w, r, at, form.Get("method"), form.Get("code"))
}

// chooseFactor goes on with another kind. Who is to prove a factor cannot
// choose to enrol one: a password would be enough then.
func (f *Flow) chooseFactor(w http.ResponseWriter, r *http.Request, at parked, challenge, enrol string) error {
	var err error
	switch {
	case at.enrolling && challenge == "" && f.enroller(enrol) != nil:
		err = f.offer(r, &at, f.enroller(enrol))
	case !at.enrolling && enrol == "" && at.way(challenge) != nil:
		err = f.challenge(r, &at, at.way(challenge))
	default:
		return fmt.Errorf("second factor: %w: no such method", auth.ErrMalformed)
	}
	if errors.Is(err, auth.ErrNotFound) {
		return f.factorPage(w, r, http.StatusConflict, at, problemNotThis)
	}
	if err != nil {
		return f.notProved(w, r, at, err)
	}
	redirect(w, r, f.Prefix+"/mfa")
	return nil
}

// notProved answers what did not pass: the same page again.
func (f *Flow) notProved(w http.ResponseWriter, r *http.Request, at parked, err error) error {
	slow, throttled := errors.AsType[*auth.Throttled](err)
	switch {
	case throttled:
		var problem string
		switch {
		case errors.Is(err, auth.ErrBusy):
			problem = problemBusy
		case errors.Is(err, auth.ErrMailedLately):
			problem = web.TryAgainIn(slow.RetryAfter, problemLately)
		default: // of the others nothing was judged, and nobody has guessed
			f.factorFailed(r, at, err)
			problem = web.TryAgainIn(slow.RetryAfter, problemThrottled)
		}
		web.SetRetryAfter(w, slow.RetryAfter)
		return f.factorPage(w, r, http.StatusTooManyRequests, at, problem)
	case errors.Is(err, auth.ErrWrongCode):
		f.factorFailed(r, at, err)
		return f.factorPage(w, r, http.StatusUnauthorized, at, at.problem())
	case errors.Is(err, auth.ErrInvalidState):
		// The account was enrolled meanwhile, elsewhere: now it is challenged.
		redirect(w, r, f.Prefix+"/mfa")
		return nil
	}
	return err
}

// notHere answers who has no sign-in at this step: the sign-in page. Trouble
// stays trouble.
func (f *Flow) notHere(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, auth.ErrOvertaken) {
		f.drop(w, r, factorSuffix)
	}
	if !errors.Is(err, auth.ErrInvalidState) {
		return err
	}
	f.drop(w, r, factorSuffix)
	redirect(w, r, f.Prefix+"/sign_in")
	return nil
}

func (f *Flow) factorPage(w http.ResponseWriter, r *http.Request, status int, at parked, problem string) error {
	if at.enrolling {
		return f.enrolPage(w, r, status, at, problem)
	}
	return f.challengePage(w, r, status, at, problem)
}

// claimant is who proves or enrols. An enrolment on top of what the account has
// is only for who has proved that.
func (p parked) claimant() auth.Claimant {
	purpose := auth.PurposeSignIn
	switch {
	case p.Proves != "":
		purpose = auth.PurposeProve
	case p.Factor != "":
		purpose = auth.PurposeEnrol
	}
	return auth.Claimant{Account: accountOf(p.Pending), Label: p.label(), Purpose: purpose, Binding: p.binding}
}

// label is how the person knows the account.
func (p parked) label() string {
	if confirming(p.Pending) {
		return p.Outcome.Confirmation.Username
	}
	for _, label := range []string{p.Outcome.Identity.Username, p.Identity.Username, p.Identity.Email, p.Identity.Subject} {
		if label != "" {
			return label
		}
	}
	return p.Outcome.Account
}
