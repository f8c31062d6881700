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
	"gatehouse/proxy"
)

const (
	// drainTime is how long running requests may take once the gateway ends.
	drainTime = 25 * time.Second
	// adminReadTimeout bounds what a client of the admin listener may take.
	adminReadTimeout = 10 * time.Second
)

// run serves until ctx ends, then lets running requests finish.
func (a *app) run(ctx context.Context, ready func(context.Context) error) error {
	public, err := a.listenPublic()
	if err != nil {
		return err
	}
	defer public.Close()
	admin, err := a.listenAdmin()
	if err != nil {
		return err
	}
	if admin != nil {
		defer admin.Close()
	}
	socket, err := a.listenSocket()
	if err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	// What judges sessions goes on until the last request is over.
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	keys := &keyGuard{state: a.state, suspect: make(chan struct{}, 1)}
	group.Go(func() error {
		a.bus.Subscribe(watching, func(key string) {
			a.changed(key)
			keys.heard(key)
		})
		return nil
	})
	group.Go(func() error { return keys.watch(ctx) })
	group.Go(func() error { a.gateway.Watch(watching); return nil })
	server := proxy.Server(a.front, a.log)
	adminServer := &http.Server{
		Handler: a.admin, ReadTimeout: adminReadTimeout, WriteTimeout: adminReadTimeout,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	group.Go(func() error { return served(server.Serve(public)) })
	if admin != nil {
		group.Go(func() error { return served(adminServer.Serve(admin)) })
	}
	if socket {
		group.Go(a.socket.Serve)
	}
	if a.mail != nil {
		group.Go(func() error { a.mail.Run(watching); return nil })
	}
	if a.resets != nil {
		group.Go(func() error { a.resets.Run(watching); return nil })
	}
	group.Go(func() error { a.reseal(ctx); return nil })
	caretaker := &caretaker{rule: a.inactivityRule(), store: a.store, log: a.log}
	group.Go(func() error { caretaker.run(ctx); return nil })
	group.Go(func() error {
		<-ctx.Done()
		defer stopWatching()
		a.ready.draining.Store(true)
		a.log.Info("the gateway is ending; running requests may finish", "within", drainTime.String())
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			_ = server.Close() // streams that outlive the time
		}
		if socket {
			_ = a.socket.Shutdown(drain)
		}
		return adminServer.Close()
	})
	a.log.Info("the gateway listens", "listen", public.Addr().String(), "public_url", a.cfg.Server.PublicURL, "version", version)
	if ready != nil {
		group.Go(func() error { return ready(ctx) })
	}
	return group.Wait()
}

// served drops the error that a server gives when it was told to end.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (a *app) listenPublic() (net.Listener, error) {
	var config *tls.Config
	if files := a.cfg.Server.TLS; files.CertFile != "" {
		cert, err := newCertificate(files.CertFile, files.KeyFile, a.log)
		if err != nil {
			return nil, err
		}
		config = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}
	}
	l, err := listen(a.cfg.Server.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen at server.listen: %w: another program has this address; end it or name another", err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen at server.listen: %w", err)
	}
	return proxy.Listen(l, config), nil
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
func (a *app) listenAdmin() (net.Listener, error) {
	l, err := listen(a.cfg.Server.AdminListen)
	if err != nil && !a.cfg.Server.AdminListenSet {
		a.log.Warn("no admin listener: the default address is taken; server.admin_listen names another", "error", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listen at server.admin_listen: %w", err)
	}
	return l, nil
}

// adminHandler is what operators ask and strangers must not.
func (a *app) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", servePing)
	mux.HandleFunc("GET /ready", a.ready.serveReasons)
	return mux
}

// listenSocket reports whether there is an admin socket. On Redis commands do
// without it, so one that the file does not name may be missing.
func (a *app) listenSocket() (bool, error) {
	err := a.socket.Listen(a.cfg.Server.AdminSocket)
	if errors.Is(err, adminsock.ErrInUse) && a.cfg.Store.Redis != nil && !a.cfg.Server.AdminSocketSet {
		a.log.Warn("no admin socket: another server has the default one; server.admin_socket names another", "error", err)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("listen at server.admin_socket: %w", err)
	}
	return true, nil
}
