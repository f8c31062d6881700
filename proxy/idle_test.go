package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"gatehouse/internal/config"
)

// TestIdleTimeout: an exchange over which nothing passes any more ends, before
// the headers with 504 and after them by a cut; one that goes on does not,
// however long it takes and whichever side speaks.
func TestIdleTimeout(t *testing.T) {
	const limit = 400 * time.Millisecond
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public, IdleTimeout: limit}, config.Route{Path: "/guarded/", Access: anyone, IdleTimeout: limit})
	f := start(t, cfg, somebody())
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	flush := func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

	for _, target := range []string{"/silent", "/guarded/silent"} {
		app.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		if got := f.get(t, target, "ann").StatusCode; got != http.StatusGatewayTimeout {
			t.Errorf("%s: status %d, want 504", target, got)
		}
	}

	app.answer(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun\n")
		flush(w)
		<-r.Context().Done()
	})
	resp, err := transport.RoundTrip(request(t, "GET", f.addr, "/stops", nil))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); err == nil || string(text) != "begun\n" {
		t.Errorf("what stopped was read as whole: %q %v", text, err)
	}
	waitFor(t, "the log line", func() bool { return strings.Count(f.log.String(), `"reason":"`+reasonIdle+`"`) == 3 })

	// Three times as long as the limit, a word each third of it.
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		for range 9 {
			_, _ = io.WriteString(w, "word\n")
			flush(w)
			<-time.After(limit / 3)
		}
	})
	if resp, err = transport.RoundTrip(request(t, "GET", f.addr, "/down", nil)); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); err != nil || len(text) != 45 {
		t.Errorf("a slow answer was cut: %q %v", text, err)
	}
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n != 45 {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	body, send := io.Pipe()
	go func() {
		for range 9 {
			_, _ = io.WriteString(send, "word\n")
			<-time.After(limit / 3)
		}
		send.Close()
	}()
	if resp, err = transport.RoundTrip(request(t, "POST", f.addr, "/up", body)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a slow request was cut: %d", resp.StatusCode)
	}
}

func request(t *testing.T, method, addr, target string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+target, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestIdleWebSocket: it lives as long as either side speaks.
func TestIdleWebSocket(t *testing.T) {
	const limit = 400 * time.Millisecond
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer c.CloseNow()
		for err == nil { // hears, and never answers
			_, _, err = c.Read(r.Context())
		}
	})
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone, IdleTimeout: limit})
	f := start(t, cfg, somebody())
	c := dial(t, f, "ann")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for range 9 {
		if err := c.Write(ctx, websocket.MessageText, []byte("word")); err != nil {
			t.Fatalf("cut while it was in use: %v", err)
		}
		<-time.After(limit / 3)
	}
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("still open: %v", err)
	}
	waitFor(t, "the log line", func() bool { return strings.Contains(f.log.String(), `"reason":"`+reasonIdle+`"`) })
}

// TestTunnelHalfCloses: the end of what a client sends reaches the
// application, which may still have something to say.
func TestTunnelHalfCloses(t *testing.T) {
	for name, idle := range map[string]time.Duration{"no idle timeout": 0, "idle timeout": time.Minute} {
		t.Run(name, func(t *testing.T) {
			app := newApplication(t)
			app.answer(func(w http.ResponseWriter, r *http.Request) {
				c, in := acceptTunnel(w)
				defer c.Close()
				all, _ := io.ReadAll(in)
				_, _ = c.Write(append([]byte("heard "), all...))
			})
			cfg := defaults()
			cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public, IdleTimeout: idle})
			f := start(t, cfg, somebody())
			c, in := openTunnel(t, f.addr)
			_, _ = io.WriteString(c, "all")
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(in); err != nil || string(text) != "heard all" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
}

// lateWriter takes what is written, or flushed, after a while.
type lateWriter struct {
	http.ResponseWriter
	write, flush time.Duration
}

func (w lateWriter) Write(p []byte) (int, error) { time.Sleep(w.write); return len(p), nil }

func (w lateWriter) FlushError() error { time.Sleep(w.flush); return nil }

// lateConn is one whose other side reads late.
type lateConn struct {
	net.Conn
	write time.Duration
}

func (c lateConn) Write(p []byte) (int, error) { time.Sleep(c.write); return len(p), nil }

// TestIdleSlowReader: what a client takes late has passed late. The silence
// that follows begins then, not when the application spoke.
func TestIdleSlowReader(t *testing.T) {
	const limit, late = 4 * time.Second, 3 * time.Second
	for name, pass := range map[string]func(*exchange){
		"written": func(x *exchange) { x.ResponseWriter = lateWriter{write: late}; _, _ = x.Write([]byte("x")) },
		"flushed": func(x *exchange) { x.ResponseWriter = lateWriter{flush: late}; _, _ = x.Write([]byte("x")); x.Flush() },
		"tunnel": func(x *exchange) {
			_, _ = (&tunnel{Conn: lateConn{write: late}, idle: x.idle}).Write([]byte("x"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := &exchange{status: http.StatusOK}
				r, stop := x.limitIdle(request(t, "GET", "a", "/", nil), limit)
				defer stop()
				pass(x)
				time.Sleep(late)
				synctest.Wait()
				if err := r.Context().Err(); err != nil {
					t.Errorf("cut %s after a byte was taken, with a limit of %s: %v", late, limit, err)
				}
				time.Sleep(limit)
				synctest.Wait()
				if cause := context.Cause(r.Context()); cause != errIdle {
					t.Errorf("not cut when nothing passed: %v", cause)
				}
			})
		})
	}
}
