package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/internal/config"
)

// scripted is an application that does as it is told with each connection.
func scripted(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			all.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}

// saying reads a request of HTTP/1 and says that.
func saying(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			_, _ = io.WriteString(c, text)
		}
	}
}

// framing2 speaks HTTP/2 until there is a request, and then does that.
func framing2(do func(f *http2.Framer, stream uint32)) func(net.Conn) {
	return func(c net.Conn) {
		start := make([]byte, len(preface))
		if _, err := io.ReadFull(c, start); err != nil {
			return
		}
		f := http2.NewFramer(c, c)
		f.AllowIllegalWrites = true
		_ = f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := frame.(*http2.HeadersFrame); ok {
				do(f, h.StreamID)
			}
		}
	}
}

// block encodes header fields.
func block(fields ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i+1 < len(fields); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// answering sends one block of fields.
func answering(fields ...string) func(*http2.Framer, uint32) {
	return func(f *http2.Framer, stream uint32) {
		b := block(fields...)
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b[:min(len(b), 16<<10)], EndStream: true, EndHeaders: len(b) <= 16<<10})
		for b = b[min(len(b), 16<<10):]; len(b) > 0; b = b[min(len(b), 16<<10):] {
			_ = f.WriteContinuation(stream, len(b) <= 16<<10, b[:min(len(b), 16<<10)])
		}
	}
}

// TestHostileUpstream: whatever an application answers, the client gets a page
// of ours or an answer that is one, and soon.
func TestHostileUpstream(t *testing.T) {
	const limit = time.Second
	const either = 0 // 502 or 504: it is tried again while there is time, unless there is a body, which cannot be sent twice
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	large := strings.Repeat("a", 300<<10)
	tests := []struct {
		name   string
		scheme string
		serve  func(net.Conn)
		want   int
	}{
		{"hangs up at once", "http", func(net.Conn) {}, 502},
		{"hangs up after the request", "http", saying(""), 502},
		{"half a status line", "http", saying("HTTP/1.1 20"), 502},
		{"half a head", "http", saying("HTTP/1.1 200 OK\r\nX-A: b\r\n"), 502},
		{"no HTTP", "http", saying("SSH-2.0-OpenSSH_9.2\r\n"), 502},
		{"HTTP/2 where HTTP/1 is asked for", "http", saying("\x00\x00\x00\x04\x00\x00\x00\x00\x00"), 502},
		{"large head", "http", saying("HTTP/1.1 200 OK\r\nX-A: " + large + "\r\n\r\n"), 502},
		{"large status line", "http", saying("HTTP/1.1 200 " + large + "\r\n\r\n"), 502},
		{"status of two digits", "http", saying("HTTP/1.1 20 OK\r\n\r\n"), 502},
		{"status below 100", "http", saying("HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"), 502},
		{"status zero", "http", saying("HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"), 502},
		{"status with a sign", "http", saying("HTTP/1.1 -20 OK\r\n\r\n"), 502},
		{"switches protocols unasked", "http", saying("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), 502},
		{"two lengths", "http", saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), 502},
		{"a length in words", "http", saying("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello"), 502},
		{"a negative length", "http", saying("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello"), 502},
		{"an encoding that nobody knows", "http", saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nuryyb"), 502},
		{"a line without a colon", "http", saying("HTTP/1.1 200 OK\r\nX-A\r\n\r\n"), 502},
		{"large hints", "http", saying("HTTP/1.1 103 Early Hints\r\nLink: " + large + "\r\n\r\n"), 502},
		{"never answers", "http", silent, 504},
		{"hints without end", "http", func(c net.Conn) {
			saying("HTTP/1.1 100 Continue\r\n\r\n")(c)
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
					return
				}
				<-time.After(time.Millisecond)
			}
		}, 504},
		{"a head without end", "http", func(c net.Conn) {
			saying("HTTP/1.1 200 OK\r\n")(c)
			for i := 0; ; i++ {
				if _, err := fmt.Fprintf(c, "X-%d: a\r\n", i); err != nil {
					return
				}
				<-time.After(10 * time.Millisecond)
			}
		}, 504},

		{"hangs up at once", "h2c", func(net.Conn) {}, 502},
		{"HTTP/1 where HTTP/2 is asked for", "h2c", func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") }, 502},
		{"never says its settings", "h2c", silent, 504},
		{"never answers", "h2c", framing2(func(*http2.Framer, uint32) {}), 504},
		{"resets each stream", "h2c", framing2(func(f *http2.Framer, s uint32) { _ = f.WriteRSTStream(s, http2.ErrCodeInternal) }), 502},
		{"refuses each stream", "h2c", framing2(func(f *http2.Framer, s uint32) { _ = f.WriteRSTStream(s, http2.ErrCodeRefusedStream) }), either},
		{"sends each connection away", "h2c", framing2(func(f *http2.Framer, _ uint32) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }), either},
		{"is tired of us", "h2c", framing2(func(f *http2.Framer, s uint32) {
			_ = f.WriteGoAway(s, http2.ErrCodeEnhanceYourCalm, []byte("secret detail"))
		}), either},
		{"large head", "h2c", framing2(answering(":status", "200", "x-a", large)), 502},
		{"no status", "h2c", framing2(answering("x-a", "b")), 502},
		{"status below 100", "h2c", framing2(answering(":status", "099")), 502},
		{"status in words", "h2c", framing2(answering(":status", "fine")), 502},
		{"switches protocols", "h2c", framing2(answering(":status", "101")), 502},
		{"capitals in a name", "h2c", framing2(answering(":status", "200", "X-A", "b")), 502},
		{"line break in a value", "h2c", framing2(answering(":status", "200", "x-a", "b\r\nset-cookie: _gatehouse=evil")), 502},
		{"a frame of no use", "h2c", framing2(func(f *http2.Framer, s uint32) { _ = f.WriteContinuation(s, true, nil) }), 502},
		{"data before the head", "h2c", framing2(func(f *http2.Framer, s uint32) { _ = f.WriteData(s, true, []byte("x")) }), 502},
	}
	cfg := defaults()
	for i, tt := range tests {
		cfg.Routes = append(cfg.Routes, config.Route{Path: fmt.Sprintf("/%d", i), Access: public, Upstream: tt.scheme + "://" + scripted(t, tt.serve), Timeout: limit})
	}
	cfg.Routes = to("", cfg.Routes...)
	f := start(t, cfg, somebody())
	for i, tt := range tests {
		for _, method := range []string{"GET", "POST"} {
			t.Run(tt.scheme+" "+tt.name+" "+method, func(t *testing.T) {
				t.Parallel()
				begun := time.Now()
				text := method + fmt.Sprintf(" /%d HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n", i)
				if method == "POST" {
					text += "Content-Length: 4\r\n\r\nbody"
				} else {
					text += "\r\n"
				}
				resp := f.raw(t, text)
				body, _ := io.ReadAll(resp.Body)
				as := resp.StatusCode == tt.want || tt.want == either && (resp.StatusCode == 502 || resp.StatusCode == 504)
				if took := time.Since(begun); !as || took > 3*limit {
					t.Errorf("status %d after %s, want %d", resp.StatusCode, took, tt.want)
				}
				for _, raw := range []string{"127.0.0.1", "http2", "malformed", "secret", "goroutine"} {
					if strings.Contains(string(body), raw) {
						t.Errorf("the page shows %q:\n%s", raw, body)
					}
				}
				if resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("X-Request-Id") == "" || resp.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("it is no page of ours: %v", resp.Header)
				}
			})
		}
	}
}

// TestFewHints: informational answers pass, and not without end.
func TestFewHints(t *testing.T) {
	hint := "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nSet-Cookie: _gatehouse=evil\r\n\r\n"
	addr := scripted(t, saying(strings.Repeat(hint, 10*maxInformed)+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	cfg := defaults()
	cfg.Routes = to("http://"+addr, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	c := connection(t, f.addr)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	text, err := io.ReadAll(c)
	if n := strings.Count(string(text), "HTTP/1.1 103"); err != nil || n != maxInformed || !strings.Contains(string(text), "HTTP/1.1 200 OK") || strings.Contains(string(text), "evil") {
		t.Errorf("%d hints, %v:\n%s", n, err, text[max(0, len(text)-400):])
	}
}

// TestCookieInTrailers: servers on the way may put trailers among the headers
// (RFC 9110, section 6.5.1), where one would sign the visitor in as somebody
// else.
func TestCookieInTrailers(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/announced" {
				w.Header().Set("Trailer", "Set-Cookie, X-Sum, Clear-Site-Data")
				defer func() {
					w.Header().Set("Set-Cookie", "_gatehouse=evil")
					w.Header().Set("Clear-Site-Data", `"cookies"`)
					w.Header().Set("X-Sum", "7")
				}()
			} else {
				defer func() {
					w.Header().Set(http.TrailerPrefix+"Set-Cookie", "_gatehouse=evil")
					w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
				}()
			}
			_, _ = io.WriteString(w, "body")
			_ = http.NewResponseController(w).Flush()
		}))
		app.Config.Protocols = speaking(h2)
		app.Start()
		defer app.Close()
		cfg := defaults()
		cfg.Routes = to(map[bool]string{false: "http://", true: "h2c://"}[h2]+app.Listener.Addr().String(), config.Route{Path: "/", Access: public})
		f := start(t, cfg, somebody())
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		for _, path := range []string{"/announced", "/surprise"} {
			resp, err := transport.RoundTrip(request(t, "GET", f.addr, path, nil))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(body) != "body" {
				t.Errorf("%q, %v", body, err)
			}
			var want http.Header
			if want = (http.Header{"X-Sum": {"7"}}); len(resp.Trailer["Set-Cookie"])+len(resp.Trailer["Clear-Site-Data"]) > 0 || !cmp.Equal(want["X-Sum"], resp.Trailer["X-Sum"]) {
				t.Errorf("HTTP/2 %v %s: trailers %v, want %v", h2, path, resp.Trailer, want)
			}
		}
	}
}
