package servers

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"
)

// replay listens on addr in place of a proxy that no package has.
func replay(t testing.TB, addr string, h http.Handler) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatalf("replay a proxy: %v", err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
}

// forwardTo passes requests on with the headers that they have by now and the
// very target that they came with.
func forwardTo(t testing.TB, address string) http.Handler {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			for name, values := range pr.In.Header {
				if hop[name] {
					continue
				}
				pr.Out.Header[name] = values // X-Forwarded-* too, which ReverseProxy takes out
			}
			pr.Out.Host = pr.In.Host
			pr.Out.URL = asItCame(to, pr.In)
		},
	}
}

// hop are headers of one connection (RFC 9110, section 7.6.1).
var hop = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// asItCame is the URL of a request at another address.
func asItCame(to *url.URL, r *http.Request) *url.URL {
	target := r.URL.RequestURI()
	u := &url.URL{Scheme: to.Scheme, Host: to.Host, RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery}
	u.Path, u.RawPath = r.URL.Path, r.URL.EscapedPath()
	if u.RequestURI() != target {
		u.Opaque = target
	}
	return u
}

// questions ask, and follow no redirect: it is the browser's.
func questions(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// question is a request for the verdict.
func question(ctx context.Context, t testing.TB, method, address string) *http.Request {
	q, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		t.Errorf("replay a question: %v", err)
	}
	return q
}
