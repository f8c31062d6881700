package servers

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/coder/websocket"
)

// StreamApp is an application of everything that is not one short answer:
//
//	/ws        a WebSocket that sends back what it gets
//	/events    a stream of events; each is what Say sends
//	/sink      answers with the number of bytes of the request's body
//	/source?N  N bytes
//	/echo      answers with a body as it comes, piece by piece
//	others     method, Host, target and protocol, on a line each
type StreamApp struct {
	Addr string
	URL  string
	// Say sends an event to one open stream.
	Say chan string
	// Gone gets the path of each stream or WebSocket that has ended.
	Gone chan string
}

// StartStreamApp starts a StreamApp on a free port, over TLS if config is not
// nil. It speaks HTTP/1.1 and HTTP/2, in the clear too.
func StartStreamApp(t testing.TB, config *tls.Config) *StreamApp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start the application: %v", err)
	}
	a := ServeStreamApp(t, l, config)
	a.Addr = l.Addr().String()
	a.URL = "http://" + a.Addr
	if config != nil {
		a.URL = "https://" + a.Addr
	}
	return a
}

// ServeStreamApp is StartStreamApp on a listener.
func ServeStreamApp(t testing.TB, l net.Listener, config *tls.Config) *StreamApp {
	t.Helper()
	a := &StreamApp{Say: make(chan string), Gone: make(chan string, 16)}
	s := &http.Server{Handler: a, TLSConfig: config, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	var served sync.WaitGroup
	served.Go(func() {
		if config != nil {
			_ = s.ServeTLS(l, "", "")
			return
		}
		_ = s.Serve(l)
	})
	t.Cleanup(func() {
		s.Close()
		served.Wait()
	})
	return a
}

func (a *StreamApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/ws":
		a.webSocket(w, r)
	case "/events":
		a.events(w, r)
	case "/sink":
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, n)
	case "/source":
		n, _ := strconv.ParseInt(r.URL.RawQuery, 10, 64)
		_, _ = io.CopyN(w, zeroes{}, n)
	case "/echo":
		echo(w, r)
	default:
		fmt.Fprintf(w, "%s\n%s\n%s\n%s\n", r.Method, r.Host, r.RequestURI, r.Proto)
	}
}

func (a *StreamApp) webSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any Origin: the gateway changes Host
	if err != nil {
		return
	}
	defer func() { a.Gone <- r.URL.Path }()
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func (a *StreamApp) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	defer func() { a.Gone <- r.URL.Path }()
	flush := http.NewResponseController(w).Flush
	if flush() != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case event := <-a.Say:
			if _, err := fmt.Fprintf(w, "data: %s\n\n", event); err != nil || flush() != nil {
				return
			}
		}
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	_ = c.EnableFullDuplex()
	piece := make([]byte, 1<<10)
	for {
		n, err := r.Body.Read(piece)
		if n > 0 {
			if _, err := w.Write(piece[:n]); err != nil || c.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// zeroes never end.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Zeroes reads n bytes of nothing in particular.
func Zeroes(n int64) io.Reader { return io.LimitReader(zeroes{}, n) }
