package proxy

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/config"
)

// describe is what Traefik and Caddy say of a request that they ask about.
func describe(method, host, uri string) []string {
	return []string{"X-Forwarded-Method: " + method, "X-Forwarded-Host: " + host, "X-Forwarded-Proto: http", "X-Forwarded-Uri: " + uri}
}

func TestStaticVerdict(t *testing.T) {
	routes := []config.Route{
		{Path: "/", Access: anyone},
		{Path: "/admin/", Access: staff},
		{Path: "/public/", Access: public},
		{Path: "/open", Access: public},
		{Path: "/items/", Access: staff, Methods: []string{"DELETE"}},
		{Path: "/200", Access: anyone, Upstream: "static:200"},
		{Path: "/teapot", Access: anyone, Upstream: "static:418"},
	}
	cfg := defaults()
	cfg.Server.TrustedProxies = []string{"127.0.0.1"}
	cfg.Routes = to("static:202", routes...)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		name, target    string
		headers         []string
		ann, bob, nobod int
	}{
		// About itself.
		{"itself", "/", nil, 202, 202, 401},
		{"itself, narrow", "/admin/x", nil, 202, 403, 401},
		{"itself, public", "/public/x", nil, 202, 202, 202},
		{"itself, another status", "/200", nil, 200, 200, 401},
		{"no verdict", "/teapot", nil, 418, 418, 401},
		{"itself, behind a load balancer", "/admin/x", []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: app.example", "X-Forwarded-For: 192.0.2.1"}, 202, 403, 401},
		// About another request.
		{"a page", "/", describe("GET", "app.example", "/x"), 202, 202, 401},
		{"narrow", "/", describe("GET", "app.example", "/admin/x"), 202, 403, 401},
		{"public", "/", describe("GET", "app.example", "/public/x"), 202, 202, 202},
		{"by method", "/", describe("DELETE", "app.example", "/items/1"), 202, 403, 401},
		{"ingress-nginx", "/", []string{"X-Original-Url: http://app.example/admin/x", "X-Original-Method: GET"}, 202, 403, 401},
		{"method missing where it matters", "/", []string{"X-Forwarded-Uri: /items/1"}, 403, 403, 401},
		{"path missing", "/", []string{"X-Forwarded-Method: GET"}, 403, 403, 401},
		{"asked at a narrow path", "/admin/", describe("GET", "app.example", "/x"), 202, 403, 401},
		{"asked at a public path", "/open", describe("GET", "app.example", "/admin/"), 202, 403, 401},
		// Attack: a client adds the header that its proxy does not set.
		{"a description of the client", "/admin/x", describe("GET", "app.example", "/public/x"), 202, 403, 401},
		{"a description of the client of a page", "/x", describe("GET", "app.example", "/public/x"), 202, 202, 401},
		{"paths disagree", "/", append(describe("GET", "app.example", "/public/x"), "X-Original-Uri: /admin/x"), 403, 403, 401},
		{"two readings", "/", describe("GET", "app.example", "/public/..%2fadmin/x"), 403, 403, 401},
		{"sent twice", "/", append(describe("GET", "app.example", "/public/x"), "X-Forwarded-Uri: /public/x"), 403, 403, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for who, want := range map[string]int{"ann": tt.ann, "bob": tt.bob, "": tt.nobod} {
				resp := f.get(t, tt.target, who, append(tt.headers, "X-Auth-Request-User: root")...)
				if resp.StatusCode != want || resp.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%q: %d %v, want %d", who, resp.StatusCode, resp.Header, want)
				}
				got := verdictHeaders(resp.Header)
				expected := map[string]string{}
				switch {
				case want >= 300:
				case tt.nobod == want: // public
					expected = nobodyHeaders
				case who == "ann":
					expected = annHeaders
				default:
					continue
				}
				if diff := cmp.Diff(expected, got); diff != "" {
					t.Errorf("%q: headers (-want +got):\n%s", who, diff)
				}
			}
		})
	}
}

// TestStaticVerdictRefusal: what is refused ends up in the browser, so it is
// a redirect that the browser can follow and that leads back.
func TestStaticVerdictRefusal(t *testing.T) {
	cfg := defaults()
	cfg.Server.TrustedProxies = []string{"127.0.0.1"}
	cfg.APIPaths = []string{"/api/"}
	cfg.Routes = to("static:202", config.Route{Path: "/", Access: anyone})
	f := start(t, cfg, somebody())
	page := "Accept: text/html"
	signIn := func(rd string) string { return "http://app.example/oauth2/sign_in?rd=" + url.QueryEscape(rd) }
	for _, tt := range []struct {
		name     string
		headers  []string
		status   int
		location string
	}{
		// Absolute: Traefik completes a path with the address at which it asked.
		{"a page", append(describe("GET", "app.example", "/x?a=1&b=2"), page), 302, signIn("/x?a=1&b=2")},
		{"another host", append(describe("GET", "evil.example", "/x"), page), 302, signIn("/x")},
		{"a POST, asked about with GET", append(describe("POST", "app.example", "/x"), page), 401, ""},
		{"an API path, asked about at /", append(describe("GET", "app.example", "/api/x"), page), 401, ""},
		{"a program", describe("GET", "app.example", "/x"), 401, ""},
		{"a script", append(describe("GET", "app.example", "/x"), page, "Sec-Fetch-Mode: cors"), 401, ""},
		// A redirect to the page that was asked about would go round for ever.
		{"the sign-in page", append(describe("GET", "app.example", "/oauth2/sign_in"), page), 403, ""},
		{"itself", []string{page}, 302, "/oauth2/sign_in?rd=%2F"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp := f.get(t, "/", "", tt.headers...)
			if resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.location {
				t.Errorf("%d to %q, want %d to %q", resp.StatusCode, resp.Header.Get("Location"), tt.status, tt.location)
			}
			if got := verdictHeaders(resp.Header); len(got) > 0 {
				t.Errorf("a refusal says %v", got)
			}
		})
	}
	if !strings.Contains(f.log.String(), errOwnRequest.Error()) {
		t.Error("why the sign-in page is refused is not logged")
	}
}

// TestStaticVerdictUntrusted: Traefik is not in trusted_proxies. Taken for a
// request of "/", its question about /admin/ would be granted to anybody.
func TestStaticVerdictUntrusted(t *testing.T) {
	lax := []config.Route{{Path: "/", Access: anyone}, {Path: "/public/", Access: public}}
	for _, tt := range []struct {
		name   string
		routes []config.Route
		ask    []string
		want   int
	}{
		{"narrow", append([]config.Route{{Path: "/admin/", Access: staff}}, lax...), describe("GET", "app.example", "/admin/"), 403},
		{"narrow, a load balancer", append([]config.Route{{Path: "/admin/", Access: staff}}, lax...), []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: app.example"}, 202},
		{"nothing to narrow", lax, describe("GET", "app.example", "/x"), 202},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := defaults()
			cfg.Routes = to("static:202", tt.routes...)
			who := somebody()
			f := start(t, cfg, who)
			if got := f.get(t, "/", "ann", tt.ask...).StatusCode; got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
			if got := f.get(t, "/", "", describe("GET", "app.example", "/public/")...).StatusCode; got != http.StatusUnauthorized {
				t.Errorf("a stranger's description opens what is not public: %d", got)
			}
			who.change(func(p *people) { p.down = true })
			if resp := f.get(t, "/", "ann"); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("store down: %d", resp.StatusCode)
			}
		})
	}
}
