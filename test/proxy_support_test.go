package test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/test/servers"
)

// proxyText writes a config.yaml with these routes and local accounts that
// owe no second factor: the shortest way to a session. Server is what the
// server has beside its addresses, such as "trusted_proxies: [127.0.0.2]".
func proxyText(server string, routes []string, more ...string) string {
	text := `server: {listen: "{{addr}}", public_url: "http://{{addr}}", admin_listen: "{{admin}}"`
	if server != "" {
		text += ", " + server
	}
	text += "}\nlocal: {enabled: true}\nmfa: {enforce: \"off\"}\nroutes:\n"
	for _, r := range routes {
		text += "  - {" + r + "}\n"
	}
	return text + strings.Join(more, "\n") + "\n"
}

// newLocal adds a local account and signs it in.
func newLocal(t testing.TB, g *servers.Gateway, name string, flags ...string) *visitor {
	t.Helper()
	addUser(t, g, name, flags...)
	v := newVisitor(t, "")
	v.password(g, name, goodPassword).wants(t, http.StatusSeeOther)
	return v
}

// session is the visitor's session as a Cookie header line.
func (v *visitor) session(g *servers.Gateway) string {
	v.t.Helper()
	id := v.cookie(g.URL, "_gatehouse")
	if id == "" {
		v.t.Fatal("no session cookie")
	}
	return "Cookie: _gatehouse=" + id
}

// api asks as a program does.
var api = []string{"Accept", "application/json"}

// waitForLog waits for a line of the gateway's log that holds all parts.
func waitForLog(t testing.TB, g *servers.Gateway, parts ...string) string {
	t.Helper()
	var found string
	servers.WaitFor(t, "a line of the log with "+strings.Join(parts, " and "), func(context.Context) bool {
		for line := range strings.SplitSeq(g.Output(), "\n") {
			all := true
			for _, p := range parts {
				all = all && strings.Contains(line, p)
			}
			if all {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

// readAll reads from a connection until the other side closes it.
func readAll(t testing.TB, c net.Conn) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("the other side does not close: %v", err)
	}
	return string(text)
}
