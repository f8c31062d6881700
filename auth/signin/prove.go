package signin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// proving is a signed-in person who is to show that it is them.
type proving struct {
	session *auth.Session
	person  *auth.Person
	profile auth.Profile
}

// errNoPassword: the account has nothing that could be proved here.
var errNoPassword = fmt.Errorf("prove: the account has no password: %w", auth.ErrNotFound)

// noteAgain is on the sign-in page of who is signed in.
const noteAgain = "Sign in once more, to show that it is you."

// signedInLocally finds the session of the request and its account, which must
// have a password. Errors: errNoPassword, with the session; auth.ErrNotFound
// where there is no account; auth.ErrUnauthenticated, auth.ErrStoreDown.
func (f *Flow) signedInLocally(r *http.Request) (proving, error) {
	sess, person, err := f.Sessions.Authenticate(r)
	if err != nil {
		return proving{}, err
	}
	if sess.Account == "" {
		return proving{}, auth.ErrNotFound
	}
	if f.Passwords == nil {
		return proving{session: sess}, errNoPassword
	}
	has, err := f.Passwords.HasPassword(r.Context(), sess.Account)
	if err != nil {
		return proving{}, err
	}
	if !has {
		return proving{session: sess}, errNoPassword
	}
	profile, err := f.Accounts.Profile(r.Context(), sess.Account)
	return proving{sess, person, profile}, err
}

// showProve is GET prove. Whoever is to show that it is them is sent here; what
// there is to show it with is decided here and nowhere else.
func (f *Flow) showProve(w http.ResponseWriter, r *http.Request) (reached, error) {
	rd := f.returnTo(r, r.URL.Query().Get("rd"))
	at, err := f.signedInLocally(r)
	if errors.Is(err, errNoPassword) {
		f.signInAgain(w, r, at.session, rd)
		return reached{}, nil
	}
	if err != nil {
		return reached{}, f.firstSignIn(w, r, rd, err)
	}
	f.Pages.Prove(w, r, http.StatusOK, f.provePage(r, at, rd))
	return reached{}, nil
}

// signInAgain has a person whose account has no password sign in once more, as
// they did or, where that way is closed, in any other. The page is shown here,
// because sign_in sends who is signed in straight back to where they came from.
func (f *Flow) signInAgain(w http.ResponseWriter, r *http.Request, sess *auth.Session, rd string) {
	if c := f.connection(sess.Identity.Connection); c != nil {
		redirect(w, r, f.startURL(c, rd))
		return
	}
	f.signInPage(w, r, http.StatusOK, web.SignIn{ReturnTo: rd, Note: noteAgain})
}

// firstSignIn sends who is not signed in to do that.
func (f *Flow) firstSignIn(w http.ResponseWriter, r *http.Request, rd string, err error) error {
	if !errors.Is(err, auth.ErrUnauthenticated) || errors.Is(err, auth.ErrStoreDown) {
		return err
	}
	redirect(w, r, f.Site.SignIn(rd))
	return nil
}

// prove is POST prove: the password of the account that is signed in. Attempts
// are counted as at sign_in.
func (f *Flow) prove(w http.ResponseWriter, r *http.Request) (reached, error) {
	form, err := postForm(r, "password", "rd")
	if err != nil {
		return reached{}, err
	}
	rd := f.returnTo(r, form.Get("rd"))
	at, err := f.signedInLocally(r)
	if err != nil {
		return reached{}, f.firstSignIn(w, r, rd, err)
	}
	began := f.now().UTC() // whoever ends the sessions while it is judged ends this proof too
	id, err := f.verify(r, at.profile.Username, form.Get("password"))
	if err == nil && id.Subject != at.session.Account {
		err = auth.ErrWrongPassword // the name is somebody else's by now
	}
	page := f.provePage(r, at, rd)
	slow, throttled := errors.AsType[*auth.Throttled](err)
	switch {
	case throttled:
		page.Problem, page.RetryAfter = problemThrottled, slow.RetryAfter
		f.notProvedAgain(r, at.session, err)
		f.Pages.Prove(w, r, http.StatusTooManyRequests, page)
		return reached{}, nil
	case errors.Is(err, auth.ErrWrongPassword):
		page.Problem = problemNotTheirs
		f.notProvedAgain(r, at.session, err)
		f.Pages.Prove(w, r, http.StatusUnauthorized, page)
		return reached{}, nil
	case err != nil:
		return reached{}, err
	}
	enrols, err := f.owesFirst(r, at, rd)
	if err != nil {
		return reached{}, err
	}
	identity := at.session.Identity
	identity.Username = at.profile.Username // how the account is called on the next page
	return reached{milestone: recalled, pending: auth.Pending{
		Connection: identity.Connection, ReturnTo: rd, Identity: &identity, Created: began,
		Outcome: auth.Outcome{Verdict: auth.Unchanged, Account: at.session.Account},
		Proves:  f.sessionHash(at.session), Enrols: enrols,
	}}, nil
}

func (f *Flow) provePage(r *http.Request, at proving, rd string) web.Prove {
	return web.Prove{Username: at.profile.Username, ReturnTo: rd, StepUp: f.forbids(r, rd, at.person) != nil}
}

// renew puts the session of a person who has proved the account's password, and
// its factor where it has one, under a new id. It is the session in which they
// were asked, and no other: somebody could have a stranger prove it to him.
func (f *Flow) renew(w http.ResponseWriter, r *http.Request, p auth.Pending) error {
	sess, err := f.provingSession(r, p)
	if err != nil {
		return err
	}
	n := *sess
	n.Proved = p.Created // not now: the password may have been changed since it was given
	n.Raise(p.Factor)
	if _, err := f.Sessions.Renew(w, r, n); err != nil {
		return err
	}
	f.drop(w, r, factorSuffix)
	f.audit(r, "proved_again", slog.String("connection", n.Identity.Connection), accountAttr(n.Account), slog.String("factor", p.Factor))
	redirect(w, r, p.ReturnTo)
	return nil
}

// provingSession is the session of a person who shows that it is them, which
// must be open and the one in which they began. Errors: auth.ErrInvalidState,
// auth.ErrStoreDown.
func (f *Flow) provingSession(r *http.Request, p auth.Pending) (*auth.Session, error) {
	sess, _, err := f.Sessions.Authenticate(r)
	if err == nil {
		err = f.sameSession(sess, p.Proves)
	}
	if errors.Is(err, auth.ErrUnauthenticated) {
		err = fmt.Errorf("prove: %w: %w", auth.ErrInvalidState, err)
	}
	return sess, err
}

func (f *Flow) notProvedAgain(r *http.Request, s *auth.Session, err error) {
	f.failed(r, s.Identity.Connection, err, accountAttr(s.Account))
}

// sessionHash is what a pending sign-in keeps of the session that it is for: who
// reads it cannot use it.
func (f *Flow) sessionHash(s *auth.Session) string { return f.Index.Hash("pending-session", s.ID) }

func (f *Flow) sameSession(s *auth.Session, hash string) error {
	if subtle.ConstantTimeCompare([]byte(f.sessionHash(s)), []byte(hash)) != 1 {
		return fmt.Errorf("%w: begun in another session", auth.ErrInvalidState)
	}
	return nil
}

// Proved reports whether the person has lately proved what changes of the
// account want: its password and factor or, where it has no password, a sign-in.
func (f *Flow) Proved(ctx context.Context, s *auth.Session) (bool, error) {
	if f.Passwords != nil {
		has, err := f.Passwords.HasPassword(ctx, s.Account)
		if err != nil {
			return false, err
		}
		if has {
			enrolled, err := f.enrolled(ctx, s.Account)
			return err == nil && s.FreshlyProved(f.now(), enrolled), err
		}
	}
	return s.FreshlyStarted(f.now()), nil
}

// proveURL is where a person proves that it is them, and comes back from.
func (f *Flow) proveURL(rd string) string {
	return f.Prefix + "/prove?" + url.Values{"rd": {rd}}.Encode()
}

func accountAttr(account string) slog.Attr { return slog.String("account", account) }
