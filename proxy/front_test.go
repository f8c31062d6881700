package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// people is an Authenticator over a cookie that names the person.
type people struct {
	mu   sync.Mutex
	all  map[string]*auth.Person
	down bool

	uses, rechecks int // how often a session was asked for
}

func (p *people) Authenticate(r *http.Request) (*auth.Session, *auth.Person, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if auth.IsRecheck(r.Context()) {
		p.rechecks++
	} else {
		p.uses++
	}
	if p.down {
		return nil, nil, auth.ErrStoreDown
	}
	c, err := r.Cookie("_gatehouse")
	if err != nil || p.all[c.Value] == nil {
		return nil, nil, auth.ErrUnauthenticated
	}
	return &auth.Session{ID: c.Value}, p.all[c.Value], nil
}

func (p *people) change(f func(*people)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
}

// somebody returns a few people, by the value of their cookie.
func somebody() *people {
	return &people{all: map[string]*auth.Person{
		"ann": {User: "ann", Email: "ann@acme.example", PreferredUsername: "Ann", Groups: []string{"staff", "a,b"}, Account: "1", Connection: "local", AMR: []string{"pwd"}, Attributes: map[string][]string{"department": {"R&D", "Ünits, all"}, "name": {"Ann, Ä."}}},
		"bob": {User: "acme:7", Connection: "acme", Groups: []string{}},
	}}
}

// application is an upstream that keeps what it gets and answers as told.
type application struct {
	*httptest.Server
	mu      sync.Mutex
	last    *http.Request
	body    []byte
	trailer http.Header
	handler http.HandlerFunc
}

func newApplication(t testing.TB) *application {
	a := &application{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		h := a.handler
		a.mu.Unlock()
		if h != nil {
			h(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		a.mu.Lock()
		a.last, a.body, a.trailer = r, body, r.Trailer
		a.mu.Unlock()
		w.Header().Set("X-Upstream", "yes")
		_, _ = io.WriteString(w, "application")
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *application) answer(h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handler = h
}

// got returns the last request and forgets it; nil when none came.
func (a *application) got() *http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.last
	a.last = nil
	return r
}

func defaults() *config.Config {
	return &config.Config{
		Server:  config.Server{PublicURL: "http://app.example", Prefix: "/oauth2"},
		Session: config.Session{CookieName: "_gatehouse"},
		IdentityHeaders: config.IdentityHeaders{
			User: "X-Forwarded-User", Email: "X-Forwarded-Email", Groups: "X-Forwarded-Groups",
			PreferredUsername: "X-Forwarded-Preferred-Username", Attributes: "X-Forwarded-Attr-",
		},
		Connections: []config.Connection{{ID: "acme", Attributes: []config.Attribute{{Name: "email"}, {Name: "department"}, {Name: "cost_center"}}}},
	}
}

func to(upstream string, routes ...config.Route) []config.Route {
	for i := range routes {
		if routes[i].Upstream == "" {
			routes[i].Upstream = upstream
		}
		if routes[i].Timeout == 0 {
			routes[i].Timeout = 5 * time.Second
		}
		if routes[i].ConnectTimeout == 0 {
			routes[i].ConnectTimeout = 5 * time.Second
		}
		if routes[i].HostHeader == "" {
			routes[i].HostHeader = config.HostPass
		}
		routes[i].Line = i + 1
	}
	return routes
}

var (
	public = config.Access{Public: true}
	anyone = config.Access{}
	staff  = config.Access{Groups: []string{"staff"}}
)

// front is a gateway on a real listener.
type front struct {
	*Gateway
	addr string
	log  *lines
}

type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newGateway(t testing.TB, cfg *config.Config, sessions Authenticator) *front {
	t.Helper()
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	f := &front{Gateway: g, log: &lines{}}
	g.Log = slog.New(slog.NewJSONHandler(f.log, nil))
	g.Identity.Log = g.Log
	g.Sessions = sessions
	g.Pages = &web.Pages{Prefix: cfg.Server.Prefix}
	mux := http.NewServeMux()
	mux.Handle(cfg.Server.Prefix+"/auth", g.ForwardAuth())
	mux.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "pong") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { g.Pages.Error(w, r, auth.ErrNotFound) })
	g.Own = mux
	return f
}

func start(t testing.TB, cfg *config.Config, sessions Authenticator) *front {
	t.Helper()
	return startGateway(t, newGateway(t, cfg, sessions))
}

func startGateway(t testing.TB, f *front) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	f.serve(t, Listen(l, nil))
	return f
}

func (f *front) serve(t testing.TB, l net.Listener) {
	server := Server(f.Gateway, f.Gateway.Log, f.unrouted)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); l.Close(); <-done })
}

// raw sends bytes as they are and reads one answer.
func (f *front) raw(t testing.TB, text string) *http.Response {
	t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return exchangeRaw(t, c, text)
}

func exchangeRaw(t testing.TB, c net.Conn, text string) *http.Response {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("read the answer to %q: %v", text, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read the body of the answer to %q: %v", text, err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

// get sends a request with header lines as a person's cookie has them.
func (f *front) get(t testing.TB, target, who string, headers ...string) *http.Response {
	t.Helper()
	return f.send(t, "GET", target, who, headers...)
}

func (f *front) send(t testing.TB, method, target, who string, headers ...string) *http.Response {
	t.Helper()
	text := method + " " + target + " HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n"
	if who != "" {
		text += "Cookie: _gatehouse=" + who + "\r\n"
	}
	for _, h := range headers {
		text += h + "\r\n"
	}
	return f.raw(t, text+"\r\n")
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// connection is a connection of ten seconds.
func connection(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c.(*net.TCPConn)
}

// openTunnel asks for a WebSocket and returns the bare connection behind it.
func openTunnel(t testing.TB, addr string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c := connection(t, addr)
	return c, tunnelOver(t, c, "/")
}

func tunnelOver(t testing.TB, c net.Conn, path string) *bufio.Reader {
	t.Helper()
	_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(c)
	if resp, err := http.ReadResponse(in, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s: %v, %v", path, resp, err)
	}
	return in
}

// acceptTunnel is the application's side of openTunnel.
func acceptTunnel(w http.ResponseWriter) (net.Conn, io.Reader) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.WriteHeader(http.StatusSwitchingProtocols)
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	return c, rw
}

// stuckSessions are sessions whose store takes until release.
type stuckSessions struct {
	Authenticator
	release chan struct{}

	mu      sync.Mutex
	running int
}

func (s *stuckSessions) Authenticate(r *http.Request) (*auth.Session, *auth.Person, error) {
	s.mu.Lock()
	s.running++
	s.mu.Unlock()
	<-s.release
	return s.Authenticator.Authenticate(r)
}

// most is how many were asked at once.
func (s *stuckSessions) most() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}
