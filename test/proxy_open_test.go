package test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/test/servers"
)

// TestOpenStreamsEndEverywhere: a sign-out at one replica ends the streams
// that another one carries.
func TestOpenStreamsEndEverywhere(t *testing.T) {
	t.Parallel()
	app, redis := servers.StartStreamApp(t, nil), servers.Redis(t, servers.RedisOptions{})
	const keys = `secrets: {keys: ["0123456789abcdef0123456789abcdef0123456789a="]}`
	text := proxyText("", []string{"path: /, upstream: " + app.URL}, keys, redisStore(redis, "open:"))
	here, there := servers.StartGateway(t, binary, text), servers.StartGateway(t, binary, text)
	pat := newLocal(t, here, "pat")
	pat.openSocket(there, "/ws")
	pat.openEvents(there, app, "/events")
	pat.post(here.URL+"/oauth2/sign_out", url.Values{}).wants(t, http.StatusOK)
	ended(t, app, 2)

	// The commands of an administrator are told to every replica, too.
	pat.password(here, "pat", goodPassword).wants(t, http.StatusSeeOther)
	pat.openSocket(there, "/ws")
	run(t, here, "user", "disable", "pat")
	ended(t, app, 1)
}

// TestOpenStreamsEndWithTheSession: a stream is no way to outlive the time
// that a session has.
func TestOpenStreamsEndWithTheSession(t *testing.T) {
	t.Parallel()
	const lifetime = 8 * time.Second
	app := servers.StartStreamApp(t, nil)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, upstream: " + app.URL}, "session: {lifetime: 8s, idle_timeout: 8s}"))
	pat := newLocal(t, g, "pat")
	start := time.Now()
	pat.openSocket(g, "/ws")
	select {
	case <-app.Gone:
		if lived := time.Since(start); lived < lifetime/2 {
			t.Errorf("the stream was cut after %s", lived)
		}
	case <-time.After(lifetime + streamLife):
		t.Error("the stream outlives its session")
	}
	pat.signedOut(g)
}

// TestOpenStreamsAreNoUse: a session is idle when nothing is asked for.
// Attack: a tab that was forgotten with a stream in it, and keeps its session
// from ever being idle.
func TestOpenStreamsAreNoUse(t *testing.T) {
	t.Parallel()
	app := servers.StartStreamApp(t, nil)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, upstream: " + app.URL}, "session: {lifetime: 1h, idle_timeout: 8s}"))
	pat := newLocal(t, g, "pat")
	pat.openEvents(g, app, "/events")
	select {
	case <-app.Gone:
	case <-time.After(8*time.Second + 3*time.Second + streamLife): // and how coarsely use is noted
		t.Error("the stream keeps its session")
	}
	pat.signedOut(g)
}

// TestWhoLeavesIsGone: when the browser goes, so does the request at the
// application.
func TestWhoLeavesIsGone(t *testing.T) {
	t.Parallel()
	app := servers.StartStreamApp(t, nil)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: public, upstream: " + app.URL}))
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	leave()
	ended(t, app, 1)
}

// TestBrokenAnswer: an answer that the application does not finish never looks
// complete. Attack: half a list of revoked keys that reads like a whole one.
func TestBrokenAnswer(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 50))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(app.Close)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: public, upstream: " + app.URL}))
	for _, path := range []string{"/known", "/unknown"} {
		resp, err := http.Get(g.URL + path)
		if err != nil {
			continue // nothing at all came: not complete either
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil || len(text) != 50 {
			t.Errorf("%s: %d bytes, %v", path, len(text), err)
		}
	}
}

// TestRefusedUpload: who may not send is told so before sending. Attack: a
// stranger who makes the gateway read what nobody wants.
func TestRefusedUpload(t *testing.T) {
	t.Parallel()
	app := servers.StartStreamApp(t, nil)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, upstream: " + app.URL}))
	pat := newLocal(t, g, "pat")
	for name, lines := range map[string][]string{
		"announced":  {"Content-Length: 10000000000"},
		"asks first": {"Content-Length: 10000000000", "Expect: 100-continue"},
		"chunked":    {"Transfer-Encoding: chunked"},
	} {
		a := servers.Raw(t, "", g.Addr, servers.Head("POST /sink", g.Addr, lines...))
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: answered %s", name, a.Status)
		}
	}
	// A body that never comes holds no connection for ever.
	for name, line := range map[string]string{"unknown length": "Transfer-Encoding: chunked", "known length": "Content-Length: 10"} {
		start := time.Now()
		a := servers.Raw(t, "", g.Addr, servers.Head("POST /sink", g.Addr, line))
		if took := time.Since(start); a.StatusCode != http.StatusUnauthorized || !a.Closed() || took > 15*time.Second {
			t.Errorf("%s: answered %s after %s", name, a.Status, took)
		}
	}
	// Who may, is told to go on.
	a := servers.Raw(t, "", g.Addr, servers.Head("POST /sink", g.Addr, "Content-Length: 3", "Expect: 100-continue", pat.session(g)))
	if a.StatusCode != http.StatusContinue {
		t.Fatalf("answered %s", a.Status)
	}
	a.Send(t, "abc")
	if a = a.Next(t); a.StatusCode != http.StatusOK || a.Text != "3" {
		t.Errorf("answered %s: %s", a.Status, a.Text)
	}
	// Who announces a body and goes leaves nothing behind that waits.
	c, err := net.Dial("tcp", g.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, servers.Head("POST /sink", g.Addr, "Content-Length: 100", pat.session(g))+"x"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	waitForLog(t, g, `"path":"/sink"`, `"status":4`, `"user":"pat"`)
}
