package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/config"
)

// speaking returns the protocols of one that speaks HTTP/2 in the clear, or
// HTTP/1.
func speaking(h2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(!h2)
	p.SetUnencryptedHTTP2(h2)
	return p
}

// TestOpenDuplexEnds: a stream that the client holds open both ways, silent,
// ends with its session, and when it is idle for too long, whatever is spoken
// on either side. Attack: HTTP/2 towards the application waited for the
// client's next byte before it looked whether anybody wants to go on.
func TestOpenDuplexEnds(t *testing.T) {
	for _, in := range []bool{false, true} {
		for _, out := range []bool{false, true} {
			for _, idle := range []time.Duration{0, 300 * time.Millisecond} {
				name := map[bool]string{false: "1", true: "2"}
				t.Run("HTTP "+name[in]+" in, "+name[out]+" out, idle "+idle.String(), func(t *testing.T) {
					gone := make(chan struct{})
					app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						defer close(gone)
						_ = http.NewResponseController(w).EnableFullDuplex()
						_, _ = io.WriteString(w, "begun\n")
						_ = http.NewResponseController(w).Flush()
						_, _ = io.Copy(io.Discard, r.Body)
					}))
					app.Config.Protocols = speaking(out)
					app.Start()
					defer app.Close()
					address := app.URL
					if out {
						address = strings.Replace(address, "http:", "h2c:", 1)
					}
					cfg := defaults()
					cfg.Routes = to(address, config.Route{Path: "/", Access: staff, IdleTimeout: idle})
					who := somebody()
					g := newGateway(t, cfg, who)
					clock := &handClock{at: time.Now()}
					g.Now = clock.now
					f := startGateway(t, g)

					body, send := io.Pipe()
					defer send.Close()
					req := request(t, "POST", f.addr, "/", body)
					req.AddCookie(&http.Cookie{Name: "_gatehouse", Value: "ann"})
					transport := &http.Transport{Protocols: speaking(in)}
					defer transport.CloseIdleConnections()
					go func() { _, _ = io.WriteString(send, "x") }()
					resp, err := transport.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					answer := bufio.NewReader(resp.Body)
					if line, err := answer.ReadString('\n'); err != nil || line != "begun\n" {
						t.Fatalf("%q, %v", line, err)
					}
					if idle == 0 {
						who.change(func(p *people) { delete(p.all, "ann") })
						clock.add(checkEvery + time.Second)
						f.checkOpen(context.Background())
					}
					over := make(chan error, 1)
					go func() {
						_, err := answer.ReadByte()
						over <- err
					}()
					select {
					case err := <-over:
						if err == nil || err == io.EOF {
							t.Errorf("the answer ended as if it were whole: %v", err)
						}
					case <-time.After(10 * time.Second):
						t.Fatal("the stream is still open")
					}
					select {
					case <-gone:
					case <-time.After(10 * time.Second):
						t.Error("the application still holds it open")
					}
				})
			}
		}
	}
}

// TestWebSocketUpstreams: a WebSocket passes from either listener to every
// kind of upstream, also to one that would rather speak HTTP/2.
func TestWebSocketUpstreams(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, in := acceptTunnel(w)
		defer c.Close()
		_, _ = io.Copy(c, in)
	})
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	clear := httptest.NewUnstartedServer(app)
	clear.Config.Protocols = both
	clear.Start()
	defer clear.Close()
	secure := httptest.NewUnstartedServer(app)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	cfg := defaults()
	cfg.Routes = to(
		clear.URL,
		config.Route{Path: "/http", Access: public},
		config.Route{Path: "/h2c", Access: public, Upstream: "h2c://" + clear.Listener.Addr().String()},
		config.Route{Path: "/https", Access: public, Upstream: secure.URL, UpstreamTLS: config.UpstreamTLS{InsecureSkipVerify: true}},
	)
	plain := start(t, cfg, somebody())
	overTLS := newGateway(t, cfg, somebody())
	trust := overTLS.serveTLS(t)
	for _, path := range []string{"/http", "/h2c", "/https"} {
		for _, c := range []net.Conn{connection(t, plain.addr), tls.Client(connection(t, overTLS.addr), trust.Clone())} {
			in := tunnelOver(t, c, path)
			_, _ = io.WriteString(c, "hello\n")
			if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
				t.Errorf("%s: %q, %v", path, line, err)
			}
			c.Close()
		}
	}
}

// TestTETrailers: "TE: trailers" is the one hop-by-hop field that passes: gRPC
// servers take a request without it for one that came over a proxy that drops
// trailers.
func TestTETrailers(t *testing.T) {
	for _, out := range []bool{false, true} {
		got := make(chan []string, 1)
		app := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header["Te"] }))
		app.Config.Protocols = speaking(out)
		app.Start()
		defer app.Close()
		cfg := defaults()
		cfg.Routes = to(map[bool]string{false: "http://", true: "h2c://"}[out]+app.Listener.Addr().String(), config.Route{Path: "/", Access: public})
		f := start(t, cfg, somebody())
		for _, tt := range []struct {
			in   []string
			want []string
		}{
			{[]string{"TE: trailers"}, []string{"trailers"}},
			{[]string{"TE: gzip, trailers"}, []string{"trailers"}},
			{[]string{"TE: gzip"}, nil},
			{nil, nil},
		} {
			f.get(t, "/", "", tt.in...)
			if te := <-got; !slices.Equal(te, tt.want) {
				t.Errorf("HTTP/2 %v: %q arrives as %q, want %q", out, tt.in, te, tt.want)
			}
		}
		c := dialH2(t, f.addr, nil)
		c.answer(c.begin(true, get("/", "te", "trailers")...))
		if te := <-got; !slices.Equal(te, []string{"trailers"}) {
			t.Errorf("over HTTP/2, to HTTP/2 %v: it arrives as %q", out, te)
		}
	}
}

// handClock is a clock that is set by hand.
type handClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *handClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *handClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
