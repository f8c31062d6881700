package servers

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// RawAnswer is what came back over a connection of its own.
type RawAnswer struct {
	*http.Response
	Text string // of the body

	conn net.Conn
	in   *bufio.Reader
}

// Raw sends a request byte for byte, as no HTTP client would, and reads the
// answer. From is the address that it comes from, such as 127.0.0.2; "" is
// any.
func Raw(t testing.TB, from, addr, request string) RawAnswer {
	t.Helper()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("send a raw request: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatalf("send a raw request: %v", err)
	}
	method, _, _ := strings.Cut(request, " ")
	a := RawAnswer{conn: c, in: bufio.NewReader(c)}
	if a.Response, err = http.ReadResponse(a.in, &http.Request{Method: method}); err != nil {
		t.Fatalf("read the answer to a raw request: %v\n%.300q", err, request)
	}
	if a.StatusCode == http.StatusSwitchingProtocols {
		return a
	}
	var body bytes.Buffer
	if _, err := io.Copy(&body, a.Body); err != nil {
		t.Fatalf("read the answer to a raw request: %v", err)
	}
	a.Text = body.String()
	return a
}

// Closed waits until the other side closes and reports whether it did,
// without sending anything more.
func (a RawAnswer) Closed() bool {
	_ = a.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := a.in.ReadByte()
	return err == io.EOF
}

// Head writes a request head: the line, Host, and header lines as they are.
func Head(line, host string, headers ...string) string {
	return line + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(headers, "", ""), "\r\n")
}

// Next reads one more answer of the same connection.
func (a RawAnswer) Next(t testing.TB) RawAnswer {
	t.Helper()
	resp, err := http.ReadResponse(a.in, nil)
	if err != nil {
		t.Fatalf("read the next answer: %v", err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read the next answer: %v", err)
	}
	return RawAnswer{Response: resp, Text: string(text), conn: a.conn, in: a.in}
}

// Send sends more over the same connection.
func (a RawAnswer) Send(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(a.conn, text); err != nil {
		t.Fatalf("send more: %v", err)
	}
}
