package test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/test/servers"
)

// speaker is an application that says the same over each connection, whatever
// it is asked, and hangs up.
func speaker(t *testing.T, text string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				_, _ = c.Read(make([]byte, 4<<10))
				_, _ = io.WriteString(c, text)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// TestHostileApplication: whatever an application says, the client sees a page
// of Gatehouse's, and whoever runs it a log that programs can read.
func TestHostileApplication(t *testing.T) {
	t.Parallel()
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	said := map[string]string{
		"garbage":      "http://" + speaker(t, "\x16\x03\x01 no HTTP at all"),
		"status":       "http://" + speaker(t, "HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n"),
		"surplus":      "http://" + speaker(t, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
		"data-first":   "h2c://" + speaker(t, settings+"\x00\x00\x01\x00\x01\x00\x00\x00\x01x"),
		"wrong-stream": "h2c://" + speaker(t, settings+"\x00\x00\x01\x00\x00\x00\x00\x00\x02x"),
	}
	var routes []string
	for name, upstream := range said {
		routes = append(routes, "path: /"+name+", access: public, timeout: 5s, upstream: "+upstream)
	}
	g := servers.StartGateway(t, binary, proxyText("", routes, "log: {level: debug}"))
	for name := range said {
		a := servers.Raw(t, "", g.Addr, servers.Head("GET /"+name, g.Addr, "Accept: text/html"))
		if a.StatusCode != http.StatusBadGateway || !strings.Contains(a.Text, a.Header.Get("X-Request-Id")) || strings.Contains(a.Text, "127.0.0.1") {
			t.Errorf("%s: answered %s:\n%s", name, a.Status, a.Text)
		}
		waitForLog(t, g, `"msg":"request"`, `"path":"/`+name+`"`, `"status":502`)
	}
	for line := range strings.Lines(g.Output()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is none: %s", line)
		}
	}
}
