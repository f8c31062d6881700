package account

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/auditlog"
	"gatehouse/internal/clientip"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/throttle"
	"gatehouse/internal/web"
)

// Sessions are the sessions of people.
type Sessions interface {
	Authenticate(r *http.Request) (*auth.Session, *auth.Person, error)
	// Open calls f for each live session of an account.
	Open(ctx context.Context, account string, f func(*auth.Session) error) error
	// Renew puts the session under a new id, as n. Errors:
	// auth.ErrUnauthenticated when it has ended, auth.ErrStoreDown.
	Renew(w http.ResponseWriter, r *http.Request, n auth.Session) (*auth.Session, error)
	// EndID errors with auth.ErrNotFound when there is no such session.
	EndID(ctx context.Context, id string) error
	// EndOthers ends all sessions of an account but one.
	EndOthers(ctx context.Context, account, keep string) (int, error)
}

// Profiles shows accounts to their owners. Errors: auth.ErrNotFound,
// auth.ErrStoreDown.
type Profiles interface {
	Profile(ctx context.Context, account string) (auth.Profile, error)
	// Activity returns what happened to an account lately, newest first.
	Activity(ctx context.Context, account string) ([]auth.Activity, error)
}

// Links cuts the ties of accounts. Errors: auth.ErrLastWay, auth.ErrNotFound,
// auth.ErrStoreDown.
type Links interface {
	UnlinkOwn(ctx context.Context, account string, l auth.LinkedIdentity) error
}

// Passwords keeps the passwords of accounts.
type Passwords interface {
	// Since returns when the account's password was set; zero: it has none.
	Since(ctx context.Context, account string) (time.Time, error)
	HasPassword(ctx context.Context, account string) (bool, error)
	// Refuses tells the person why a password will not do and what to do; "": it
	// will. The names are what others know of them.
	Refuses(password string, names ...string) string
	// Change gives the account another password. The present one was proved at
	// that time. Errors: auth.ErrInvalidState when another password was set since,
	// *auth.Throttled, auth.ErrStoreDown; *auth.Unsuitable for one that Refuses
	// refuses.
	Change(ctx context.Context, account, password string, proved time.Time, names ...string) error
}

// Factors is what accounts have enrolled, of all kinds. Errors:
// auth.ErrNotFound, auth.ErrStoreDown.
type Factors interface {
	All(ctx context.Context, account string) ([]auth.Authenticator, error)
	// Remove also forgets the recovery codes with the last factor that there
	// is to recover.
	Remove(ctx context.Context, account, kind, id string) error
	// Rename errors with auth.ErrMalformed for what is no name.
	Rename(ctx context.Context, account, kind, id, name string) error
}

// Turns lets the factors of an account be changed by one request at a time.
type Turns interface {
	// Alone errors with auth.ErrBusy and a *auth.Throttled while somebody else
	// changes them, with auth.ErrStoreDown, and with what change errors with.
	Alone(ctx context.Context, account string, change func(context.Context) error) error
}

// Demands are what administrators ask of accounts.
type Demands interface {
	// Met ends the demand of an enrolment, if there is one. Errors:
	// auth.ErrStoreDown.
	Met(ctx context.Context, account string) error
}

// Recovery makes recovery codes.
type Recovery interface {
	Kind() string
	Generate() []string
	// Keep makes the codes the account's; the ones before are void.
	Keep(ctx context.Context, account string, codes []string) error
}

// Connection is a configured connection.
type Connection struct {
	ID, Name string
	Linkable bool // a person may link an identity of it to their account
}

// Account is the signed-in person's own page. Passwords is nil where local
// sign-in is off, Recovery where recovery codes may not be used; Client,
// Device, Log and Now may be nil.
type Account struct {
	Origin      string // of public_url
	Prefix      string // of Gatehouse's own endpoints, such as /oauth2
	Connections []Connection
	Headers     func(*auth.Person) []web.Header // what applications are told, in the order in which it is shown

	Sessions  Sessions
	Profiles  Profiles
	Links     Links
	Passwords Passwords
	Factors   Factors
	Turns     Turns
	Demands   Demands
	Enrollers []auth.Enroller // that may be used, in the order in which they are offered
	Recovery  Recovery
	Required  bool // a sign-in with a password owes a second factor
	Events    auth.Events

	Store store.Store
	Index *seal.IndexKey
	Keys  *seal.Keyring

	Pages *web.Pages
	QR    func(uri string) (dataURL string, err error) // draws an enrolment's key URI

	Client func(*http.Request) netip.Addr // who asks, behind trusted proxies
	Device func(*http.Request) string     // the browser by which attempts are counted, as at the sign-in
	Log    *slog.Logger
	Now    func() time.Time

	origin *http.CrossOriginProtection
}

// maxBody bounds the forms of these endpoints, in bytes. The answer of a factor
// may triple in a form.
const maxBody = 64 << 10

// visit is one request of a signed-in person.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	session *auth.Session
	person  *auth.Person
	// password: the account has one, and it may be used.
	password bool
	form     url.Values // of a POST
}

type page func(v *visit) error

// Mount puts the endpoints on mux. It errors on an origin that is none.
func (a *Account) Mount(mux *http.ServeMux) error {
	a.origin = http.NewCrossOriginProtection()
	if err := a.origin.AddTrustedOrigin(a.Origin); err != nil {
		return fmt.Errorf("account page: %w", err)
	}
	a.mount(mux, "", a.overview, nil)
	a.mount(mux, "/sessions/end", nil, a.owned(a.endSession))
	a.mount(mux, "/sessions/end_others", nil, a.owned(a.endOthers))
	a.mount(mux, "/unlink", nil, a.recent(a.unlink))
	a.mount(mux, "/password", a.proved(a.showPassword), a.proved(a.changePassword))
	a.mount(mux, "/factors/add", nil, a.proved(a.offer))
	a.mount(mux, "/factors/confirm", a.proved(a.showOffer), a.proved(a.confirm))
	a.mount(mux, "/factors/rename", nil, a.proved(a.rename))
	a.mount(mux, "/factors/remove", nil, a.proved(a.remove))
	a.mount(mux, "/recovery", nil, a.proved(a.makeCodes))
	return nil
}

// mount serves one path; get or post may be nil.
func (a *Account) mount(mux *http.ServeMux, path string, get, post page) {
	var allow []string
	if get != nil {
		allow = append(allow, http.MethodGet, http.MethodHead)
	}
	if post != nil {
		allow = append(allow, http.MethodPost)
	}
	mux.HandleFunc(a.Prefix+"/account"+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		var err error
		switch {
		case get != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			err = a.serve(w, r, get)
		case post != nil && r.Method == http.MethodPost:
			err = a.accept(w, r, post)
		default:
			w.Header().Set("Allow", strings.Join(allow, ", "))
			err = auth.ErrMethodNotAllowed
		}
		if err != nil {
			a.Pages.Error(w, r, err)
		}
	})
}

// accept serves a form of our own. Without the check another site could have
// the person's browser change their account.
func (a *Account) accept(w http.ResponseWriter, r *http.Request, f page) error {
	if err := a.origin.Check(r); err != nil {
		return fmt.Errorf("%w: %w", auth.ErrCrossSite, err)
	}
	r.Form = url.Values{} // keeps ParseForm from the query
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("form: %w: %w", auth.ErrMalformed, err)
	}
	for field, values := range r.PostForm {
		if len(values) > 1 {
			return fmt.Errorf("form: %w: %s is given more than once", auth.ErrMalformed, field)
		}
	}
	return a.serve(w, r, f)
}

// serve finds out who asks. Nobody is sent to sign in, and comes back to the
// page and not to what was asked: a form is not sent twice.
func (a *Account) serve(w http.ResponseWriter, r *http.Request, f page) error {
	ctx := auth.WithClient(r.Context(), auth.NewClient(a.client(r), r.UserAgent()))
	if a.Device != nil {
		// Else strangers who guess at the account elsewhere keep its owner from
		// changing it here, and a right code here frees their guesses.
		ctx = throttle.WithDevice(ctx, a.Device(r))
	}
	r = r.WithContext(ctx)
	v := &visit{w: w, r: r, form: r.PostForm}
	var err error
	v.session, v.person, err = a.Sessions.Authenticate(r)
	if errors.Is(err, auth.ErrUnauthenticated) && web.WantsPage(r) {
		a.redirect(v, "/sign_in?rd="+url.QueryEscape(a.Prefix+"/account"))
		return nil
	}
	if err != nil {
		return err
	}
	if v.session.Account != "" && a.Passwords != nil {
		if v.password, err = a.Passwords.HasPassword(r.Context(), v.session.Account); err != nil {
			return err
		}
	}
	return f(v)
}

// owned is for who has an account.
func (a *Account) owned(f page) page {
	return func(v *visit) error {
		if v.session.Account == "" {
			return auth.ErrNotFound
		}
		return f(v)
	}
}

// proved is for who has lately given the account's own password and factor.
func (a *Account) proved(f page) page {
	return a.owned(func(v *visit) error {
		if !v.password {
			return auth.ErrNotFound
		}
		fresh, err := a.hasProved(v)
		if err != nil {
			return err
		}
		if !fresh {
			a.toProve(v)
			return nil
		}
		return f(v)
	})
}

func (a *Account) hasProved(v *visit) (bool, error) {
	enrolled, err := a.Factors.All(v.r.Context(), v.session.Account)
	return err == nil && v.session.FreshlyProved(a.now(), enrolled), err
}

// recent is proved for an account that has a password; for another one, whose
// person cannot prove it here, it is a sign-in that is not long ago.
func (a *Account) recent(f page) page {
	whole := a.proved(f)
	return a.owned(func(v *visit) error {
		if v.password {
			return whole(v)
		}
		if !v.session.FreshlyStarted(a.now()) {
			a.toProve(v)
			return nil
		}
		return f(v)
	})
}

// toProve sends the person to show that it is them, with what they have. They
// come back to the page that they asked for; after a form, to the overview.
func (a *Account) toProve(v *visit) {
	back := a.Prefix + "/account"
	if v.r.Method != http.MethodPost {
		back = v.r.URL.Path
	}
	a.redirect(v, "/prove?rd="+url.QueryEscape(back))
}

// redirect sends the browser to a path under the prefix.
func (a *Account) redirect(v *visit, to string) {
	v.w.Header().Set("Location", a.Prefix+to)
	if v.r.Method == http.MethodPost {
		v.w.WriteHeader(http.StatusSeeOther)
		return
	}
	v.w.WriteHeader(http.StatusFound)
}

// client is who asks; the zero Addr where that is not known (a Unix socket).
func (a *Account) client(r *http.Request) netip.Addr {
	if a.Client != nil {
		return a.Client(r)
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr().Unmap()
}

// audit writes one line for one change. What was typed is never in it.
func (a *Account) audit(v *visit, event string, attrs ...slog.Attr) {
	auditlog.Write(v.r.Context(), a.Log, event, append(attrs,
		slog.String("account", v.session.Account),
		slog.String("client", clientip.Peer{Client: a.client(v.r)}.String()),
		slog.String("request_id", web.RequestID(v.r.Context())))...)
}

func (a *Account) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}
