package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"gatehouse/auth"
)

// patient bounds the wait for response headers by one clock, from before there
// is a connection. Those of http.Transport begin one after the other: each step
// may take nearly the whole time, the last begins when all of a body is
// written, which an upstream that stops reading never lets happen, and an
// HTTP/2 upstream that refuses one stream, or connection, after the other is
// asked again with longer and longer pauses.
//
// A WebSocket begins over HTTP/1 (RFC 6455), also at an upstream that speaks
// HTTP/2: on a connection of its own, as browsers do it.
type patient struct {
	*http.Transport
	tunnels *http.Transport // over HTTP/1
	way     way
}

func newPatient(w way, warn func(msg string, args ...any)) (p patient, err error) {
	p.way = w
	if p.Transport, err = w.transport(false, warn); err != nil {
		return p, err
	}
	p.tunnels = p.Transport
	if w.maySpeakHTTP2() {
		p.tunnels, err = w.transport(true, warn)
	}
	return p, err
}

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	t := p.Transport
	if r.Header["Upgrade"] != nil {
		t = p.tunnels
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	clock := startClock(p.way.timeout, func() { cancel(auth.ErrUpstreamSlow) })
	if x := exchangeOf(r); x.body != nil {
		x.body.clock = clock
	}
	resp, err := t.RoundTrip(r.WithContext(ctx))
	clock.stop()
	if cause := context.Cause(ctx); errors.Is(cause, auth.ErrUpstreamSlow) {
		if err == nil {
			_ = resp.Body.Close() // in the last moment: it would be cut
		}
		return nil, cause
	}
	if err != nil {
		cancel(nil)
	}
	return resp, err
}

// headClock is the time that an upstream has until its response headers. It
// stands still while the client is awaited: a slow client is not a slow
// upstream. A nil clock does not run.
type headClock struct {
	limit time.Duration

	mu    sync.Mutex
	timer *time.Timer // nil: the headers are there
	left  time.Duration
	since time.Time // when it last began to run
}

// startClock returns a clock that runs; expired is called when it runs out.
func startClock(limit time.Duration, expired func()) *headClock {
	return &headClock{limit: limit, timer: time.AfterFunc(limit, expired), left: limit, since: time.Now()}
}

func (c *headClock) pause() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.left -= time.Since(c.since)
	}
}

// resume goes on with what is left, or begins anew.
func (c *headClock) resume(anew bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer == nil {
		return
	}
	if anew {
		c.left = c.limit
	}
	c.since = time.Now()
	c.timer.Reset(c.left)
}

// stop ends the clock.
func (c *headClock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer.Stop()
	c.timer = nil
}
