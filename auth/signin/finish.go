package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/throttle"
)

// finish turns a pending sign-in into a session and sends the person on.
func (f *Flow) finish(w http.ResponseWriter, r *http.Request, p auth.Pending) error {
	n := auth.Session{
		Account:    p.Outcome.Account,
		JIT:        p.Identity.Connection != auth.Local && p.Outcome.Verdict != auth.PassThrough,
		Rules:      p.Outcome.Rules,
		Identity:   sessionIdentity(p),
		IdPSession: p.Tokens.IdPSession,
		Created:    p.Created,
		Asked:      p.ACR,
	}
	n.Identity.AMR = auth.WithFactor(n.Identity.AMR, p.Factor)
	var err error
	if n.Proved, err = f.provedAt(r.Context(), p); err != nil {
		return err
	}
	if !n.Proved.IsZero() {
		n.ProvedFactor = p.Factor
	}
	sess, err := f.Sessions.Start(w, r, n)
	if errors.Is(err, auth.ErrUnauthenticated) {
		err = fmt.Errorf("%w: %w", auth.ErrInvalidState, err)
	}
	if err != nil {
		return err
	}
	f.noteUse(r, p)
	if p.Identity.Connection == auth.Local {
		f.remember(w, r, p.Outcome.Account)
	}
	f.drop(w, r, factorSuffix)
	f.drop(w, r, confirmSuffix)
	f.signedIn(r, sess, p.Outcome)
	f.leave(w, r, p)
	return nil
}

// noteUse notes that the account is in use, now that everything was proved that
// it owes. The session is there, and whether this can be noted changes nothing
// about it.
func (f *Flow) noteUse(r *http.Request, p auth.Pending) {
	if p.Outcome.Account == "" {
		return // passes through: nothing is stored
	}
	// A factor takes a person minutes: the account is not fresh any more by then.
	made := p.Outcome.Verdict == auth.Created && p.Factor == ""
	if err := f.Resolver.SignedIn(r.Context(), p.Outcome.Account, made); err != nil {
		f.warn(r, "the sign-in could not be noted", err)
	}
}

// provedAt is when the person gave everything that the account has: a sign-in
// that was spared the account's factor is no proof of it, and neither is what a
// provider says of a password, which is another one.
func (f *Flow) provedAt(ctx context.Context, p auth.Pending) (time.Time, error) {
	if p.Identity.Connection != auth.Local || !slices.Contains(p.Identity.AMR, auth.MethodPassword) {
		return time.Time{}, nil // a provider has vouched, or a passkey alone
	}
	if p.Factor == "" {
		if has, err := f.hasFactor(ctx, p.Outcome.Account); has || err != nil {
			return time.Time{}, err
		}
	}
	return f.now().UTC(), nil
}

// sessionIdentity is what the session keeps. For an account only how the
// person came in, and what no account keeps: the rest is the account's, as it
// is on each request. What
// passes through has nothing but its session, and keeps what the connection's
// rules have left of it.
func sessionIdentity(p auth.Pending) auth.Identity {
	if p.Outcome.Verdict == auth.PassThrough {
		return p.Outcome.Identity
	}
	i := p.Identity
	return auth.Identity{
		Connection: i.Connection, Issuer: i.Issuer, Subject: i.Subject,
		AMR: i.AMR, ACR: i.ACR, AuthTime: i.AuthTime,
		Attributes: p.Outcome.SessionOnly,
	}
}

// remember makes this browser a known device of the account, so that a
// stranger's attempts cannot lock its owner out here, and tells the owner of one
// that is new: it may be somebody else's. Failing at that is no reason to refuse
// somebody who has proved everything.
func (f *Flow) remember(w http.ResponseWriter, r *http.Request, account string) {
	device, isNew, err := f.Passwords.Remember(throttle.WithDevice(r.Context(), f.Device(r)), account)
	if err != nil {
		f.warn(r, "the device could not be remembered", err)
		return
	}
	f.Cookies.SetStep(w, f.Cookies.Step(deviceSuffix), device, throttle.DeviceLife)
	if isNew {
		f.Events.Happened(r.Context(), account, auth.EventNewDevice, "")
	}
}

// leave sends the person to where the sign-in began. A Strict cookie is not
// sent on a redirect that another site began, and the identity provider began
// this one: the next page would see nobody and begin the sign-in anew, for
// ever. There the browser goes on from a page of ours instead.
func (f *Flow) leave(w http.ResponseWriter, r *http.Request, p auth.Pending) {
	if f.Cookies.SameSite != http.SameSiteStrictMode || r.Method == http.MethodPost {
		redirect(w, r, p.ReturnTo)
		return
	}
	f.Pages.GoOn(w, r, p.ReturnTo)
}
