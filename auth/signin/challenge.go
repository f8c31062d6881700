package signin

import (
	"errors"
	"fmt"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/throttle"
	"gatehouse/internal/web"
)

// way is the way of that kind, nil where the account has none.
func (p parked) way(kind string) auth.Factor {
	for _, factor := range p.ways {
		if factor.Kind() == kind {
			return factor
		}
	}
	return nil
}

// current is the way that the person was asked for last, else the first.
func (p parked) current() auth.Factor {
	if p.Challenge != nil {
		if factor := p.way(p.Challenge.Kind); factor != nil {
			return factor
		}
	}
	return p.ways[0]
}

// askFirst makes the first challenge of a sign-in that was just parked. This is
// the one moment beside a choice at which a mail may be sent: a page that is
// loaded again must not send another. What cannot be asked for now, the page
// offers to try again.
func (f *Flow) askFirst(r *http.Request, p auth.Pending, handle string) error {
	at, err := f.owing(r.Context(), p, handle)
	if _, denied := errors.AsType[*auth.Denied](err); denied || err == nil && at.enrolling {
		return nil // the next page says so
	}
	if err != nil {
		return err
	}
	err = f.challenge(r, &at, at.ways[0])
	if _, throttled := errors.AsType[*auth.Throttled](err); throttled || errors.Is(err, auth.ErrNotFound) {
		return nil
	}
	return err
}

// challenge asks for a kind from now on. Errors: those of Factor.Challenge.
func (f *Flow) challenge(r *http.Request, at *parked, way auth.Factor) error {
	asked, err := way.Challenge(r.Context(), at.claimant())
	if err != nil {
		return err
	}
	at.Pending, err = f.amend(r.Context(), atFactor, at.handle, func(p *auth.Pending) { p.Challenge = &asked })
	return err
}

// answer judges the answer to a challenge.
func (f *Flow) answer(w http.ResponseWriter, r *http.Request, at parked, method, code string) (reached, error) {
	way := at.current()
	if method != "" {
		way = at.way(method)
	}
	if way == nil {
		// An account that has a factor must not get around it by naming another
		// that it could enrol now.
		return reached{}, fmt.Errorf("second factor: %w: no such method", auth.ErrMalformed)
	}
	if at.Challenge == nil || at.Challenge.Kind != way.Kind() {
		at.Challenge = &auth.Challenge{Kind: way.Kind()}
	}
	err := auth.ErrWrongCode
	if len(code) > 0 && len(code) <= longest(way.Kind()) {
		err = way.Verify(throttle.WithDevice(r.Context(), f.Device(r)), at.claimant(), *at.Challenge, code)
	}
	if err != nil {
		return reached{}, f.notProved(w, r, at, err)
	}
	if way.Kind() == auth.KindRecovery {
		f.tellLeft(r, at, way)
	}
	// Two right answers, in two tabs, are still one sign-in.
	p, err := f.take(r.Context(), atFactor, at.handle)
	if err != nil {
		return reached{}, f.notHere(w, r, err)
	}
	p.Factor = way.Kind()
	return reached{milestone: proved, pending: p}, nil
}

// tellLeft tells the owner that a recovery code was used. That it is not known
// how many are left is no reason to keep quiet.
func (f *Flow) tellLeft(r *http.Request, at parked, codes auth.Factor) {
	detail := ""
	if has, err := codes.Enrolled(r.Context(), accountOf(at.Pending)); err == nil && len(has) > 0 {
		detail = fmt.Sprintf("%d left", has[0].Left)
	}
	f.Events.Happened(r.Context(), accountOf(at.Pending), auth.EventRecoveryUsed, detail)
}

func longest(kind string) int {
	if kind == auth.KindPasskey {
		return auth.MaxAnswer
	}
	return maxCode
}

// problem is what to tell of a wrong answer.
func (p parked) problem() string {
	switch p.kind() {
	case auth.KindEmailCode:
		return problemMailed
	case auth.KindRecovery:
		return problemRecovery
	case auth.KindPasskey:
		return problemPasskey
	}
	if p.enrolling {
		return problemFirstCode
	}
	return problemCode
}

// kind is that of what is asked for, or offered.
func (p parked) kind() string {
	switch {
	case !p.enrolling:
		return p.current().Kind()
	case p.Enrolment != nil:
		return p.Enrolment.Kind
	}
	return ""
}

func (f *Flow) challengePage(w http.ResponseWriter, r *http.Request, status int, at parked, problem string) error {
	way := at.current()
	if (at.Challenge == nil || at.Challenge.Kind != way.Kind()) && way.Kind() != auth.KindEmailCode {
		if err := f.challenge(r, &at, way); err != nil && !errors.Is(err, auth.ErrNotFound) {
			return f.notHere(w, r, err)
		}
	}
	page := web.Factor{Method: way.Kind(), Account: at.label(), Problem: problem}
	if c := at.Challenge; c != nil && c.Kind == way.Kind() {
		page.Asked, page.Hint, page.Options = true, c.Hint, string(c.Options)
	}
	for _, other := range at.ways {
		if other.Kind() != way.Kind() {
			page.Others = append(page.Others, other.Kind())
		}
	}
	f.Pages.Factor(w, r, status, page)
	return nil
}
