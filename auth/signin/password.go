package signin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/cookie"
	"gatehouse/internal/throttle"
	"gatehouse/internal/web"
)

// donePassword as done tells the sign-in page what came before it.
const (
	donePassword = "password"
	notePassword = "Your password is set. Sign in with it now."
)

// Texts of the sign-in page. They are the same whoever was named.
const (
	problemWrong     = "The username or the password is not right."
	problemThrottled = "There were too many attempts." // the page adds when to try again
	problemNoLocal   = "This address does not belong to one of the organisations below. Choose how to sign in."
)

// password is POST sign_in.
func (f *Flow) password(w http.ResponseWriter, r *http.Request) (reached, error) {
	form, err := postForm(r, "username", "password")
	if err != nil {
		return reached{}, err
	}
	rd := form.Get("rd")
	if rd == "" {
		rd = r.URL.Query().Get("rd")
	}
	returnTo := f.returnTo(r, rd)
	if f.elsewhere(r) {
		redirect(w, r, f.Site.SignIn(returnTo))
		return reached{}, nil
	}
	login := strings.TrimSpace(form.Get("username"))
	if c := f.claimed(login); c != nil {
		redirect(w, r, f.startURL(c, returnTo))
		return reached{}, nil
	}
	page := web.SignIn{ReturnTo: returnTo, Username: login}
	if f.Passwords == nil {
		page.Problem = problemNoLocal
		f.signInPage(w, r, http.StatusUnauthorized, page)
		return reached{}, nil
	}
	began := f.now().UTC()
	id, err := f.verify(r, login, form.Get("password"))
	if err == nil {
		return reached{milestone: identified, pending: auth.Pending{
			Connection: auth.Local, ReturnTo: returnTo, Identity: &id, Created: began,
		}}, nil
	}
	slow, throttled := errors.AsType[*auth.Throttled](err)
	switch {
	case throttled:
		if slow.Client {
			f.crowded(r)
		}
		page.Problem, page.RetryAfter = problemThrottled, slow.RetryAfter
		f.failed(r, auth.Local, err)
		f.signInPage(w, r, http.StatusTooManyRequests, page)
	case errors.Is(err, auth.ErrWrongPassword):
		page.Problem = problemWrong
		f.failed(r, auth.Local, err)
		f.signInPage(w, r, http.StatusUnauthorized, page)
	default:
		return reached{pending: auth.Pending{Connection: auth.Local}}, err
	}
	return reached{}, nil
}

func (f *Flow) verify(r *http.Request, login, password string) (auth.Identity, error) {
	id, err := f.Passwords.Authenticate(throttle.WithDevice(r.Context(), f.Device(r)), login, password)
	if err != nil {
		return auth.Identity{}, err
	}
	// A local proof is a password and nothing else, whatever the identity says.
	id.Connection, id.AMR = auth.Local, []string{auth.MethodPassword}
	if id.AuthTime.IsZero() {
		id.AuthTime = f.now().UTC()
	}
	return id, nil
}

// Device is what throttle.Remember gave the browser to keep, by which its
// attempts are counted; "" where it has none.
func (f *Flow) Device(r *http.Request) string {
	return cookie.ID(r, f.Cookies.Step(deviceSuffix))
}

// claimed returns the connection whose e-mail domains hold what was typed. It
// looks at the domain only, so it says nothing about who has an account.
func (f *Flow) claimed(login string) *Connection {
	local, domain, found := strings.Cut(login, "@")
	if !found || local == "" || strings.Contains(domain, "@") {
		return nil
	}
	for i := range f.Connections {
		if slices.Contains(f.Connections[i].EmailDomains, strings.ToLower(domain)) {
			return &f.Connections[i]
		}
	}
	return nil
}

// postForm reads the body of a form, in which each of the fields may stand
// once. The query is no part of it: a password there would end up in logs.
func postForm(r *http.Request, fields ...string) (url.Values, error) {
	// A Form that is there already keeps ParseForm from the query, which is
	// judged elsewhere and never an error.
	r.Form = url.Values{}
	if err := r.ParseForm(); err != nil {
		return nil, fmt.Errorf("form: %w: %w", auth.ErrMalformed, err)
	}
	for _, field := range fields {
		if len(r.PostForm[field]) > 1 {
			return nil, fmt.Errorf("form: %w: %s is given more than once", auth.ErrMalformed, field)
		}
	}
	return r.PostForm, nil
}
