package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/throttle"
	"gatehouse/internal/web"
)

// enrol judges the answer that confirms an enrolment.
func (f *Flow) enrol(w http.ResponseWriter, r *http.Request, at parked, method, code string) (reached, error) {
	if method == "" && at.Enrolment != nil {
		method = at.Enrolment.Kind
	}
	enroller := f.enroller(method)
	if enroller == nil && method != "" {
		return reached{}, fmt.Errorf("second factor: %w: no such method", auth.ErrMalformed)
	}
	account := accountOf(at.Pending)
	// A code for a secret that was never shown proves nothing.
	err := auth.ErrWrongCode
	if e := at.Enrolment; e != nil && enroller != nil && e.Kind == method && code != "" && len(code) <= longest(method) {
		err = f.Turns.Alone(r.Context(), account, func(ctx context.Context) error { return f.confirmAlone(ctx, r, at, enroller, code) })
	}
	if err != nil {
		return reached{}, f.notProved(w, r, at, err)
	}
	if f.Demands != nil {
		if err := f.Demands.Met(r.Context(), account); err != nil {
			return reached{}, err
		}
	}
	p, err := f.take(r.Context(), atFactor, at.handle)
	if err != nil {
		return reached{}, f.notHere(w, r, err)
	}
	p.Factor = method
	return reached{milestone: enrolled, pending: p}, nil
}

// confirmAlone enrols while nobody else changes the account's factors. Whether
// the sign-in may enrol is judged again then: each kind keeps a record of its
// own, and whoever holds a stolen password could otherwise enrol a passkey at
// the moment at which the owner enrols an app, and have both stand.
func (f *Flow) confirmAlone(ctx context.Context, r *http.Request, at parked, enroller auth.Enroller, code string) error {
	// The password too: an administrator may have set another and reset the
	// factors, which are none now.
	if err := f.stillGood(r.WithContext(ctx), at.Pending); err != nil {
		return err
	}
	now, err := f.owing(ctx, at.Pending, at.handle)
	if err == nil && !now.enrolling {
		err = fmt.Errorf("second factor: %w: the account has one meanwhile", auth.ErrInvalidState)
	}
	if err != nil {
		return err
	}
	if err := enroller.Confirm(throttle.WithDevice(ctx, f.Device(r)), at.claimant(), *at.Enrolment, code); err != nil {
		return err
	}
	account := accountOf(at.Pending)
	f.audit(r, "factor_enrolled", slog.String("factor", enroller.Kind()), accountAttr(account))
	f.Events.Happened(r.Context(), account, auth.EventFactorEnrolled, enroller.Kind())
	// Not before: codes that somebody was shown and that no factor stands
	// beside would open the account to whoever has its password.
	if len(at.Recovery) == 0 {
		return nil
	}
	return f.Recovery.Keep(ctx, account, at.Recovery)
}

// enrolPage shows what a forced enrolment needs. Of itself it offers only what
// sends nothing.
func (f *Flow) enrolPage(w http.ResponseWriter, r *http.Request, status int, at parked, problem string) error {
	open, err := f.enrollable(r.Context(), accountOf(at.Pending))
	if err != nil {
		return err
	}
	offered := func(e auth.Enroller) bool { return e.Kind() == at.Enrolment.Kind }
	if at.Enrolment == nil || !slices.ContainsFunc(open, offered) {
		if err := f.offerFirst(r, &at, open); err != nil {
			return f.notHere(w, r, err)
		}
	}
	page := web.Enrol{Account: at.label(), Problem: problem, Codes: at.Recovery}
	if e := at.Enrolment; e != nil {
		page.Method, page.Secret, page.URL, page.Hint, page.Options = e.Kind, e.Secret, e.URL, e.Hint, string(e.Options)
		page.Name = e.Name
		if e.URL != "" {
			if page.QR, err = f.QR(e.URL); err != nil {
				return err
			}
		}
	}
	for _, other := range open {
		if other.Kind() != page.Method {
			page.Others = append(page.Others, other.Kind())
		}
	}
	if page.Method == "" && len(page.Others) == 0 {
		return &auth.Denied{
			Reason: auth.DeniedFactorLost, Connection: at.Identity.Connection,
			Detail: fmt.Sprintf("account %s must enrol a second factor, and none of mfa.methods can be enrolled now", accountOf(at.Pending)),
		}
	}
	f.Pages.Enrol(w, r, status, page)
	return nil
}

func (f *Flow) offerFirst(r *http.Request, at *parked, open []auth.Enroller) error {
	at.Enrolment = nil
	for _, e := range open {
		if e.Kind() == auth.KindEmailCode {
			continue
		}
		if err := f.offer(r, at, e); !errors.Is(err, auth.ErrNotFound) {
			return err
		}
	}
	return nil
}

// offer makes an enrolment of that kind. One of a kind stays the same for the
// whole sign-in where it can: a page that is loaded again, or a second tab,
// must not make what was scanned worthless.
func (f *Flow) offer(r *http.Request, at *parked, enroller auth.Enroller) error {
	if e := at.Enrolment; e != nil && e.Kind == enroller.Kind() && e.Kind != auth.KindEmailCode {
		return nil
	}
	codes, err := f.codesFor(r, *at)
	if err != nil {
		return err
	}
	fresh, err := enroller.Offer(r.Context(), at.claimant())
	if err != nil {
		return err
	}
	at.Pending, err = f.amend(r.Context(), atFactor, at.handle, func(p *auth.Pending) {
		if p.Enrolment == nil || p.Enrolment.Kind != fresh.Kind || fresh.Kind == auth.KindEmailCode {
			p.Enrolment = &fresh
		}
		if len(p.Recovery) == 0 {
			p.Recovery = codes
		}
	})
	return err
}

// codesFor makes the recovery codes that an enrolment shows, unless the account
// has some: those would be void, and their owner would not know.
func (f *Flow) codesFor(r *http.Request, at parked) ([]string, error) {
	if f.Recovery == nil || !f.allowed(auth.KindRecovery) || len(at.Recovery) > 0 {
		return nil, nil
	}
	has, err := f.enrolled(r.Context(), accountOf(at.Pending))
	if err != nil || slices.ContainsFunc(has, func(a auth.Authenticator) bool { return a.Kind == auth.KindRecovery && a.Left > 0 }) {
		return nil, err
	}
	return f.Recovery.Generate(), nil
}
