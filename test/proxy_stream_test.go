package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/test/servers"
)

// streamLife is how long an open stream may outlive its session.
const streamLife = 10 * time.Second

// ended fails the test unless the application has seen that many streams end
// in time.
func ended(t *testing.T, app *servers.StreamApp, streams int) {
	t.Helper()
	late := time.After(streamLife)
	for range streams {
		select {
		case <-app.Gone:
		case <-late:
			t.Fatalf("a stream is still open after %s", streamLife)
		}
	}
}

// openSocket opens a WebSocket as the visitor and proves that it works.
func (v *visitor) openSocket(g *servers.Gateway, path string) *websocket.Conn {
	v.t.Helper()
	c, resp, err := websocket.Dial(v.t.Context(), g.URL+path, &websocket.DialOptions{
		HTTPHeader: http.Header{"Cookie": {strings.TrimPrefix(v.session(g), "Cookie: ")}, "Origin": {g.URL}},
	})
	if err != nil {
		v.t.Fatalf("open a WebSocket: %v (%v)", err, resp)
	}
	v.t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(1 << 20)
	for _, message := range []string{"hello", "", strings.Repeat("long ", 100_000)} {
		if err := c.Write(v.t.Context(), websocket.MessageText, []byte(message)); err != nil {
			v.t.Fatal(err)
		}
		if kind, got, err := c.Read(v.t.Context()); err != nil || kind != websocket.MessageText || string(got) != message {
			v.t.Fatalf("%.20q came back as %.20q: %v", message, got, err)
		}
	}
	return c
}

// openEvents opens a stream of events and proves that it is not buffered: each
// event is sent only when the one before has arrived.
func (v *visitor) openEvents(g *servers.Gateway, app *servers.StreamApp, path string) io.Reader {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, g.URL+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := v.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Fatalf("open a stream of events: %v %v", resp, err)
	}
	v.t.Cleanup(func() { resp.Body.Close() })
	in := bufio.NewReader(resp.Body)
	for i := range 3 {
		app.Say <- fmt.Sprint(i)
		line, err := in.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i) {
			v.t.Fatalf("event %d arrived as %q: %v", i, line, err)
		}
		if _, err := in.ReadString('\n'); err != nil {
			v.t.Fatal(err)
		}
	}
	return in
}

// TestOpenStreamsEnd: WebSockets and event streams pass unbuffered, and end
// within ten seconds when the person signs out, or may not look any more.
// Attack: somebody who was dismissed in the morning and reads along until the
// evening.
func TestOpenStreamsEnd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(t *testing.T, g *servers.Gateway, v *visitor)
	}{
		{"sign-out", func(_ *testing.T, g *servers.Gateway, v *visitor) {
			v.post(g.URL+"/oauth2/sign_out", url.Values{}).wants(v.t, http.StatusOK)
		}},
		{"disabled", func(t *testing.T, g *servers.Gateway, _ *visitor) { run(t, g, "user", "disable", "pat") }},
		{"deleted", func(t *testing.T, g *servers.Gateway, _ *visitor) { run(t, g, "user", "delete", "pat") }},
		{"out of the group", func(t *testing.T, g *servers.Gateway, _ *visitor) {
			run(t, g, "user", "set", "pat", "--groups", "others")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := servers.StartStreamApp(t, nil)
			g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: {groups: [staff]}, upstream: " + app.URL}))
			pat := newLocal(t, g, "pat", "--group", "staff")
			kim := newLocal(t, g, "kim", "--group", "staff")
			socket, events := pat.openSocket(g, "/ws"), pat.openEvents(g, app, "/events")
			other := kim.openSocket(g, "/ws")

			tt.end(t, g, pat)
			ended(t, app, 2)
			ctx, cancel := context.WithTimeout(t.Context(), streamLife)
			defer cancel()
			if _, _, err := socket.Read(ctx); err == nil || ctx.Err() != nil {
				t.Error("the WebSocket is still open at the browser")
			}
			if _, err := io.ReadAll(events); err == nil {
				t.Error("the stream ended as if it were complete")
			}
			// Whoever else is there notices nothing.
			if err := other.Write(t.Context(), websocket.MessageText, []byte("still here")); err != nil {
				t.Fatal(err)
			}
			if _, got, err := other.Read(t.Context()); err != nil || string(got) != "still here" {
				t.Errorf("somebody else's WebSocket: %q %v", got, err)
			}
		})
	}
}

// TestWebSocketOfNobody: an upgrade is judged as every other request.
func TestWebSocketOfNobody(t *testing.T) {
	t.Parallel()
	app := servers.StartStreamApp(t, nil)
	g := servers.StartGateway(t, binary, proxyText("", []string{
		"path: /, access: {groups: [staff]}, upstream: " + app.URL, "path: /public/, access: public, strip_prefix: true, upstream: " + app.URL,
	}))
	kim := newLocal(t, g, "kim")
	for name, tt := range map[string]struct {
		header http.Header
		status int
	}{
		"nobody":          {nil, http.StatusUnauthorized},
		"nobody, forging": {http.Header{"X-Forwarded-User": {"pat"}, "X-Forwarded-Groups": {"staff"}}, http.StatusUnauthorized},
		"not allowed":     {http.Header{"Cookie": {strings.TrimPrefix(kim.session(g), "Cookie: ")}}, http.StatusForbidden},
	} {
		_, resp, err := websocket.Dial(t.Context(), g.URL+"/ws", &websocket.DialOptions{HTTPHeader: tt.header})
		if err == nil || resp == nil || resp.StatusCode != tt.status {
			t.Errorf("%s: %v %v", name, resp, err)
		}
	}
	c, _, err := websocket.Dial(t.Context(), g.URL+"/public/ws", nil)
	if err != nil {
		t.Fatalf("on a public route: %v", err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), websocket.MessageBinary, []byte{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if kind, got, err := c.Read(t.Context()); err != nil || kind != websocket.MessageBinary || string(got) != "\x00\x01\x02" {
		t.Errorf("on a public route: %q %v", got, err)
	}
}

var residentSize = regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`)

// memory is the most memory that the gateway has ever had resident, in MiB.
func memory(t *testing.T, g *servers.Gateway) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.Cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := residentSize.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in:\n%s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}

// TestLargeBodies: hundreds of MiB go each way, of known and unknown length,
// over either version of HTTP on either side, and the gateway holds none of it.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	app := servers.StartStreamApp(t, nil)
	g := servers.NewGateway(t, binary, "")
	socket := filepath.Join(g.Dir, "app.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	servers.ServeStreamApp(t, l, nil)
	g.WriteConfig(t, proxyText("", []string{
		"path: /1/, strip_prefix: true, upstream: " + app.URL, "path: /2/, strip_prefix: true, upstream: h2c://" + app.Addr, "path: /unix/, strip_prefix: true, upstream: unix://" + socket,
	}))
	g.Start(t)
	session := newLocal(t, g, "pat").session(g)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	over := map[int]*http.Transport{1: {}, 2: {Protocols: protocols}}
	for _, transport := range over {
		t.Cleanup(transport.CloseIdleConnections)
	}
	ask := func(version int, method, path string, body io.Reader, announced int64) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		name, value, _ := strings.Cut(session, ": ")
		req.Header.Set(name, value)
		req.ContentLength = announced
		resp, err := over[version].RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.ProtoMajor != version {
			t.Errorf("%s speaks %s", path, resp.Proto)
		}
		return resp
	}
	upload := func(version int, to string, length, announced int64) {
		t.Helper()
		if r := read(t, ask(version, http.MethodPost, to+"/sink", servers.Zeroes(length), announced)).wants(t, http.StatusOK); r.Text != fmt.Sprint(length) {
			t.Errorf("%s of %d bytes arrived at %s", r.Text, length, to)
		}
	}
	download := func(version int, from string, length int64) {
		t.Helper()
		resp := ask(version, http.MethodGet, fmt.Sprintf("%s/source?%d", from, length), nil, 0)
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != length {
			t.Errorf("%d of %d bytes arrived from %s: %v", n, length, from, err)
		}
	}
	all := func(length, more int64) {
		upload(1, "/1", length, length)
		upload(1, "/1", more, -1)
		upload(2, "/2", length, -1)
		upload(2, "/1", more, more)
		upload(1, "/unix", more, -1)
		download(1, "/1", length)
		download(2, "/2", length)
		download(1, "/2", more)
		download(2, "/unix", more)
	}
	all(1<<20, 1<<20)
	before := memory(t, g)
	all(128<<20, 16<<20)
	grown := memory(t, g) - before
	t.Logf("grew by %d MiB from %d", grown, before)
	if grown > 40 {
		t.Errorf("grew by %d MiB from %d", grown, before)
	}
}

// TestEchoWhileSending: an answer may come while the request is still sent.
func TestEchoWhileSending(t *testing.T) {
	t.Parallel()
	app := servers.StartStreamApp(t, nil)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, upstream: " + app.URL}))
	pat := newLocal(t, g, "pat")
	body, send := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/echo", body)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(send, "first") }()
	resp, err := pat.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := make([]byte, 5)
	if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != "first" {
		t.Fatalf("%q came back: %v", got, err)
	}
	go func() {
		_, _ = io.WriteString(send, "second")
		send.Close()
	}()
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("%q came back: %v", rest, err)
	}
}
