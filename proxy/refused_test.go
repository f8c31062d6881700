package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/config"
)

// TestUnreadableRequestsAreSeen: who tries how requests can be smuggled leaves
// a line and a count, although no handler sees the attempt. What an application
// answers in the same words is a request like others.
func TestUnreadableRequestsAreSeen(t *testing.T) {
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.Error(w, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request", http.StatusBadRequest)
	})
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	g := newGateway(t, cfg, somebody())
	seen := &tally{open: map[string]int{}}
	g.Measure(func(route string) Meter { return counted{route, seen} })
	f := startGateway(t, g)
	const head = "GET /x?code=hush HTTP/1.1\r\nHost: app.example\r\n"
	for _, tt := range []struct {
		name, sent string
		status     int
		read       bool // by the gateway
	}{
		{"two framings", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, false},
		{"folded line", head + "X: a\r\n b\r\n\r\n", 400, false},
		{"no such coding", head + "Transfer-Encoding: hush\r\n\r\n", 501, false},
		{"lengths that differ", head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, false},
		{"space in a name", head + "X Y: z\r\n\r\n", 400, false},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, false},
		{"two hosts", head + "Host: other.example\r\n\r\n", 400, false},
		{"no HTTP", "\x16\x03\x01" + strings.Repeat("\x00", 40) + "\r\n\r\n", 400, false},
		{"a version to come", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505, false},
		{"long head", head + "X: " + strings.Repeat("a", 2*maxHeaderBytes) + "\r\n\r\n", 431, false},
		{"unknown expectation", head + "Expect: hush\r\n\r\n", 417, false},
		{"the application says so", head + "Connection: close\r\n\r\n", 400, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(f.log.requests(t))
			if got := f.raw(t, tt.sent).StatusCode; got != tt.status {
				t.Errorf("answered %d, want %d", got, tt.status)
			}
			waitFor(t, "the line", func() bool { return len(f.log.requests(t)) > before })
			var closed []string
			waitFor(t, "the count", func() bool {
				more, _ := seen.take()
				closed = append(closed, more...)
				return len(closed) > 0
			})
			logged := f.log.requests(t)[before:]
			if tt.read {
				if len(logged) != 1 || logged[0]["verdict"] != "public" || cmp.Diff([]string{"/ public 400 upstream"}, closed) != "" {
					t.Errorf("logged %v, counted %q", logged, closed)
				}
				return
			}
			if len(logged) != 1 || len(closed) != 1 || !strings.HasPrefix(closed[0], fmt.Sprintf("none malformed %d", tt.status)) {
				t.Fatalf("logged %v, counted %q", logged, closed)
			}
			line := logged[0]
			if id, _ := line["request_id"].(string); !wellFormedID(id) {
				t.Errorf("request id %q", id)
			}
			for _, volatile := range []string{"time", "level", "request_id"} {
				delete(line, volatile)
			}
			want := map[string]any{"msg": "request", "client": "127.0.0.1", "verdict": "malformed", "status": float64(tt.status), "reason": "unreadable"}
			if diff := cmp.Diff(want, line); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
		})
	}
	if strings.Contains(f.log.String(), "hush") {
		t.Error("the log holds what was sent")
	}
}

// TestDownloadsAreNotRefusals: what an application answers may be made of the
// words with which net/http refuses, and be cut into pieces anywhere, without
// a line of a request that nobody has sent. A refusal after it is seen.
func TestDownloadsAreNotRefusals(t *testing.T) {
	const refusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		shift, _ := strconv.Atoi(r.URL.RawQuery)
		_, _ = io.WriteString(w, strings.Repeat(refusal, 700)[shift:])
	})
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	for _, h2 := range []bool{false, true} {
		transport := &http.Transport{Protocols: speaking(h2)}
		defer transport.CloseIdleConnections()
		before := len(f.log.requests(t))
		for shift := range len(refusal) {
			resp, err := transport.RoundTrip(request(t, "GET", f.addr, fmt.Sprintf("/?%d", shift), nil))
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
		served := func() (n int) {
			for _, line := range f.log.requests(t)[before:] {
				if line["verdict"] == "public" {
					n++
				}
			}
			return n
		}
		waitFor(t, "the lines", func() bool { return served() == len(refusal) })
		if n := len(f.log.requests(t)) - before; n != len(refusal) {
			t.Errorf("HTTP/2 %v: %d requests were sent, and %d are in the log", h2, len(refusal), n)
		}
	}

	c := connection(t, f.addr)
	in := bufio.NewReader(c)
	before := len(f.log.requests(t))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.example\r\n\r\nGET / HTTP/1.1\r\nHost: app.example\r\nX Y: z\r\n\r\n")
	for _, want := range []int{http.StatusOK, http.StatusBadRequest} {
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("%v, %v; want %d", resp, err, want)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	waitFor(t, "both lines", func() bool { return len(f.log.requests(t)) == before+2 })
	if line := f.log.requests(t)[before+1]; line["verdict"] != "malformed" {
		t.Errorf("the second line is %v", line)
	}
}

// TestPiecesOfHTTP2AreNotRefusals: what goes out over HTTP/2 may be cut in the
// middle of a frame, where nothing but the application's words are.
func TestPiecesOfHTTP2AreNotRefusals(t *testing.T) {
	const refusal = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	for start, want := range map[string]int{preface: 0, "X" + preface[1:]: 1} {
		client, server := net.Pipe()
		refused := 0
		c := &framed{Conn: server, watch: watch{prior: true}, refused: func(int) { refused++ }}
		go func() {
			_, _ = io.WriteString(client, start)
			_, _ = io.Copy(io.Discard, client)
		}()
		if _, err := io.ReadFull(c, make([]byte, len(start))); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, refusal); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if refused != want {
			t.Errorf("after %q: %d refusals were seen, want %d", start, refused, want)
		}
	}
}
