package proxy

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"

	"gatehouse/internal/clientip"
)

// refusals are the requests that net/http answers by itself, because it cannot
// read them or must not: no handler sees them, and whoever tries out how a
// request can be smuggled would leave no trace.
type refusals struct {
	log   *slog.Logger
	meter Meter // of Unrouted
}

// state is http.Server.ConnState.
func (s refusals) state(c net.Conn, state http.ConnState) {
	f := framedOf(c)
	if f == nil {
		return
	}
	switch state {
	case http.StateNew:
		f.refused = func(status int) { s.note(f.RemoteAddr(), status) }
	case http.StateIdle: // the answer is written, to its last byte
		f.answering.Store(false)
	case http.StateHijacked:
		f.off.Store(true)
	}
}

type framedKey struct{}

// connContext is http.Server.ConnContext, for answering.
func (s refusals) connContext(ctx context.Context, c net.Conn) context.Context {
	if f := framedOf(c); f != nil {
		return context.WithValue(ctx, framedKey{}, f)
	}
	return ctx
}

// answering returns a handler whose answers are not looked at. Attack: a
// download made of net/http's own words fills the log with requests that
// nobody has sent.
func (s refusals) answering(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f, ok := r.Context().Value(framedKey{}).(*framed); ok {
			f.answering.Store(true)
		}
		h.ServeHTTP(w, r)
	})
}

// framedOf returns nil for HTTP/2 over TLS, where net/http resets the stream
// in place of an answer.
func framedOf(c net.Conn) *framed {
	switch c := c.(type) {
	case *framed:
		return c
	case *framedTLS:
		return &c.framed
	}
	return nil
}

// note is the access log's line, and the count. Nothing of the request is
// known but who sent it, and that without what proxies say of it.
func (s refusals) note(from net.Addr, status int) {
	var peer clientip.Peer
	if addr, err := netip.ParseAddrPort(from.String()); err == nil {
		peer.Client = addr.Addr().Unmap()
	}
	s.log.Info("request",
		"request_id", newRequestID(), "client", peer.String(), "verdict", verdictMalformed, "status", status, "reason", "unreadable")
	s.meter.Opened()
	s.meter.Closed(verdictMalformed, status, 0, 0)
}

var (
	refusedHead  = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")
	notExpected  = []byte("HTTP/1.1 417 ")
	ownRequestID = []byte("\r\nX-Request-Id: ")
)

// refusal returns the status if p, as written to a client that no handler
// answers, is an answer of net/http's own, else 0. It writes such an answer in
// one piece and with these header fields alone, and the one to an Expect that
// it does not know without a request id; every answer of a Gateway has one.
func refusal(p []byte) int {
	if len(p) < len("HTTP/1.1 400 ") || p[0] != 'H' || p[9] != '4' && p[9] != '5' || !bytes.HasPrefix(p, []byte("HTTP/1.1 ")) {
		return 0
	}
	line := bytes.IndexByte(p, '\r')
	if line < 0 || !bytes.HasPrefix(p[line:], refusedHead) && (!bytes.HasPrefix(p, notExpected) || bytes.Contains(p, ownRequestID)) {
		return 0
	}
	status, err := strconv.Atoi(string(p[9:12]))
	if err != nil {
		return 0
	}
	return status
}

// Write looks for what net/http answers past the handler.
func (c *framed) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.refused != nil && !c.off.Load() && !c.answering.Load() {
		if status := refusal(p); status > 0 {
			c.refused(status)
		}
	}
	return n, err
}
