package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/internal/config"
)

// upstream is where a route's requests go, read from routes[].upstream.
type upstream struct {
	kind string // http, https, h2c, unix, static, file
	host string // host:port as the URL names it
	path string // of the socket or the directory
	code int    // static
}

// parseUpstream reads http://HOST, https://HOST, h2c://HOST, unix:///SOCKET,
// static:CODE and file:DIR.
func parseUpstream(s string) (upstream, error) {
	kind, rest, _ := strings.Cut(s, ":")
	switch kind {
	case "http", "https", "h2c":
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Opaque != "" {
			return upstream{}, errors.New("write " + kind + "://host:port")
		}
		if u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return upstream{}, errors.New("only scheme, host and port are allowed: the path of the request is forwarded as it is")
		}
		return upstream{kind: kind, host: u.Host}, nil
	case "unix":
		path := strings.TrimPrefix(rest, "//")
		if !strings.HasPrefix(path, "/") {
			return upstream{}, errors.New("write unix:///path/of/the.sock")
		}
		return upstream{kind: kind, host: "localhost", path: path}, nil
	case "static":
		code, err := strconv.Atoi(rest)
		if err != nil || code < 200 || code > 599 {
			return upstream{}, errors.New("write static: and a status from 200 to 599")
		}
		return upstream{kind: kind, code: code}, nil
	case "file":
		path := strings.TrimPrefix(rest, "//")
		if path == "" {
			return upstream{}, errors.New("write file: and a directory")
		}
		return upstream{kind: kind, path: path}, nil
	}
	return upstream{}, fmt.Errorf("%q is none of http, https, h2c, unix, static, file", kind)
}

// grants reports whether the upstream is a verdict; see Gateway.grant.
func (u upstream) grants() bool { return u.kind == "static" && u.code < 300 }

// scheme returns the scheme of a URL for http.Transport.
func (u upstream) scheme() string {
	if u.kind == "https" {
		return "https"
	}
	return "http"
}

// way is how a route's requests reach its upstream. Routes with the same way
// share one transport and its idle connections.
type way struct {
	upstream
	tls     config.UpstreamTLS
	connect time.Duration // until there is a connection, and then until its TLS
	timeout time.Duration // until response headers, by the clock of patient
}

// maySpeakHTTP2 reports whether the upstream may.
func (w way) maySpeakHTTP2() bool { return w.kind == "https" || w.kind == "h2c" }

// transport returns a tuned transport, over HTTP/1 only if one is set. Warn
// logs what it finds later.
//
// The default of 2 idle connections per host would make almost every request
// under load open a new one. No proxy from the environment: an upstream is
// what the file says. No compression of our own: bodies pass as they are.
func (w way) transport(one bool, warn func(msg string, args ...any)) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: w.connect, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    w.connect,
		MaxIdleConnsPerHost:    1024,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
		MaxResponseHeaderBytes: 256 << 10,
	}
	switch w.kind {
	case "h2c":
		t.Protocols.SetHTTP1(one)
		t.Protocols.SetUnencryptedHTTP2(!one)
	case "https":
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(!one)
		if w.tls != (config.UpstreamTLS{}) {
			u := &upstreamTLS{UpstreamTLS: w.tls, host: w.name(), dialer: dialer, timeout: w.connect, one: one, warn: warn}
			if err := u.open(); err != nil {
				return nil, err
			}
			t.DialTLSContext = u.dial
		}
	case "unix":
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", w.path)
		}
		fallthrough
	default:
		t.Protocols.SetHTTP1(true)
	}
	return t, nil
}

// name is the host of a URL without its port.
func (u upstream) name() string { return (&url.URL{Host: u.host}).Hostname() }

// buffers is the httputil.BufferPool of all routes. 64 KiB: larger ones copy
// big downloads faster, but each open stream holds one.
type buffers struct{ pool sync.Pool }

const bufferSize = 64 << 10

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return p[:]
	}
	return new([bufferSize]byte)[:]
}

func (b *buffers) Put(p []byte) {
	if len(p) == bufferSize {
		b.pool.Put((*[bufferSize]byte)(p))
	}
}
