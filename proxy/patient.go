package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gatehouse/auth"
)

// patient bounds the wait for response headers also while a body is sent, and
// while an HTTP/2 upstream refuses one stream, or connection, after the other:
// http.Transport would begin again with longer and longer pauses.
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
	x, t := exchangeOf(r), p.Transport
	if r.Header["Upgrade"] != nil {
		t = p.tunnels
	}
	if x == nil || x.body == nil && !p.way.maySpeakHTTP2() {
		return t.RoundTrip(r)
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	late := func() { cancel(auth.ErrUpstreamSlow) }
	var stop func()
	if x.body != nil {
		x.body.start(p.way.timeout, late)
		stop = x.body.stop
	} else {
		timer := time.AfterFunc(p.way.timeout, late)
		stop = func() { timer.Stop() }
	}
	resp, err := t.RoundTrip(r.WithContext(ctx))
	stop()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, auth.ErrUpstreamSlow) {
			err = cause
		}
		cancel(nil)
	}
	return resp, err
}
