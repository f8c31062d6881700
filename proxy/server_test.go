package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// exhausted is a listener of a process that has no descriptors left, then ends.
type exhausted struct {
	net.Listener
	left int
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.left--; l.left >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return nil, net.ErrClosed
}

// A process that is out of descriptors goes on trying, and says so where it is
// seen: strangers who hold connections open would otherwise shut it in silence.
func TestOutOfDescriptorsIsLogged(t *testing.T) {
	for name, config := range map[string]*tls.Config{"plain": nil, "TLS": {}} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			s := Server(http.NotFoundHandler(), slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn})), unmeasured{})
			if err := s.Serve(Listen(&exhausted{l, 2}, config)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Serve: %v", err)
			}
			if n := strings.Count(out.String(), "too many open files"); n != 2 {
				t.Errorf("%d lines, want 2:\n%s", n, out.String())
			}
		})
	}
}

func TestConnectionsOfStrangersAreNotLoud(t *testing.T) {
	var out bytes.Buffer
	c := connectionLog{slog.New(slog.NewTextHandler(&out, nil))}
	if _, err := c.Write([]byte("http: TLS handshake error from 192.0.2.1:1: EOF\n")); err != nil || out.Len() > 0 {
		t.Errorf("%v, logged %q", err, out.String())
	}
}
