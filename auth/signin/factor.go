package signin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/throttle"
	"gatehouse/internal/web"
)

// maxCode is the longest answer that is looked at, in bytes.
const maxCode = 64

// Texts of the second-factor pages. A key that was just shown has no code that
// was used before: there the phone's clock is what goes wrong.
const (
	problemCode      = "The code is wrong, or it was used before. Wait for the next one."
	problemFirstCode = "The code is wrong. Check that your phone sets its clock by itself, then type the code that the app shows now."
	problemManyCodes = problemThrottled + " Wait a while, then try again."
)

// raise parks a sign-in that owes a factor, under a new handle in a cookie of
// its own.
func (f *Flow) raise(w http.ResponseWriter, r *http.Request, p auth.Pending) error {
	handle := cookie.NewID()
	p.Nonce, p.Verifier, p.Browser = "", "", "" // used up
	if err := f.keep(r.Context(), atFactor, handle, p); err != nil {
		return err
	}
	f.Cookies.SetStep(w, f.Cookies.Step(factorSuffix), handle, pendingLife)
	redirect(w, r, f.Prefix+"/mfa")
	return nil
}

// parked is a sign-in that owes a factor, and the factor: one that the account
// has, or, where it has none, the one to enrol.
type parked struct {
	auth.Pending
	handle   string
	factor   auth.Factor
	enrolled bool
}

// parkedAt finds the sign-in of the request; method picks among several
// factors, "" takes the first. Errors: auth.ErrInvalidState when
// there is none at this step, auth.ErrStoreDown, auth.ErrMalformed.
func (f *Flow) parkedAt(r *http.Request, method string) (parked, error) {
	handle := cookie.ID(r, f.Cookies.Step(factorSuffix))
	p, err := f.look(r.Context(), atFactor, handle)
	if err != nil {
		return parked{}, err
	}
	if p.Identity == nil {
		return parked{}, auth.ErrInvalidState
	}
	if err := f.stillGood(r.Context(), p); err != nil {
		return parked{}, web.TryAt(err, f.Site.SignIn(p.ReturnTo), "")
	}
	if confirming(p) && !f.provesByPassword(p) {
		return parked{}, web.TryAt(fmt.Errorf("%w: local sign-in was switched off meanwhile", auth.ErrOvertaken), f.Site.SignIn(p.ReturnTo), "")
	}
	at := parked{Pending: p, handle: handle}
	at.factor, at.enrolled, err = f.factor(r.Context(), accountOf(p), method)
	if err == nil && !at.enrolled && confirming(p) {
		// It was taken away meanwhile. Whoever has only the password must not
		// enrol a factor here and prove the account with it.
		err = web.TryAt(auth.ErrOvertaken, f.Site.SignIn(p.ReturnTo), "")
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
// what it was when the identity came.
func (f *Flow) stillGood(ctx context.Context, p auth.Pending) error {
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
	ended, err := f.Sessions.EndedSince(ctx, accountOf(p), p.Created)
	if err == nil && ended {
		reason := auth.ErrInvalidState
		if confirming(p) {
			reason = auth.ErrOvertaken
		}
		err = fmt.Errorf("%w: the account's sessions were ended meanwhile", reason)
	}
	return err
}

func (f *Flow) factor(ctx context.Context, account, method string) (auth.Factor, bool, error) {
	var has []auth.Factor
	for _, factor := range f.Factors {
		enrolled, err := factor.Enrolled(ctx, account)
		if err != nil {
			return nil, false, err
		}
		if len(enrolled) > 0 {
			has = append(has, factor)
		}
	}
	among := has
	if len(has) == 0 {
		among = f.Factors
	}
	for _, factor := range among {
		if method == "" || factor.Kind() == method {
			return factor, len(has) > 0, nil
		}
	}
	// An account that has a factor must not get around it by naming another
	// that it could enrol now.
	return nil, false, fmt.Errorf("second factor: %w: no such method", auth.ErrMalformed)
}

// showFactor is GET mfa: the challenge, or the enrolment.
func (f *Flow) showFactor(w http.ResponseWriter, r *http.Request) (reached, error) {
	at, err := f.parkedAt(r, r.URL.Query().Get("method"))
	if err != nil {
		return reached{}, f.notHere(w, r, err)
	}
	return reached{}, f.factorPage(w, r, http.StatusOK, at, "")
}

// proveFactor is POST mfa.
func (f *Flow) proveFactor(w http.ResponseWriter, r *http.Request) (reached, error) {
	form, err := postForm(r, "method", "code")
	if err != nil {
		return reached{}, err
	}
	at, err := f.parkedAt(r, form.Get("method"))
	if err != nil {
		return reached{}, f.notHere(w, r, err)
	}
	if err := f.judge(r, at, form.Get("code")); err != nil {
		return reached{}, f.notProved(w, r, at, err)
	}
	// Two right answers, in two tabs, are still one sign-in.
	p, err := f.take(r.Context(), atFactor, at.handle)
	if err != nil {
		return reached{}, f.notHere(w, r, err)
	}
	return reached{milestone: proved, pending: p}, nil
}

func (f *Flow) judge(r *http.Request, at parked, code string) error {
	if code == "" || len(code) > maxCode {
		return auth.ErrWrongCode
	}
	ctx := throttle.WithDevice(r.Context(), f.device(r))
	if at.enrolled {
		return at.factor.Verify(ctx, at.claimant(), auth.Challenge{Kind: at.factor.Kind()}, code)
	}
	if at.Enrolment == nil || at.Enrolment.Kind != at.factor.Kind() {
		return auth.ErrWrongCode // a code for a secret that was never shown
	}
	enroller, ok := at.factor.(auth.Enroller)
	if !ok {
		return auth.ErrWrongCode
	}
	err := enroller.Confirm(ctx, at.claimant(), *at.Enrolment, code)
	if err == nil {
		f.Events.Happened(r.Context(), accountOf(at.Pending), auth.EventFactorEnrolled, at.factor.Kind())
	}
	return err
}

// notProved answers a code that did not pass: the same page again.
func (f *Flow) notProved(w http.ResponseWriter, r *http.Request, at parked, err error) error {
	slow, throttled := errors.AsType[*auth.Throttled](err)
	switch {
	case throttled:
		f.factorFailed(r, at, err)
		seconds := max(1, int(math.Ceil(slow.RetryAfter.Seconds())))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		return f.factorPage(w, r, http.StatusTooManyRequests, at, problemManyCodes)
	case errors.Is(err, auth.ErrWrongCode):
		f.factorFailed(r, at, err)
		problem := problemCode
		if !at.enrolled {
			problem = problemFirstCode
		}
		return f.factorPage(w, r, http.StatusUnauthorized, at, problem)
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
	if !at.enrolled {
		return f.enrolPage(w, r, status, at, problem)
	}
	f.Pages.Factor(w, r, status, web.Factor{Method: at.factor.Kind(), Account: at.label(), Problem: problem})
	return nil
}

func (p parked) claimant() auth.Claimant {
	return auth.Claimant{Account: accountOf(p.Pending), Label: p.label(), Purpose: auth.PurposeSignIn}
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
