package proxy

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"time"

	"gatehouse/auth"
)

// flushAfter is how long a part of an answer of known length may be held back.
// Event streams and answers of unknown length pass at once whatever it is; at
// once for all would cost a timer and often a packet on each request.
const flushAfter = 50 * time.Millisecond

// connect gives each route its way to the upstream.
func (g *Gateway) connect() error {
	ways := map[way]patient{}
	for _, rt := range g.table.routes {
		fail := func(err error) error { return fmt.Errorf("route %s: %w", rt.name, err) }
		switch rt.way.kind {
		case "static":
			rt.handler = static(rt.way.code)
			continue
		case "file":
			dir, err := openDirectory(rt.way.path)
			if err != nil {
				return fail(err)
			}
			rt.handler = dir
			g.close = append(g.close, dir.close)
			continue
		}
		p, known := ways[rt.way]
		if !known {
			var err error
			if p, err = newPatient(rt.way, func(msg string, args ...any) { g.log().Warn(msg, append(args, "route", rt.name)...) }); err != nil {
				return fail(err)
			}
			ways[rt.way] = p
			g.close = append(g.close, p.CloseIdleConnections, p.tunnels.CloseIdleConnections)
		}
		rt.proxy = &httputil.ReverseProxy{
			Rewrite:        g.rewrite,
			Transport:      p,
			FlushInterval:  flushAfter,
			BufferPool:     &g.buffers,
			ModifyResponse: g.answer,
			ErrorHandler:   g.failed,
			ErrorLog:       log.New(chatter{g}, "", 0),
		}
	}
	return nil
}

// forward passes an admitted request on.
func (g *Gateway) forward(x *exchange, r *http.Request) error {
	rt := x.route
	path, err := rt.rewritten(x.target.path)
	if err != nil {
		return err
	}
	x.forwarded = target{path, x.target.query, x.target.hasQuery}
	if rt.handler != nil {
		var w http.ResponseWriter = x
		if rt.response != nil {
			w = &changed{ResponseWriter: x, changes: rt.response}
		}
		r = g.Exchanges.guard(x, r)
		defer g.Exchanges.leave(x)
		defer x.endAnswer(r)()
		rt.handler.ServeHTTP(w, r)
		return nil
	}
	// The check comes before the proxy, whose Rewrite cannot fail.
	if x.url, err = x.forwarded.url(rt.way.scheme(), rt.way.host); err != nil {
		return err
	}
	upgrade(r.Header)
	if rt.idle > 0 {
		var stop func()
		r, stop = x.limitIdle(r, rt.idle)
		defer stop()
	}
	if r.Body != nil && r.ContentLength != 0 {
		x.body = &requestBody{ReadCloser: r.Body, in: r.Trailer, idle: x.idle}
		r.Body = x.body
		if r.ContentLength < 0 {
			// A stream may be answered while it is still being sent; net/http
			// would otherwise read it to its end first. HTTP/2 does anyway.
			_ = http.NewResponseController(x.ResponseWriter).EnableFullDuplex()
		}
	}
	r = g.Exchanges.guard(x, r)
	defer g.Exchanges.leave(x)
	if x.body != nil {
		defer x.endBody(r)()
	}
	rt.proxy.ServeHTTP(x, r)
	return nil
}

// upgrade lets only WebSockets (RFC 6455, section 4.1) change the protocol. An
// upstream that accepts h2c, or another tunnel for requests, would take all
// that follows past the rules.
func upgrade(h http.Header) {
	if lines := h["Upgrade"]; lines != nil && (len(lines) != 1 || !strings.EqualFold(lines[0], "websocket")) {
		delete(h, "Upgrade")
	}
}

// rewrite makes the outgoing request. Identity is set here and no earlier:
// httputil.ReverseProxy has by now removed what Connection names, so a client
// cannot have ours removed.
func (g *Gateway) rewrite(pr *httputil.ProxyRequest) {
	x, out := exchangeOf(pr.In), pr.Out
	x.sent = g.now()
	out.URL = x.url
	if x.route.upstreamHost != "" {
		out.Host = x.route.upstreamHost
	}
	trusted := x.peer.Trusted
	g.Identity.removal.strip(out.Header, trusted)
	g.cookies.strip(out.Header)
	g.forwarding(x, pr.In, out.Header)
	passTrace(x.trace, out.Header)
	x.route.request.apply(out.Header)
	if x.person != nil {
		for _, f := range g.Identity.of(x.person).upstream {
			out.Header[f.name] = f.values
		}
	}
	if x.body != nil {
		for name := range out.Trailer {
			if g.Identity.removal.has(name, trusted) {
				delete(out.Trailer, name)
			}
		}
		x.route.request.remove(out.Trailer)
		x.body.out = out.Trailer
	}
}

// forwarding sets what the upstream learns of the client's connection. What a
// trusted peer says is kept and its address appended; anybody else's is gone.
func (g *Gateway) forwarding(x *exchange, in *http.Request, out http.Header) {
	proto, host := "http", in.Host
	if in.TLS != nil {
		proto = "https"
	}
	chain := ""
	if x.peer.Addr.IsValid() {
		chain = x.peer.Addr.String()
	}
	if x.peer.Trusted {
		switch v, _ := single(in.Header, "X-Forwarded-Proto"); v {
		case "http", "ws": // Traefik says so of WebSockets
			proto = "http"
		case "https", "wss":
			proto = "https"
		}
		if v, ok := single(in.Header, "X-Forwarded-Host"); ok && validHost(v) {
			host = v
		}
		if prior := in.Header["X-Forwarded-For"]; len(prior) > 0 {
			before := strings.Join(prior, ", ")
			if chain != "" {
				before += ", " + chain
			}
			chain = before
		}
	}
	// One array for four headers; each slice ends where the next begins, so
	// that whoever appends to one copies it.
	values := &[4]string{proto, host, x.id, chain}
	out["X-Forwarded-Proto"] = values[0:1:1]
	out["X-Forwarded-Host"] = values[1:2:2]
	out["X-Request-Id"] = values[2:3:3]
	if chain != "" {
		out["X-Forwarded-For"] = values[3:4:4]
	}
}

// single returns the value of a header that was sent once.
func single(h http.Header, name string) (string, bool) {
	if lines := h[name]; len(lines) == 1 {
		return lines[0], true
	}
	return "", false
}

func validHost(s string) bool {
	name, err := normalHost(s)
	return err == nil && name != ""
}

// answer cleans what the upstream answers.
func (g *Gateway) answer(resp *http.Response) error {
	if resp.StatusCode < 100 {
		return fmt.Errorf("read the answer: status %d", resp.StatusCode) // net/http would panic
	}
	g.cookies.refuse(resp.Header)
	delete(resp.Header, "X-Request-Id") // ours stands
	x := exchangeOf(resp.Request)
	x.upstream = max(g.now().Sub(x.sent), 1)
	x.route.response.apply(resp.Header)
	resp.Body = x.idle.watch(x.guardTrailers(resp))
	if resp.StatusCode == http.StatusSwitchingProtocols {
		x.status = resp.StatusCode // written past the exchange, to the connection
	}
	return nil
}

// failed answers for an upstream that did not.
func (g *Gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	cause := context.Cause(r.Context())
	timeout := net.Error(nil)
	if x.tunnel == nil {
		x.status = 0 // of an upgrade that the upstream announced and nobody asked for
	}
	switch {
	case errors.Is(cause, errIdle):
		err = cause
	case cause != nil && !errors.Is(cause, context.Canceled):
		g.refuse(x, r, cause) // cut by check
		return
	case r.Context().Err() != nil:
		x.verdict, x.status = verdictClientGone, 499 // as nginx logs it; nobody reads an answer
		panic(http.ErrAbortHandler)
	case x.body.broken():
		g.refuse(x, r, fmt.Errorf("read the request body: %w", auth.ErrMalformed))
		return
	case errors.Is(err, auth.ErrUpstreamSlow), errors.As(err, &timeout) && timeout.Timeout():
		err = fmt.Errorf("%w: %w", auth.ErrUpstreamSlow, err)
	default:
		err = fmt.Errorf("%w: %w", auth.ErrUpstreamDown, err)
	}
	g.log().Warn("upstream failed", "request_id", x.id, "route", x.route.name, "error", err)
	g.refuse(x, r, err)
}

// chatter is what httputil.ReverseProxy says of its own accord, such as that
// a client has left in the middle of an answer.
type chatter struct{ g *Gateway }

func (c chatter) Write(p []byte) (int, error) {
	c.g.log().Debug("reverse proxy", "detail", strings.TrimSpace(string(p)))
	return len(p), nil
}
