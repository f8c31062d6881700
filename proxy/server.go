package proxy

import (
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Limits of the public listener. There is none on the time that a forwarded
// body or an answer may take: uploads, downloads and streams are the upstream's
// affair. Other bodies have the limits of limitBody.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Server returns a server with the limits of the public listener, to be
// served on a listener of Listen. What it answers by itself, to requests that
// cannot be read, is logged like other requests and counted by unread.
func Server(h http.Handler, logger *slog.Logger, unread Meter) *http.Server {
	refused := refusals{logger, unread}
	s := &http.Server{
		Handler:           refused.answering(h),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         new(http.Protocols),
		HTTP2:             http2Config(),
		ErrorLog:          log.New(connectionLog{logger}, "", 0),
		ConnState:         refused.state,
		ConnContext:       refused.connContext,
		// "OPTIONS *" would be answered before any rule is asked.
		DisableGeneralOptionsHandler: true,
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true) // with prior knowledge only (RFC 9113, section 3.3)
	return s
}

// connectionLog takes what net/http says about connections: strangers cause
// it, so it is no louder than debug. That none can be accepted, because the
// process is out of descriptors, is for whoever runs it to know.
type connectionLog struct{ log *slog.Logger }

func (c connectionLog) Write(p []byte) (int, error) {
	level := slog.LevelDebug
	if strings.Contains(string(p), "Accept error") {
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "connection", "detail", strings.TrimSpace(string(p)))
	return len(p), nil
}

// Listen returns a listener whose HTTP/1 connections refuse requests with two
// framings; see framed. With a tls.Config it speaks TLS, and HTTP/2 where the
// client chooses it; without, HTTP/2 where the client begins with it.
func Listen(l net.Listener, config *tls.Config) net.Listener {
	if config == nil {
		return plainListener{l}
	}
	config = config.Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	ctx, cancel := context.WithCancel(context.Background())
	t := &tlsListener{Listener: l, config: config, ready: make(chan net.Conn), passing: make(chan error), failed: make(chan error, 1), ctx: ctx, cancel: cancel}
	go t.accept()
	return t
}

type plainListener struct{ net.Listener }

func (l plainListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &framed{Conn: c, watch: watch{prior: true}}, nil
}

// tlsListener shakes hands before it hands a connection on, for only then is
// it known whether the connection speaks HTTP/2, which net/http must see as a
// *tls.Conn, or HTTP/1, whose plain text has to be looked at.
type tlsListener struct {
	net.Listener
	config  *tls.Config
	ready   chan net.Conn
	passing chan error // temporary ones, such as being out of descriptors
	failed  chan error // the last one
	ctx     context.Context
	cancel  context.CancelFunc
	hands   sync.WaitGroup
}

func (l *tlsListener) accept() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if temporary(err) {
				// net/http logs it, and waits before it asks again.
				select {
				case l.passing <- err:
					continue
				case <-l.ctx.Done():
				}
			}
			l.failed <- err
			return
		}
		l.hands.Go(func() { l.shake(c) })
	}
}

func temporary(err error) bool {
	e, ok := err.(interface{ Temporary() bool })
	return ok && e.Temporary()
}

func (l *tlsListener) shake(c net.Conn) {
	ctx, cancel := context.WithTimeout(l.ctx, readHeaderTimeout)
	defer cancel()
	t := tls.Server(c, l.config)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close()
		return
	}
	var out net.Conn = t
	if t.ConnectionState().NegotiatedProtocol != "h2" {
		out = &framedTLS{framed{Conn: t}, t}
	}
	select {
	case l.ready <- out:
	case <-l.ctx.Done():
		_ = c.Close()
	}
}

func (l *tlsListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.passing:
		return nil, err
	case err := <-l.failed:
		l.failed <- err
		return nil, err
	}
}

func (l *tlsListener) Close() error {
	l.cancel()
	err := l.Listener.Close()
	l.hands.Wait()
	return err
}
