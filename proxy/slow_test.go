package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/internal/config"
)

// oneConn is a listener with one connection, made of memory so that it keeps
// to the clock of a bubble.
type oneConn struct {
	conn chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error { l.once.Do(func() { close(l.done) }); return nil }

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// Attack: a stranger holds connections, each by a byte a second, until there
// are none left for anybody (slowloris).
func TestSlowStrangersAreCutOff(t *testing.T) {
	const post = " HTTP/1.1\r\nHost: app.example\r\nContent-Length: 10000\r\n\r\n"
	for _, tt := range []struct {
		name   string
		sent   string
		drip   string // each second; nothing: only waits
		want   time.Duration
		answer string // its first line, as far as it matters
	}{
		{"not a byte", "", "", readHeaderTimeout, ""},
		{"head", "GET / HTTP/1.1\r\nX: ", "a", readHeaderTimeout, ""},
		{"head of the second request", "GET /ping HTTP/1.1\r\nHost: app.example\r\n\r\nGET / HTTP/1.1\r\nX: ", "a", readHeaderTimeout, "HTTP/1.1 200"},
		{"no second request", "GET /ping HTTP/1.1\r\nHost: app.example\r\n\r\n", "", idleTimeout, "HTTP/1.1 200"},
		{"body for us", "POST /oauth2/form" + post, "a", ownBodyTime + drainTime, "HTTP/1.1 400"},
		{"body that we do not read", "POST /oauth2/auth" + post, "a", drainTime, "HTTP/1.1 401"},
		{"body of a request that is refused", "POST /x" + post, "a", drainTime, "HTTP/1.1 401"},
		{"body of a malformed request", "POST /x%00" + post, "a", drainTime, "HTTP/1.1 400"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := defaults()
				cfg.Routes = to("static:204", config.Route{Path: "/", Access: anyone})
				f := newGateway(t, cfg, somebody())
				mux := f.Own.(*http.ServeMux)
				mux.HandleFunc("/oauth2/form", func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.ReadAll(r.Body); err != nil {
						w.WriteHeader(http.StatusBadRequest)
					}
				})
				client, server := net.Pipe()
				defer client.Close()
				l := &oneConn{conn: make(chan net.Conn, 1), done: make(chan struct{})}
				l.conn <- server
				f.serve(t, Listen(l, nil))

				begun := time.Now()
				var took time.Duration
				var answer bytes.Buffer
				over := make(chan struct{})
				go func() {
					defer close(over)
					_, _ = io.Copy(&answer, client)
					took = time.Since(begun)
				}()
				if tt.sent != "" {
					if _, err := io.WriteString(client, tt.sent); err != nil {
						t.Fatal(err)
					}
				}
				// An hour is longer than anybody may hold it.
				for range 3600 {
					time.Sleep(time.Second)
					if tt.drip == "" {
						continue
					}
					if _, err := io.WriteString(client, tt.drip); err != nil {
						break
					}
				}
				client.Close()
				<-over
				if took < tt.want-time.Second || took > tt.want+2*time.Second {
					t.Errorf("held for %v, want %v", took, tt.want)
				}
				if got := answer.String(); !strings.HasPrefix(got, tt.answer) || tt.answer == "" && got != "" {
					t.Errorf("answered %.40q, want %q", got, tt.answer)
				}
			})
		})
	}
}

// Attack: a client asks for pages of ours and never reads them, over HTTP/2 on a
// hundred streams of one connection, until there is no memory for others.
func TestAnswersThatNobodyReads(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  func(t *testing.T, client net.Conn)
	}{
		{"HTTP/1", func(t *testing.T, client net.Conn) {
			if _, err := io.WriteString(client, "GET /oauth2/large HTTP/1.1\r\nHost: app.example\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
		}},
		{"HTTP/2", func(t *testing.T, client net.Conn) {
			c := beginH2(t, client)
			go func() { _, _ = io.Copy(io.Discard, client) }() // what is not of a stream
			if err := c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
				t.Fatal(err)
			}
			c.begin(true, get("/oauth2/large")...)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newGateway(t, defaults(), somebody())
				over := make(chan time.Duration, 1)
				f.Own.(*http.ServeMux).HandleFunc("/oauth2/large", func(w http.ResponseWriter, _ *http.Request) {
					begun := time.Now()
					for {
						if _, err := w.Write(make([]byte, 1<<10)); err != nil {
							over <- time.Since(begun)
							return
						}
					}
				})
				client, server := net.Pipe()
				defer client.Close()
				l := &oneConn{conn: make(chan net.Conn, 1), done: make(chan struct{})}
				l.conn <- server
				f.serve(t, Listen(l, nil))
				tt.ask(t, client)
				if held := <-over; held != ownAnswerTime {
					t.Errorf("held for %v, want %v", held, ownAnswerTime)
				}
			})
		})
	}
}
