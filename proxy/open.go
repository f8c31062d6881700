package proxy

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"gatehouse/auth"
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

// openExchanges are the exchanges that carry an identity and are not over.
// Their number is bounded by that of connections and streams.
type openExchanges struct {
	mu  sync.Mutex
	all map[*exchange]struct{}
}

// guard enters an exchange and returns its request with a context that ends
// when the exchange is cut. The caller calls leave when it is over.
func (o *openExchanges) guard(x *exchange, r *http.Request) *http.Request {
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

func (o *openExchanges) leave(x *exchange) {
	o.mu.Lock()
	delete(o.all, x)
	o.mu.Unlock()
	x.mu.Lock()
	x.request = nil // net/http may use it again
	x.mu.Unlock()
	x.cancel(nil)
}

// due returns the exchanges that were last looked at before t.
func (o *openExchanges) due(t time.Time) (due []*exchange) {
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
// those whose session has ended or whose route no longer admits the person.
func (g *Gateway) Watch(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			g.checkOpen(ctx)
		}
	}
}

func (g *Gateway) checkOpen(ctx context.Context) {
	slots := make(chan struct{}, checkers)
	var all sync.WaitGroup
	for _, x := range g.open.due(g.now().Add(-checkEvery)) {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			g.check(ctx, x)
		})
	}
	all.Wait()
}

// check asks for the session as the request itself would, except that it is
// no use of the session: an open stream does not keep one from being idle.
func (g *Gateway) check(ctx context.Context, x *exchange) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	x.mu.Lock()
	if x.request == nil {
		x.mu.Unlock()
		return
	}
	r := question(auth.AsRecheck(ctx), x.request)
	x.mu.Unlock()

	_, p, err := g.Sessions.Authenticate(r)
	switch {
	case err == nil && p == nil:
		err = auth.ErrUnauthenticated
	case err == nil && !x.route.access.admits(by(p, x.peer)):
		err = auth.ErrForbidden
	case err == nil:
		x.checked = g.now()
		return
	case !errors.Is(err, auth.ErrUnauthenticated) && !errors.Is(err, auth.ErrForbidden):
		if g.now().Sub(x.checked) < storeGrace {
			return
		}
	}
	g.log().Info("open exchange cut", "request_id", x.id, "route", x.route.name, "reason", web.Code(err), "error", err)
	x.cancel(err)
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
