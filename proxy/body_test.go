package proxy

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/config"
)

// slowClient sends a byte a minute.
type slowClient struct{ left int }

func (s *slowClient) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	time.Sleep(time.Minute)
	return 1, nil
}

func (s *slowClient) Close() error { return nil }

// TestClockAwaitsNoClient: the time that an upstream has until its headers
// runs while it does not read, and not while the client does not send.
func TestClockAwaitsNoClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var expired atomic.Pointer[time.Time]
		b := &requestBody{ReadCloser: &slowClient{left: 3}}
		b.clock = startClock(time.Second, func() { now := time.Now(); expired.Store(&now) })
		if _, err := io.ReadAll(b); err != nil {
			t.Fatal(err)
		}
		if expired.Load() != nil {
			t.Error("a slow client counted against the upstream")
		}
		sent := time.Now()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if at := expired.Load(); at == nil || at.Sub(sent) != time.Second {
			t.Errorf("expired at %v, want 1s after %v", at, sent)
		}
		b.clock.stop()
	})
}

// TestClockEnds: once the headers are there, a body may take its time.
func TestClockEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := false
		b := &requestBody{ReadCloser: &slowClient{left: 1}}
		b.clock = startClock(time.Second, func() { expired = true })
		b.clock.stop()
		if _, err := io.ReadAll(b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if expired || b.broken() {
			t.Errorf("expired %v, broken %v", expired, b.broken())
		}
	})
}

// TestOneClock: connecting and waiting for the headers share one time, with a
// body that comes at once as without; one that is large has it anew with each
// part that the application takes.
func TestOneClock(t *testing.T) {
	const limit, step = 600 * time.Millisecond, 400 * time.Millisecond
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			select {
			case <-time.After(step):
			case <-r.Context().Done():
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	secure := httptest.NewUnstartedServer(app.Config.Handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { time.Sleep(step); return nil, nil }}
	secure.StartTLS()
	defer secure.Close()
	cfg := defaults()
	cfg.Routes = to(secure.URL, config.Route{Path: "/", Access: public, Timeout: limit, UpstreamTLS: config.UpstreamTLS{InsecureSkipVerify: true}})
	f := newGateway(t, cfg, somebody())
	plain := defaults()
	plain.Routes = to(app.URL, config.Route{Path: "/", Access: public, Timeout: limit})
	g := newGateway(t, plain, somebody())
	// A network on which it takes a while until there is a connection.
	transport := g.table.routes[0].proxy.Transport.(patient).Transport
	soon := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		time.Sleep(step)
		return soon(ctx, network, addr)
	}
	for name, f := range map[string]*front{"https": startGateway(t, f), "http": startGateway(t, g)} {
		for _, tt := range []struct {
			head string
			want int
		}{
			{"GET /slow HTTP/1.1\r\n\r\n", http.StatusGatewayTimeout},
			{"POST /slow HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", http.StatusGatewayTimeout},
			{"GET /fast HTTP/1.1\r\n\r\n", http.StatusOK},
			{"POST /fast HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", http.StatusOK},
		} {
			t.Run(name+" "+tt.head[:10], func(t *testing.T) {
				closeIdle(f)
				if got := f.raw(t, strings.Replace(tt.head, "\r\n", "\r\nHost: a\r\nConnection: close\r\n", 1)).StatusCode; got != tt.want {
					t.Errorf("status %d, want %d", got, tt.want)
				}
			})
		}
	}
}

// closeIdle has the next request to an application wait for a connection.
func closeIdle(f *front) {
	for _, rt := range f.table.routes {
		if rt.proxy != nil {
			rt.proxy.Transport.(patient).CloseIdleConnections()
		}
	}
}

// TestClockOfParts: each further part of a body that is taken begins the time
// anew, and neither the first nor the end does.
func TestClockOfParts(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		body  string
		after []time.Duration // before each byte is taken, and the end is seen
		want  time.Duration
	}{
		{"a", []time.Duration{700 * ms, 0}, 1000 * ms},
		{"a", []time.Duration{300 * ms, 300 * ms}, 1000 * ms},
		{"abc", []time.Duration{300 * ms, 600 * ms, 900 * ms, 900 * ms}, 2800 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			var expired atomic.Int64
			b := &requestBody{ReadCloser: io.NopCloser(strings.NewReader(tt.body))}
			b.clock = startClock(time.Second, func() { expired.Store(int64(time.Since(begun))) })
			for _, d := range tt.after {
				time.Sleep(d)
				_, _ = b.Read(make([]byte, 1))
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			b.clock.stop()
			if got := time.Duration(expired.Load()); got != tt.want {
				t.Errorf("%q, taken after %v: expired after %s, want %s", tt.body, tt.after, got, tt.want)
			}
		})
	}
}
