package signin

import (
	"errors"
	"fmt"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// enrolPage shows what a forced enrolment needs.
func (f *Flow) enrolPage(w http.ResponseWriter, r *http.Request, status int, at parked, problem string) error {
	e, err := f.offered(r, at)
	if errors.Is(err, auth.ErrInvalidState) {
		return f.notHere(w, r, err)
	}
	if err != nil {
		return err
	}
	qr, err := f.QR(e.URL)
	if err != nil {
		return err
	}
	f.Pages.Enrol(w, r, status, web.Enrol{
		Method: e.Kind, Account: at.label(), Secret: e.Secret, URL: e.URL, QR: qr, Problem: problem,
	})
	return nil
}

// offered returns the enrolment of a pending sign-in, making it at the first
// look. It stays the same for the whole sign-in: a page that is loaded again,
// or a second tab, must not make what was scanned worthless.
func (f *Flow) offered(r *http.Request, at parked) (auth.Enrolment, error) {
	if e := at.Enrolment; e != nil && e.Kind == at.factor.Kind() {
		return *e, nil
	}
	enroller, ok := at.factor.(auth.Enroller)
	if !ok {
		return auth.Enrolment{}, fmt.Errorf("enrol %s: %w", at.factor.Kind(), auth.ErrNotFound)
	}
	fresh, err := enroller.Offer(r.Context(), at.claimant())
	if err != nil {
		return auth.Enrolment{}, err
	}
	p, err := f.amend(r.Context(), atFactor, at.handle, func(p *auth.Pending) {
		if p.Enrolment == nil || p.Enrolment.Kind != fresh.Kind {
			p.Enrolment = &fresh
		}
	})
	if err != nil {
		return auth.Enrolment{}, err
	}
	return *p.Enrolment, nil
}
