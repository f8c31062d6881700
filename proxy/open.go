package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/clientip"
	"gatehouse/internal/web"
)

const (
	// checkEvery is how often an open exchange is judged again. With a cache
	// that is 5 s behind and a look each second it ends within 10 s.
	checkEvery = 3 * time.Second
	// storeGrace is how long an open exchange outlives a store that does not
	// answer: trouble is not a sign-out, but nobody may stream for ever on a
	// session that cannot be checked.
	storeGrace = time.Minute
	// checkTimeout bounds one check.
	checkTimeout = 3 * time.Second
	// checkers bounds the checks that run at once.
	checkers = 64
)

// Exchanges are the exchanges with upstreams that are not over; their number is
// bounded by that of connections and streams. They outlive a Gateway: that of
// another configuration judges what the one before it has let pass. The zero
// value is ready.
type Exchanges struct {
	mu  sync.Mutex
	all map[*exchange]struct{}
}

// guard enters an exchange and returns its request with a context that ends
// when the exchange is cut. The caller calls leave when it is over.
func (o *Exchanges) guard(x *exchange, r *http.Request) *http.Request {
	ctx, cancel := context.WithCancelCause(r.Context())
	r = r.WithContext(ctx)
	x.request, x.cancel, x.checked = r, cancel, x.start
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[*exchange]struct{}{}
	}
	o.all[x] = struct{}{}
	return r
}

func (o *Exchanges) leave(x *exchange) {
	o.mu.Lock()
	delete(o.all, x)
	o.mu.Unlock()
	x.mu.Lock()
	x.request = nil // net/http may use it again
	x.mu.Unlock()
	x.cancel(nil)
}

// due returns the exchanges that began before t.
func (o *Exchanges) due(t time.Time) (due []*exchange) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for x := range o.all {
		if x.start.Before(t) {
			due = append(due, x)
		}
	}
	return due
}

// Watch judges the exchanges that stay open again, until ctx ends, and cuts
// those that a request would not get any more from the gateway that judge
// returns: the session has ended, the route is gone or admits others.
func (o *Exchanges) Watch(ctx context.Context, judge func() *Gateway) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			judge().checkOpen(ctx)
		}
	}
}

func (g *Gateway) checkOpen(ctx context.Context) {
	slots := make(chan struct{}, checkers)
	var all sync.WaitGroup
	for _, x := range g.Exchanges.due(g.now().Add(-checkEvery)) {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			g.check(ctx, x)
		})
	}
	all.Wait()
}

// check judges as if the request came now, except that it is no use of the
// session: an open stream does not keep one from being idle.
func (g *Gateway) check(ctx context.Context, x *exchange) {
	if x.person == nil && x.gateway == g {
		return // a public route, and no rule has changed
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	x.mu.Lock()
	if x.request == nil {
		x.mu.Unlock()
		return
	}
	r, peer := question(auth.AsRecheck(ctx), x.request), g.proxies.Peer(x.request)
	x.mu.Unlock()

	err := g.judgeAgain(x, r, peer)
	switch {
	case err == nil:
		x.checked = g.now()
		return
	case errors.Is(err, auth.ErrUnauthenticated), errors.Is(err, auth.ErrForbidden), errors.Is(err, auth.ErrNotFound), errors.Is(err, auth.ErrMalformed):
	case g.now().Sub(x.checked) < storeGrace:
		return
	}
	g.log().Info("open exchange cut", "request_id", x.id, "route", x.route.name, "reason", web.Code(err), "error", err)
	x.mu.Lock()
	x.cut = err
	x.mu.Unlock()
	x.cancel(err)
}

// judgeAgain is the road of a request up to its verdict. Who the upstream was
// told of must still be somebody, also where by now everybody may pass.
func (g *Gateway) judgeAgain(x *exchange, r *http.Request, peer clientip.Peer) error {
	rt, err := g.table.routeOf(r, x.target.path)
	switch {
	case err != nil:
		return err
	case rt.own:
		return auth.ErrNotFound
	}
	public := rt.isPublic(by(nil, peer))
	if public && x.person == nil {
		return nil
	}
	_, p, err := g.Sessions.Authenticate(r)
	switch {
	case err != nil:
		return err
	case p == nil:
		return auth.ErrUnauthenticated
	case !public && !rt.access.admits(by(p, peer)):
		return auth.ErrForbidden
	}
	return nil
}

// question returns what an Authenticator looks at, without the body and the
// trailers, which are still being read.
func question(ctx context.Context, r *http.Request) *http.Request {
	q := &http.Request{
		Method: r.Method, URL: r.URL, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		Header: r.Header.Clone(), Host: r.Host, RemoteAddr: r.RemoteAddr, RequestURI: r.RequestURI,
		TLS: r.TLS, Body: http.NoBody,
	}
	return q.WithContext(ctx)
}
