package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"gatehouse/auth"
)

// errIdle ends an exchange over which nothing has passed for too long.
var errIdle = fmt.Errorf("no byte either way: %w", auth.ErrUpstreamSlow)

// reasonIdle is what the access log says of it.
const reasonIdle = "idle_timeout"

// idleClock ends an exchange when no byte has come for a while, from the
// client or from the upstream, and the client has taken none of what came
// before. A nil clock never does.
type idleClock struct {
	timer *time.Timer
	limit time.Duration
}

// limitIdle returns the request with a context that ends with errIdle. The
// caller calls stop when the exchange is over.
func (x *exchange) limitIdle(r *http.Request, limit time.Duration) (limited *http.Request, stop func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(limit, func() { cancel(errIdle) })
	x.idle = &idleClock{timer, limit}
	return r.WithContext(ctx), func() {
		timer.Stop()
		if errors.Is(context.Cause(ctx), errIdle) {
			x.reason = reasonIdle
		}
		cancel(nil)
	}
}

// heard begins anew after a byte.
func (c *idleClock) heard(n int) {
	if c != nil && n > 0 {
		c.timer.Reset(c.limit)
	}
}

// watch returns an upstream's body, or its tunnel, that tells the clock.
func (c *idleClock) watch(body io.ReadCloser) io.ReadCloser {
	if c == nil {
		return body
	}
	if tunnel, ok := body.(io.ReadWriteCloser); ok {
		return &heardTunnel{heardBody{body, c}, tunnel}
	}
	return &heardBody{body, c}
}

type heardBody struct {
	io.ReadCloser
	clock *idleClock
}

func (b *heardBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.clock.heard(n)
	return n, err
}

// heardTunnel is the upstream's side of a WebSocket: what is written to it
// has come from the client.
type heardTunnel struct {
	heardBody
	tunnel io.ReadWriteCloser
}

func (t *heardTunnel) Write(p []byte) (int, error) {
	n, err := t.tunnel.Write(p)
	t.clock.heard(n)
	return n, err
}

// CloseWrite lets httputil.ReverseProxy half-close.
func (t *heardTunnel) CloseWrite() error {
	if half, ok := t.tunnel.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
