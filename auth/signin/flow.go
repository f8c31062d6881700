package signin

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/cookie"
	"gatehouse/internal/returnurl"
	"gatehouse/internal/seal"
	"gatehouse/internal/store"
	"gatehouse/internal/web"
)

// Connection is one way in through an identity provider.
type Connection struct {
	Name         string
	EmailDomains []string // lower case; who types such an address is sent there
	ACRValues    []string // asked for where a route wants more proof and names no level; empty: nothing can be
	Provider     auth.Provider
}

// Flow is the browser's way in. Passwords is nil where local sign-in is off;
// Trusted, Client, Log and Now may be nil.
type Flow struct {
	Site        *returnurl.Site
	Prefix      string // of Gatehouse's own endpoints, such as /oauth2
	Connections []Connection
	// Retired are connections that are configured and not enabled. Nobody signs
	// in by them; what their providers say about sign-outs is still heard, or
	// a session could come back with the connection.
	Retired   []Connection
	Passwords Passwords
	Factors   []auth.Factor // all kinds; an enrolment sets up the first that it can
	Methods   []string      // kinds that are in use, as mfa.methods has them
	Recovery  Recovery      // nil: no recovery codes are made
	Demands   Demands       // nil: no enrolment is demanded of anybody
	Turns     Turns
	Passkeys  Passkeys // nil: none is a whole sign-in
	Links     Links
	Resets    Resets // nil: no link is mailed to who has forgotten a password
	Accounts  Accounts
	Enforce   string // mfa.enforce, such as config.EnforceLocal
	Resolver  auth.Resolver
	Linker    Linker
	Sessions  Sessions
	Events    auth.Events
	Rules     Rules // nil: nothing is known of routes, and no sign-in is raised for one

	Store   store.Store
	Index   *seal.IndexKey
	Keys    *seal.Keyring
	Cookies cookie.Policy

	Pages *web.Pages
	QR    func(uri string) (dataURL string, err error) // draws an enrolment's key URI

	Trusted func(*http.Request) bool       // the direct peer is in trusted_proxies
	Client  func(*http.Request) netip.Addr // who asks, behind trusted proxies
	// Count hears how each sign-in ended, "success" or a code of internal/web,
	// and of attempts and proofs that failed. Connection is "" where it is not
	// known. May be nil.
	Count func(connection, outcome string)
	Log   *slog.Logger
	Now   func() time.Time

	Quotas *Quotas // nil: its own

	origin *http.CrossOriginProtection
}

// Mount puts the endpoints on mux. It errors on a Flow that cannot work.
func (f *Flow) Mount(mux *http.ServeMux) error {
	switch f.Enforce {
	case config.EnforceLocal, config.EnforceAll, config.EnforceOff:
	default:
		// A value that is not known would otherwise owe nobody a factor.
		return fmt.Errorf("sign-in: mfa.enforce %q is not known", f.Enforce)
	}
	asks := f.Enforce == config.EnforceAll || (f.Enforce == config.EnforceLocal && f.Passwords != nil)
	if asks && len(f.enrollers()) == 0 {
		return fmt.Errorf("sign-in: mfa.enforce is %s and mfa.methods has no factor that can be enrolled", f.Enforce)
	}
	if f.Quotas == nil {
		f.Quotas = &Quotas{}
	}
	f.origin = http.NewCrossOriginProtection()
	if err := f.origin.AddTrustedOrigin(f.Site.Origin()); err != nil {
		return fmt.Errorf("sign-in: %w", err)
	}
	f.mount(mux, "/sign_in", methods{http.MethodGet: f.run(f.choose), http.MethodPost: f.sameOrigin(f.run(f.password))})
	f.mount(mux, "/start", methods{http.MethodGet: f.run(f.start)})
	f.mount(mux, "/callback", methods{http.MethodGet: f.run(f.callback)})
	f.mount(mux, "/confirm", methods{http.MethodGet: f.run(f.showConfirm), http.MethodPost: f.sameOrigin(f.run(f.proveAccount))})
	f.mount(mux, "/mfa", methods{http.MethodGet: f.run(f.showFactor), http.MethodPost: f.sameOrigin(f.run(f.proveFactor))})
	f.mount(mux, "/passkey", methods{http.MethodGet: f.run(f.showPasskey), http.MethodPost: f.sameOrigin(f.run(f.passkey))})
	f.mount(mux, "/prove", methods{http.MethodGet: f.run(f.showProve), http.MethodPost: f.sameOrigin(f.run(f.prove))})
	f.mount(mux, "/step_up", methods{http.MethodGet: f.run(f.stepUp)})
	f.mount(mux, "/link", methods{http.MethodPost: f.sameOrigin(f.run(f.link))})
	f.mount(mux, "/reset", methods{http.MethodGet: f.showReset, http.MethodPost: f.sameOrigin(f.askReset)})
	f.mount(mux, "/password", methods{http.MethodGet: f.showChoosePassword, http.MethodPost: f.sameOrigin(f.setPassword)})
	f.mount(mux, "/sign_out", methods{http.MethodGet: f.signOut, http.MethodPost: f.signOut})
	f.mount(mux, "/userinfo", methods{http.MethodGet: f.userinfo})
	f.mount(mux, "/backchannel-logout/{connection}", methods{http.MethodPost: f.backchannel})
	return nil
}

type methods map[string]http.HandlerFunc

// maxBody bounds the forms of these endpoints, in bytes. A return URL of 4 KiB
// may triple in a form.
const maxBody = 64 << 10

// mount serves one path. Nothing that these endpoints answer may be kept by a
// cache or named to another site by Referer: their URLs carry state and code.
func (f *Flow) mount(mux *http.ServeMux, path string, m methods) {
	allow := strings.Join(m.allowed(), ", ")
	mux.HandleFunc(f.Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		handle, ok := m[method]
		if !ok {
			w.Header().Set("Allow", allow)
			f.Pages.Error(w, r, auth.ErrMethodNotAllowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		handle(w, r.WithContext(auth.WithClient(r.Context(), auth.NewClient(f.client(r), r.UserAgent()))))
	})
}

func (m methods) allowed() []string {
	var all []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if _, ok := m[method]; ok {
			all = append(all, method)
			if method == http.MethodGet {
				all = append(all, http.MethodHead)
			}
		}
	}
	return all
}

// sameOrigin refuses forms that another site posts. Without it such a site
// could sign the person in as the attacker, who then reads what the victim
// does (login CSRF).
func (f *Flow) sameOrigin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f.origin.Check(r); err != nil {
			f.fail(w, r, signInFailed, "", fmt.Errorf("%w: %w", auth.ErrCrossSite, err))
			return
		}
		next(w, r)
	}
}

func (f *Flow) connection(id string) *Connection {
	for i := range f.Connections {
		if f.Connections[i].Provider.ID() == id {
			return &f.Connections[i]
		}
	}
	return nil
}

func (f *Flow) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}

func (f *Flow) trusted(r *http.Request) bool { return f.Trusted != nil && f.Trusted(r) }

// client is who asks; the zero Addr where that is not known (a Unix socket).
func (f *Flow) client(r *http.Request) netip.Addr {
	if f.Client != nil {
		return f.Client(r)
	}
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr().Unmap()
}
