package proxy

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/test/servers"
)

// TestNginxAuthRequest: real nginx asks for the verdict and forwards what we
// say, as the documented snippet has it.
func TestNginxAuthRequest(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Server.TrustedProxies = []string{"127.0.0.1"}
	cfg.Routes = to("static:204", config.Route{Path: "/", Access: anyone}, config.Route{Path: "/admin/", Access: staff}, config.Route{Path: "/public/", Access: public})
	f := start(t, cfg, somebody())
	n := servers.StartNginx(t, `
		location / {
			auth_request /oauth2/auth;
			auth_request_set $user $upstream_http_x_auth_request_user;
			auth_request_set $groups $upstream_http_x_auth_request_groups;
			proxy_set_header X-Auth-Request-User $user;
			proxy_set_header X-Auth-Request-Groups $groups;
			proxy_pass `+app.URL+`;
		}
		location = /oauth2/auth {
			internal;
			proxy_pass http://`+f.addr+`;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
			proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
			proxy_set_header X-Original-Method $request_method;
		}`)
	for _, tt := range []struct {
		target, who string
		want        int
		user        string
	}{
		{"/x?y=z", "ann", 200, "ann"},
		{"/x", "bob", 200, "acme:7"},
		{"/x", "", 401, ""},
		{"/admin/x", "ann", 200, "ann"},
		{"/admin/x", "bob", 403, ""},
		{"/public/x", "", 200, ""},
		// Attack: nginx forwards what its client claims where we say nothing.
		{"/public/forged", "ann", 200, ""},
		{"/x/..%2fadmin/", "bob", 403, ""},
	} {
		t.Run(tt.target+tt.who, func(t *testing.T) {
			c, err := net.DialTimeout("tcp", n.Addr, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			resp := exchangeRaw(t, c, "GET "+tt.target+" HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\nCookie: _gatehouse="+tt.who+
				"\r\nX-Auth-Request-User: root\r\nX-Auth-Request-Groups: admins\r\n\r\n")
			if resp.StatusCode != tt.want {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.want)
			}
			r := app.got()
			if (r != nil) != (tt.want == http.StatusOK) {
				t.Fatalf("forwarded: %v", r != nil)
			}
			if r != nil && (r.Header.Get("X-Auth-Request-User") != tt.user || strings.Contains(r.Header.Get("X-Auth-Request-Groups"), "admins")) {
				t.Errorf("the application got %v", r.Header)
			}
		})
	}
}
