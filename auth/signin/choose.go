package signin

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// choose is GET sign_in: the page with every way in; straight on where there
// is only one, or where the person is signed in already.
func (f *Flow) choose(w http.ResponseWriter, r *http.Request) (reached, error) {
	returnTo := f.returnTo(r, r.URL.Query().Get("rd"))
	if f.elsewhere(r) {
		redirect(w, r, f.Site.SignIn(returnTo))
		return reached{}, nil
	}
	_, _, err := f.Sessions.Authenticate(r)
	if err == nil {
		redirect(w, r, returnTo)
		return reached{}, nil
	}
	if !errors.Is(err, auth.ErrUnauthenticated) {
		return reached{}, err
	}
	if len(f.Connections) == 1 && f.Passwords == nil {
		return reached{milestone: chosen, connection: &f.Connections[0], pending: auth.Pending{ReturnTo: returnTo}}, nil
	}
	page := web.SignIn{ReturnTo: returnTo}
	if r.URL.Query().Get("done") == donePassword {
		page.Note = notePassword
	}
	f.signInPage(w, r, http.StatusOK, page)
	return reached{}, nil
}

// signInPage adds the ways in to d and shows it.
func (f *Flow) signInPage(w http.ResponseWriter, r *http.Request, status int, d web.SignIn) {
	for i := range f.Connections {
		c := &f.Connections[i]
		d.Connections = append(d.Connections, web.Choice{Name: c.Name, URL: f.startURL(c, d.ReturnTo)})
	}
	d.Local = f.Passwords != nil
	d.Passkey = f.opensAlone()
	d.Reset = d.Local && f.Resets != nil
	f.Pages.SignIn(w, r, status, d)
}

func (f *Flow) startURL(c *Connection, returnTo string) string {
	return f.Prefix + "/start?" + url.Values{"connection": {c.Provider.ID()}, "rd": {returnTo}}.Encode()
}

// returnTo is where the person wants to go, judged.
func (f *Flow) returnTo(r *http.Request, rd string) string {
	return f.Site.Choose(r, rd, f.trusted(r))
}

// elsewhere reports whether the request came in on a host of the site that is
// not public_url's. Every sign-in runs there, because there the cookies of its
// steps live and the identity provider answers. A host that is not known at
// all was put in by a proxy in front: redirecting it would never end.
func (f *Flow) elsewhere(r *http.Request) bool {
	host := r.Host
	if f.trusted(r) {
		if forwarded := r.Header.Values("X-Forwarded-Host"); len(forwarded) == 1 {
			host = forwarded[0]
		}
	}
	return !f.Site.Public(host) && f.Site.Knows(host)
}

// redirectAnyhow is redirect with a page that leads on by itself. A browser looks
// at it only where a proxy has put another status in place of the redirect's, as
// older instructions for oauth2-proxy have nginx do (error_page 401 =403): it would
// show nothing at all. It is for what leads away from a refusal, and never for what
// leads back to what was refused, which would go on for ever.
func redirectAnyhow(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	redirect(w, r, to)
	if r.Method == http.MethodGet {
		_, _ = fmt.Fprintf(w, `<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=%[1]s"><title>Sign in</title><p><a href="%[1]s">Sign in</a></p>`+"\n", html.EscapeString(to))
	}
}

// redirect sends the browser to a URL that was judged, byte for byte:
// http.Redirect would rewrite it. After a POST the method becomes GET.
func redirect(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Location", to)
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	w.WriteHeader(http.StatusFound)
}
