package proxy

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
)

// tunnel is the client's connection after an upgrade. It counts what flows for
// the access log.
type tunnel struct {
	net.Conn
	idle    *idleClock // nil: none
	in, out atomic.Int64
}

// Hijack is http.Hijacker.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buffered, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	x.tunnel = &tunnel{Conn: c, idle: x.idle}
	return x.tunnel, buffered, nil
}

func (t *tunnel) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.in.Add(int64(n))
	return n, err
}

func (t *tunnel) Write(p []byte) (int, error) {
	n, err := t.Conn.Write(p)
	t.out.Add(int64(n))
	t.idle.heard(n)
	return n, err
}

// CloseWrite lets either side end what it says and still listen.
func (t *tunnel) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
