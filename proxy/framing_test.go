package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
)

func publicFront(t testing.TB) (*front, *application) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	return start(t, cfg, somebody()), app
}

// TestTwoFramings: request smuggling. A server before or behind that believes
// the other of the two fields sees another request in the body.
func TestTwoFramings(t *testing.T) {
	f, app := publicFront(t)
	const chunked = "0\r\n\r\n"
	for _, tt := range []struct {
		name, head, body string
		want             int
	}{
		{"length, then encoding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", chunked, 400},
		{"encoding, then length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunked, 400},
		{"other fields between", "Content-Length: 5\r\nX: y\r\ntransfer-ENCODING: chunked\r\nZ: \r\n", chunked, 400},
		{"bare line feeds", "Content-Length: 5\nTransfer-Encoding: chunked\n", chunked, 400},
		{"empty length", "Content-Length:\r\nTransfer-Encoding: chunked\r\n", chunked, 400},
		{"folded value", "Content-Length: 5\r\nTransfer-Encoding:\r\n chunked\r\n", chunked, 400},
		{"folded line alone", "X: a\r\n b\r\n", "", 400},
		{"space before the colon", "Content-Length: 5\r\nTransfer-Encoding : chunked\r\n", chunked, 400},
		{"two encodings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunked, 501},
		{"unknown encoding", "Transfer-Encoding: gzip, chunked\r\n", chunked, 501},
		{"two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", chunked, 400},
		{"one encoding", "Transfer-Encoding: chunked\r\n", chunked, 200},
		{"one length", "Content-Length: 5\r\n", chunked, 200},
		{"neither", "", "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 20, 1, 7} {
				c, err := net.Dial("tcp", f.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				text := "POST /x HTTP/1.1\r\nHost: app.example\r\n" + tt.head + "\r\n" + tt.body
				for len(text) > 0 {
					n := min(size, len(text))
					if _, err := io.WriteString(c, text[:n]); err != nil {
						break // refused before the end
					}
					text = text[n:]
				}
				in := bufio.NewReader(c)
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != tt.want {
					t.Fatalf("in pieces of %d: status %d, want %d", size, resp.StatusCode, tt.want)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if (app.got() != nil) != (tt.want == 200) {
					t.Error("the application got what was refused, or not what was not")
				}
				if tt.want == 200 {
					continue
				}
				// and close: what follows on the connection is nobody's request
				_, _ = io.WriteString(c, "GET /next HTTP/1.1\r\nHost: app.example\r\n\r\n")
				if rest, _ := io.ReadAll(in); len(rest) > 0 {
					t.Errorf("the connection went on: %q", rest)
				}
			}
		})
	}
}

// TestEncodingInHTTP10: HTTP/1.0 has no chunks, but servers exist that read them.
func TestEncodingInHTTP10(t *testing.T) {
	f, app := publicFront(t)
	resp := f.raw(t, "POST /x HTTP/1.0\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	if resp.StatusCode != 400 || app.got() != nil {
		t.Errorf("status %d, want 400 and nothing forwarded", resp.StatusCode)
	}
}

// TestFramingOnLaterRequests: the watch must stay in step over bodies of all
// kinds, so that the second request of a connection is watched too, and must
// not break an honest one.
func TestFramingOnLaterRequests(t *testing.T) {
	f, app := publicFront(t)
	const both = "POST /x HTTP/1.1\r\nHost: app.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	head := "POST /first HTTP/1.1\r\nHost: app.example\r\n"
	smuggle := "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, first := range map[string]string{
		"no body":            "GET /first HTTP/1.1\r\nHost: app.example\r\n\r\n",
		"length":             head + "Content-Length: 10\r\n\r\n0123456789",
		"length, body alike": head + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggle)) + smuggle,
		"chunks":             head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;ext=1\r\n0123456789\r\n0\r\n\r\n",
		"chunks, body alike": head + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", len(smuggle)) + smuggle + "\r\n0\r\n\r\n",
		"trailers":           head + "Transfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n1\r\nz\r\n0\r\nX-A: b\r\n\r\n",
		"zero length":        head + "Content-Length: 0\r\n\r\n",
		"stray line end":     head + "Content-Length: 1\r\n\r\nz\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", f.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.WriteString(c, first+first+both); err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			for i, want := range []int{200, 200, 400} {
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if resp.StatusCode != want {
					t.Fatalf("answer %d: status %d, want %d", i, resp.StatusCode, want)
				}
			}
			if r := app.got(); r == nil || r.RequestURI != "/first" {
				t.Errorf("the application got %v last, want /first", r)
			}
		})
	}
}

// FuzzWatch: whatever the pieces, the watch changes nothing in a stream that
// has no two framings, and ends in the same place.
func FuzzWatch(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nxx"), uint8(3))
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx\r\n0\r\nA: b\r\n\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		whole, pieces := bytes.Clone(stream), bytes.Clone(stream)
		var a, b watch
		a.see(whole)
		for rest := pieces; len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			b.see(rest[:n])
			rest = rest[n:]
		}
		if !bytes.Equal(whole, pieces) || a.at != b.at || a.left != b.left {
			t.Fatalf("%q: %+v in one piece, %+v in pieces of %d", stream, a, b, int(size)+1)
		}
		lower := bytes.ToLower(stream)
		if !bytes.Contains(lower, []byte("transfer-encoding")) && !bytes.ContainsAny(stream, " \t") && !bytes.Equal(whole, stream) {
			t.Fatalf("%q was changed to %q", stream, whole)
		}
	})
}

func TestListenTLS(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := newGateway(t, cfg, somebody())
	trust := f.serveTLS(t)
	for _, h2 := range []bool{true, false} {
		transport := &http.Transport{TLSClientConfig: trust.Clone(), ForceAttemptHTTP2: h2}
		resp, err := (&http.Client{Transport: transport}).Post("https://"+f.addr+"/a%2fb", "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		transport.CloseIdleConnections()
		r := app.got()
		if r == nil || r.RequestURI != "/a%2fb" || r.Header.Get("X-Forwarded-Proto") != "https" || (resp.ProtoMajor == 2) != h2 {
			t.Errorf("http2 %v: answered over %s, the application got %v", h2, resp.Proto, r)
		}
	}

	c, err := tls.Dial("tcp", f.addr, trust)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp := exchangeRaw(t, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	if resp.StatusCode != 400 || app.got() != nil {
		t.Errorf("two framings over TLS: status %d, want 400", resp.StatusCode)
	}
}

// TestTunnelIsNotWatched: once a connection is a WebSocket, its bytes are the
// application's, whatever they look like.
func TestTunnelIsNotWatched(t *testing.T) {
	f, app := publicFront(t)
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		c, in := acceptTunnel(w)
		defer c.Close()
		_, _ = io.Copy(c, in)
	})
	c, in := openTunnel(t, f.addr)
	const sent = "x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n folded\r\n\r\n"
	_, _ = io.WriteString(c, sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != sent {
		t.Errorf("%q came back as %q, %v", sent, got, err)
	}
}
