package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
)

// framed is an HTTP/1 connection that watches where each request ends. A
// request with both Content-Length and Transfer-Encoding is two requests to
// some server on the way (request smuggling); RFC 9112, section 6.1 lets a
// server refuse it. net/http drops the Content-Length before any handler
// could see it, so it is seen here: the second of the two field names is
// broken on its way in, and net/http itself answers 400 and closes. The same
// goes for Transfer-Encoding in HTTP/1.0 and for folded lines, whose meaning
// servers do not agree on either.
//
// It stands aside for HTTP/2, whose frames say it once, on a connection that
// begins with the whole of its preface: by that net/http tells it too.
//
// net/http alone decides about framing. If what is watched here ever got out
// of step with it, a request would be refused or go unwatched, and would
// still be forwarded with one framing only.
type framed struct {
	net.Conn
	watch     watch
	off       atomic.Bool      // hijacked, or HTTP/2: what follows is not HTTP/1
	answering atomic.Bool      // a handler's answer is being written
	refused   func(status int) // of an answer that no handler gave; nil: nobody asks
}

// framedTLS lets net/http see the connection's TLS state.
type framedTLS struct {
	framed
	tls *tls.Conn
}

// ConnectionState is what net/http sets Request.TLS from.
func (c *framedTLS) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

func (c *framed) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.off.Load() {
		if c.watch.see(p[:n]); c.watch.matched == len(preface) {
			c.off.Store(true)
		}
	}
	return n, err
}

// CloseWrite lets net/http and WebSocket tunnels half-close.
func (c *framed) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Where a watch is in the stream of requests.
type place uint8

const (
	requestLine place = iota
	nameStart         // at the first byte of a line of the head
	name              // within a field name
	value             // within a field value
	body              // of known length
	chunkSize
	chunkData // with its CR LF
	trailer
	lost // refused, or not HTTP: everything passes
)

// preface is how an HTTP/2 connection begins (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// watch follows the requests of one connection byte by byte.
type watch struct {
	prior   bool // so far it may be HTTP/2 in the clear
	matched int  // bytes of the preface
	at      place
	field   [17]byte // lower-case start of the field name, as long as the longest of interest
	length  int      // of the whole name so far
	tail    [10]byte // of the request line, with its line end
	empty   bool     // the line so far has only a CR
	sizing  bool     // within the digits of a chunk size or a Content-Length
	present uint8    // hasLength, hasEncoding
	reading bool     // the value is that of Content-Length
	old     bool     // HTTP/1.0
	left    uint64   // bytes of the body or chunk to come
}

const (
	hasLength = 1 << iota
	hasEncoding
)

// see follows p and breaks in place what must not be understood.
func (w *watch) see(p []byte) {
	if w.prior && w.isHTTP2(p) {
		w.at = lost
	}
	for i := 0; i < len(p); {
		switch w.at {
		case requestLine:
			n := lineEnd(p[i:])
			w.keepTail(p[i : i+n])
			if i += n; p[i-1] == '\n' {
				if len(bytes.Trim(w.tail[:], "\x00\r\n")) == 0 {
					continue // net/http tolerates an empty line after a POST
				}
				w.old = bytes.Contains(w.tail[:], []byte("HTTP/1.0"))
				w.tail = [10]byte{}
				w.at, w.present, w.left, w.length, w.empty = nameStart, 0, 0, 0, true
			}
		case nameStart, name:
			i = w.seeName(p, i)
		case value:
			n := lineEnd(p[i:])
			if w.reading {
				w.number(p[i:i+n], 10)
			}
			if i += n; p[i-1] == '\n' {
				w.at, w.length, w.empty, w.reading = nameStart, 0, true, false
			}
		case body, chunkData:
			n := min(uint64(len(p)-i), w.left)
			i += int(n)
			if w.left -= n; w.left == 0 {
				if w.at == body {
					w.at = requestLine
				} else {
					w.at, w.sizing = chunkSize, true
				}
			}
		case chunkSize:
			n := lineEnd(p[i:])
			w.number(p[i:i+n], 16)
			if i += n; p[i-1] == '\n' {
				if w.left == 0 {
					w.at, w.empty = trailer, true
				} else {
					w.at = chunkData
					w.left += 2
				}
			}
		case trailer:
			n := lineEnd(p[i:])
			w.empty = w.empty && len(bytes.Trim(p[i:i+n], "\r\n")) == 0
			if i += n; p[i-1] == '\n' {
				if w.empty {
					w.at = requestLine
				}
				w.empty = true
			}
		case lost:
			return
		}
	}
}

// isHTTP2 reports whether the preface is whole with p. As a request of HTTP/1
// it would be an odd one, and none that is refused: what was seen of it before
// needs no going back.
func (w *watch) isHTTP2(p []byte) bool {
	n := min(len(p), len(preface)-w.matched)
	if string(p[:n]) != preface[w.matched:w.matched+n] {
		w.prior = false
		return false
	}
	w.matched += n
	w.prior = w.matched < len(preface)
	return !w.prior
}

// seeName follows a line of the head up to the colon, or to its end.
func (w *watch) seeName(p []byte, i int) int {
	for ; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '\n':
			if w.empty {
				w.endOfHead()
			} else {
				w.at, w.length, w.empty = nameStart, 0, true
			}
			return i + 1
		case c == '\r':
			continue
		case w.at == nameStart && (c == ' ' || c == '\t'):
			w.refuse(p, i)
			return i
		case c == ':':
			w.at = value
			return w.named(p, i)
		}
		if w.at, w.empty = name, false; w.length < len(w.field) {
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			w.field[w.length] = c
		}
		w.length++
	}
	return i
}

// named looks at a whole field name; its colon is at i.
func (w *watch) named(p []byte, i int) int {
	switch string(w.field[:min(w.length, len(w.field))]) {
	case "content-length":
		w.present |= hasLength
		w.reading, w.sizing, w.left = true, true, 0
	case "transfer-encoding":
		if w.length == len("transfer-encoding") {
			w.present |= hasEncoding
			if w.old {
				w.present |= hasLength // refused all the same
			}
		}
	}
	if w.present == hasLength|hasEncoding {
		w.refuse(p, i)
		return i
	}
	return i + 1
}

// refuse breaks the line at i: no field name has a NUL.
func (w *watch) refuse(p []byte, i int) {
	p[i] = 0
	w.at = lost
}

func (w *watch) endOfHead() {
	switch {
	case w.present&hasEncoding != 0:
		w.at, w.left, w.sizing = chunkSize, 0, true
	case w.left > 0:
		w.at = body
	default:
		w.at = requestLine
	}
}

// number reads digits of a chunk size or a Content-Length into left.
func (w *watch) number(p []byte, base uint64) {
	for _, c := range p {
		digit, ok := unhex(c)
		switch {
		case !w.sizing:
			return
		case ok && uint64(digit) < base && w.left < 1<<58:
			w.left = w.left*base + uint64(digit)
		case base == 10 && (c == ' ' || c == '\t') && w.left == 0: // before the value
		default:
			w.sizing = false
		}
	}
}

func (w *watch) keepTail(p []byte) {
	if len(p) >= len(w.tail) {
		copy(w.tail[:], p[len(p)-len(w.tail):])
		return
	}
	copy(w.tail[:], w.tail[len(p):])
	copy(w.tail[len(w.tail)-len(p):], p)
}

// lineEnd returns how many bytes of p belong to the present line, its end
// included.
func lineEnd(p []byte) int {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		return i + 1
	}
	return len(p)
}
