package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/mfa"
	"gatehouse/auth/oidc"
	"gatehouse/auth/signin"
	"gatehouse/internal/clientip"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/internal/web"
	"gatehouse/proxy"
)

// app is a gateway of one configuration, wired: the only place where the
// packages meet. What must outlive the configuration is the process's.
type app struct {
	*state
	pages     *web.Pages
	gateway   *proxy.Gateway
	providers []*oidc.Provider

	// users are the process, as long as this is its app, and each request and
	// command that entered; when the last has left, the app ends.
	users atomic.Int64
	stop  context.CancelFunc // ends the workers of the configuration of now
	end   context.CancelFunc // ends what serves requests in flight too
}

const (
	// storePatience is how long a starting gateway waits for its store.
	storePatience = time.Minute
	storeRetry    = 250 * time.Millisecond // doubled each time
	storeRetryMax = 4 * time.Second
)

// openApp wires the first gateway of a process. It waits a while for a store that
// does not answer yet, because services start in any order, and for no identity
// provider.
func openApp(ctx context.Context, cfg *config.Config, log *slog.Logger, banner string) (*app, error) {
	s, err := waitForState(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	s.banner = banner
	a, err := newApp(s, nil)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.current.Store(a)
	if cfg.Store.Redis == nil {
		log.Info("everything rests in the embedded store: only one process can use it; replicas need store.redis", "path", cfg.Store.Embedded.Path)
	} else {
		warnOfEviction(ctx, s.redis, log)
	}
	return a, nil
}

func waitForState(ctx context.Context, cfg *config.Config, log *slog.Logger) (*state, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	for pause := storeRetry; ; pause = min(2*pause, storeRetryMax) {
		s, err := openState(ctx, cfg, log)
		if !errors.Is(err, store.ErrDown) || errors.Is(err, redis.ErrCredentials) {
			return s, err
		}
		log.Warn("the store does not answer; trying again", "error", err)
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

// newApp wires a gateway upon a state. Providers of old that are configured as
// they were go on with what they know of theirs; old is nil for the first.
func newApp(s *state, old *app) (*app, error) {
	a := &app{
		state: s, pages: &web.Pages{Prefix: s.cfg.Server.Prefix, Banner: s.banner},
		stop: func() {}, end: func() {},
	}
	a.users.Store(1)
	for _, c := range s.cfg.Connections {
		a.providers = append(a.providers, a.provider(c, old))
	}
	var err error
	if a.gateway, err = proxy.New(a.cfg); err != nil {
		return nil, err
	}
	if err := a.wire(); err != nil {
		a.gateway.Close()
		return nil, err
	}
	return a, nil
}

// provider is that of old if nothing about the connection has changed.
func (a *app) provider(c config.Connection, old *app) *oidc.Provider {
	made := &oidc.Provider{
		Connection:  c,
		RedirectURI: a.cfg.Server.PublicURL + a.cfg.Server.Prefix + "/callback",
		Store:       a.store,
		Index:       a.index,
		Log:         a.log,
	}
	made.Connection.Line, made.Connection.Tests = 0, nil // of the file, and of no sign-in
	if old != nil {
		for _, p := range old.providers {
			if p.RedirectURI == made.RedirectURI && reflect.DeepEqual(p.Connection, made.Connection) {
				return p
			}
		}
	}
	return made
}

func (a *app) wire() error {
	a.gateway.Exchanges, a.gateway.Decisions = &a.exchanges, &a.decisions
	a.gateway.Sessions, a.gateway.Pages, a.gateway.Log = a.sessions, a.pages, a.log
	a.gateway.Identity.Log = a.log
	a.gateway.Measure(func(route string) proxy.Meter { return a.metrics.Route(route) })
	var err error
	a.gateway.Own, err = a.own()
	return err
}

// own is the handler of Gatehouse's own endpoints.
func (a *app) own() (http.Handler, error) {
	flow := &signin.Flow{
		Site:        a.gateway.Site,
		Prefix:      a.cfg.Server.Prefix,
		Connections: a.connections(true),
		Retired:     a.connections(false),
		Methods:     a.cfg.MFA.Methods,
		Recovery:    a.recovery,
		Demands:     a.demands,
		Turns:       a.turns,
		Events:      chronicle{a.state},
		Rules:       a.gateway,
		Enforce:     a.cfg.MFA.Enforce,
		Accounts:    profiles{a.directory},
		Resolver:    a.resolver,
		Sessions:    a.sessions,
		Store:       a.store,
		Index:       a.index,
		Keys:        a.keyring,
		Cookies:     a.cookies,
		Pages:       a.pages,
		QR:          mfa.QR,
		Quotas:      &a.quotas,
		Trusted:     func(r *http.Request) bool { return clientip.From(r.Context()).Trusted },
		Client:      func(r *http.Request) netip.Addr { return clientip.From(r.Context()).Client },
		Log:         a.log,
		Count:       a.signedIn,
	}
	for _, kind := range a.factors.Kinds {
		flow.Factors = append(flow.Factors, kind)
	}
	if a.cfg.Local.Enabled {
		flow.Passwords, flow.Links = a.passwords, a.passwords
		if slices.Contains(a.cfg.MFA.Methods, auth.KindPasskey) {
			flow.Passkeys = a.passkeys
		}
		if a.resets != nil {
			flow.Resets = a.resets
		}
	}
	if a.linksOwn() {
		flow.Linker = a.resolver
	}
	a.gateway.StepUp = flow.Refused
	mux := http.NewServeMux()
	if err := flow.Mount(mux); err != nil {
		return nil, fmt.Errorf("wire the sign-in: %w", err)
	}
	if err := a.account(flow.Device).Mount(mux); err != nil {
		return nil, fmt.Errorf("wire the account page: %w", err)
	}
	if api := a.console(flow.Proved); api != nil {
		if err := api.Mount(mux); err != nil {
			return nil, fmt.Errorf("wire the console: %w", err)
		}
	}
	a.pages.Mount(mux)
	mux.Handle(a.cfg.Server.Prefix+"/auth", a.gateway.ForwardAuth())
	mux.HandleFunc("GET /ping", servePing)
	mux.HandleFunc("GET /ready", a.ready.serveReady)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.pages.Error(w, r, auth.ErrNotFound) })
	return mux, nil
}

// connections are those that are enabled, or those that are not.
func (a *app) connections(enabled bool) []signin.Connection {
	var all []signin.Connection
	for i, c := range a.cfg.Connections {
		if c.Disabled == enabled {
			continue
		}
		all = append(all, signin.Connection{
			Name:         c.Name,
			EmailDomains: c.EmailDomains,
			Provider:     a.providers[i],
			ACRValues:    c.ACRValues,
		})
	}
	return all
}

// start runs the workers of an app that has become the one of now, until it is
// retired or ctx ends. With other keys than before, what rests is sealed anew.
func (a *app) start(ctx context.Context, otherKeys bool) {
	now, stop := context.WithCancel(ctx)
	whole, end := context.WithCancel(ctx)
	a.stop, a.end = stop, end
	if a.mail != nil {
		a.workers.Go(func() { a.mail.Run(now) })
	}
	if a.resets != nil {
		// Who asks on a request that is in flight is answered too.
		a.workers.Go(func() { a.resets.Run(whole) })
	}
	if otherKeys {
		a.workers.Go(func() { a.reseal(now) })
	}
}

// retire ends what only the app of now does, and gives up the process's hold.
func (a *app) retire() {
	a.stop()
	a.leave()
}

// leave ends the app once nobody uses it any more.
func (a *app) leave() {
	if a.users.Add(-1) == 0 {
		a.end()
		a.gateway.Close()
	}
}
