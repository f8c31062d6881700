package test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"gatehouse/test/servers"
)

// TestNginx is nginx with the lines of docs/forward-auth.md, which show
// everybody without a session the sign-in page in place.
func TestNginx(t *testing.T) {
	t.Parallel()
	dialect{
		start: func(t testing.TB, addr string, g *servers.Gateway, app *servers.App) {
			server, beside := nginxOfTheDocument(t, g.URL, app.URL)
			servers.StartNginxOn(t, addr, server, beside)
		},
		identity: "X-Forwarded-", program: http.StatusOK, down: 500, gone: 500,
		passes: []string{"X-Forwarded-Attr-Unknown", "X-Auth-Request-Attr-Unknown", "X-Auth-Request-Attr-Name", "X-Auth-Request-Attr-Department"},
	}.tell(t)
}

// ingress is what of deploy/nginx/ingress.yaml ends up in the controller's
// nginx.conf.
type ingress struct {
	Kind     string
	Metadata struct{ Annotations map[string]string }
	Data     map[string]string
}

// ingressNginx writes the nginx.conf that ingress-nginx 1.x makes of the
// annotations: the locations, directives and order of its template
// (rootfs/etc/nginx/template/nginx.tmpl) with the defaults of its settings, but
// for what is Lua there (the choice of an endpoint) and has no part in this.
// The port of the test stands in for https.
func ingressNginx(t testing.TB, manifest, gateway, app string) string {
	t.Helper()
	annotations, global := map[string]string{}, ""
	for documents := yaml.NewDecoder(strings.NewReader(manifest)); ; {
		var one ingress
		if err := documents.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for name, value := range one.Metadata.Annotations {
			annotations[strings.TrimPrefix(name, "nginx.ingress.kubernetes.io/")] = strings.ReplaceAll(value, "https://$host", "http://$http_host")
		}
		for name, value := range one.Data {
			global += fmt.Sprintf("proxy_set_header %s %q;\n", name, value)
		}
	}
	responseHeaders := ""
	for i, name := range strings.Split(annotations["auth-response-headers"], ",") {
		name = strings.TrimSpace(name)
		variable := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
		responseHeaders += fmt.Sprintf("auth_request_set $authHeader%d $upstream_http_%s;\nproxy_set_header '%s' $authHeader%d;\n", i, variable, name, i)
	}
	return strings.NewReplacer("{auth-url}", annotations["auth-url"], "{auth-signin}", annotations["auth-signin"],
		"{response-headers}", responseHeaders, "{global}", global, "{gateway}", gateway, "{app}", app).Replace(`
		set $proxy_upstream_name "-";
		location = /_external-auth-Lw-Prefix {
			internal;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
			proxy_set_header X-Forwarded-Proto "";
			proxy_set_header X-Request-ID $request_id;
			proxy_set_header Host $http_host;
			proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
			proxy_set_header X-Original-Method $request_method;
			proxy_set_header X-Sent-From "nginx-ingress-controller";
			proxy_set_header X-Real-IP $remote_addr;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Auth-Request-Redirect $request_uri;
			proxy_pass_request_headers on;
			proxy_http_version 1.1;
			set $target {auth-url};
			proxy_pass $target;
		}
		location @sign_in {
			internal;
			add_header Set-Cookie $auth_cookie;
			return 302 {auth-signin};
		}
		location / {
			auth_request /_external-auth-Lw-Prefix;
			auth_request_set $auth_cookie $upstream_http_set_cookie;
			add_header Set-Cookie $auth_cookie;
			{response-headers}
			set_escape_uri $escaped_request_uri $request_uri;
			error_page 401 = @sign_in;
			` + ingressProxy + `
			proxy_pass {app};
		}
		location /oauth2/ {
			` + ingressProxy + `
			proxy_pass {gateway};
		}`)
}

// ingressProxy is in every location that leads to a service.
const ingressProxy = `
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header X-Request-ID $request_id;
			proxy_set_header X-Real-IP $remote_addr;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Host $http_host;
			proxy_set_header X-Forwarded-Port $server_port;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Scheme $scheme;
			proxy_set_header X-Scheme $scheme;
			proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
			proxy_set_header Proxy "";
			{global}
			proxy_http_version 1.1;`

// TestIngressNginx is ingress-nginx with the annotations of oauth2-proxy. The
// question goes through the controller a second time, to the public host.
func TestIngressNginx(t *testing.T) {
	t.Parallel()
	manifest, documented := deployed(t, "nginx/ingress.yaml"), document(t, "docs/forward-auth.md")
	for _, name := range []string{"auth-url", "auth-signin"} {
		line := regexp.MustCompile(`nginx\.ingress\.kubernetes\.io/` + name + `: ".*"`)
		if want := line.FindString(manifest); want == "" || line.FindString(documented) != want {
			t.Errorf("%s is not the same in docs/forward-auth.md and deploy/nginx/ingress.yaml", name)
		}
	}
	dialect{
		start: func(t testing.TB, addr string, g *servers.Gateway, app *servers.App) {
			servers.StartNginxOn(t, addr, ingressNginx(t, manifest, g.URL, app.URL))
		},
		identity: "X-Auth-Request-", bare: true, program: http.StatusFound, down: 500, gone: 500, cookie: true,
		passes: []string{"X-Forwarded-Attr-Unknown", "X-Auth-Request-Attr-Unknown", "X-Auth-Request-Redirect"},
	}.tell(t)
}
