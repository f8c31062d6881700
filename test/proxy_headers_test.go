package test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/test/servers"
)

// TestCookiesOnTheirWayIn: the application never sees a cookie of ours, and
// its own arrive byte for byte. Attack: an application, or its log, that has
// the session of everybody who looks at it.
func TestCookiesOnTheirWayIn(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: public, upstream: " + app.URL, "path: /app, upstream: " + app.URL}))
	pat := newLocal(t, g, "pat")
	session := strings.TrimPrefix(pat.session(g), "Cookie: ")
	for _, tt := range []struct {
		name string
		in   []string
		want []string
	}{
		{"ours alone", []string{session}, nil},
		{"ours first", []string{session + "; a=1"}, []string{"a=1"}},
		{"ours last", []string{"a=1; " + session}, []string{"a=1"}},
		{"between odd ones", []string{`a="x y";b=  1;` + session + `;c;=d; e=%00,é`}, []string{`a="x y";b=  1;c;=d; e=%00,é`}},
		{"two lines", []string{"a=1; b=2", session + "; c=3"}, []string{"a=1; b=2", "c=3"}},
		{"other cookies of ours", []string{session + "; _gatehouse_pending=x; __Host-_gatehouse=y; __host-_gatehouse_x=z; __Secure-_gatehouse=1; a=1"}, []string{"a=1"}},
		{"names that look alike", []string{session + "; gatehouse=1; x_gatehouse=2; _GATEHOUSE=3"}, []string{"gatehouse=1; x_gatehouse=2; _GATEHOUSE=3"}},
	} {
		for _, path := range []string{"/", "/app"} {
			var lines []string
			for _, line := range tt.in {
				lines = append(lines, "Cookie: "+line)
			}
			a := servers.Raw(t, "", g.Addr, servers.Head("GET "+path, g.Addr, lines...))
			if a.StatusCode != http.StatusOK {
				t.Errorf("%s: %s answered %s", tt.name, path, a.Status)
				continue
			}
			if diff := cmp.Diff(tt.want, values(app.Last(t), "Cookie")); diff != "" {
				t.Errorf("%s at %s: the application sees (-want +got):\n%s", tt.name, path, diff)
			}
		}
	}
}

// TestTwoSessionCookies: which of two cookies counts depends on who reads
// them, so none does. Attack: a cookie of the attacker's session, planted from
// a neighbouring host, beside the victim's own.
func TestTwoSessionCookies(t *testing.T) {
	t.Parallel()
	g := servers.StartGateway(t, binary, proxyText("", []string{`path: /, upstream: "static:204"`}))
	session := newLocal(t, g, "pat").session(g)
	value := strings.TrimPrefix(session, "Cookie: ")
	id := strings.TrimPrefix(value, "_gatehouse=")
	for name, lines := range map[string][]string{
		"the same twice":     {session + "; " + value},
		"on two lines":       {session, session},
		"another before":     {"Cookie: _gatehouse=x; " + value},
		"another after":      {session + "; _gatehouse=x"},
		"truncated":          {session[:len(session)-1]},
		"longer":             {session + "A"},
		"other letter case":  {"Cookie: _Gatehouse=" + id},
		"with the prefix":    {"Cookie: __Host-_gatehouse=" + id},
		"oversized":          {session + strings.Repeat("A", 8000)},
		"padded":             {session + "="},
		"as a bearer token":  {"Authorization: Bearer " + id},
		"the id in capitals": {"Cookie: _gatehouse=" + strings.ToUpper(id)},
	} {
		if a := servers.Raw(t, "", g.Addr, servers.Head("GET /", g.Addr, lines...)); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: answered %s", name, a.Status)
		}
	}
	if a := servers.Raw(t, "", g.Addr, servers.Head("GET /", g.Addr, session)); a.StatusCode != http.StatusNoContent {
		t.Errorf("alone: answered %s", a.Status)
	}
}

// TestCookiesOnTheirWayOut: an application sets its own cookies and never one
// of ours, nor has the browser forget ours. Attack: an application that signs its
// visitors in as somebody else, or out.
func TestCookiesOnTheirWayOut(t *testing.T) {
	t.Parallel()
	ours := []string{
		"_gatehouse=evil; Path=/", "_gatehouse=; Max-Age=0", "_gatehouse_pending=evil", "__Host-_gatehouse=evil; Secure; Path=/", "__host-_gatehouse=evil",
		"  _gatehouse = evil", "_gatehouse", "=_gatehouse=evil", "__Secure-_gatehouse=evil",
	}
	theirs := []string{"a=1; Path=/", `b="_gatehouse=x"`, "gatehouse=2", "c=3; Domain=corp.example; HttpOnly"}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, line := range slices.Concat(ours[:4], theirs, ours[4:]) {
			w.Header().Add("Set-Cookie", line)
		}
		w.Header().Set("Clear-Site-Data", `"cookies", "cache"`)
		w.Header().Set("X-Request-Id", "of the application")
		if r.URL.Path == "/hints" {
			w.WriteHeader(http.StatusEarlyHints)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(app.Close)
	g := servers.StartGateway(t, binary, proxyText("", []string{"path: /, access: public, upstream: " + app.URL}))
	for _, path := range []string{"/", "/hints"} {
		a := servers.Raw(t, "", g.Addr, servers.Head("GET "+path, g.Addr))
		if a.StatusCode == http.StatusEarlyHints {
			if diff := cmp.Diff(theirs, a.Header.Values("Set-Cookie")); diff != "" {
				t.Errorf("hints set (-want +got):\n%s", diff)
			}
			a = a.Next(t)
		}
		if diff := cmp.Diff(theirs, a.Header.Values("Set-Cookie")); diff != "" {
			t.Errorf("%s sets (-want +got):\n%s", path, diff)
		}
		if got := a.Header.Get("Clear-Site-Data"); got != `"cache"` {
			t.Errorf("%s: the browser is told to clear %s", path, got)
		}
		if id := a.Header.Values("X-Request-Id"); len(id) != 1 || strings.Contains(id[0], "application") {
			t.Errorf("X-Request-Id is %q", id)
		}
	}
}

// TestForwardingHeaders: what X-Forwarded-* say counts from a trusted peer
// alone, and the application learns who that was.
func TestForwardingHeaders(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText(`trusted_proxies: [127.0.0.2, "::ffff:127.0.0.3/128"]`, []string{"path: /, access: public, upstream: " + app.URL}))
	claims := []string{
		"X-Forwarded-For: 192.0.2.1, 198.51.100.2", "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example", "X-Request-Id: trace-0123456789",
		"X-Forwarded-Port: 443", "X-Real-IP: 192.0.2.1",
	}
	names := []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip", "X-Original-Url", "X-Forwarded-Uri", "X-Forwarded-Method", "Forwarded"}
	believed := map[string]string{
		"X-Forwarded-For": "192.0.2.1, 198.51.100.2, %s", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example", "X-Forwarded-Port": "443", "X-Real-Ip": "192.0.2.1",
	}
	own := map[string]string{"X-Forwarded-For": "%s", "X-Forwarded-Proto": "http", "X-Forwarded-Host": g.Addr}
	for _, tt := range []struct {
		name, from string
		headers    []string
		want       map[string]string
	}{
		{"a stranger", "127.0.0.1", claims, own},
		{"a neighbour of the proxy", "127.0.0.4", claims, own},
		{"the proxy", "127.0.0.2", claims, believed},
		{"a proxy written as IPv4 in IPv6", "127.0.0.3", claims, believed},
		{"the proxy, silent", "127.0.0.2", nil, own},
		{"the proxy, with garbage", "127.0.0.2", []string{"X-Forwarded-Proto: javascript", "X-Forwarded-Host: a/b", "X-Original-Url: /x", "X-Forwarded-Uri: /x", "X-Forwarded-Method: DELETE", "X-Rewrite-Url: /x"}, own},
		{"the proxy, twice", "127.0.0.2", []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http", "X-Forwarded-Host: a.example", "X-Forwarded-Host: b.example"}, own},
	} {
		a := servers.Raw(t, tt.from, g.Addr, servers.Head("GET /", g.Addr, tt.headers...))
		last := app.Last(t)
		got, want := map[string]string{}, map[string]string{}
		for _, name := range names {
			if v := values(last, name); v != nil {
				got[name] = strings.Join(v, "|")
			}
			if v, ok := tt.want[name]; ok {
				if strings.Contains(v, "%s") {
					v = fmt.Sprintf(v, tt.from)
				}
				want[name] = v
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the application sees (-want +got):\n%s", tt.name, diff)
		}
		id := a.Header.Get("X-Request-Id")
		if told := values(last, "X-Request-Id"); len(told) != 1 || told[0] != id {
			t.Errorf("%s: request id %q here, %q there", tt.name, id, told)
		}
		if kept := id == "trace-0123456789"; kept != (tt.want["X-Forwarded-Port"] != "") {
			t.Errorf("%s: request id %q", tt.name, id)
		}
	}
	// The log names the client that a trusted proxy reports, and else the peer.
	for _, tt := range []struct{ name, from, chain, want string }{
		{"the proxy", "127.0.0.2", "203.0.113.7", "203.0.113.7"},
		{"a client that lies to the proxy", "127.0.0.2", "10.0.0.1, 203.0.113.8", "203.0.113.8"},
		{"two trusted hops", "127.0.0.2", "203.0.113.9, 127.0.0.3", "203.0.113.9"},
		{"garbage", "127.0.0.2", "unknown", "127.0.0.2"},
		{"a stranger", "127.0.0.1", "203.0.113.10", "127.0.0.1"},
	} {
		servers.Raw(t, tt.from, g.Addr, servers.Head("GET /log-"+strings.ReplaceAll(tt.name, " ", "-"), g.Addr, "X-Forwarded-For: "+tt.chain))
		mark := "/log-" + strings.ReplaceAll(tt.name, " ", "-")
		waitForLog(t, g, mark, fmt.Sprintf(`"client":"%s"`, tt.want))
	}
}
