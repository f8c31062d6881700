package signin

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/web"
)

// problemNotTheirs is about one known account, so unlike problemWrong it need
// not hide which of two was wrong.
const problemNotTheirs = "The password is not right."

// confirming reports whether a sign-in waits for its person to prove an
// account, or is on the way to that.
func confirming(p auth.Pending) bool {
	return p.Identity != nil && p.Outcome.Verdict == auth.Confirm && p.Outcome.Confirmation != nil
}

// ask parks a sign-in whose account must be proved first, under a new handle in
// a cookie of its own. Where nothing can prove it here and now there is no use
// in asking.
func (f *Flow) ask(w http.ResponseWriter, r *http.Request, p auth.Pending) error {
	if len(f.proofs(p)) == 0 && !f.provesByPassword(p) {
		return &auth.Denied{
			Reason: auth.DeniedUnconfirmable, Connection: p.Identity.Connection, Decision: p.Outcome.Decision,
			Detail: fmt.Sprintf("account %s must be proved first, because %s, and every way of proving it is closed "+
				"(local sign-in, or the connections through which it is linked)", p.Outcome.Confirmation.Account, p.Outcome.Confirmation.Why),
		}
	}
	handle := cookie.NewID()
	p.Nonce, p.Verifier, p.Browser = "", "", "" // used up
	if err := f.keep(r.Context(), atConfirm, handle, p); err != nil {
		return err
	}
	f.Cookies.SetStep(w, f.Cookies.Step(confirmSuffix), handle, pendingLife)
	f.asked(r, p)
	redirect(w, r, f.Prefix+"/confirm")
	return nil
}

func (f *Flow) provesByPassword(p auth.Pending) bool {
	return p.Outcome.Confirmation.Password && f.Passwords != nil
}

// proofs are the connections through which the account can be proved now.
func (f *Flow) proofs(p auth.Pending) []web.Proof {
	var all []web.Proof
	for _, id := range p.Outcome.Confirmation.Connections {
		if c := f.connection(id); c != nil {
			all = append(all, web.Proof{Name: c.Name, Connection: id})
		}
	}
	return all
}

// unproved finds the sign-in of the request and its handle. Errors:
// auth.ErrInvalidState when there is none at this step, auth.ErrOvertaken,
// *auth.Denied when it must not go on, auth.ErrStoreDown.
func (f *Flow) unproved(r *http.Request) (auth.Pending, string, error) {
	handle := cookie.ID(r, f.Cookies.Step(confirmSuffix))
	p, err := f.look(r.Context(), atConfirm, handle)
	if err != nil {
		return auth.Pending{}, "", err
	}
	return p, handle, web.TryAt(f.stillGood(r, p), f.Site.SignIn(p.ReturnTo), "")
}

// showConfirm is GET confirm.
func (f *Flow) showConfirm(w http.ResponseWriter, r *http.Request) (reached, error) {
	p, handle, err := f.unproved(r)
	if err != nil {
		return reached{}, f.nothingToProve(w, r, err)
	}
	f.confirmPage(w, r, http.StatusOK, p, handle, web.Confirm{})
	return reached{}, nil
}

// proveAccount is POST confirm: the password, or a connection to prove the
// account through, or the end of it. To go to a provider is a POST too: any
// page could otherwise send a browser there that is signed in at it, and have
// an account proved without its owner.
func (f *Flow) proveAccount(w http.ResponseWriter, r *http.Request) (reached, error) {
	form, err := postForm(r, "confirms", "password", "connection", "give_up")
	if err != nil {
		return reached{}, err
	}
	p, handle, err := f.unproved(r)
	if err != nil {
		return reached{}, f.nothingToProve(w, r, err)
	}
	if of := form.Get("confirms"); of != "" && subtle.ConstantTimeCompare([]byte(of), []byte(f.confirmHash(handle))) != 1 {
		// The page of another tab, about another account: what the person read
		// there must not be done to this one.
		redirect(w, r, f.Prefix+"/confirm")
		return reached{}, nil
	}
	ways := slices.DeleteFunc([]string{"password", "connection", "give_up"}, func(field string) bool { return !form.Has(field) })
	if len(ways) != 1 {
		return reached{}, fmt.Errorf("confirm: %w: one of password, connection and give_up is wanted", auth.ErrMalformed)
	}
	switch ways[0] {
	case "password":
		return f.proveByPassword(w, r, p, handle, form.Get("password"))
	case "connection":
		return f.proveElsewhere(p, handle, form.Get("connection"))
	}
	if p, err = f.take(r.Context(), atConfirm, handle); err != nil {
		return reached{}, f.nothingToProve(w, r, err)
	}
	f.drop(w, r, confirmSuffix)
	f.gaveUp(r, p)
	redirect(w, r, f.Site.SignIn(p.ReturnTo))
	return reached{}, nil
}

// proveByPassword judges the password as sign_in does: the same attempts are
// counted, on the same devices. The browser does not become a known device of
// the account by it: that it owes to a local sign-in that was finished, and
// this one may have been spared the enrolment that a local one owes.
func (f *Flow) proveByPassword(w http.ResponseWriter, r *http.Request, p auth.Pending, handle, password string) (reached, error) {
	if !f.provesByPassword(p) {
		return reached{}, fmt.Errorf("confirm: %w: the account is not proved by password", auth.ErrMalformed)
	}
	id, err := f.verify(r, p.Outcome.Confirmation.Username, password)
	if err == nil && id.Subject != p.Outcome.Confirmation.Account {
		err = auth.ErrWrongPassword // somebody else's name by now, and somebody else's password
	}
	slow, throttled := errors.AsType[*auth.Throttled](err)
	switch {
	case throttled:
		f.notTheirs(r, p, err)
		f.confirmPage(w, r, http.StatusTooManyRequests, p, handle, web.Confirm{Problem: problemThrottled, RetryAfter: slow.RetryAfter})
		return reached{}, nil
	case errors.Is(err, auth.ErrWrongPassword):
		f.notTheirs(r, p, err)
		f.confirmPage(w, r, http.StatusUnauthorized, p, handle, web.Confirm{Problem: problemNotTheirs})
		return reached{}, nil
	case err != nil:
		return reached{}, err
	}
	// Two right passwords, in two tabs, are still one proof.
	if p, err = f.take(r.Context(), atConfirm, handle); err != nil {
		return reached{}, f.nothingToProve(w, r, err)
	}
	return reached{milestone: claimed, pending: p}, nil
}

func (f *Flow) notTheirs(r *http.Request, p auth.Pending, err error) {
	f.failed(r, p.Identity.Connection, err, slog.String("account", p.Outcome.Confirmation.Account), slog.String("decision_id", p.Outcome.Decision))
}

// proveElsewhere begins a sign-in through another connection, for the proof
// alone.
func (f *Flow) proveElsewhere(p auth.Pending, handle, connection string) (reached, error) {
	if !slices.Contains(p.Outcome.Confirmation.Connections, connection) {
		return reached{}, fmt.Errorf("confirm: %w: the account is not proved through that connection", auth.ErrMalformed)
	}
	c := f.connection(connection)
	if c == nil {
		return reached{}, f.backToConfirm(&auth.Denied{
			Reason: auth.DeniedConnection, Connection: connection, Detail: "it was to prove an account and is no longer configured", Decision: p.Outcome.Decision,
		})
	}
	return reached{milestone: chosen, connection: c, pending: auth.Pending{ReturnTo: p.ReturnTo, Confirms: f.confirmHash(handle)}}, nil
}

// confirmHash is what a sign-in at another provider keeps of the handle of the
// one that it is for: who reads it cannot use it.
func (f *Flow) confirmHash(handle string) string { return f.Index.Hash("confirms", handle) }

// vouchedFor takes the sign-in that another identity has proved the account
// of. Of that identity nothing goes further: its sign-in changes nothing and
// becomes no session. Both sign-ins are of one browser, or somebody could have
// a stranger, who thinks that he signs in, prove an account to him.
func (f *Flow) vouchedFor(r *http.Request, by auth.Pending) (auth.Pending, error) {
	p, handle, err := f.unproved(r)
	if err == nil && subtle.ConstantTimeCompare([]byte(f.confirmHash(handle)), []byte(by.Confirms)) != 1 {
		return auth.Pending{}, fmt.Errorf("confirm: %w: the browser is at another one", auth.ErrInvalidState)
	}
	if err == nil {
		err = f.backToConfirm(f.Resolver.Proves(r.Context(), *by.Identity, p.Outcome.Confirmation.Account))
	}
	if err != nil {
		return auth.Pending{}, err
	}
	return f.take(r.Context(), atConfirm, handle)
}

// backToConfirm tells the page of err that the account can still be proved in
// another way.
func (f *Flow) backToConfirm(err error) error { return web.TryAt(err, f.Prefix+"/confirm", "") }

// nothingToProve answers who has no sign-in at this step: the sign-in page, and
// to who had one a page that says so. Trouble stays trouble.
func (f *Flow) nothingToProve(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, auth.ErrStoreDown) {
		return err
	}
	if cookie.Count(r, f.Cookies.Step(confirmSuffix)) == 0 {
		redirect(w, r, f.Prefix+"/sign_in")
		return nil
	}
	f.drop(w, r, confirmSuffix)
	return err
}

func (f *Flow) confirmPage(w http.ResponseWriter, r *http.Request, status int, p auth.Pending, handle string, d web.Confirm) {
	d.Confirms = f.confirmHash(handle)
	d.Email = p.Outcome.Confirmation.Email
	d.Password = f.provesByPassword(p)
	d.Connections = f.proofs(p)
	if c := f.connection(p.Identity.Connection); c != nil {
		d.Through = c.Name
	}
	f.Pages.Confirm(w, r, status, d)
}
