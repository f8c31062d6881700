package signin

import (
	"fmt"
	"net/http"
	"net/url"

	"gatehouse/auth"
	"gatehouse/internal/clientip"
	"gatehouse/internal/cookie"
	"gatehouse/internal/web"
)

// start is GET start. Only connection and rd are looked at: nothing else of
// the query can reach the identity provider, where it could add or override
// protocol parameters.
func (f *Flow) start(w http.ResponseWriter, r *http.Request) (reached, error) {
	q := r.URL.Query()
	returnTo := f.returnTo(r, q.Get("rd"))
	if f.elsewhere(r) {
		redirect(w, r, f.Site.Origin()+f.Prefix+"/start?"+url.Values{"connection": q["connection"], "rd": {returnTo}}.Encode())
		return reached{}, nil
	}
	var c *Connection
	switch ids := q["connection"]; {
	case len(ids) > 1:
		return reached{}, fmt.Errorf("start: %w: connection is given more than once", auth.ErrMalformed)
	case len(ids) == 1 && ids[0] != "":
		c = f.connection(ids[0])
	case len(f.Connections) == 1:
		c = &f.Connections[0]
	default:
		redirect(w, r, f.Site.SignIn(returnTo))
		return reached{}, nil
	}
	if c == nil {
		return reached{}, auth.ErrNotFound
	}
	return reached{milestone: chosen, connection: c, pending: auth.Pending{ReturnTo: returnTo, ACR: f.levels(r, c, returnTo)}}, nil
}

// begin sends the browser to a connection's identity provider. Of the sign-in
// it takes where it leads to, at which level, what it confirms, and what it is
// linked to.
func (f *Flow) begin(w http.ResponseWriter, r *http.Request, c *Connection, sought auth.Pending) error {
	if wait := f.Quotas.away.take(f.client(r), f.now()); wait > 0 {
		f.crowded(r)
		return fmt.Errorf("%w: %w", auth.ErrTooManySignIns, &auth.Throttled{RetryAfter: wait})
	}
	bind := f.binding(r)
	p := auth.Pending{
		State:      cookie.NewID(),
		Nonce:      cookie.NewID(),
		Verifier:   cookie.NewID(),
		Connection: c.Provider.ID(),
		ReturnTo:   sought.ReturnTo,
		ACR:        sought.ACR,
		Confirms:   sought.Confirms,
		Links:      sought.Links,
		Browser:    f.Index.Hash("browser", bind.Value),
		Created:    f.now().UTC(),
	}
	to, err := c.Provider.Begin(r.Context(), p)
	if err == nil {
		err = f.keep(r.Context(), atProvider, p.State, p)
	}
	if err != nil {
		f.Quotas.away.give(f.client(r))
		return err
	}
	f.Cookies.SetStep(w, bind.Name, bind.Value, pendingLife)
	redirectAnyhow(w, r, to)
	return nil
}

// crowded says how to mend it where all visitors are taken for one client: a
// proxy that is not trusted hides them, and one of them can use up what is for
// all, unfinished sign-ins or wrong passwords.
func (f *Flow) crowded(r *http.Request) {
	if f.Log == nil || f.trusted(r) || len(r.Header["X-Forwarded-For"])+len(r.Header["Forwarded"]) == 0 || !f.Quotas.away.warnAgain(f.now()) {
		return
	}
	f.Log.WarnContext(r.Context(), "a client that may be a proxy has too many unfinished sign-ins or wrong attempts; if it is yours, name it in server.trusted_proxies, so that its visitors are told apart",
		"client", clientip.Peer{Client: f.client(r)}.String(), "request_id", web.RequestID(r.Context()))
}
