package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/config"
)

func TestUpstreamKinds(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Proto, r.Host, r.RequestURI, r.Header.Get("X-Forwarded-Host"))
	})
	h2c := httptest.NewUnstartedServer(hello)
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	defer h2c.Close()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	unix := &http.Server{Handler: hello}
	go func() { _ = unix.Serve(l) }()
	defer unix.Close()
	plain := httptest.NewServer(hello)
	defer plain.Close()
	tls := httptest.NewUnstartedServer(hello) // with a certificate that nobody signed
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()

	cfg := defaults()
	cfg.Routes = to(
		"",
		config.Route{Path: "/h2c", Access: public, Upstream: strings.Replace(h2c.URL, "http:", "h2c:", 1)},
		config.Route{Path: "/unix", Access: public, Upstream: "unix://" + socket},
		config.Route{Path: "/unix-own", Access: public, Upstream: "unix:" + socket, HostHeader: config.HostUpstream},
		config.Route{Path: "/http", Access: public, Upstream: plain.URL + "/"},
		config.Route{Path: "/http-own", Access: public, Upstream: plain.URL, HostHeader: config.HostUpstream},
		config.Route{Path: "/https", Access: public, Upstream: tls.URL},
		config.Route{Path: "/static", Access: public, Upstream: "static:418"},
		config.Route{Path: "/refused", Access: public, Upstream: "http://127.0.0.1:1"},
		config.Route{Path: "/missing.sock", Access: public, Upstream: "unix:///nonexistent/s"},
	)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/h2c", 200, "HTTP/2.0 app.example /h2c app.example"},
		{"/unix", 200, "HTTP/1.1 app.example /unix app.example"},
		{"/unix-own", 200, "HTTP/1.1 localhost /unix-own app.example"},
		{"/http", 200, "HTTP/1.1 app.example /http app.example"},
		{"/http-own", 200, "HTTP/1.1 " + plain.Listener.Addr().String() + " /http-own app.example"},
		{"/https", 502, ""}, // an upstream is verified, always
		{"/static", 418, ""},
		{"/refused", 502, ""},
		{"/missing.sock", 502, ""},
	} {
		t.Run(tt.path, func(t *testing.T) {
			resp := f.get(t, tt.path, "")
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || tt.want != "" && string(body) != tt.want {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, body, tt.status, tt.want)
			}
			if tt.status != 200 && resp.Header.Get("Cache-Control") != "no-store" {
				t.Error("an answer of our own may be cached")
			}
			if strings.Contains(string(body), "127.0.0.1") && tt.status != 200 {
				t.Error("the page shows the error itself")
			}
		})
	}
}

// TestSlowUpstream: 504 once the time until response headers is over, also
// when the upstream stops reading a body that never ends. A slow client is
// another matter; see TestClockAwaitsNoClient.
func TestSlowUpstream(t *testing.T) {
	app := newApplication(t)
	release := make(chan struct{})
	defer close(release)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public, Timeout: 200 * time.Millisecond})
	f := start(t, cfg, somebody())
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	if got := f.get(t, "/", "").StatusCode; got != 504 {
		t.Errorf("no headers: status %d, want 504", got)
	}
	// The upstream reads nothing, so that the transport is stuck in a write.
	pr, pw := io.Pipe()
	go func(pw *io.PipeWriter) {
		for b := make([]byte, 1<<20); ; {
			if _, err := pw.Write(b); err != nil {
				return
			}
		}
	}(pw)
	req, _ := http.NewRequest("POST", "http://"+f.addr+"/", pr)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 504 {
		t.Errorf("upstream stops reading: status %d, want 504", resp.StatusCode)
	}
	pr.Close()
}

// TestStreaming: both ways at once, nothing held back.
func TestStreaming(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone})
	f := start(t, cfg, somebody())
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				break
			}
			_, _ = io.WriteString(w, "data: "+line)
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Sum", "7")
	})
	pr, pw := io.Pipe()
	req, _ := http.NewRequest("POST", "http://"+f.addr+"/", pr)
	req.AddCookie(&http.Cookie{Name: "_gatehouse", Value: "ann"})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	go func() { _, _ = io.WriteString(pw, "0\n") }()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	for i := range 3 {
		line, err := in.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
			t.Fatalf("got %q %v, want %q", line, err, want)
		}
		if i < 2 {
			_, _ = fmt.Fprintf(pw, "%d\n", i+1)
		}
	}
	pw.Close()
	if _, err := io.ReadAll(in); err != nil {
		t.Fatal(err)
	}
	if got := resp.Trailer.Get("X-Sum"); got != "7" {
		t.Errorf("response trailer %q, want 7", got)
	}
}

// TestClientLeaves: an upstream must not work for nobody.
func TestClientLeaves(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	reached, left := make(chan struct{}), make(chan struct{})
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+f.addr+"/", nil)
	transport := &http.Transport{}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = transport.RoundTrip(req) }()
	<-reached
	cancel()
	<-done
	select {
	case <-left:
	case <-time.After(10 * time.Second):
		t.Error("the upstream was left working")
	}
	waitFor(t, "the log line", func() bool { return strings.Contains(f.log.String(), `"status":499`) })
}

// TestBrokenBody: a body that the client did not send whole is its fault.
func TestBrokenBody(t *testing.T) {
	f, app := publicFront(t)
	resp := f.raw(t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX\r\n")
	if resp.StatusCode != 400 {
		t.Errorf("status %d, want 400", resp.StatusCode)
	}
	app.got()
}

func TestExpectContinue(t *testing.T) {
	f, app := publicFront(t)
	req, _ := http.NewRequest("POST", "http://"+f.addr+"/", strings.NewReader("body"))
	req.Header.Set("Expect", "100-continue")
	transport := &http.Transport{ExpectContinueTimeout: 5 * time.Second}
	defer transport.CloseIdleConnections()
	begun := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || string(app.body) != "body" || time.Since(begun) > 4*time.Second {
		t.Errorf("status %d, body %q after %s", resp.StatusCode, app.body, time.Since(begun))
	}
}

// A client that asks is told to go on once, and one that does not ask never:
// the server says it, and what the upstream says of it is between the two.
func TestOneContinue(t *testing.T) {
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusContinue)
		w.WriteHeader(http.StatusOK)
	})
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		head string
		want []int
	}{
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", []int{200}},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc", []int{100, 200}},
	} {
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, tt.head); err != nil {
			t.Fatal(err)
		}
		var got []int
		for in := bufio.NewReader(c); len(got) == 0 || got[len(got)-1] < 200; {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, resp.StatusCode)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.head, diff)
		}
	}
}

func TestWebSocket(t *testing.T) {
	app := newApplication(t)
	app.answer(echo)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone})
	f := start(t, cfg, somebody())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, resp, err := websocket.Dial(ctx, "ws://"+f.addr+"/ws", nil)
	if err == nil || resp.StatusCode != 401 {
		t.Fatalf("without a session: %v %v", resp, err)
	}
	c := dial(t, f, "ann")
	for _, size := range []int{1, 1 << 16} {
		sent := strings.Repeat("x", size)
		if err := c.Write(ctx, websocket.MessageText, []byte(sent)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != sent {
			t.Fatalf("%d bytes came back, %v", len(got), err)
		}
	}
	c.Close(websocket.StatusNormalClosure, "")
	waitFor(t, "the log line", func() bool { return strings.Contains(f.log.String(), `"status":101`) })
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for {
		kind, p, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, p) != nil {
			return
		}
	}
}

func dial(t *testing.T, f *front, who string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	transport := &http.Transport{}
	c, _, err := websocket.Dial(ctx, "ws://"+f.addr+"/ws", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport},
		HTTPHeader: http.Header{"Cookie": {"_gatehouse=" + who}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	t.Cleanup(func() { c.CloseNow(); transport.CloseIdleConnections() })
	return c
}

// TestDirectory: files below the directory and nothing else.
func TestDirectory(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "www")
	for name, text := range map[string]string{
		"secret": "secret", "www/index.html": "home", "www/a b.txt": "ab", "www/sub/index.html": "sub", "www/empty/x": "x",
		"www/.git/config": "hidden", "www/.well-known/y": "y",
	} {
		name = filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	cfg.Routes = to(
		"file:"+dir,
		config.Route{Path: "/", Access: public},
		config.Route{Path: "/docs/", Access: public, StripPrefix: true},
		config.Route{Path: "/private/", StripPrefix: true},
	)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		target string
		status int
		want   string
	}{
		{"/", 200, "home"},
		{"/index.html", 200, "home"},
		{"/a%20b.txt", 200, "ab"},
		{"/sub/", 200, "sub"},
		{"/sub?x", 301, "./sub/?x"},
		{"/docs/sub", 301, "./sub/"},
		{"/docs", 200, "home"},
		{"/docs/sub/", 200, "sub"},
		{"/.well-known/y", 200, "y"},
		{"/empty/", 404, ""}, // no listing
		{"/empty", 404, ""},
		{"/none", 404, ""},
		{"/sub/index.html/", 200, "sub"},
		{"/.git/config", 404, ""},
		{"/link", 404, ""},
		{"/pipe", 404, ""},
		{"//index.html", 404, ""},
		{"/..%2fsecret", 404, ""},
		{"/%2e%2e/secret", 404, ""},
		{"/..%5csecret", 404, ""},
		{"/sub/../index.html", 404, ""},
	} {
		t.Run(tt.target, func(t *testing.T) {
			resp := f.get(t, tt.target, "")
			body, _ := io.ReadAll(resp.Body)
			got := string(body)
			if tt.status == 301 {
				got = resp.Header.Get("Location")
			}
			if resp.StatusCode != tt.status || tt.status != 404 && got != tt.want || strings.Contains(got, "secret") {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, got, tt.status, tt.want)
			}
		})
	}
	// What needs a session must not be kept by a cache for those without one.
	for target, want := range map[string]string{
		"/private/index.html": "private, no-cache", "/private/sub": "private, no-cache", "/index.html": "", "/sub": "",
	} {
		if got := f.get(t, target, "ann").Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: Cache-Control %q, want %q", target, got, want)
		}
	}
	if got := f.send(t, "POST", "/index.html", "").StatusCode; got != 405 {
		t.Errorf("POST: status %d, want 405", got)
	}
}

// An upstream that changes the protocol unasked has answered nothing, and that is
// what stands in the log.
func TestUpgradeThatNobodyAskedFor(t *testing.T) {
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	})
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	if resp := f.raw(t, "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("answered %s", resp.Status)
	}
	waitFor(t, "the log line", func() bool { return strings.Contains(f.log.String(), `"path":"/"`) })
	if log := f.log.String(); !strings.Contains(log, `"status":502`) || strings.Contains(log, `"status":101`) {
		t.Errorf("the log:\n%s", log)
	}
}
