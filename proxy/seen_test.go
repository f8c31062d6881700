package proxy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// counted is a Meter that keeps what it was told, as text.
type counted struct {
	route string
	into  *tally
}

type tally struct {
	mu     sync.Mutex
	open   map[string]int // by route
	closed []string       // "route verdict status"
	asked  []string       // "route verdict"
}

func (c counted) Opened() {
	c.into.mu.Lock()
	defer c.into.mu.Unlock()
	c.into.open[c.route]++
}

func (c counted) Closed(verdict string, status int, took, upstream time.Duration) {
	c.into.mu.Lock()
	defer c.into.mu.Unlock()
	c.into.open[c.route]--
	line := fmt.Sprintf("%s %s %d", c.route, verdict, status)
	if upstream > 0 {
		line += " upstream"
	}
	if took <= 0 || upstream > took {
		line += fmt.Sprintf(" took %s, upstream %s", took, upstream)
	}
	c.into.closed = append(c.into.closed, line)
}

func (c counted) Asked(verdict string) {
	c.into.mu.Lock()
	defer c.into.mu.Unlock()
	c.into.asked = append(c.into.asked, c.route+" "+verdict)
}

// take returns what was counted and forgets it.
func (t *tally) take() (closed, asked []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	closed, asked = t.closed, t.asked
	t.closed, t.asked = nil, nil
	return closed, asked
}

// requests returns the access log so far.
func (l *lines) requests(t testing.TB) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if got["msg"] == "request" {
			all = append(all, got)
		}
	}
	return all
}

// TestEachRequestIsSeenOnce: whatever becomes of a request, the access log has
// one line of it and one route counts it once, with the same verdict.
func TestEachRequestIsSeenOnce(t *testing.T) {
	app := newApplication(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	arrived := make(chan struct{}, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", echo)
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/waits", func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	mux.HandleFunc("/streams", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/breaks", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "application")
	})
	app.answer(mux.ServeHTTP)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()

	cfg := defaults()
	cfg.Server.TrustedProxies = []string{"127.0.0.0/8"}
	cfg.Routes = to(
		app.URL,
		config.Route{Path: "/", Access: anyone}, config.Route{Path: "/public/", Access: public}, config.Route{Path: "/staff/", Access: staff},
		config.Route{Path: "/hasty/", Access: public, Timeout: 50 * time.Millisecond, StripPrefix: true},
		config.Route{Path: "/dead/", Access: public, Upstream: "http://" + dead.Addr().String()},
		config.Route{Host: "b.example", Path: "/", Access: public, Upstream: "static:204"},
	)
	for i := range cfg.Routes {
		cfg.Routes[i].Host = "app.example"
	}
	cfg.Routes[5].Host = "b.example"
	who := somebody()
	g := newGateway(t, cfg, who)
	seen := &tally{open: map[string]int{}}
	g.Measure(func(route string) Meter { return counted{route, seen} })
	g.Own.(*http.ServeMux).HandleFunc("/oauth2/panics", func(http.ResponseWriter, *http.Request) { panic("oops") })
	f := startGateway(t, g)
	clock := struct {
		sync.Mutex
		ahead time.Duration
	}{}
	f.Now = func() time.Time {
		clock.Lock()
		defer clock.Unlock()
		return time.Now().Add(clock.ahead)
	}
	get := func(target, who string, headers ...string) func() {
		return func() { f.get(t, target, who, headers...) }
	}
	// begun sends a request, reads until it says what it waits for, and returns
	// the connection.
	begun := func(target, until string) net.Conn {
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: app.example\r\nCookie: _gatehouse=ann\r\n\r\n", target)
		var got strings.Builder
		for in := bufio.NewReader(c); !strings.Contains(got.String(), until); {
			b, err := in.ReadByte()
			if err != nil {
				t.Fatalf("%s: %v after %q", target, err, got.String())
			}
			got.WriteByte(b)
		}
		return c
	}
	type fields map[string]any
	for _, tt := range []struct {
		name   string
		do     func()
		closed string
		asked  string
		logged fields
	}{
		{"allowed", get("/x?code=hush", "ann"), "app.example/ allowed 200 upstream", "", fields{"user": "ann", "connection": "local", "path": "/x", "bytes": 11.0}},
		{"body", func() {
			f.raw(t, "POST /x HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\nCookie: _gatehouse=bob\r\nContent-Length: 5\r\n\r\nhello")
		}, "app.example/ allowed 200 upstream", "", fields{"connection": "acme", "bytes_in": 5.0}},
		{"HTTP/2", func() {
			h2 := &http.Transport{Protocols: new(http.Protocols)}
			h2.Protocols.SetUnencryptedHTTP2(true)
			defer h2.CloseIdleConnections()
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.addr+"/x", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = "app.example"
			req.AddCookie(&http.Cookie{Name: "_gatehouse", Value: "ann"})
			resp, err := h2.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}, "app.example/ allowed 200 upstream", "", fields{"host": "app.example", "bytes_in": 5.0, "bytes": 11.0}},
		{"public", get("/public/x", ""), "app.example/public/ public 200 upstream", "", nil},
		{"informational answer", func() {
			c := begun("/hints", "204 No Content")
			c.Close()
		}, "app.example/ allowed 204 upstream", "", nil},
		{"own", get("/ping", ""), "/ping own 200", "", nil},
		{"own with a body", func() {
			f.raw(t, "POST /oauth2/x HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
		}, "/oauth2/ own 404", "", nil},
		{"own and unclean", get("/oauth2//x", ""), "/oauth2/ not_found 404", "", fields{"reason": "not_found"}},
		{"program without a session", get("/x", ""), "app.example/ unauthenticated 401", "", fields{"reason": "unauthenticated"}},
		{"person without a session", get("/x", "", "Accept: text/html"), "app.example/ unauthenticated 302", "", nil},
		{"forbidden", get("/staff/x", "bob"), "app.example/staff/ forbidden 403", "", fields{"user": "acme:7", "reason": "forbidden"}},
		{"malformed", get("/x%00", "ann"), "none malformed 400", "", fields{"reason": "malformed"}},
		{"unknown host", func() { f.raw(t, "GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n") }, "none not_found 404", "", nil},
		{"static", func() { f.raw(t, "GET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n") }, "b.example/ public 204", "b.example/ public", nil},
		{"method", func() { f.send(t, "TRACE", "/x", "ann") }, "none method_not_allowed 405", "", nil},
		{"made-up method", func() { f.send(t, "HUSH", "/x", "ann") }, "app.example/ allowed 200 upstream", "", fields{"method": "HUSH"}},
		{"panic", get("/oauth2/panics", ""), "/oauth2/ internal 500", "", fields{"reason": "internal"}},
		{"upstream down", get("/dead/", ""), "app.example/dead/ upstream_error 502", "", fields{"reason": "upstream_down"}},
		{"upstream slow", func() {
			get("/hasty/waits", "")()
			<-arrived
		}, "app.example/hasty/ upstream_error 504", "", fields{"reason": "upstream_slow"}},
		{"upstream breaks off", func() {
			c := begun("/breaks", "first")
			_, _ = io.Copy(io.Discard, c)
			c.Close()
		}, "app.example/ upstream_error 200 upstream", "", nil},
		{"client leaves before the answer", func() {
			c := begun("/waits", "")
			<-arrived
			c.Close()
		}, "app.example/ client_gone 499", "", nil},
		{"client leaves within the answer", func() {
			c := begun("/streams", "first")
			c.Close()
		}, "app.example/ client_gone 200 upstream", "", nil},
		{"WebSocket", func() {
			c, _, err := websocket.Dial(ctx, "ws://"+f.addr+"/ws", &websocket.DialOptions{
				Host: "app.example", HTTPHeader: http.Header{"Cookie": {"_gatehouse=ann"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Write(ctx, websocket.MessageBinary, make([]byte, 100))
			_, _, _ = c.Read(ctx)
			_ = c.Close(websocket.StatusNormalClosure, "")
		}, "app.example/ allowed 101 upstream", "", fields{"status": 101.0, "user": "ann"}},
		{"stream that is cut", func() {
			c := begun("/streams", "first")
			who.change(func(p *people) { delete(p.all, "ann") })
			clock.Lock()
			clock.ahead = time.Minute
			clock.Unlock()
			f.checkOpen(ctx)
			_, _ = io.Copy(io.Discard, c)
			c.Close()
			who.change(func(p *people) { p.all["ann"] = somebody().all["ann"] })
		}, "app.example/ cut 200 upstream", "", fields{"reason": "unauthenticated"}},
		{"forward-auth", get("/oauth2/auth", "ann"), "/oauth2/auth allowed 202", "none allowed", fields{"user": "ann"}},
		{
			"forward-auth of a route", get("/oauth2/auth", "ann", "X-Original-URL: http://app.example/staff/x", "X-Original-Method: GET"),
			"/oauth2/auth allowed 202", "app.example/staff/ allowed",
			fields{"judged_route": "app.example/staff/", "route": "/oauth2/auth", "about_path": "/staff/x", "about_host": "app.example"},
		},
		{
			"forward-auth, forbidden", get("/oauth2/auth", "bob", "X-Original-URL: http://app.example/staff/x", "X-Original-Method: GET"),
			"/oauth2/auth forbidden 403", "app.example/staff/ forbidden",
			fields{"user": "acme:7", "reason": "forbidden"},
		},
		{
			"forward-auth, public", get("/oauth2/auth", "", "X-Original-URL: http://app.example/public/x", "X-Original-Method: GET"),
			"/oauth2/auth public 202", "app.example/public/ public", nil,
		},
		{
			"forward-auth, nobody", get("/oauth2/auth", "", "X-Original-URL: http://app.example/staff/x", "X-Original-Method: GET"),
			"/oauth2/auth unauthenticated 401", "app.example/staff/ unauthenticated", nil,
		},
		{
			"forward-auth, no such route", get("/oauth2/auth", "ann", "X-Original-URL: http://other.example/", "X-Original-Method: GET"),
			"/oauth2/auth forbidden 403", "none forbidden", nil,
		},
		{"store down", func() {
			who.change(func(p *people) { p.down = true })
			get("/x", "ann")()
		}, "app.example/ store_down 503", "", fields{"reason": "store_down"}},
		{"store down for forward-auth", get("/oauth2/auth", "ann"), "/oauth2/auth store_down 503", "none store_down", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(f.log.requests(t))
			tt.do()
			waitFor(t, "the line", func() bool { return len(f.log.requests(t)) > before })
			var closed, asked []string
			waitFor(t, "the count", func() bool {
				c, a := seen.take()
				closed, asked = append(closed, c...), append(asked, a...)
				return len(closed) > 0
			})
			want, wantAsked := []string{tt.closed}, []string(nil)
			if tt.asked != "" {
				wantAsked = []string{tt.asked}
			}
			if diff := cmp.Diff([][]string{want, wantAsked}, [][]string{closed, asked}); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			logged := f.log.requests(t)[before:]
			if len(logged) != 1 {
				t.Fatalf("%d lines, want 1: %v", len(logged), logged)
			}
			for name, want := range tt.logged {
				if got := logged[0][name]; got != want {
					t.Errorf("%s is %v, want %v", name, got, want)
				}
			}
			route, rest, _ := strings.Cut(tt.closed, " ")
			if verdict, _, _ := strings.Cut(rest, " "); logged[0]["verdict"] != verdict {
				t.Errorf("the log says %v, want %s", logged[0]["verdict"], verdict)
			}
			if got, named := logged[0]["route"]; named != (route != Unrouted) || named && got != route {
				t.Errorf("the log says route %v, want %s", got, route)
			}
			if _, timed := logged[0]["upstream_duration"]; timed != strings.HasSuffix(tt.closed, " upstream") {
				t.Errorf("an upstream_duration is there: %v", timed)
			}
			if tt.name == "WebSocket" {
				// A frame has a head of a few bytes, and a mask towards us.
				if in, out := logged[0]["bytes_in"].(float64), logged[0]["bytes"].(float64); in < 106 || out < 102 || in > 200 || out > 200 {
					t.Errorf("%v bytes in, %v out", in, out)
				}
			}
		})
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for route, n := range seen.open {
		if n != 0 {
			t.Errorf("%d requests of %s are open for ever", n, route)
		}
	}
	if strings.Contains(f.log.String(), "hush") {
		t.Error("the log holds a query")
	}
}

// TestMeasureKnowsRoutesBeforehand: what counts is made from the configuration,
// before any request could name anything.
func TestMeasureKnowsRoutesBeforehand(t *testing.T) {
	cfg := defaults()
	cfg.Routes = to("static:204", config.Route{Path: "/"}, config.Route{Host: "a.example", Path: "/x/"})
	f := newGateway(t, cfg, somebody())
	var names []string
	f.Measure(func(route string) Meter {
		names = append(names, route)
		return unmeasured{}
	})
	want := []string{"none", "/oauth2/", "/oauth2/auth", "/ping", "/ready", "/.well-known/gatehouse/", "/", "a.example/x/"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestVerdictOf(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("x: %w", auth.ErrUnauthenticated), "unauthenticated"},
		{&auth.Denied{Reason: auth.DeniedDisabled}, "forbidden"},
		{fmt.Errorf("%w: %w", auth.ErrUnauthenticated, auth.ErrStoreDown), "store_down"},
		{fmt.Errorf("%w: %w", auth.ErrUpstreamSlow, context.DeadlineExceeded), "upstream_error"},
		{io.ErrUnexpectedEOF, "internal"},
	} {
		if got := verdictOf(tt.err); got != tt.want {
			t.Errorf("%v is %s, want %s", tt.err, got, tt.want)
		}
	}
}
