package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/internal/store"
)

// readiness answers whether this process can serve: it is not ending and its
// store answers. Asking is public, so the store is asked once a second at most.
type readiness struct {
	store    store.Store
	draining atomic.Bool

	mu    sync.Mutex
	asked time.Time
	err   error
}

const (
	readyEvery   = time.Second
	readyTimeout = 2 * time.Second
	// readyKey is read to see whether the store answers; that it exists does
	// not matter.
	readyKey = "meta:ready"
)

var errDraining = errors.New("the gateway is ending")

// check returns why the process is not ready, or nil.
func (r *readiness) check(ctx context.Context) error {
	if r.draining.Load() {
		return errDraining
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) < readyEvery {
		return r.err
	}
	// The answer is shared: it must not depend on one asker's patience.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	_, err := r.store.Get(ctx, readyKey)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	r.asked, r.err = time.Now(), err
	return err
}

// serveReady answers 200 or 503 and says no more: strangers may ask.
func (r *readiness) serveReady(w http.ResponseWriter, req *http.Request) {
	if r.check(req.Context()) != nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

// serveReasons is serveReady for the admin listener: it says why, how each
// component is, and whether the configuration is the one in the file. That it is
// not is no reason to take the process out of service.
func (p *process) serveReasons(w http.ResponseWriter, req *http.Request) {
	answer := struct {
		Ready      bool              `json:"ready"`
		Reasons    map[string]string `json:"reasons,omitempty"`
		Components []component       `json:"components"`
		Reload     *reloaded         `json:"reload,omitempty"` // how the last one ended
	}{Ready: true}
	if p.reloader != nil {
		answer.Reload = p.reloader.last.Load()
	}
	status := http.StatusOK
	err := p.ready.check(req.Context())
	answer.Components = p.components(err, answer.Reload)
	if err != nil {
		status, answer.Ready = http.StatusServiceUnavailable, false
		reason := "store"
		if errors.Is(err, errDraining) {
			reason = "process"
		}
		answer.Reasons = map[string]string{reason: err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func servePing(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }
