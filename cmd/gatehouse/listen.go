package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/internal/adminsock"
	"gatehouse/internal/config"
	"gatehouse/provision"
	"gatehouse/proxy"
)

const (
	// drainTime is how long running requests may take once the gateway ends.
	drainTime = 25 * time.Second
	// adminReadTimeout bounds what a client of the admin listener may take.
	adminReadTimeout = 10 * time.Second
)

// run serves until ctx ends, then lets running requests finish.
func (p *process) run(ctx context.Context, ready func(context.Context) error) error {
	cfg := p.current.Load().cfg
	public, err := p.listenPublic(cfg.Server)
	if err != nil {
		return err
	}
	defer public.Close()
	admin, err := p.listenAdmin(cfg.Server)
	if err != nil {
		return err
	}
	if admin != nil {
		defer admin.Close()
	}
	socket, err := p.listenSocket(cfg)
	if err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	// What judges sessions goes on until the last request is over.
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	keys := &keyGuard{process: p, suspect: make(chan struct{}, 1)}
	group.Go(func() error {
		p.bus.Subscribe(watching, func(key string) {
			p.changed(key)
			keys.heard(key)
		})
		return nil
	})
	group.Go(func() error { return keys.watch(ctx) })
	group.Go(func() error {
		p.exchanges.Watch(watching, func() *proxy.Gateway { return p.current.Load().gateway })
		return nil
	})
	p.current.Load().start(watching, true)
	if p.reloader != nil {
		group.Go(func() error { p.reloader.run(ctx, watching); return nil })
	}
	server := proxy.Server(p.front, p.log, p.metrics.Route(proxy.Unrouted))
	adminServer := &http.Server{
		Handler: p.admin, ReadTimeout: adminReadTimeout, WriteTimeout: adminReadTimeout,
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn),
	}
	group.Go(func() error { return served(server.Serve(public)) })
	if admin != nil {
		group.Go(func() error { return served(adminServer.Serve(admin)) })
	}
	if socket {
		group.Go(p.socket.Serve)
	}
	caretaker := &caretaker{rule: func() *provision.Inactivity { return p.current.Load().inactivityRule() }, store: p.store, log: p.log}
	group.Go(func() error { caretaker.run(ctx); return nil })
	group.Go(func() error {
		<-ctx.Done()
		defer stopWatching()
		p.ready.draining.Store(true)
		p.log.Info("the gateway is ending; running requests may finish", "within", drainTime.String())
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			_ = server.Close() // streams that outlive the time
		}
		if socket {
			_ = p.socket.Shutdown(drain)
		}
		return adminServer.Close()
	})
	p.log.Info("the gateway listens", "listen", public.Addr().String(), "public_url", cfg.Server.PublicURL, "version", version)
	if ready != nil {
		group.Go(func() error { return ready(ctx) })
	}
	err = group.Wait()
	p.workers.Wait()
	return err
}

// served drops the error that a server gives when it was told to end.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (p *process) listenPublic(cfg config.Server) (net.Listener, error) {
	var secure *tls.Config
	if cfg.TLS.CertFile != "" {
		pair, err := loadCertificate(cfg.TLS)
		if err != nil {
			return nil, err
		}
		p.certificate.set(pair)
		secure = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.certificate.get}
	}
	l, err := listen(cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen at server.listen: %w: another program has this address; end it or name another", err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen at server.listen: %w", err)
	}
	return proxy.Listen(l, secure), nil
}

// listen listens at host:port or unix:///path.
func listen(address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, "unix://")
	if !ok {
		return net.Listen("tcp", address)
	}
	// What a dead server left is in the way; what answers is another's.
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("%s: another server answers there", path)
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(path)
		}
	}
	return net.Listen("unix", path)
}

// listenAdmin is nil where the address is only the default and somebody else
// has it, such as another gateway on the same machine.
func (p *process) listenAdmin(cfg config.Server) (net.Listener, error) {
	l, err := listen(cfg.AdminListen)
	if err != nil && !cfg.AdminListenSet {
		p.log.Warn("no admin listener: the default address is taken; server.admin_listen names another", "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listen at server.admin_listen: %w", err)
	}
	return l, nil
}

// adminHandler is what operators ask and strangers must not.
func (p *process) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", servePing)
	mux.HandleFunc("GET /ready", p.serveReasons)
	mux.Handle("GET /metrics", p.metrics.Handler())
	p.mountProfiles(mux)
	return mux
}

// listenSocket reports whether there is an admin socket. On Redis commands do
// without it, so one that the file does not name may be missing.
func (p *process) listenSocket(cfg *config.Config) (bool, error) {
	err := p.socket.Listen(cfg.Server.AdminSocket)
	if errors.Is(err, adminsock.ErrInUse) && cfg.Store.Redis != nil && !cfg.Server.AdminSocketSet {
		p.log.Warn("no admin socket: another server has the default one; server.admin_socket names another", "error", err)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("listen at server.admin_socket: %w", err)
	}
	return true, nil
}
