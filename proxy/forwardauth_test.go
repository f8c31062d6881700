package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/config"
)

// verdictHeaders returns X-Auth-Request-* of an answer.
func verdictHeaders(h http.Header) map[string]string {
	got := map[string]string{}
	for name, values := range h {
		if strings.HasPrefix(name, "X-Auth-Request-") {
			got[strings.TrimPrefix(name, "X-Auth-Request-")] = strings.Join(values, "|")
		}
	}
	return got
}

var (
	nobodyHeaders = map[string]string{"User": "", "Email": "", "Groups": "", "Preferred-Username": "", "Attr-Cost-Center": "", "Attr-Department": "", "Attr-Name": ""}
	annHeaders    = map[string]string{
		"User": "ann", "Email": "ann@acme.example", "Groups": "staff,a%2Cb", "Preferred-Username": "Ann",
		"Attr-Cost-Center": "", "Attr-Department": "R&D,%C3%9Cnits%2C all", "Attr-Name": "Ann, %C3%84.",
	}
)

func TestForwardAuthSession(t *testing.T) {
	cfg := defaults()
	cfg.Routes = to("static:204", config.Route{Path: "/", Access: staff})
	who := somebody()
	f := start(t, cfg, who)
	for _, tt := range []struct {
		query, who string
		want       int
	}{
		{"", "", 401},
		{"", "gone", 401},
		{"", "ann", 202},
		{"", "bob", 202}, // no original request: the routes do not count
		{"?allowed_groups=staff", "ann", 202},
		{"?allowed_groups=ops,staff", "ann", 202},
		{"?allowed_groups=ops&allowed_groups=staff", "ann", 202},
		{"?allowed_groups=staff", "bob", 403},
		{"?allowed_groups=staff", "", 401},
		{"?allowed_groups=ops", "ann", 403},
		{"?allowed_emails=ANN@acme.example", "ann", 202},
		{"?allowed_emails=x@acme.example", "ann", 403},
		{"?allowed_email_domains=acme.example", "ann", 202},
		{"?allowed_email_domains=example", "ann", 403},
		{"?allowed_email_domains=acme.example", "bob", 403},
		{"?allowed_groups=staff&allowed_emails=x@y.example", "ann", 403},
		// Attack by accident: a variable that was empty, a typing error.
		{"?allowed_groups=", "ann", 403},
		{"?allowed_groups", "ann", 403},
		{"?allowed_group=ops", "ann", 403},
		{"?allowed_groups=staff;x", "ann", 403},
		{"?allowed_groups=%zz", "ann", 403},
		{"?unrelated=1", "ann", 202},
	} {
		t.Run(tt.query+tt.who, func(t *testing.T) {
			for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS"} {
				resp := f.send(t, method, "/oauth2/auth"+tt.query, tt.who, "Accept: text/html", "X-Auth-Request-User: root")
				if resp.StatusCode != tt.want || resp.Header.Get("Location") != "" || resp.Header.Get("Cache-Control") != "no-store" {
					t.Fatalf("%s: %d %v, want %d", method, resp.StatusCode, resp.Header, tt.want)
				}
				if tt.want == 202 && tt.who == "ann" {
					if diff := cmp.Diff(annHeaders, verdictHeaders(resp.Header)); diff != "" {
						t.Errorf("headers (-want +got):\n%s", diff)
					}
				}
			}
		})
	}
	who.change(func(p *people) { p.down = true })
	if resp := f.get(t, "/oauth2/auth", "ann"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("store down: %d", resp.StatusCode)
	}
}

func TestForwardAuthOriginal(t *testing.T) {
	cfg := defaults()
	cfg.Server.TrustedProxies = []string{"127.0.0.1"}
	cfg.Routes = to(
		"static:204",
		config.Route{Host: "a.example", Path: "/", Access: anyone},
		config.Route{Host: "a.example", Path: "/admin/", Access: staff},
		config.Route{Host: "a.example", Path: "/public/", Access: public},
		config.Route{Host: "a.example", Path: "/items/", Access: staff, Methods: []string{"POST"}},
		config.Route{Host: "b.example", Path: "/", Access: staff},
	)
	f := start(t, cfg, somebody())
	o := func(host, uri, method string) []string {
		var h []string
		for name, v := range map[string]string{"X-Forwarded-Host": host, "X-Forwarded-Uri": uri, "X-Forwarded-Method": method} {
			if v != "" {
				h = append(h, name+": "+v)
			}
		}
		return h
	}
	for _, tt := range []struct {
		name          string
		headers       []string
		ann, bob, non int // with staff, without, without a session
	}{
		{"plain", o("a.example", "/x?y=/admin/", "GET"), 202, 202, 401},
		{"narrow", o("a.example", "/admin/x", "GET"), 202, 403, 401},
		{"by host", o("B.example:443", "/x", "GET"), 202, 403, 401},
		{"by method", o("a.example", "/items/1", "POST"), 202, 403, 401},
		{"by other method", o("a.example", "/items/1", "GET"), 202, 202, 401},
		{"unknown host", o("c.example", "/x", "GET"), 403, 403, 401},
		{"nginx", []string{"X-Original-URL: https://a.example/admin/x?y", "X-Original-Method: GET"}, 202, 403, 401},
		{"nginx, upper-case scheme", []string{"X-Original-URL: HTTPS://a.example/x", "X-Original-Method: GET"}, 202, 202, 401},
		{"uri", []string{"X-Original-URI: /x", "X-Forwarded-Host: a.example", "X-Original-Method: GET"}, 202, 202, 401},
		{"all agree", append(o("a.example", "/x?1", "GET"), "X-Original-URL: http://a.example:80/x?2", "X-Original-URI: /x", "X-Original-Method: GET", "X-Forwarded-Proto: https"), 202, 202, 401},
		{"public", o("a.example", "/public/x", "GET"), 202, 202, 202},
		// Attack: the client adds the header that the asking proxy does not set.
		{"paths disagree", append(o("a.example", "/x", "GET"), "X-Original-URI: /admin/"), 403, 403, 401},
		{"paths disagree on a public one", append(o("a.example", "/public/", "GET"), "X-Original-URL: http://a.example/admin/"), 403, 403, 401},
		{"hosts disagree", append(o("a.example", "/x", "GET"), "X-Original-URL: http://b.example/x"), 403, 403, 401},
		{"methods disagree", append(o("a.example", "/x", "GET"), "X-Original-Method: POST"), 403, 403, 401},
		{"sent twice", append(o("a.example", "/x", "GET"), "X-Forwarded-Uri: /x"), 403, 403, 401},
		{"list", o("a.example, b.example", "/x", "GET"), 403, 403, 401},
		{"a WebSocket behind Traefik", append(o("a.example", "/admin/x", "GET"), "X-Forwarded-Proto: wss"), 202, 403, 401},
		{"scheme", append(o("a.example", "/x", "GET"), "X-Forwarded-Proto: gopher"), 403, 403, 401},
		{"empty path", append(o("a.example", "", "GET"), "X-Forwarded-Uri:"), 403, 403, 401},
		{"empty method", append(o("a.example", "/x", ""), "X-Forwarded-Method:"), 403, 403, 401},
		{"no path at all", o("a.example", "relative", "GET"), 403, 403, 401},
		{"fragment", o("a.example", "/x#y", "GET"), 403, 403, 401},
		{"connect", o("a.example", "/x", "CONNECT"), 403, 403, 401},
		{"user in the URL", []string{"X-Original-URL: http://b.example@a.example/", "X-Original-Method: GET"}, 403, 403, 401},
		// Readings count here as they do for what is proxied.
		{"two readings", o("a.example", "/x/..%2fadmin/", "GET"), 403, 403, 401},
		{"two readings of a public path", o("a.example", "/public/..;/admin/", "GET"), 403, 403, 401},
		{"letter case", o("a.example", "/ADMIN/", "GET"), 403, 403, 401},
		{"broken escape", o("a.example", "/public/%zz", "GET"), 403, 403, 401},
		// What is missing may be anything.
		{"method missing", o("a.example", "/x", ""), 202, 202, 401},
		{"method missing where it matters", o("a.example", "/items/1", ""), 403, 403, 401},
		{"host missing", o("", "/x", "GET"), 403, 403, 401},
		{"path missing", o("a.example", "", "GET"), 403, 403, 401},
		{"path missing where it does not matter", o("b.example", "", "GET"), 202, 403, 401},
		{"only a scheme", []string{"X-Forwarded-Proto: https"}, 403, 403, 401},
		{"gatehouse's own", o("a.example", "/oauth2/sign_in", "GET"), 403, 403, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for who, want := range map[string]int{"ann": tt.ann, "bob": tt.bob, "": tt.non} {
				resp := f.get(t, "/oauth2/auth", who, tt.headers...)
				if resp.StatusCode != want {
					t.Errorf("%q: status %d, want %d", who, resp.StatusCode, want)
				}
				if tt.name == "public" {
					if diff := cmp.Diff(nobodyHeaders, verdictHeaders(resp.Header)); diff != "" {
						t.Errorf("%q: headers (-want +got):\n%s", who, diff)
					}
				}
			}
		})
	}
	if !strings.Contains(f.log.String(), "disagree about the path") {
		t.Error("the reason of a refusal is not logged")
	}

	// Narrowed, a public route is not for everybody.
	for who, want := range map[string]int{"ann": 202, "bob": 403, "": 401} {
		if got := f.get(t, "/oauth2/auth?allowed_groups=staff", who, o("a.example", "/public/", "GET")...).StatusCode; got != want {
			t.Errorf("narrowed public, %q: status %d, want %d", who, got, want)
		}
	}
}

// TestForwardAuthUntrusted: a stranger that describes a request as he likes.
func TestForwardAuthUntrusted(t *testing.T) {
	lax := []config.Route{{Path: "/", Access: anyone}, {Path: "/public/", Access: public}}
	narrow := append([]config.Route{{Path: "/admin/", Access: staff}}, lax...)
	for _, tt := range []struct {
		name     string
		routes   []config.Route
		who      string
		describe bool
		want     int
	}{
		{"nothing to narrow", lax, "ann", true, 202},
		{"nothing to narrow, nobody", lax, "", true, 401}, // as if absent: not the public route
		{"narrow", narrow, "ann", true, 403},
		{"narrow, not described", narrow, "bob", false, 202},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := defaults()
			cfg.Routes = to("static:204", tt.routes...)
			f := start(t, cfg, somebody())
			var h []string
			if tt.describe {
				h = []string{"X-Original-URL: http://x/public/", "X-Original-Method: GET"}
			}
			if got := f.get(t, "/oauth2/auth", tt.who, h...).StatusCode; got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
			if tt.want == 403 && !strings.Contains(f.log.String(), "trusted_proxies") {
				t.Error("the reason is not logged")
			}
		})
	}
}

// FuzzOriginal: whatever the headers, a positive verdict needs every one of
// them to be about the same path.
func FuzzOriginal(f *testing.F) {
	f.Add("GET", "a.example", "/x?y", "https://a.example/x", "/x")
	f.Add("", "", "/admin/", "/x", "")
	f.Add("GET", "[::1]:80", "//a/x", "http://[::1]//a/x", "")
	f.Fuzz(func(t *testing.T, method, host, uri, url, uri2 string) {
		h := http.Header{}
		for name, v := range map[string]string{
			"X-Forwarded-Method": method, "X-Forwarded-Host": host, "X-Forwarded-Uri": uri, "X-Original-Url": url, "X-Original-Uri": uri2,
		} {
			if v != "" {
				h[name] = []string{v}
			}
		}
		o, err := originalRequest(h)
		if err != nil {
			return
		}
		for _, v := range []string{uri, uri2} {
			if v != "" && v != o.path && !strings.HasPrefix(v, o.path+"?") {
				t.Fatalf("%q passed for %+v", v, o)
			}
		}
		if url != "" && !strings.Contains(url, o.path) && o.path != "/" {
			t.Fatalf("%q passed for %+v", url, o)
		}
		if host != "" && !strings.Contains(strings.ToLower(host), o.host) {
			t.Fatalf("%q passed for %+v", host, o)
		}
		if method != "" && method != o.method {
			t.Fatalf("%q passed for %+v", method, o)
		}
		_ = fmt.Sprint(o)
	})
}
