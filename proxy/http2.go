package proxy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"gatehouse/auth"
)

// Bounds of one HTTP/2 connection, which is to a client what a hundred
// connections of HTTP/1 are. What net/http bounds by itself: header fields, by
// maxHeaderBytes, also over CONTINUATION frames; requests that were begun and
// reset while others still run ("rapid reset"), by four times as many as may
// be open; queued control frames.
const (
	// maxStreams is the least that RFC 9113, section 6.5.2 recommends.
	maxStreams = 100
	// Of what clients send, so much waits at most for upstreams that do not
	// read. A stream has a part of it, so that one that stands still does not
	// stop the others.
	maxConnectionBuffer = 1 << 20
	maxStreamBuffer     = maxConnectionBuffer / 4
)

// http2Config has the bounds as net/http takes them.
func http2Config() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxConnectionBuffer, MaxReceiveBufferPerStream: maxStreamBuffer,
	}
}

// checkHTTP2 refuses requests that RFC 9113, section 8.1.1 calls malformed
// and net/http lets pass. Each says one thing twice, and whoever believes the
// other of the two sees another request: Content-Length beside the frames, a
// Host beside :authority, a URL for :path. What :scheme says counts nowhere.
// Errors wrap auth.ErrMalformed.
func checkHTTP2(r *http.Request) error {
	if r.ProtoMajor < 2 {
		return nil
	}
	malformed := func(what string) error { return fmt.Errorf("read the HTTP/2 request: %s: %w", what, auth.ErrMalformed) }
	if lines := r.Header["Content-Length"]; len(lines) > 0 {
		n, err := strconv.ParseUint(lines[0], 10, 63)
		if len(lines) > 1 || err != nil || int64(n) != r.ContentLength {
			return malformed("content-length")
		}
	}
	if lines := r.Header["Host"]; len(lines) > 1 || len(lines) == 1 && !strings.EqualFold(lines[0], r.Host) {
		return malformed("host differs from :authority")
	}
	switch {
	case !httpguts.ValidHeaderFieldName(r.Method): // a token, as names are
		return malformed(":method")
	case r.Host == "":
		return malformed("no :authority")
	case !strings.HasPrefix(r.RequestURI, "/"):
		return malformed(":path is not a path")
	}
	delete(r.Header, "Host")
	return nil
}
