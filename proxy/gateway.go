package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/clientip"
	"gatehouse/internal/config"
	"gatehouse/internal/returnurl"
	"gatehouse/internal/web"
)

// Authenticator tells who a request comes from.
type Authenticator interface {
	// Authenticate errors with auth.ErrUnauthenticated and auth.ErrStoreDown.
	// It reads cookies and never the body, and is called again while an
	// exchange stays open.
	Authenticate(r *http.Request) (*auth.Session, *auth.Person, error)
}

// Errors turns an error into an answer; *web.Pages does.
type Errors interface {
	Error(w http.ResponseWriter, r *http.Request, err error)
	// Unauthenticated answers a program that has no session: 401 and the URL
	// at which a person can sign in.
	Unauthenticated(w http.ResponseWriter, r *http.Request, signIn string)
}

// Gateway is the handler of the public listener. New compiles the
// configuration; the exported fields are set before the first request.
type Gateway struct {
	Sessions Authenticator
	Own      http.Handler // Gatehouse's prefix, /ping, /ready, /.well-known/gatehouse/; ForwardAuth among them
	Pages    Errors
	// StepUp answers a person whom more proof would let in, and never with a
	// status below 300; nil: they are refused like others.
	StepUp    func(w http.ResponseWriter, r *http.Request, refused *auth.Forbidden)
	Decisions *Decisions       // nil: none is remembered
	Log       *slog.Logger     // nil: slog.Default
	Now       func() time.Time // nil: time.Now

	// Identity encodes people as headers; provision asks it whether they fit.
	Identity *Identity
	// Site is where a sign-in may return to: public_url, the hosts of the
	// routes, because their people are sent to public_url to sign in, and
	// session.return_domains.
	Site *returnurl.Site
	// Exchanges are its own, unless those of an older Gateway take their place.
	Exchanges *Exchanges

	table    *table
	unrouted Meter // of requests that fall under no route
	proxies  *clientip.Proxies
	cookies  ownCookies
	public   *url.URL
	prefix   string
	api      paths // api_paths
	buffers  buffers
	close    []func()
}

// New compiles a configuration.
func New(cfg *config.Config) (*Gateway, error) {
	g := &Gateway{prefix: cfg.Server.Prefix, cookies: ownCookies{cfg.Session.CookieName}, Exchanges: &Exchanges{}, unrouted: unmeasured{}}
	var err error
	if g.public, err = url.Parse(cfg.Server.PublicURL); err != nil || g.public.Host == "" {
		return nil, fmt.Errorf("compile the gateway: public_url %q is not a URL", cfg.Server.PublicURL)
	}
	if g.Site, err = returnSite(cfg, g.public); err != nil {
		return nil, fmt.Errorf("compile the gateway: %w", err)
	}
	if g.proxies, err = clientip.New(cfg.Server.TrustedProxies); err != nil {
		return nil, fmt.Errorf("compile the gateway: %w", err)
	}
	var attributes []string
	for _, c := range cfg.Connections {
		for _, a := range c.Attributes {
			attributes = append(attributes, a.Name)
		}
	}
	if g.Identity, err = IdentityHeaders(cfg.IdentityHeaders, attributes); err != nil {
		return nil, fmt.Errorf("compile the gateway: %w", err)
	}
	if g.table, err = newTable(cfg.Routes, cfg.Server.Prefix); err != nil {
		return nil, fmt.Errorf("compile the gateway: %w", err)
	}
	g.api = paths{single: map[string][]*route{}, subtree: map[string][]*route{}}
	for _, p := range cfg.APIPaths {
		rt := ownRoute(p)
		g.api.add(rt.path, rt)
	}
	if err := g.connect(); err != nil {
		return nil, fmt.Errorf("compile the gateway: %w", err)
	}
	return g, nil
}

// returnSite is where a sign-in may return to. Hosts of routes are meant on the port
// of public_url.
func returnSite(cfg *config.Config, public *url.URL) (*returnurl.Site, error) {
	domains := slices.Clone(cfg.Session.ReturnDomains)
	for _, r := range cfg.Routes {
		switch {
		case r.Host == "":
		case public.Port() == "":
			domains = append(domains, r.Host)
		default:
			domains = append(domains, r.Host+":"+public.Port())
		}
	}
	return returnurl.New(cfg.Server.PublicURL, cfg.Server.Prefix, domains)
}

// Close releases directories and idle connections to upstreams.
func (g *Gateway) Close() {
	for _, f := range g.close {
		f()
	}
}

// ServeHTTP answers one request of the public listener.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, gateway: g, start: g.now(), peer: g.proxies.Peer(r)}
	x.id, x.trace = requestID(r, x.peer.Trusted), traceID(r.Header)
	w.Header()["X-Request-Id"] = []string{x.id}
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
	defer g.finish(x, r)
	if err := g.serve(x, r); err != nil {
		g.refuse(x, r, err)
	}
}

// finish logs and counts the exchange, and keeps a panic of a handler from
// ending it without an answer or a line in the log.
func (g *Gateway) finish(x *exchange, r *http.Request) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		g.log().Error("handler panicked", "request_id", x.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		x.verdict = verdictInternal
		if x.status == 0 {
			g.refuse(x, r, errors.New("handler panicked"))
			p = nil
		} else {
			p = http.ErrAbortHandler
		}
	}
	x.ended(r, p != nil)
	took := g.now().Sub(x.start)
	x.log(r, g.log(), took)
	g.Decisions.note(x, r)
	meter := g.unrouted
	if x.route != nil {
		meter = x.route.meter
	} else {
		meter.Opened()
	}
	meter.Closed(x.verdict, x.status, took, x.upstream)
	x.limitBody(r, drainTime)
	x.unlimitAnswer(r)
	if p != nil {
		panic(p)
	}
}

// serve is the road of a request. An error is answered by refuse.
func (g *Gateway) serve(x *exchange, r *http.Request) error {
	if strings.EqualFold(r.Method, http.MethodConnect) || strings.EqualFold(r.Method, http.MethodTrace) {
		// A tunnel would pass the rules by; TRACE shows cookies to scripts.
		return auth.ErrMethodNotAllowed
	}
	err := checkHTTP2(r)
	if err != nil {
		return err
	}
	if x.target, err = requestTarget(r); err != nil {
		return err
	}
	rt, err := g.table.routeOf(r, x.target.path)
	if err != nil {
		return err
	}
	x.route = rt
	rt.meter.Opened()
	if rt.own {
		return g.serveOwn(x, r)
	}
	if rt.way.grants() {
		return g.grant(x, r)
	}
	if x.person, err = g.admit(x, r, rt); err != nil {
		return err
	}
	x.verdict = verdictAllowed
	if rt.isPublic(by(nil, x.peer)) {
		x.verdict = verdictPublic
	}
	return g.forward(x, r)
}

// serveOwn hands a request to Gatehouse's own handlers. ServeMux redirects
// paths that it would clean; here such a path does not exist.
func (g *Gateway) serveOwn(x *exchange, r *http.Request) error {
	clean := path.Clean(r.URL.Path)
	if clean != r.URL.Path && clean+"/" != r.URL.Path {
		return auth.ErrNotFound
	}
	x.verdict = verdictOwn
	x.Header().Set("Cache-Control", "no-store")
	if r.Body != nil && r.ContentLength != 0 {
		x.body = &requestBody{ReadCloser: r.Body}
		r.Body = x.body
	}
	x.limitBody(r, ownBodyTime)
	x.limitAnswer()
	g.Own.ServeHTTP(x, x.introduce(r))
	return nil
}

// admit returns the person of a request whom the route lets pass. On a public
// route a session that cannot be checked means no identity.
func (g *Gateway) admit(x *exchange, r *http.Request, rt *route) (*auth.Person, error) {
	public := rt.isPublic(by(nil, x.peer))
	if public && r.Header["Cookie"] == nil {
		return nil, nil
	}
	_, p, err := g.Sessions.Authenticate(r)
	switch {
	case public && err != nil:
		return nil, nil
	case public:
		return p, nil
	case err != nil:
		return nil, err
	case p == nil:
		return nil, auth.ErrUnauthenticated
	case !rt.access.admits(by(p, x.peer)):
		return p, rt.forbids(by(p, x.peer))
	}
	return p, nil
}

// refuse answers with what err means.
func (g *Gateway) refuse(x *exchange, r *http.Request, err error) {
	x.verdict, x.reason, x.refused = verdictOf(err), web.Code(err), true
	if errors.Is(err, auth.ErrMalformed) {
		x.err = err
	}
	h := x.Header()
	h.Set("Cache-Control", "no-store")
	x.limitBody(r, drainTime)
	x.limitAnswer()
	if r.ContentLength < 0 && r.ProtoMajor == 1 {
		// net/http would wait for the end of a body that nobody reads before
		// it answers.
		h.Set("Connection", "close")
	}
	r = x.introduce(r)
	if x.original != (original{}) {
		r = r.WithContext(web.WithOriginal(r.Context(), g.origin(), g.Site.Choose(r, "", x.peer.Trusted)))
	}
	forbidden, would := raisable(err)
	switch {
	case errors.Is(err, auth.ErrUnauthenticated) && !errors.Is(err, auth.ErrStoreDown):
		g.unauthenticated(x, r)
		return
	case would && g.StepUp != nil && g.navigation(x, r):
		if x.original != (original{}) {
			g.sendTo(x, r, "/step_up")
			return
		}
		g.StepUp(x, r, forbidden)
		return
	case errors.Is(err, auth.ErrMethodNotAllowed):
		h.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	case errors.Is(err, auth.ErrMalformed):
		// Who sends what has two readings may have framed it so too.
		h.Set("Connection", "close")
	}
	g.Pages.Error(x, r, err)
}

// origin is that of public_url.
func (g *Gateway) origin() string { return g.public.Scheme + "://" + g.public.Host }

func (g *Gateway) now() time.Time {
	if g.Now == nil {
		return time.Now()
	}
	return g.Now()
}

func (g *Gateway) log() *slog.Logger {
	if g.Log == nil {
		return slog.Default()
	}
	return g.Log
}
