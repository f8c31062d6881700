package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// movedHtpasswd is the line of ada, with movedPassword.
const movedHtpasswd = "ada:$2y$05$abcdefghijklmnopqrstuuHiIrmVNdfSvNInuaIGe0rsM22rQZ0Xq\n"

// howToMove does what docs/compatibility.md says under "How to move", line by
// line in a shell, and then signs a person of the htpasswd file in, who types
// the password that they had. What the application is told is their name.
func howToMove(t *testing.T, _ *moved) {
	m := prepareMove(t, `htpasswd_file = "users.htpasswd"`)
	g := m.gateway
	if err := os.WriteFile(filepath.Join(g.Dir, "users.htpasswd"), []byte(movedHtpasswd), 0o600); err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(document(t, "docs/compatibility.md"), "\n## How to move\n")
	section, _, _ = strings.Cut(section, "\n## ")
	lines := regexp.MustCompile(`(?m)^    (gatehouse .*)$`).FindAllStringSubmatch(section, -1)
	if len(lines) != 4 || !strings.HasPrefix(lines[3][1], "gatehouse serve ") {
		t.Fatalf("the commands of the section: %q", lines)
	}
	for i, line := range lines[:3] {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", line[1])
		cmd.Dir = g.Dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(filepath.Dir(g.Bin), "command")+":"+os.Getenv("PATH"), g.Env[0])
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line[1], err, out)
		}
		if i == 0 {
			g.WriteConfig(t, readText(t, g.Config)) // {{admin}}
		}
	}
	g.Start(t)
	v := newVisitor(t, "")
	v.password(g, "ada", "wrong "+movedPassword).wants(t, http.StatusUnauthorized)
	if to := v.passwordTo(g, "ada", movedPassword, "/wanted").wants(t, http.StatusSeeOther).to(t); to.Path != "/oauth2/mfa" {
		t.Fatalf("after the password comes %s", to)
	}
	v.code(g, v.offered(g).code(t)).wants(t, http.StatusSeeOther)
	v.look(g.URL+"/wanted").wants(t, http.StatusOK)
	wantHeader(t, m.app.Last(t).Header, "X-Forwarded-User", "ada")
	// The provider's people come in beside them, under the name that they had.
	ann := newVisitor(t, "")
	ann.start(g, "oidc", "/wanted").wants(t, http.StatusOK)
	wantHeader(t, m.app.Last(t).Header, "X-Forwarded-User", "ann-1")
}

// securely is a moved deployment with a certificate of its own.
func securely(t *testing.T, _ *moved) {
	m := prepareMove(t, `tls_cert_file = "cert.pem"`, `tls_key_file = "key.pem"`)
	g := m.gateway
	g.ServeTLS(t)
	text := replaced(t, theirs(g.Addr, m.app.URL, m.idp.URL(), `tls_cert_file = "cert.pem"`, `tls_key_file = "key.pem"`), "http_address", "https_address", `"http://`+g.Addr, `"https://`+g.Addr)
	if err := os.WriteFile(filepath.Join(g.Dir, "oauth2-proxy.cfg"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.migrate(t)
	g.Start(t)
	v := newTLSVisitor(t, "", g.Trust)
	at := v.look(g.URL + "/oauth2/start?rd=/").to(t)
	back := v.look(at.String()).to(t)
	for _, c := range v.look(back.String()).Cookies() {
		if c.Value == "" || !strings.HasSuffix(c.Name, "_oauth2_proxy") {
			continue
		}
		if c.Name != "__Host-_oauth2_proxy" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
			t.Errorf("the cookie is %v", c)
		}
		return
	}
	t.Error("no session begins")
}

// askedAtTheRoot is a moved deployment that Traefik asks, as the documentation
// of oauth2-proxy tells it to.
func askedAtTheRoot(t *testing.T, _ *moved) {
	m := prepareMove(t)
	text := replaced(t, theirs(m.gateway.Addr, m.app.URL, m.idp.URL()), m.app.URL+"/", "static://202")
	if err := os.WriteFile(filepath.Join(m.gateway.Dir, "oauth2-proxy.cfg"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.migrate(t)
	m.gateway.Start(t)
	v := newVisitor(t, "")
	v.start(m.gateway, "oidc", "/")
	cookie := "Cookie: _oauth2_proxy=" + v.cookie(m.gateway.URL, "_oauth2_proxy")
	for _, tt := range []struct {
		name, uri, cookie, accept string
		status                    int
		user                      string
	}{
		{"ann", "/wanted?x=1", cookie, asBrowser, 202, "ann-1"},
		{"nobody", "/wanted?x=1", "Cookie: a=b", asBrowser, 302, ""},
		{"a program", "/wanted?x=1", "Cookie: a=b", asProgram, 401, ""},
		{"an API", "/api/x", "Cookie: a=b", asBrowser, 401, ""},
		{"what needs no session", "/public/x", "Cookie: a=b", asBrowser, 202, ""},
	} {
		a := m.raw(t, proxied, "GET /", tt.cookie, tt.accept, "X-Forwarded-Method: GET", "X-Forwarded-Proto: http",
			"X-Forwarded-Host: "+m.gateway.Addr, "X-Forwarded-Uri: "+tt.uri, "X-Forwarded-For: 192.0.2.7", "X-Auth-Request-User: root")
		if a.StatusCode != tt.status {
			t.Errorf("%s: %s, want %d", tt.name, a.Status, tt.status)
		}
		switch tt.status {
		case 202:
			wantHeader(t, a.Header, "X-Auth-Request-User", tt.user)
		case 302:
			wantHeader(t, a.Header, "Location", m.gateway.URL+"/oauth2/sign_in?rd=%2Fwanted%3Fx%3D1")
		}
	}
}

// migrate runs gatehouse migrate on the file in the gateway's folder.
func (m *moved) migrate(t *testing.T) {
	t.Helper()
	r := m.gateway.Run(t, "", "migrate", "oauth2-proxy", "--config", "oauth2-proxy.cfg")
	if r.Code != 0 {
		t.Fatalf("migrate ended with %d:\n%s", r.Code, r.Stderr)
	}
	for _, secret := range []string{badidp.ClientSecret, "never-to-be-seen"} {
		if strings.Contains(r.Stdout+r.Stderr, secret) {
			t.Errorf("migrate wrote a secret:\n%s%s", r.Stdout, r.Stderr)
		}
	}
	m.config = r.Stdout
	m.gateway.WriteConfig(t, r.Stdout)
}

// prepareMove starts what is around a gateway and writes oauth2-proxy.cfg.
func prepareMove(t *testing.T, more ...string) *moved {
	t.Helper()
	m := &moved{app: servers.StartApp(t), idp: badidp.Start(t)}
	m.idp.SetClaims(map[string]any{
		"sub": "ann-1", "preferred_username": "ann", "email": "ann@acme.example", "email_verified": true, "groups": []string{"staff", "a,b"},
	})
	m.gateway = servers.NewGateway(t, binary, "")
	m.gateway.Env = []string{"OAUTH2_PROXY_CLIENT_SECRET=" + badidp.ClientSecret}
	if err := os.WriteFile(filepath.Join(m.gateway.Dir, "oauth2-proxy.cfg"), []byte(theirs(m.gateway.Addr, m.app.URL, m.idp.URL(), more...)), 0o600); err != nil {
		t.Fatal(err)
	}
	return m
}
