package proxy

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// requestBody is a request's body on its way to the upstream. It remembers
// whether the client failed to send it, carries the trailers that may pass,
// and has the upstream's clock stand still while the client is awaited.
type requestBody struct {
	io.ReadCloser
	in, out  http.Header // trailers: as received, as sent
	received atomic.Int64
	idle     *idleClock
	clock    *headClock // nil: none runs

	mu     sync.Mutex
	failed bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.clock.pause()
	n, err := b.ReadCloser.Read(p)
	// Who takes a second part has passed on the first: it has made progress.
	b.clock.resume(n > 0 && b.received.Load() > 0)
	b.received.Add(int64(n))
	b.idle.heard(n)
	if err == io.EOF {
		// Now, and not earlier, net/http has read the trailers.
		for name := range b.out {
			b.out[name] = b.in[name]
		}
	} else if err != nil {
		b.mu.Lock()
		b.failed = true
		b.mu.Unlock()
	}
	return n, err
}

// broken reports whether the client did not send the body that it announced.
func (b *requestBody) broken() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

// Limits on bodies that no upstream reads. Without them a stranger holds a
// connection for ever with a body that never comes.
const (
	ownBodyTime = 30 * time.Second // of a request for Gatehouse itself
	drainTime   = 5 * time.Second  // what is left when the answer is there

	ownAnswerTime = 30 * time.Second // of an answer by Gatehouse itself
)

// limitBody bounds the wait for what is left of the request's body.
func (x *exchange) limitBody(r *http.Request, d time.Duration) {
	if r.ContentLength == 0 || x.status == http.StatusSwitchingProtocols {
		return
	}
	// An error means that the connection is gone, or that a test has none.
	_ = http.NewResponseController(x.ResponseWriter).SetReadDeadline(time.Now().Add(d))
}

// limitAnswer bounds the time that an answer of our own may take to be read. A
// client could else have any number of them wait for ever, each on a stream of
// HTTP/2 whose window it never opens.
func (x *exchange) limitAnswer() {
	x.limited = true
	_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Now().Add(ownAnswerTime))
}

// unlimitAnswer lets the next request of the connection have its own time. A
// stream of HTTP/2 has no next one, and may not have been read yet.
func (x *exchange) unlimitAnswer(r *http.Request) {
	if x.limited && r.ProtoMajor == 1 {
		_ = http.NewResponseController(x.ResponseWriter).SetWriteDeadline(time.Time{})
	}
}

// endBody ends the wait for more of the request's body when the exchange is
// cut. http.Transport looks at the context of an HTTP/2 stream between two
// reads of the body only: a stream that its client holds open and silent would
// outlive the session. The caller calls stop when the exchange is over.
func (x *exchange) endBody(r *http.Request) (stop func()) {
	return x.whenCut(r, (*http.ResponseController).SetReadDeadline)
}

// endAnswer ends an answer of our own, such as a file, when the exchange is cut,
// as endBody does with a body.
func (x *exchange) endAnswer(r *http.Request) (stop func()) {
	return x.whenCut(r, (*http.ResponseController).SetWriteDeadline)
}

func (x *exchange) whenCut(r *http.Request, end func(*http.ResponseController, time.Time) error) (stop func()) {
	done := make(chan struct{})
	unneeded := context.AfterFunc(r.Context(), func() {
		defer close(done)
		_ = end(http.NewResponseController(x.ResponseWriter), time.Now())
	})
	return func() {
		if !unneeded() {
			<-done // not in the next request of the connection
		}
	}
}
