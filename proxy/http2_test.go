package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// h2fronts calls run with a gateway that is asked over TLS and one that is
// asked in the clear. Its application speaks HTTP/1.
func h2fronts(t *testing.T, sessions Authenticator, run func(t *testing.T, f *front, app *wire, trust *tls.Config)) {
	for _, scheme := range []string{"https", "http"} {
		t.Run(scheme, func(t *testing.T) {
			app := newWire(t)
			cfg := defaults()
			cfg.Routes = to("http://"+app.addr, config.Route{Path: "/", Access: public}, config.Route{Path: "/app/", Access: anyone}, config.Route{Path: "/admin/", Access: staff})
			f := newGateway(t, cfg, sessions)
			if scheme == "https" {
				run(t, f, app, f.serveTLS(t))
			} else {
				run(t, startGateway(t, f), app, nil)
			}
		})
	}
}

// over returns fields with the scheme of the connection.
func over(trust *tls.Config, fields []string) []string {
	if trust == nil {
		return fields
	}
	fields = slices.Clone(fields)
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == ":scheme" && fields[i+1] == "http" {
			fields[i+1] = "https"
		}
	}
	return fields
}

// TestHTTP2Smuggling: HTTP/2 has one framing, and no byte that it lets through
// must become another one in HTTP/1. Attacks: "HTTP/2: the sequel is always
// worse" (a header that ends the request, and a second one behind it; lengths
// that lie), and the same thing said twice where judge and application listen
// to different ones.
func TestHTTP2Smuggling(t *testing.T) {
	const smuggled = "GET /admin/ HTTP/1.1\r\nHost: app.example\r\n\r\n"
	post := func(path string, more ...string) []string {
		return append([]string{":method", "POST", ":scheme", "http", ":authority", "app.example", ":path", path}, more...)
	}
	for _, tt := range []struct {
		name    string
		fields  []string
		body    string // "": the stream ends with its headers
		trailer []string
		want    string // status; "": refused by net/http, as a stream or a connection
		seen    string // by the application; "": nothing
		sooner  string // what it may see, and answer, before the refusal
	}{
		{name: "honest", fields: get("/x"), want: "200", seen: "GET /x app.example "},
		{name: "honest, body", fields: post("/x"), body: "abc", want: "200", seen: "POST /x app.example abc"},
		{name: "honest, length", fields: post("/x", "content-length", "3"), body: "abc", want: "200", seen: "POST /x app.example abc"},
		{name: "honest, Host in place of :authority", fields: []string{":method", "GET", ":scheme", "http", ":path", "/x", "host", "app.example"}, want: "200", seen: "GET /x app.example "},
		{name: "honest, both alike", fields: get("/x", "host", "App.example"), want: "200", seen: "GET /x app.example "},
		{name: "a body like a request", fields: post("/x"), body: smuggled, want: "200", seen: "POST /x app.example " + smuggled},
		{name: "a body like the end of chunks", fields: post("/x"), body: "0\r\n\r\n" + smuggled, want: "200", seen: "POST /x app.example 0\r\n\r\n" + smuggled},

		{name: "length too short", fields: post("/x", "content-length", "1"), body: "a" + smuggled},
		{name: "length zero", fields: post("/x", "content-length", "0"), body: smuggled, sooner: "POST /x app.example "},
		{name: "length too long", fields: post("/x", "content-length", "100"), body: "abc", want: "400"},
		{name: "length without a body", fields: get("/x", "content-length", "5"), want: "400"},
		{name: "two lengths", fields: post("/x", "content-length", "3", "content-length", "4"), body: "abc", want: "400"},
		{name: "the same length twice", fields: post("/x", "content-length", "3", "content-length", "3"), body: "abc", want: "400"},
		{name: "a list of lengths", fields: post("/x", "content-length", "3, 3")},
		{name: "a signed length", fields: post("/x", "content-length", "+3")},
		{name: "a length in words", fields: post("/x", "content-length", "three"), want: "400"},
		{name: "a length in hexadecimal", fields: get("/x", "content-length", "0x3"), want: "400"},

		{name: "transfer-encoding", fields: post("/x", "transfer-encoding", "chunked"), body: "0\r\n\r\n" + smuggled, want: "400"},
		{name: "transfer-encoding: identity", fields: get("/x", "transfer-encoding", "identity"), want: "400"},
		{name: "connection", fields: get("/x", "connection", "x-forwarded-for"), want: "400"},
		{name: "keep-alive", fields: get("/x", "keep-alive", "1"), want: "400"},
		{name: "proxy-connection", fields: get("/x", "proxy-connection", "close"), want: "400"},
		{name: "upgrade", fields: get("/x", "upgrade", "websocket"), want: "400"},
		{name: "te beyond trailers", fields: get("/x", "te", "trailers, chunked"), want: "400"},

		{name: "CR LF in a value", fields: get("/x", "x-a", "b\r\ntransfer-encoding: chunked")},
		{name: "LF in a value", fields: get("/x", "x-a", "b\nc: d")},
		{name: "CR in a value", fields: get("/x", "x-a", "b\rc: d")},
		{name: "NUL in a value", fields: get("/x", "x-a", "b\x00")},
		{name: "a request in a value", fields: get("/x", "x-a", "b\r\n\r\n"+smuggled)},
		{name: "CR LF in a name", fields: get("/x", "x-a: b\r\nx-c", "d")},
		{name: "LF in a name", fields: get("/x", "x-a\nx-b", "d")},
		{name: "NUL in a name", fields: get("/x", "x-a\x00", "d")},
		{name: "colon in a name", fields: get("/x", "x-a:b", "d")},
		{name: "space in a name", fields: get("/x", "x-a ", "d")},
		{name: "transfer-encoding and a space", fields: get("/x", "transfer-encoding ", "chunked")},
		{name: "empty name", fields: get("/x", "", "d")},
		{name: "capitals in a name", fields: get("/x", "X-A", "b")},
		{name: "capitals in Transfer-Encoding", fields: get("/x", "Transfer-Encoding", "chunked")},
		{name: "transfer_encoding", fields: post("/x", "transfer_encoding", "chunked"), body: "0\r\n\r\n" + smuggled, want: "200", seen: "POST /x app.example 0\r\n\r\n" + smuggled},

		{name: "space in :path", fields: get("/x HTTP/1.1\x20"), want: "400"},
		{name: "CR LF in :path", fields: get("/x HTTP/1.1\r\nx-a: b")},
		{name: "fragment in :path", fields: get("/x#/admin/"), want: "400"},
		{name: "URL for :path", fields: get("http://evil.example/x"), want: "400"},
		{name: "URL of the same host for :path", fields: get("http://app.example/admin/"), want: "400"},
		{name: "two slashes begin :path", fields: get("//evil.example/x"), want: "200", seen: "GET //evil.example/x app.example "},
		{name: "no slash begins :path", fields: get("x")},
		{name: "asterisk", fields: get("*")},
		{name: "OPTIONS *", fields: []string{":method", "OPTIONS", ":scheme", "http", ":authority", "app.example", ":path", "*"}, want: "400"},
		{name: "empty :path", fields: get("")},
		{name: "two readings", fields: get("/x/..%2fadmin/"), want: "400"},
		{name: "broken escape", fields: get("/%zz")},

		{name: "CR LF in :method", fields: []string{":method", "GET / HTTP/1.1\r\nx: y", ":scheme", "http", ":authority", "app.example", ":path", "/x"}},
		{name: "space in :method", fields: []string{":method", "GET /admin/", ":scheme", "http", ":authority", "app.example", ":path", "/x"}, want: "400"},
		{name: "CONNECT", fields: []string{":method", "CONNECT", ":authority", "app.example:443"}, want: "405"},
		{name: "extended CONNECT", fields: []string{":method", "CONNECT", ":scheme", "http", ":authority", "app.example", ":path", "/x", ":protocol", "websocket"}},
		{name: "TRACE", fields: []string{":method", "TRACE", ":scheme", "http", ":authority", "app.example", ":path", "/x"}, want: "405"},

		{name: "two :authority", fields: get("/x", ":authority", "evil.example")},
		{name: "two :authority in a row", fields: []string{":method", "GET", ":scheme", "http", ":authority", "app.example", ":authority", "evil.example", ":path", "/x"}},
		{name: "Host differs", fields: get("/x", "host", "evil.example"), want: "400"},
		{name: "two Host", fields: get("/x", "host", "app.example", "host", "app.example"), want: "400"},
		{name: "no host at all", fields: []string{":method", "GET", ":scheme", "http", ":path", "/x"}, want: "400"},
		{name: "user in :authority", fields: []string{":method", "GET", ":scheme", "http", ":authority", "app.example@evil.example", ":path", "/x"}},
		{name: "CR LF in :authority", fields: []string{":method", "GET", ":scheme", "http", ":authority", "app.example\r\nx: y", ":path", "/x"}},
		{name: "path in :authority", fields: []string{":method", "GET", ":scheme", "http", ":authority", "app.example/admin", ":path", "/x"}, want: "400"},
		{name: "another :scheme", fields: []string{":method", "GET", ":scheme", "ftp", ":authority", "app.example", ":path", "/x"}},
		{name: "a request in :scheme", fields: []string{":method", "GET", ":scheme", "http://app.example/admin/?", ":authority", "app.example", ":path", "/x"}},

		{name: "pseudo-header behind a field", fields: []string{":method", "GET", ":scheme", "http", ":authority", "app.example", "x-a", "b", ":path", "/x"}},
		{name: "unknown pseudo-header", fields: append([]string{":evil", "x"}, get("/x")...)},
		{name: "pseudo-header of answers", fields: append([]string{":status", "200"}, get("/x")...)},
		{name: "no :method", fields: []string{":scheme", "http", ":authority", "app.example", ":path", "/x"}},

		{name: "pseudo-header in trailers", fields: post("/x", "trailer", "x-a"), body: "abc", trailer: []string{":path", "/admin/"}},
		{name: "CR LF in a trailer", fields: post("/x", "trailer", "x-a"), body: "abc", trailer: []string{"x-a", "b\r\n\r\n" + smuggled}},
	} {
		h2fronts(t, somebody(), func(t *testing.T, f *front, app *wire, trust *tls.Config) {
			c := dialH2(t, f.addr, trust)
			stream := c.begin(tt.body == "", over(trust, tt.fields)...)
			if tt.body != "" {
				_ = c.WriteData(stream, tt.trailer == nil, []byte(tt.body))
			}
			if tt.trailer != nil {
				_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: c.encode(tt.trailer), EndStream: true, EndHeaders: true})
			}
			if a := c.answer(stream); a.status != tt.want && (tt.want != "" || a.status != "400") && tt.sooner == "" {
				t.Errorf("%s: status %q, stream %v, connection %v; want status %q", tt.name, a.status, a.reset, a.goAway, tt.want)
			}
			var want []string
			if tt.seen != "" {
				want = []string{tt.seen}
			}
			// What comes next is one request, and the application has seen no other.
			c = dialH2(t, f.addr, trust)
			if a := c.answer(c.begin(true, over(trust, get("/next"))...)); a.status != "200" {
				t.Errorf("%s: the next request was answered %+v", tt.name, a)
			}
			want = append(want, "GET /next app.example ")
			seen, raw, _ := app.take()
			if tt.sooner != "" && len(seen) > 0 && seen[0] == tt.sooner {
				seen = seen[1:]
			}
			if diff := cmp.Diff(want, seen); diff != "" {
				t.Errorf("%s: the application saw (-want +got):\n%s\n%q", tt.name, diff, raw)
			}
		})
	}
}

// TestHTTP2Spoofing: the headers that no client may send, as HTTP/2 sends
// them: as fields, as trailers, and cookies in crumbs (RFC 9113, section 8.2.3).
func TestHTTP2Spoofing(t *testing.T) {
	h2fronts(t, somebody(), func(t *testing.T, f *front, app *wire, trust *tls.Config) {
		var fields, names []string
		for _, line := range forged {
			name, value, _ := strings.Cut(strings.ToLower(line), ": ")
			fields = append(fields, name, value)
			names = append(names, name)
		}
		c := dialH2(t, f.addr, trust)
		ask := func(fields ...string) h2answer { return c.answer(c.begin(true, over(trust, fields)...)) }
		clean := func(name string, a h2answer, status string, user ...string) {
			t.Helper()
			seen, raw, head := app.take()
			if a.status != status || (len(seen) > 0) != (status == "200") {
				t.Errorf("%s: %+v, the application saw %q", name, a, seen)
			}
			for _, evil := range []string{"root", "admin", "_gatehouse", "x_", "X_"} {
				if strings.Contains(raw, evil) {
					t.Errorf("%s: the application sees %q:\n%s", name, evil, raw)
				}
			}
			if !slices.Equal(head["X-Forwarded-User"], user) {
				t.Errorf("%s: the application sees the user %q, want %q", name, head["X-Forwarded-User"], user)
			}
			if proto := head["X-Forwarded-Proto"]; status == "200" && (len(proto) != 1 || (proto[0] == "https") != (trust != nil)) {
				t.Errorf("%s: the application sees the scheme %q", name, proto)
			}
		}
		clean("nobody, public", ask(append(get("/x"), fields...)...), "200")
		clean("nobody, guarded", ask(append(get("/app/"), fields...)...), "401")
		clean("somebody", ask(append(get("/app/", "cookie", "_gatehouse=ann"), fields...)...), "200", "ann")
		clean("too little", ask(append(get("/admin/", "cookie", "_gatehouse=bob"), fields...)...), "403")
		clean("crumbs", ask(get("/app/", "cookie", "a=1", "cookie", "_gatehouse=ann", "cookie", "b=2")...), "200", "ann")

		// Two of ours, in one field or in two, is none of ours.
		two := func(cookies ...string) {
			t.Helper()
			fields := get("/x")
			for _, cookie := range cookies {
				fields = append(fields, "cookie", cookie)
			}
			clean("two sessions", ask(fields...), "200")
		}
		f.Sessions = unlessTwice{f.Sessions}
		two("_gatehouse=ann", "_gatehouse=ann")
		two("_gatehouse=ann", "a=1; _gatehouse=bob")

		declared := append(get("/x"), "trailer", "x-sum, "+strings.Join(names, ", "))
		declared[1] = "POST"
		stream := c.begin(false, over(trust, declared)...)
		_ = c.WriteData(stream, false, []byte("abc"))
		block := c.encode(append([]string{"x-sum", "7"}, fields...))
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: true, EndHeaders: true})
		a := c.answer(stream)
		if _, raw, _ := app.take(); a.status != "200" || !strings.HasSuffix(raw, "\r\n0\r\nX-Sum: 7\r\n\r\n") || strings.Contains(raw, "root") || strings.Contains(raw, "admin") {
			t.Errorf("trailers: %+v, the application sees:\n%s", a, raw)
		}
		if trust != nil {
			// Attack: an application that is told of http sends people there, where
			// everybody can read along.
			clean("http over TLS", c.answer(c.begin(true, get("/x")...)), "200")
		}
	})
}

// unlessTwice takes two cookies for none, as sessions do.
type unlessTwice struct{ Authenticator }

func (u unlessTwice) Authenticate(r *http.Request) (*auth.Session, *auth.Person, error) {
	if len(r.CookiesNamed("_gatehouse")) > 1 {
		return nil, nil, auth.ErrUnauthenticated
	}
	return u.Authenticator.Authenticate(r)
}

// TestPriorKnowledge: in the clear, HTTP/2 begins with its whole preface or not
// at all, in whatever pieces it comes; all else is watched as HTTP/1.
func TestPriorKnowledge(t *testing.T) {
	f, app := publicFront(t)
	for _, size := range []int{1, 5, 1 << 10} {
		c := beginH2(t, &pieces{connection(t, f.addr), size})
		if a := c.answer(c.begin(true, get("/h2c")...)); a.status != "200" {
			t.Errorf("%+v", a)
		}
		if r := app.got(); r == nil || r.RequestURI != "/h2c" || r.Proto != "HTTP/1.1" {
			t.Errorf("the application got %v", r)
		}
	}
	const smuggle = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	for name, start := range map[string]string{
		"half a preface":           preface[:16],
		"another end":              "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n",
		"a preface second":         "GET /ping HTTP/1.1\r\nHost: a\r\n\r\n" + preface,
		"upgrade to h2c":           "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
		"upgrade and then preface": "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n" + preface,
	} {
		c := connection(t, f.addr)
		_, _ = io.WriteString(c, start+smuggle)
		text, _ := io.ReadAll(c)
		if got := string(text); strings.Contains(got, " 101 ") || !strings.Contains(got, "HTTP/1.1 ") || strings.Count(got, "HTTP/1.1 200") > 1 {
			t.Errorf("%s: answered %q", name, got)
		}
		if r := app.got(); r != nil && (r.Method == "POST" || r.Header["Upgrade"] != nil || r.Header["Http2-Settings"] != nil) {
			t.Errorf("%s: the application got %v", name, r)
		}
	}
}

// pieces writes what it has in pieces.
type pieces struct {
	net.Conn
	size int
}

func (c *pieces) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i += c.size {
		if _, err := c.Conn.Write(p[i:min(i+c.size, len(p))]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestHTTP2Bounds: what a client may begin on one connection is bounded.
func TestHTTP2Bounds(t *testing.T) {
	release := make(chan struct{})
	stuck := &stuckSessions{Authenticator: somebody(), release: release}
	cfg := defaults()
	cfg.Routes = to("static:404", config.Route{Path: "/", Access: anyone})
	f := newGateway(t, cfg, stuck)
	f = startGateway(t, f)
	defer close(release)

	// An extended CONNECT (RFC 8441) would be a tunnel past the rules.
	t.Run("settings", func(t *testing.T) {
		got := dialH2(t, f.addr, nil).settings
		want := map[http2.SettingID]uint32{http2.SettingMaxConcurrentStreams: maxStreams, http2.SettingInitialWindowSize: maxStreamBuffer}
		known := maps.Clone(got)
		maps.DeleteFunc(known, func(id http2.SettingID, _ uint32) bool {
			return id != http2.SettingMaxConcurrentStreams && id != http2.SettingInitialWindowSize && id != http2.SettingEnableConnectProtocol
		})
		if diff := cmp.Diff(want, known); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if n := got[http2.SettingMaxHeaderListSize]; n < maxHeaderBytes || n > maxHeaderBytes+1<<10 {
			t.Errorf("header lists of %d bytes", n)
		}
	})
	t.Run("header list", func(t *testing.T) {
		c := dialH2(t, f.addr, nil)
		fields := get("/ping")
		for i := range 20 {
			fields = append(fields, fmt.Sprintf("x-%d", i), strings.Repeat("a", 4<<10))
		}
		if a := c.answer(c.begin(true, fields...)); a.status != "431" && a.goAway == 0 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("open streams", func(t *testing.T) {
		c := dialH2(t, f.addr, nil)
		if a := c.answer(c.begin(true, get("/ping")...)); a.status != "200" { // and our settings are known
			t.Fatalf("%+v", a)
		}
		for range maxStreams {
			c.begin(true, get("/x")...)
		}
		if a := c.answer(c.begin(true, get("/x")...)); a.reset != http2.ErrCodeProtocol && a.reset != http2.ErrCodeRefusedStream {
			t.Errorf("one more than may be open: %+v", a)
		}
	})
	// Attack: CVE-2023-44487. Streams that are begun and reset cost the server
	// what they began, and the client nothing.
	t.Run("rapid reset", func(t *testing.T) {
		c := dialH2(t, f.addr, nil)
		over := make(chan h2answer, 1)
		go func() { over <- c.answer(1 << 30) }()
		begun := 0
		for ; begun < 50*maxStreams; begun++ {
			stream := c.begin(true, get("/x")...)
			if c.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
				break
			}
		}
		if a := <-over; a.goAway != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("after %d streams: %+v", begun, a)
		}
		for err := error(nil); err == nil; { // and the server hangs up
			_, err = c.ReadFrame()
		}
	})
	if n := stuck.most(); n > 2*maxStreams {
		t.Errorf("%d requests ran at once, over two connections of %d", n, maxStreams)
	}
}
