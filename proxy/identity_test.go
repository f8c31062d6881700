package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpguts"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// forged is one identity header in every spelling that some server takes for it.
var forged = []string{
	"X-Forwarded-User: root", "x-forwarded-user: root", "X_Forwarded_User: root", "X-Forwarded_User: root", "x.forwarded.user: root",
	"X-Forwarded-Email: root@x", "X-Forwarded-Groups: admins", "X_FORWARDED_GROUPS: admins", "X-Forwarded-Preferred-Username: root",
	"X-Forwarded-Attr-Role: admin", "X_Forwarded_Attr_Role: admin", "x~forwarded~attr~role: admin", "X-Forwarded-Access-Token: t",
	"X-Gatehouse-Assertion: t", "X-Auth-Request-User: root", "X_Auth_Request_Attr_Role: admin", "X-Auth-Request-Anything: x",
}

// TestIdentityHeadersStripped: a client that makes itself somebody.
func TestIdentityHeadersStripped(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone}, config.Route{Path: "/public/", Access: public})
	cfg.IdentityHeaders.User = "X-Remote-User" // the default name must still be stripped
	cfg.Server.TrustedProxies = []string{"127.0.0.1"}
	trusting := start(t, cfg, somebody())
	cfg.Server.TrustedProxies = nil
	f := start(t, cfg, somebody())

	mine := http.Header{
		"X-Remote-User": {"ann"}, "X-Forwarded-Email": {"ann@acme.example"}, "X-Forwarded-Groups": {"staff,a%2Cb"},
		"X-Forwarded-Preferred-Username": {"Ann"}, "X-Forwarded-Attr-Department": {"R&D,%C3%9Cnits%2C all"}, "X-Forwarded-Attr-Name": {"Ann, %C3%84."},
	}
	upgrade := []string{"Upgrade: websocket", "Connection: upgrade"}
	for _, tt := range []struct {
		name, method, target, who string
		extra                     []string
		want                      http.Header
	}{
		{"guarded", "GET", "/x", "ann", nil, mine},
		{"guarded, named by Connection", "GET", "/x", "ann", []string{"Connection: X-Remote-User, X-Forwarded-Email, X-Forwarded-For"}, mine},
		{"guarded upgrade", "GET", "/x", "ann", upgrade, mine},
		{"guarded, little known", "GET", "/x", "bob", nil, http.Header{
			"X-Remote-User": {"acme:7"}, "X-Forwarded-Email": {""}, "X-Forwarded-Groups": {""}, "X-Forwarded-Preferred-Username": {""},
		}},
		{"public", "GET", "/public/", "", nil, http.Header{}},
		{"public, a session that has ended", "GET", "/public/", "nobody", nil, http.Header{}},
		{"public, session", "GET", "/public/", "ann", nil, mine},
		{"public preflight", "OPTIONS", "/public/", "", nil, http.Header{}},
		{"public upgrade", "GET", "/public/", "", upgrade, http.Header{}},
	} {
		for _, f := range []*front{f, trusting} {
			t.Run(tt.name, func(t *testing.T) {
				f.send(t, tt.method, tt.target, tt.who, append(append([]string{"X-Remote-User: root", "X_REMOTE_USER: root"}, forged...), tt.extra...)...)
				r := app.got()
				if r == nil {
					t.Fatal("nothing was forwarded")
				}
				got := http.Header{}
				for name, values := range r.Header {
					n := strings.NewReplacer("_", "-", ".", "-", "~", "-").Replace(strings.ToLower(name))
					if strings.HasPrefix(n, "x-auth") || strings.HasPrefix(n, "x-remote") || strings.HasPrefix(n, "x-gatehouse") ||
						strings.HasPrefix(n, "x-forwarded-") && n != "x-forwarded-for" && n != "x-forwarded-host" && n != "x-forwarded-proto" {
						got[name] = values
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("identity headers (-want +got):\n%s", diff)
				}
				if n := len(r.Header["X-Forwarded-For"]); n != 1 {
					t.Errorf("%d X-Forwarded-For", n)
				}
			})
		}
	}
}

// TestTrailersStripped: what cannot come as a header comes as a trailer.
func TestTrailersStripped(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	f.raw(t, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"+
		"Trailer: X-Checksum, X-Forwarded-User, X_Forwarded_Groups\r\n\r\n1\r\nz\r\n0\r\n"+
		"X-Checksum: 7\r\nX-Forwarded-User: root\r\nX_Forwarded_Groups: admins\r\nX-Undeclared: x\r\n\r\n")
	if app.got() == nil {
		t.Fatal("nothing was forwarded")
	}
	if diff := cmp.Diff(http.Header{"X-Checksum": {"7"}}, app.trailer); diff != "" {
		t.Errorf("trailers (-want +got):\n%s", diff)
	}
}

// TestForwardedSchemes: a trusted proxy says how its client came, Traefik also by
// the schemes of WebSockets; what is none of them says nothing.
func TestForwardedSchemes(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Server.TrustedProxies = []string{"127.0.0.0/8"}
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	for said, want := range map[string]string{"https": "https", "wss": "https", "ws": "http", "http": "http", "HTTPS": "http", "gopher": "http"} {
		f.raw(t, "GET /x HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-Proto: "+said+"\r\n\r\n")
		if got := app.got().Header.Get("X-Forwarded-Proto"); got != want {
			t.Errorf("%s is passed on as %s, want %s", said, got, want)
		}
	}
}

// TestForwardingHeaders: who is not trusted cannot say where a request came
// from; nobody can tell the application of another path.
func TestForwardingHeaders(t *testing.T) {
	app := newApplication(t)
	sent := []string{
		"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example", "X_Forwarded_For: 192.0.2.9",
		"Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1", "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "X-Forwarded-Uri: /admin",
		"X-Forwarded-Port: 443", "X-Forwarded-Prefix: /p", "X-Request-Id: from-the-proxy", "Proxy: http://evil.example", "HTTP2-Settings: x",
		"Transfer_Encoding: chunked", "Content_Length: 7", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings",
	}
	for _, tt := range []struct {
		name    string
		trusted []string
		want    map[string]string
	}{
		{"not trusted", nil, map[string]string{
			"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "app.example",
		}},
		{"trusted", []string{"127.0.0.0/8"}, map[string]string{
			"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "public.example",
			"X-Real-Ip": "192.0.2.1", "X-Forwarded-Port": "443", "X-Forwarded-Prefix": "/p", "X-Request-Id": "from-the-proxy",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := defaults()
			cfg.Server.TrustedProxies = tt.trusted
			cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
			f := start(t, cfg, somebody())
			text := "GET /x HTTP/1.1\r\nHost: app.example\r\nUser-Agent: t\r\n" + strings.Join(sent, "\r\n") + "\r\n\r\n"
			resp := f.raw(t, text)
			r := app.got()
			if r == nil {
				t.Fatal("nothing was forwarded")
			}
			got := map[string]string{}
			for name, values := range r.Header {
				got[name] = strings.Join(values, "|")
			}
			delete(got, "User-Agent")
			delete(got, "Accept-Encoding")
			if id := resp.Header.Get("X-Request-Id"); id == "" || id != got["X-Request-Id"] {
				t.Errorf("request id %q to the client, %q to the application", id, got["X-Request-Id"])
			}
			if tt.trusted == nil {
				if got["X-Request-Id"] == "from-the-proxy" {
					t.Error("the request id of a stranger was believed")
				}
				delete(got, "X-Request-Id")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCookies(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		name string
		sent []string
		want []string
	}{
		{"others as they are", []string{`a=1;b="x y" ;  c=;d`}, []string{`a=1;b="x y" ;  c=;d`}},
		{"ours only", []string{"_gatehouse=s"}, nil},
		{"ours among others", []string{`a=1; _gatehouse=s; b="2"`}, []string{`a=1; b="2"`}},
		{"ours first", []string{`_gatehouse=s; a=1`}, []string{`a=1`}},
		{"ours last", []string{`a=1;_gatehouse=s`}, []string{`a=1`}},
		{"prefixes", []string{`__Host-_gatehouse=s; __Secure-_gatehouse=s; __host-_gatehouse=s; a=1`}, []string{`a=1`}},
		{"our other cookies", []string{`_gatehouse_pending=s; _gatehouse-device=s; x_gatehouse=1`}, []string{`x_gatehouse=1`}},
		{"twice", []string{`_gatehouse=s; _gatehouse=t; a=1`}, []string{`a=1`}},
		{"spaces and no value", []string{`_gatehouse ; a=1; 	_gatehouse =s`}, []string{`a=1`}},
		{"without a name", []string{`=_gatehouse=s; a=1`}, []string{`a=1`}},
		{"several lines", []string{`a=1`, `_gatehouse=s`, `b=2; _gatehouse=s`}, []string{`a=1`, `b=2`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
			for _, line := range tt.sent {
				text += "Cookie: " + line + "\r\n"
			}
			f.raw(t, text+"\r\n")
			if diff := cmp.Diff(tt.want, []string(app.got().Header["Cookie"])); diff != "" {
				t.Errorf("cookies (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUpstreamCannotSetOurCookie: an application that signs its visitor in as
// somebody else, or out.
func TestUpstreamCannotSetOurCookie(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	set := []string{
		"a=1; Path=/", "_gatehouse=x", " _gatehouse =x; Path=/", "__Host-_gatehouse=x; Secure; Path=/", "__SECURE-_gatehouse=x",
		"=_gatehouse=x", "_gatehouse", "_gatehouse_pending=x", "b=_gatehouse=x",
	}
	want := []string{"a=1; Path=/", "b=_gatehouse=x"}
	for _, status := range []int{200, 302, 101} {
		app.answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Set-Cookie"] = set
			if status == 101 {
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "websocket")
			}
			if status == 200 {
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.WriteHeader(status)
		})
		lines := []string{}
		if status == 101 {
			lines = []string{"Connection: Upgrade", "Upgrade: websocket"}
		}
		c, err := net.Dial("tcp", f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n"+strings.Join(append(lines, ""), "\r\n")+"\r\n"); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(c)
		for seen := 0; seen != status; {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			seen = resp.StatusCode
			if diff := cmp.Diff(want, []string(resp.Header["Set-Cookie"])); diff != "" {
				t.Errorf("status %d (-want +got):\n%s", seen, diff)
			}
			if id := resp.Header["X-Request-Id"]; len(id) != 1 {
				t.Errorf("status %d: X-Request-Id %q", seen, id)
			}
		}
	}
}

// TestUpstreamCannotClearOurCookies. Attack: an application, or a page that
// somebody could put there, tells the browser to forget the cookies of the
// site, and so signs its visitor out of everything behind the gateway.
func TestUpstreamCannotClearOurCookies(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public})
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		name      string
		sent, got []string
	}{
		{"cookies", []string{`"cookies"`}, nil},
		{"everything", []string{`"*"`}, nil},
		{"not quoted, other case", []string{`Cookies, *, "COOKIES"`}, nil},
		{"among others", []string{`"cache","cookies" , "storage"`, `"*"`, `"executionContexts"`}, []string{`"cache", "storage"`, `"executionContexts"`}},
		{"none of ours", []string{`"cache"`}, []string{`"cache"`}},
		{"no header", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app.answer(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Clear-Site-Data"] = tt.sent })
			if diff := cmp.Diff(tt.got, []string(f.get(t, "/", "").Header["Clear-Site-Data"])); diff != "" {
				t.Errorf("Clear-Site-Data (-want +got):\n%s", diff)
			}
		})
	}
}

func TestIdentityHeaders(t *testing.T) {
	log := &lines{}
	cfg := defaults().IdentityHeaders
	id, err := IdentityHeaders(cfg, []string{"department", "cost_center", "email", "groups"})
	if err != nil {
		t.Fatal(err)
	}
	id.Log = slog.New(slog.NewTextHandler(log, nil))

	p := &auth.Person{
		User: "a b", Email: "ü@x", Groups: []string{"", "g,1", "100%"},
		Attributes: map[string][]string{"department": {"x"}, "zone": {"z"}, "Cost-Center": {"late"}, "name": {"A, B"}, "für": {"y"}},
	}
	want := []Header{
		{"X-Forwarded-User", "a b"},
		{"X-Forwarded-Email", "%C3%BC@x"},
		{"X-Forwarded-Groups", "g%2C1,100%25"},
		{"X-Forwarded-Preferred-Username", ""},
		{"X-Forwarded-Attr-Department", "x"},
		{"X-Forwarded-Attr-Name", "A, B"},
		{"X-Forwarded-Attr-F--R", "y"},
		{"X-Forwarded-Attr-Zone", "z"},
	}
	if diff := cmp.Diff(want, id.Upstream(p)); diff != "" {
		t.Errorf("upstream (-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), "Cost-Center") {
		t.Error("an attribute that is not sent is not logged")
	}
	wantNobody := []Header{
		{"X-Auth-Request-User", ""},
		{"X-Auth-Request-Email", ""},
		{"X-Auth-Request-Groups", ""},
		{"X-Auth-Request-Preferred-Username", ""},
		{"X-Auth-Request-Attr-Cost-Center", ""},
		{"X-Auth-Request-Attr-Department", ""},
		{"X-Auth-Request-Attr-Name", ""},
	}
	if diff := cmp.Diff(wantNobody, list(id.of(nil).verdict)); diff != "" {
		t.Errorf("verdict on nobody (-want +got):\n%s", diff)
	}
	if got := list(id.of(p).verdict); got[0].Value != "a b" || len(got) != 9 {
		t.Errorf("verdict %v", got)
	}

	// What does not fit: items whole, values not at all, and the log says so.
	long := strings.Repeat("g", 3000)
	big := &auth.Person{User: "u", Groups: []string{long, long + "2", long + "3", "small"}, Email: strings.Repeat("ü", maxHeader/2)}
	got := id.Upstream(big)
	if got[2].Value != long+","+long+"2,small" || got[1].Value != "" {
		t.Errorf("groups of %d bytes, e-mail of %d", len(got[2].Value), len(got[1].Value))
	}
	if !strings.Contains(log.String(), "dropped=1") {
		t.Error("a dropped item is not logged")
	}
	if err := Fits("u", big.Email); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Fits: %v", err)
	}
	if err := Fits(strings.Repeat("u", maxHeader), "e@x"); err != nil {
		t.Errorf("Fits: %v", err)
	}
}

// TestAttributeCannotBecomeIdentity: an attribute that is named so that its
// header is another one.
func TestAttributeCannotBecomeIdentity(t *testing.T) {
	id, err := IdentityHeaders(config.IdentityHeaders{User: "X-Id-User", Attributes: "X-Id-"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	id.Log = slog.New(slog.DiscardHandler)
	p := &auth.Person{User: "ann", Attributes: map[string][]string{"user": {"root"}, "ok": {"1"}}}
	if diff := cmp.Diff([]Header{{"X-Id-User", "ann"}, {"X-Id-Ok", "1"}}, id.Upstream(p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIdentityHeadersRefuses(t *testing.T) {
	for _, cfg := range []config.IdentityHeaders{
		{User: "Host"},
		{User: "Cookie"},
		{User: "X-Forwarded-For"},
		{User: "Transfer_Encoding"},
		{User: "X-Original-URL"},
		{User: "X Y"},
		{User: "X-U", Email: "x_u"},
		{User: "X-A-Name", Attributes: "X-A-"},
		{AttributeNames: map[string]string{"name": "Authorization"}},
	} {
		if _, err := IdentityHeaders(cfg, []string{"name"}); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
	if _, err := IdentityHeaders(config.IdentityHeaders{Attributes: "X-A-"}, []string{"cost_center", "cost-center"}); err == nil {
		t.Error("two attributes on one header: no error")
	}
}

// FuzzHeaderValue: reversible, bounded, never what net/http would refuse (a
// claim that makes every request fail locks the person out).
func FuzzHeaderValue(f *testing.F) {
	f.Add("a", "b,c")
	f.Add("a\r\nX-Forwarded-User: root", "100%")
	f.Add(" ", "\x00\x7fü")
	f.Fuzz(func(t *testing.T, a, b string) {
		one := encodeValue(a, false)
		if !httpguts.ValidHeaderFieldValue(one) || strings.Trim(one, " \t") != one {
			t.Fatalf("%q is no header value", one)
		}
		if back, err := url.PathUnescape(one); err != nil || back != a {
			t.Fatalf("%q came back as %q, %v", a, back, err)
		}
		list, dropped := encodeList([]string{a, b})
		if len(list) > maxHeader || !httpguts.ValidHeaderFieldValue(list) {
			t.Fatalf("list of %d bytes", len(list))
		}
		var want, got []string
		for _, s := range []string{a, b} {
			if s != "" {
				want = append(want, s)
			}
		}
		for s := range strings.SplitSeq(list, ",") {
			if back, _ := url.PathUnescape(s); back != "" {
				got = append(got, back)
			}
		}
		if dropped == 0 && !cmp.Equal(want, got) || len(got) != len(want)-dropped {
			t.Fatalf("%q came back as %q, %d dropped", want, got, dropped)
		}
	})
}

// FuzzHeaderName: a name is stripped exactly when it folds to one of ours.
func FuzzHeaderName(f *testing.F) {
	for _, s := range []string{"X-Forwarded-User", "x_forwarded.USER", "X-Forwarded-Attr-", "Transfer_Encoding", "Accept", strings.Repeat("x", 100)} {
		f.Add(s)
	}
	r := newRemoval([]string{"X-Remote-User"}, "X-My-")
	f.Fuzz(func(t *testing.T, name string) {
		plain := strings.Map(func(c rune) rune {
			if c < 0x80 && alphanumeric(byte(c)) {
				return c | 0x20
			}
			return '-'
		}, string(bytes.ToValidUTF8([]byte(name), []byte("-"))))
		if strings.ContainsFunc(name, func(c rune) bool { return c >= 0x80 }) {
			return // no header name; net/http refuses it
		}
		plain = strings.ToLower(plain)
		ours := plain == "x-remote-user" || strings.HasPrefix(plain, "x-my-") || strings.HasPrefix(plain, "x-forwarded-") ||
			strings.HasPrefix(plain, "x-auth-request-") || strings.HasPrefix(plain, "x-original-")
		if ours && !r.has(name, false) {
			t.Fatalf("%q passes", name)
		}
	})
}
