package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"gatehouse/auth"
	"gatehouse/auth/mfa"
	"gatehouse/auth/oidc"
	"gatehouse/auth/signin"
	"gatehouse/internal/adminsock"
	"gatehouse/internal/clientip"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/internal/web"
	"gatehouse/proxy"
)

// app is a gateway, wired: the only place where the packages meet.
type app struct {
	*state
	pages   *web.Pages
	gateway *proxy.Gateway
	front   http.Handler // what the public listener serves: the gateway, or what stands before it
	admin   http.Handler // what the admin listener serves
	ready   *readiness
	socket  *adminsock.Server
}

const (
	// storePatience is how long a starting gateway waits for its store.
	storePatience = time.Minute
	storeRetry    = 250 * time.Millisecond // doubled each time
	storeRetryMax = 4 * time.Second
)

// openApp wires a gateway. It waits a while for a store that does not answer
// yet, because services start in any order, and for no identity provider.
func openApp(ctx context.Context, cfg *config.Config, log *slog.Logger, banner string) (*app, error) {
	s, err := waitForState(ctx, cfg, log)
	if err != nil {
		return nil, err
	}
	a := &app{
		state: s,
		pages: &web.Pages{Prefix: cfg.Server.Prefix, Banner: banner},
		ready: &readiness{store: s.store},
	}
	if err := a.wire(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if cfg.Store.Redis == nil {
		log.Info("everything rests in the embedded store: only one process can use it; replicas need store.redis", "path", cfg.Store.Embedded.Path)
	} else {
		warnOfEviction(ctx, s.store, log)
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

func (a *app) wire() error {
	var err error
	if a.gateway, err = proxy.New(a.cfg); err != nil {
		return err
	}
	a.front, a.admin = a.gateway, a.adminHandler()
	a.gateway.Sessions, a.gateway.Pages, a.gateway.Log = a.sessions, a.pages, a.log
	a.gateway.Identity.Log = a.log
	a.gateway.Own, err = a.own()
	a.socket = &adminsock.Server{Run: a.administration().run, Log: a.log}
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
		Trusted:     func(r *http.Request) bool { return clientip.From(r.Context()).Trusted },
		Client:      func(r *http.Request) netip.Addr { return clientip.From(r.Context()).Client },
		Log:         a.log,
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
	for _, c := range a.cfg.Connections {
		if c.Disabled == enabled {
			continue
		}
		all = append(all, signin.Connection{
			Name:         c.Name,
			EmailDomains: c.EmailDomains,
			Provider: &oidc.Provider{
				Connection:  c,
				RedirectURI: a.cfg.Server.PublicURL + a.cfg.Server.Prefix + "/callback",
				Store:       a.store,
				Index:       a.index,
				Log:         a.log,
			},
		})
	}
	return all
}

func (a *app) close() error {
	a.gateway.Close()
	return a.state.close()
}
