package proxy

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serveTLS serves a gateway over TLS and returns how a client trusts it.
func (f *front) serveTLS(t testing.TB) *tls.Config {
	t.Helper()
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	f.serve(t, Listen(l, &tls.Config{Certificates: certificate.TLS.Certificates}))
	pool := x509.NewCertPool()
	pool.AddCert(certificate.Certificate())
	return &tls.Config{RootCAs: pool, ServerName: "example.com"}
}

// h2conn is an HTTP/2 connection, frame by frame, as no client would use it.
type h2conn struct {
	t testing.TB
	net.Conn
	*http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	last  uint32 // stream

	settings map[http2.SettingID]uint32 // of the other side
}

// dialH2 begins a connection: over TLS, or in the clear if config is nil.
func dialH2(t testing.TB, addr string, config *tls.Config) *h2conn {
	t.Helper()
	var c net.Conn = connection(t, addr)
	if config != nil {
		config = config.Clone()
		config.NextProtos = []string{"h2"}
		c = tls.Client(c, config)
	}
	return beginH2(t, c)
}

func beginH2(t testing.TB, conn net.Conn) *h2conn {
	t.Helper()
	c := &h2conn{t: t, Conn: conn}
	c.enc = hpack.NewEncoder(&c.block)
	c.Framer = http2.NewFramer(c.Conn, c.Conn)
	c.AllowIllegalWrites = true
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(c.Conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	frame, err := c.ReadFrame()
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("no settings: %v %v", frame, err)
	}
	c.settings = map[http2.SettingID]uint32{}
	_ = settings.ForeachSetting(func(s http2.Setting) error {
		c.settings[s.ID] = s.Val
		return nil
	})
	if err := c.WriteSettingsAck(); err != nil {
		t.Fatal(err)
	}
	return c
}

// get is the fields of an honest request.
func get(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":authority", "app.example", ":path", path}, more...)
}

// encode makes a header block of names and values in turn.
func (c *h2conn) encode(fields []string) []byte {
	c.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return c.block.Bytes()
}

// begin opens a stream. Errors of writing show when the answer is read.
func (c *h2conn) begin(end bool, fields ...string) uint32 {
	if c.last++; c.last%2 == 0 {
		c.last++
	}
	block := c.encode(fields)
	for first := true; first || len(block) > 0; first = false {
		n := min(len(block), 16<<10)
		if first {
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: c.last, BlockFragment: block[:n], EndStream: end, EndHeaders: n == len(block)})
		} else {
			_ = c.WriteContinuation(c.last, n == len(block), block[:n])
		}
		block = block[n:]
	}
	return c.last
}

// h2answer is what came of a stream. A status of 0: none, the stream or the
// connection was refused.
type h2answer struct {
	status  string
	header  http.Header
	body    string
	trailer http.Header
	reset   http2.ErrCode
	goAway  http2.ErrCode
}

// answer reads until a stream is over, and writes nothing.
func (c *h2conn) answer(stream uint32) (a h2answer) {
	c.t.Helper()
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			if isTimeout(err) {
				c.t.Errorf("no answer: %v", err)
			}
			return a
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			a.goAway = f.ErrCode
			if f.ErrCode != http2.ErrCodeNo {
				return a
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				a.reset = f.ErrCode
				return a
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != stream {
				continue
			}
			h := http.Header{}
			for _, field := range f.RegularFields() {
				h.Add(field.Name, field.Value)
			}
			if s := f.PseudoValue("status"); s != "" {
				a.status, a.header = s, h
			} else {
				a.trailer = h
			}
			if f.StreamEnded() {
				return a
			}
		case *http2.DataFrame:
			if f.StreamID != stream {
				continue
			}
			a.body += string(f.Data())
			if f.StreamEnded() {
				return a
			}
		}
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// wire is an application over HTTP/1 that keeps what comes over its
// connections byte for byte, and answers whatever it can read as a request.
type wire struct {
	addr string
	mu   sync.Mutex
	seen []string // method, target, Host, and the body
	raw  []byte
	head http.Header // of the last
}

func newWire(t testing.TB) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String()}
	var all sync.WaitGroup
	conns := make(chan net.Conn, 1024)
	all.Go(func() {
		defer close(conns)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
			all.Go(func() { w.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		for c := range conns {
			c.Close()
		}
		all.Wait()
	})
	return w
}

func (w *wire) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(io.TeeReader(c, w))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.seen = append(w.seen, fmt.Sprintf("%s %s %s %s", r.Method, r.RequestURI, r.Host, body))
		w.head = r.Header
		w.mu.Unlock()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// Write keeps what was read.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raw = append(w.raw, p...)
	return len(p), nil
}

// take returns what has come since the last time.
func (w *wire) take() (seen []string, raw string, head http.Header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen, raw, head = w.seen, string(w.raw), w.head
	w.seen, w.raw, w.head = nil, nil, nil
	return seen, raw, head
}
