package proxy

import (
	"io"
	"net/http"
)

// guardTrailers returns the body of an answer whose trailers are clean of what
// may not stand among the headers: servers on the way may put them there (RFC
// 9110, section 6.5.1), and so do some clients.
func (x *exchange) guardTrailers(resp *http.Response) io.ReadCloser {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.ContentLength >= 0 && resp.ProtoMajor == 1 {
		return resp.Body // none can come
	}
	x.cleanTrailers(resp.Trailer) // so far only their names
	return &trailerGuard{resp.Body, resp, x}
}

type trailerGuard struct {
	io.ReadCloser
	resp     *http.Response
	exchange *exchange
}

func (t *trailerGuard) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF {
		// Now, and not earlier, http.Transport has read them.
		t.exchange.cleanTrailers(t.resp.Trailer)
	}
	return n, err
}

func (x *exchange) cleanTrailers(h http.Header) {
	x.gateway.cookies.refuse(h)
	delete(h, "X-Request-Id") // ours stands
	x.route.response.remove(h)
}
