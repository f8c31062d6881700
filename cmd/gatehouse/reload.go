package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/store"
)

const (
	// lookEvery is how often the files of the configuration are looked at. A
	// change is taken when two looks agree on it, so within a second.
	lookEvery = 500 * time.Millisecond
	// reloadTimeout bounds what a reload waits for, which is the store, where
	// there are other keys.
	reloadTimeout = 10 * time.Second
	// retryEvery is how soon what failed because of the store is tried again.
	retryEvery = 5 * time.Second
)

// Why the configuration is reloaded.
const (
	filesChanged = "the files have changed"
	signalled    = "SIGHUP"
	commanded    = "gatehouse reload"
)

// reloader keeps a server to its configuration file. All or nothing: what the
// file says is made as a whole beside what runs, and takes its place in one
// step; with an error anywhere, nothing has changed.
type reloader struct {
	process *process
	watch   *config.Watch
	logs    *logs
	signals <-chan os.Signal // SIGHUP

	asked chan chan<- error // by commands
	ended chan struct{}
	last  atomic.Pointer[reloaded]
	retry time.Time // zero: the last one did not fail because of the store
}

// reloaded is how a reload ended; the first is the start of the server.
type reloaded struct {
	OK       bool      `json:"ok"`
	Time     time.Time `json:"at"`
	Problems []string  `json:"problems,omitempty"` // a line each
}

func newReloader(p *process, watch *config.Watch, logs *logs, signals <-chan os.Signal) *reloader {
	r := &reloader{
		process: p, watch: watch, logs: logs, signals: signals,
		asked: make(chan chan<- error), ended: make(chan struct{}),
	}
	r.last.Store(&reloaded{OK: true, Time: time.Now()})
	return r
}

// run reloads until ctx ends. The workers of what it starts run until theirs does.
func (r *reloader) run(ctx, workers context.Context) {
	defer close(r.ended)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.signals:
			_ = r.reload(ctx, workers, signalled)
		case answer := <-r.asked:
			answer <- r.reload(ctx, workers, commanded)
		case now := <-tick.C:
			if r.watch.Changed() || !r.retry.IsZero() && now.After(r.retry) {
				_ = r.reload(ctx, workers, filesChanged)
			}
		}
	}
}

// ask reloads for a command, and returns what came of it.
func (r *reloader) ask(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case r.asked <- answer:
		return <-answer
	case <-r.ended:
		return errDraining
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *reloader) reload(ctx, workers context.Context, why string) error {
	log := r.process.log
	err := r.replace(ctx, workers)
	r.retry = time.Time{}
	if errors.Is(err, store.ErrDown) {
		r.retry = time.Now().Add(retryEvery)
	}
	now := &reloaded{OK: err == nil, Time: time.Now()}
	if err != nil {
		now.Problems = strings.Split(err.Error(), "\n")
	}
	before := r.last.Swap(now)
	r.process.metrics.Reloaded(now.OK, now.Time)
	switch {
	case err == nil:
		log.InfoContext(ctx, "configuration reloaded", "because", why)
	case why == filesChanged && slices.Equal(before.Problems, now.Problems):
		// It was said, and somebody else's file has changed, or the store is
		// still down.
	default:
		log.ErrorContext(ctx, "configuration not reloaded; the gateway goes on with the one that it has", "because", why, "problems", now.Problems)
	}
	return err
}

// replace puts what the files say in the place of what runs. An error has a line
// for each problem.
func (r *reloader) replace(ctx, workers context.Context) (err error) {
	p := r.process
	old := p.current.Load()
	defer func() {
		if err != nil {
			r.renew(old.cfg.Server.TLS)
		}
	}()
	cfg, warnings, err := r.watch.Load()
	if err != nil {
		return err
	}
	if keys := unchangeable(old.cfg, cfg); len(keys) > 0 {
		return fmt.Errorf("%s: %s: a running gateway cannot change that; restart it, or take the change back", r.watch.Path, strings.Join(keys, ", "))
	}
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	pair, err := loadCertificate(cfg.Server.TLS)
	if err != nil {
		return err
	}
	next, err := p.next(ctx, cfg, old)
	if err != nil {
		return err
	}
	r.logs.set(cfg.Log)
	for _, w := range warnings {
		p.log.WarnContext(ctx, w.Message, "code", w.Code, "line", w.Line, "key", w.Path)
	}
	r.show(pair, cfg.Server.TLS)
	p.begin(workers, next)
	return nil
}

// renew takes a certificate that was renewed while something in the configuration
// is wrong: it would expire because of a slip that has nothing to do with it.
func (r *reloader) renew(files config.TLSFiles) {
	if pair, err := loadCertificate(files); err == nil {
		r.show(pair, files)
	}
}

func (r *reloader) show(pair *tls.Certificate, files config.TLSFiles) {
	if r.process.certificate.set(pair) {
		r.process.log.Info("certificate reloaded", "file", files.CertFile)
	}
}

// unchangeable are the keys that differ and that only another process can follow:
// what is bound to an address, and what holds all that rests.
func unchangeable(old, next *config.Config) (keys []string) {
	differ := func(key string, differs bool) {
		if differs {
			keys = append(keys, key)
		}
	}
	a, b := old.Server, next.Server
	differ("server.listen", a.Listen != b.Listen)
	differ("server.tls", (a.TLS.CertFile == "") != (b.TLS.CertFile == ""))
	differ("server.admin_listen", a.AdminListen != b.AdminListen)
	differ("server.admin_socket", a.AdminSocket != b.AdminSocket)
	if old.Store.Redis == nil && next.Store.Redis == nil {
		differ("store.embedded", old.Store.Embedded != next.Store.Embedded)
	} else {
		differ("store.redis", !reflect.DeepEqual(old.Store.Redis, next.Store.Redis))
	}
	return keys
}

// next makes the app of another configuration. To open other keys may write, so
// everything else is tried before.
func (p *process) next(ctx context.Context, cfg *config.Config, old *app) (*app, error) {
	s, err := p.newState(ctx, cfg, &old.keys)
	if err != nil {
		return nil, err
	}
	next, err := newApp(s, old)
	if err != nil || slices.EqualFunc(old.cfg.Secrets.Keys, cfg.Secrets.Keys, config.Secret.Equal) {
		return next, err
	}
	next.gateway.Close()
	if s, err = p.newState(ctx, cfg, nil); err != nil {
		return nil, fmt.Errorf("secrets.keys: %w", err)
	}
	return newApp(s, old)
}

// begin puts an app in the place of the one of now, whose requests in flight
// end by it. Workers run until ctx ends.
func (p *process) begin(ctx context.Context, next *app) {
	old := p.current.Swap(next)
	next.start(ctx, old.keyring != next.keyring)
	old.retire()
}
