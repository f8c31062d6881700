package account

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/web"
)

const (
	problemCode = "That code did not match. Type the one that is shown now."
	// problemPasskey is about an answer that a browser gave, and nobody typed.
	problemPasskey = "That passkey could not be added. Try again, or use another device."
	problemMany    = "There were too many attempts." // the page adds when to try again
	problemLately  = "A code was mailed not long ago, and another cannot be sent yet."
	problemFull    = "It could not be added: you have too many of this kind, or what was offered is too old. Begin again."
	problemNone    = "That cannot be added to your account now."
)

// offer is POST account/factors/add: it makes a new enrolment, which replaces
// one of the same kind that was offered before. It is no GET: a mail may go out.
func (a *Account) offer(v *visit) error {
	enroller := a.enroller(v.form.Get("kind"))
	if enroller == nil {
		return auth.ErrNotFound
	}
	claimant, err := a.claimant(v)
	if err != nil {
		return err
	}
	e, err := enroller.Offer(v.r.Context(), claimant)
	if slow, throttled := errors.AsType[*auth.Throttled](err); throttled {
		return a.show(v, http.StatusTooManyRequests, tooSoon(v, err, slow.RetryAfter))
	}
	if gone(err) {
		return a.show(v, http.StatusConflict, problemNone)
	}
	if err != nil {
		return err
	}
	if err := a.keep(v, e); err != nil {
		return err
	}
	a.redirect(v, "/account/factors/confirm?"+url.Values{"kind": {e.Kind}}.Encode())
	return nil
}

// showOffer is GET account/factors/confirm.
func (a *Account) showOffer(v *visit) error {
	e, err := a.offered(v, v.r.URL.Query().Get("kind"))
	if errors.Is(err, auth.ErrInvalidState) {
		a.redirect(v, "/account#factors")
		return nil
	}
	if err != nil {
		return err
	}
	return a.offerPage(v, http.StatusOK, e, "")
}

// confirm is POST account/factors/confirm.
func (a *Account) confirm(v *visit) error {
	ctx, account := v.r.Context(), v.session.Account
	kind, code := v.form.Get("kind"), v.form.Get("code")
	e, err := a.offered(v, kind)
	if errors.Is(err, auth.ErrInvalidState) {
		return a.show(v, http.StatusConflict, problemFull)
	}
	if err != nil {
		return err
	}
	e.Name = v.form.Get("name")
	claimant, err := a.claimant(v)
	if err != nil {
		return err
	}
	err = auth.ErrWrongCode
	if code != "" && len(code) <= auth.MaxAnswer {
		// Alone, so that a sign-in of somebody else, who may only be the first to
		// enrol, does not become the second.
		err = a.alone(v, func(ctx context.Context) error {
			if fresh, err := a.hasProved(v); err != nil || !fresh {
				return cmp.Or(err, errNotProved)
			}
			return a.enroller(kind).Confirm(ctx, claimant, e, code)
		})
	}
	if slow, throttled := errors.AsType[*auth.Throttled](err); throttled {
		return a.offerPage(v, http.StatusTooManyRequests, e, tooSoon(v, err, slow.RetryAfter))
	}
	switch {
	case errors.Is(err, errNotProved):
		a.toProve(v)
		return nil
	case errors.Is(err, auth.ErrWrongCode):
		a.audit(v, "factor_failed", slog.String("factor", kind))
		problem := problemCode
		if len(e.Options) > 0 {
			problem = problemPasskey
		}
		return a.offerPage(v, http.StatusUnauthorized, e, problem)
	case errors.Is(err, auth.ErrInvalidState):
		return a.show(v, http.StatusConflict, problemFull)
	case err != nil:
		return err
	}
	// An offer that cannot be dropped expires; confirmed twice it is refused. A
	// demand has the next sign-in enrol another.
	if err := errors.Join(a.Store.Delete(ctx, a.offerKey(v, kind)), a.Demands.Met(ctx, account)); err != nil && a.Log != nil {
		a.Log.WarnContext(ctx, "an enrolment is done, and its offer, which expires by itself, or the demand for it could not be dropped", "error", err)
	}
	a.audit(v, "factor_enrolled", slog.String("factor", kind))
	a.Events.Happened(ctx, account, auth.EventFactorEnrolled, kind)
	if v.session.ProvedFactor == "" {
		// The account's first: this session has proved it, and no other has.
		// Where the person has ended their other sessions since the proof, it goes
		// on as it was, and the factor is asked for at the next change.
		n := *v.session
		n.Raise(kind)
		if _, err := a.Sessions.Renew(v.w, v.r, n); err != nil && (!errors.Is(err, auth.ErrUnauthenticated) || errors.Is(err, auth.ErrStoreDown)) {
			return err
		}
	}
	a.redirect(v, "/account#factors")
	return nil
}

// tooSoon says, to the person and in the header, when to try again.
func tooSoon(v *visit, err error, wait time.Duration) (problem string) {
	web.SetRetryAfter(v.w, wait)
	switch {
	case errors.Is(err, auth.ErrBusy):
		return problemBusy
	case errors.Is(err, auth.ErrMailedLately):
		return web.TryAgainIn(wait, problemLately)
	}
	return web.TryAgainIn(wait, problemMany)
}

// errNotProved: a factor has been enrolled since the proof of this session.
var errNotProved = errors.New("the proof is no longer whole")

func (a *Account) offerPage(v *visit, status int, e auth.Enrolment, problem string) error {
	label, err := a.label(v)
	if err != nil {
		return err
	}
	d := web.AddFactor{Kind: e.Kind, Account: label, Secret: e.Secret, URL: e.URL, Hint: e.Hint, Options: string(e.Options), Name: e.Name, Problem: problem}
	if e.URL != "" {
		if d.QR, err = a.QR(e.URL); err != nil {
			return err
		}
	}
	a.Pages.AddFactor(v.w, v.r, status, d)
	return nil
}

func (a *Account) enroller(kind string) auth.Enroller {
	for _, e := range a.Enrollers {
		if e.Kind() == kind {
			return e
		}
	}
	return nil
}

func (a *Account) claimant(v *visit) (auth.Claimant, error) {
	label, err := a.label(v)
	return auth.Claimant{
		Account: v.session.Account, Label: label, Purpose: auth.PurposeEnrol,
		Binding: a.Index.Hash("binding", v.session.ID),
	}, err
}

func (a *Account) offerKey(v *visit, kind string) string {
	return "offer:" + a.Index.Hash("enrolment", v.session.ID, kind)
}

// keep stores an offer, sealed: it may hold a secret.
func (a *Account) keep(v *visit, e auth.Enrolment) error {
	key := a.offerKey(v, e.Kind)
	plain, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode enrolment: %w", err)
	}
	sealed, err := a.Keys.Seal(plain, "enrolment", key)
	if err != nil {
		return err
	}
	err = a.Store.Update(v.r.Context(), key, func([]byte) ([]byte, time.Duration, error) { return sealed, auth.Freshness, nil })
	return trouble("keep enrolment", err)
}

// offered returns what was offered to this session. Errors:
// auth.ErrInvalidState when nothing of the kind is; auth.ErrStoreDown.
func (a *Account) offered(v *visit, kind string) (e auth.Enrolment, err error) {
	if a.enroller(kind) == nil {
		return e, auth.ErrInvalidState
	}
	key := a.offerKey(v, kind)
	sealed, err := a.Store.Get(v.r.Context(), key)
	if errors.Is(err, store.ErrNotFound) {
		return e, auth.ErrInvalidState
	}
	if err != nil {
		return e, trouble("look up enrolment", err)
	}
	plain, err := a.Keys.Open(sealed, "enrolment", key)
	if err == nil {
		err = json.Unmarshal(plain, &e)
	}
	if err != nil {
		return e, fmt.Errorf("%w: %w", auth.ErrInvalidState, err)
	}
	return e, nil
}

func trouble(doing string, err error) error {
	if err == nil || errors.Is(err, auth.ErrStoreDown) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", doing, auth.ErrStoreDown, err)
}
