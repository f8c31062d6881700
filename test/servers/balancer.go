package servers

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// StartBalancer hands each request to the next of some addresses, as a load
// balancer that keeps nobody at one replica: the steps of one sign-in fall on
// different ones. It returns its URL. A replica that does not answer is a 502.
func StartBalancer(t testing.TB, addrs ...string) string {
	t.Helper()
	var next atomic.Uint64
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: addrs[next.Add(1)%uint64(len(addrs))]})
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 100},
		ErrorLog:  log.New(io.Discard, "", 0), // a story that needs every replica sees the 502
	})
	t.Cleanup(server.Close)
	return server.URL
}
