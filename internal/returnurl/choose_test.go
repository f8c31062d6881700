package returnurl_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestChoose(t *testing.T) {
	s := site(t, "https://gate.example", ".b.example")
	forwarded := []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "x.b.example", "X-Forwarded-Uri", "/f?a"}
	for _, c := range []struct {
		name    string
		target  string // on the wire
		host    string
		rd      string
		headers []string // name, value
		trusted bool
		want    string
	}{
		{name: "rd first", rd: "/rd", headers: []string{"X-Auth-Request-Redirect", "/h"}, want: "/rd"},
		{name: "invalid rd falls through", rd: "//evil", headers: []string{"X-Auth-Request-Redirect", "/h"}, want: "/h"},
		{name: "header sent twice says nothing", headers: []string{"X-Auth-Request-Redirect", "/h", "X-Auth-Request-Redirect", "/i"}, want: "/page?q=1"},
		{name: "forwarded from a trusted peer", headers: forwarded, trusted: true, want: "https://x.b.example/f?a"},
		// A client that names its own X-Forwarded-* must not steer anybody.
		{name: "forwarded from anybody", headers: forwarded, want: "/page?q=1"},
		{name: "forwarded host is public_url's", trusted: true, want: "/f", headers: []string{"X-Forwarded-Proto", "http", "X-Forwarded-Host", "gate.example", "X-Forwarded-Uri", "/f"}},
		{name: "forwarded host is foreign", trusted: true, want: "/f", headers: []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Uri", "/f"}},
		{name: "forwarded URI is no path", trusted: true, want: "/page?q=1", headers: []string{"X-Forwarded-Host", "gate.example", "X-Forwarded-Uri", "@evil.example/"}},
		{name: "forwarded host with user information", trusted: true, want: "/f", headers: []string{"X-Forwarded-Host", "x.b.example@evil.example", "X-Forwarded-Uri", "/f"}},
		{name: "forwarded scheme that is none", trusted: true, want: "https://x.b.example/f", headers: []string{"X-Forwarded-Proto", "javascript", "X-Forwarded-Host", "x.b.example", "X-Forwarded-Uri", "/f"}},
		{name: "request URI", want: "/page?q=1"},
		{name: "request URI at another host of the site", host: "x.b.example", want: "https://x.b.example/page?q=1"},
		{name: "request URI at an unknown host: public_url's path", host: "10.0.0.7:4180", want: "/page?q=1"},
		{name: "path in rd at another host of the site", host: "x.b.example", rd: "/rd", want: "https://x.b.example/rd"},
		{name: "nothing valid at another host of the site", host: "x.b.example", target: "/oauth2/start", want: "https://x.b.example/"},
		// GET //evil.example/ HTTP/1.1
		{name: "scheme-relative request URI", target: "//evil.example/", want: "/"},
		{name: "scheme-relative request URI at another host", target: "//evil.example/", host: "x.b.example", want: "https://x.b.example//evil.example/"},
		{name: "own endpoint", target: "/oauth2/sign_in?rd=//evil", want: "/"},
		{name: "absolute request target", target: "http://evil.example/page", host: "gate.example", want: "/page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/page?q=1", nil)
			if c.target != "" {
				r = httptest.NewRequest(http.MethodGet, c.target, nil)
				r.RequestURI = c.target
			}
			r.Host = "gate.example"
			if c.host != "" {
				r.Host = c.host
			}
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Add(c.headers[i], c.headers[i+1])
			}
			if got := s.Choose(r, c.rd, c.trusted); got != c.want {
				t.Errorf("Choose = %q, want %q", got, c.want)
			}
		})
	}
}
