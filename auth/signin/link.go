package signin

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// link is POST link: a person who is signed in goes to an identity provider to
// have who they are there linked to their account. It is a POST, and asks for a
// proof that is not old: whoever finds an unlocked screen would else have a way
// in of his own.
func (f *Flow) link(w http.ResponseWriter, r *http.Request) (reached, error) {
	form, err := postForm(r, "connection")
	if err != nil {
		return reached{}, err
	}
	page := f.Prefix + "/account"
	sess, _, err := f.Sessions.Authenticate(r)
	if err != nil {
		return reached{}, f.firstSignIn(w, r, page, err)
	}
	c := f.connection(form.Get("connection"))
	if sess.Account == "" || f.Linker == nil || c == nil {
		return reached{}, auth.ErrNotFound
	}
	fresh, err := f.Proved(r.Context(), sess)
	if err != nil {
		return reached{}, err
	}
	if !fresh {
		redirect(w, r, f.proveURL(page))
		return reached{}, nil
	}
	return reached{milestone: chosen, connection: c, pending: auth.Pending{ReturnTo: page + "#links", Links: f.sessionHash(sess)}}, nil
}

// linkOwn links the identity that has just signed in to the account of the
// session in which it was asked for. The session is looked at again: it may have
// ended while the person was away, or be somebody else's by now, and a proof
// grows old. Of that session nothing changes.
func (f *Flow) linkOwn(w http.ResponseWriter, r *http.Request, p auth.Pending) error {
	sess, _, err := f.Sessions.Authenticate(r)
	if err == nil {
		err = f.sameSession(sess, p.Links)
	}
	if errors.Is(err, auth.ErrUnauthenticated) {
		err = fmt.Errorf("link: %w: %w", auth.ErrInvalidState, err)
	}
	if err != nil {
		return err
	}
	fresh, err := f.Proved(r.Context(), sess)
	if err == nil && !fresh {
		err = fmt.Errorf("link: %w: it took too long", auth.ErrInvalidState)
	}
	if err != nil {
		return err
	}
	outcome, err := f.Linker.LinkOwn(r.Context(), *p.Identity, sess.Account)
	if err != nil {
		return web.TryAt(err, p.ReturnTo, "")
	}
	f.audit(r, "identity_linked", slog.String("connection", p.Connection), slog.String("subject", p.Identity.Subject),
		accountAttr(sess.Account), slog.String("verdict", string(outcome.Verdict)), slog.String("decision_id", outcome.Decision))
	redirect(w, r, p.ReturnTo)
	return nil
}
