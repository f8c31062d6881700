package servers

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// App is an application behind the gateway. It keeps each request as it came
// over the wire, byte for byte, and answers 200.
type App struct {
	Addr string
	URL  string

	mu       sync.Mutex
	requests []AppRequest
}

// AppRequest is one request that reached the application.
type AppRequest struct {
	Head string // request line and header fields, as sent
	Body []byte // its first MiB
	*http.Request
}

// StartApp starts an application on a free port.
func StartApp(t testing.TB) *App {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start the application: %v", err)
	}
	a := &App{Addr: l.Addr().String(), URL: "http://" + l.Addr().String()}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go a.serve(c)
		}
	}()
	return a
}

// serve answers one request and closes: what comes after a request on the same
// connection is never taken for another one by mistake.
func (a *App) serve(c net.Conn) {
	defer c.Close()
	var raw bytes.Buffer
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		raw.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	head := raw.String()
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), in)))
	if err != nil {
		_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return
	}
	sent, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	a.mu.Lock()
	a.requests = append(a.requests, AppRequest{Head: head, Body: sent, Request: r})
	a.mu.Unlock()
	answer := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
	if r.Method != http.MethodHead {
		answer += "<!doctype html><title>App</title><p>the application"
	}
	_, _ = io.WriteString(c, answer)
}

// Requests returns what has reached the application so far.
func (a *App) Requests() []AppRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]AppRequest(nil), a.requests...)
}

// Last returns the newest request that reached the application.
func (a *App) Last(t testing.TB) AppRequest {
	t.Helper()
	all := a.Requests()
	if len(all) == 0 {
		t.Fatal("no request has reached the application")
	}
	return all[len(all)-1]
}
