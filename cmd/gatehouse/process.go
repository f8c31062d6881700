package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/auth/local"
	"gatehouse/auth/signin"
	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/internal/metrics"
	"gatehouse/internal/store"
	"gatehouse/internal/store/redis"
	"gatehouse/proxy"
)

// process is what lives as long as the process does. What one configuration
// makes, a state and an app, is made upon it, and goes with the next one. A
// command that opens the store has a process too, of which little is used.
type process struct {
	log     *slog.Logger
	metrics *metrics.Metrics
	store   store.Store
	redis   *redis.Store // of store; nil: it is not Redis
	bus     store.Bus    // of state; what it announces is heard here first

	hasher    *local.Hasher // bounds what passwords cost at once
	quotas    signin.Quotas
	exchanges proxy.Exchanges
	decisions proxy.Decisions

	// Of a server.
	banner  string // on its pages
	current atomic.Pointer[app]
	front   http.Handler // what the public listener serves: the gateway, or what stands before it
	admin   http.Handler // what the admin listener serves
	socket  *adminsock.Server
	ready   *readiness

	certificate certificate // of the public listener
	reloader    *reloader   // nil: the configuration stays as it is
	troubles    troubles    // of what does not make it unready

	workers sync.WaitGroup
}

// openProcess opens the store. Errors: bolt.ErrLocked.
func openProcess(cfg *config.Config, log *slog.Logger) (*process, error) {
	st, bus, err := openStore(cfg.Store)
	if err != nil {
		return nil, err
	}
	return newProcess(st, bus, log), nil
}

func newProcess(st store.Store, bus store.Bus, log *slog.Logger) *process {
	p := &process{log: log, metrics: metrics.New(version, time.Now()), hasher: local.NewHasher(local.DefaultParams(), 0)}
	p.redis, _ = st.(*redis.Store)
	p.store = p.metrics.Store(st)
	p.ready = &readiness{store: p.store}
	p.bus = announcer{bus, p.changed}
	p.front, p.admin = http.HandlerFunc(p.serveFront), p.adminHandler()
	p.socket = &adminsock.Server{Run: p.command, Log: log}
	return p
}

// announcer tells this process itself of a change before the others. What was
// begun under one configuration may end under the next, whose cache must not
// wait for the word to come back from Redis.
type announcer struct {
	store.Bus
	here func(key string)
}

func (a announcer) Publish(ctx context.Context, key string) error {
	a.here(key)
	return a.Bus.Publish(ctx, key)
}

// changed drops what is cached under a key that another replica, or this one,
// has changed.
func (p *process) changed(key string) {
	if a := p.current.Load(); a != nil {
		a.state.changed(key)
	}
}

// enter returns the app of this moment, which stays whole until leave, and nil
// once the process has ended: an app that nobody can enter and that has no
// successor, which takes its place before it is retired.
func (p *process) enter() *app {
	for {
		a := p.current.Load()
		n := a.users.Load()
		switch {
		case n > 0 && a.users.CompareAndSwap(n, n+1):
			return a
		case n == 0 && p.current.Load() == a:
			return nil
		}
	}
}

func (p *process) serveFront(w http.ResponseWriter, r *http.Request) {
	a := p.enter()
	if a == nil {
		http.Error(w, "the gateway has ended", http.StatusServiceUnavailable)
		return
	}
	defer a.leave()
	a.gateway.ServeHTTP(w, r)
}

// command runs what came through the admin socket.
func (p *process) command(ctx context.Context, c adminsock.Command, stdout, stderr io.Writer) int {
	if len(c.Args) > 0 && c.Args[0] == "reload" {
		return p.reload(ctx, stdout, stderr)
	}
	a := p.enter()
	if a == nil {
		return failed(stderr, errDraining)
	}
	defer a.leave()
	return a.administration().run(ctx, c, stdout, stderr)
}

// close ends what the app of now holds, and the store.
func (p *process) close() error {
	if a := p.current.Load(); a != nil {
		a.retire()
	}
	return p.store.Close()
}
