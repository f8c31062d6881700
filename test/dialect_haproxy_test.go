package test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/test/servers"
)

const haproxyLua = "haproxy/gatehouse.lua"

// startHAProxy starts haproxy with deploy/haproxy, but for addresses and TLS.
func startHAProxy(t testing.TB, addr string, g *servers.Gateway, app *servers.App, lua string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gatehouse.lua")
	if err := os.WriteFile(file, []byte(lua), 0o600); err != nil {
		t.Fatal(err)
	}
	servers.StartHAProxy(t, addr, deployed(t, "haproxy/haproxy.cfg",
		"/etc/haproxy/gatehouse.lua", file, ":443 ssl crt /etc/haproxy/site.pem", addr,
		"127.0.0.1:4180", g.Addr, "127.0.0.1:8080", app.Addr))
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	dialect{
		start: func(t testing.TB, addr string, g *servers.Gateway, app *servers.App) {
			startHAProxy(t, addr, g, app, deployed(t, haproxyLua))
		},
		identity: "X-Forwarded-", program: 401, down: 503, gone: 503, upgrades: true,
	}.tell(t)
}

// TestHAProxyFailsClosed: what goes wrong in the Lua file, or takes too long,
// lets nobody in. HAProxy itself goes on after an error in Lua.
func TestHAProxyFailsClosed(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.StartGateway(t, binary, proxyText("", []string{`path: /, access: public, upstream: "static:202"`}))
	front := func(lua string) string {
		addr := servers.FreeAddr(t)
		startHAProxy(t, addr, g, app, lua)
		return addr
	}
	const ask = "local response ="
	good, broken := front(deployed(t, haproxyLua)), front(deployed(t, haproxyLua, ask, "error('as if')\n"+ask))
	get := func(addr string) servers.RawAnswer {
		return servers.Raw(t, "", addr, servers.Head("GET /oauth2x", addr, "Connection: close"))
	}
	if a := get(good); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody gets %s", a.Status)
	}
	if a := get(broken); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after an error in Lua: %s", a.Status)
	}
	g.Signal(syscall.SIGSTOP)
	start := time.Now()
	if a := get(good); a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("while the gateway hangs: %s", a.Status)
	}
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("the wait for a gateway that hangs is not bounded: %v", took)
	}
	g.Signal(syscall.SIGCONT)
	if n := len(app.Requests()); n > 0 {
		t.Errorf("%d requests reached the application", n)
	}
}

// TestHAProxyCookies: the application gets its own cookies and none of ours,
// however they are written.
func TestHAProxyCookies(t *testing.T) {
	t.Parallel()
	app := servers.StartApp(t)
	g := servers.NewGateway(t, binary, "")
	addr := servers.FreeAddr(t)
	startHAProxy(t, addr, g, app, deployed(t, haproxyLua))
	text := proxyText("trusted_proxies: [127.0.0.1/32]", []string{`path: /, access: public, upstream: "static:202"`})
	g.WriteConfig(t, strings.Replace(text, "http://{{addr}}", "http://"+addr, 1))
	g.Start(t)
	for sent, want := range map[string]string{
		"theme=dark; x_gatehouse=1; _gatehouse=a":                                     "theme=dark; x_gatehouse=1",
		"__Host-_gatehouse=a; theme=dark; _gatehouse_device=b; __SECURE-_gatehouse=c": "theme=dark",
		"_gatehouse=a;theme=dark;;_gatehouse-x":                                       "theme=dark",
		"=_gatehouse=a; = _gatehouse=b; a=b=c":                                        "a=b=c",
		"_gatehouse":                                                                  "",
		"_gatehouse=a\r\nCookie: theme=dark":                                          "theme=dark",
	} {
		a := servers.Raw(t, "", addr, servers.Head("GET /", addr, "Connection: close", "Cookie: "+sent))
		if a.StatusCode != http.StatusOK {
			t.Fatalf("%q: %s", sent, a.Status)
		}
		if got := strings.Join(app.Last(t).Header.Values("Cookie"), "|"); got != want {
			t.Errorf("of %q the application was given %q, want %q", sent, got, want)
		}
	}
}
