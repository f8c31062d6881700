package proxy

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"gatehouse/internal/config"
	"gatehouse/internal/metrics"
)

// benchmark sends keep-alive requests of a signed-in person to h.
func benchmark(b *testing.B, h http.Handler) {
	s := httptest.NewServer(h)
	defer s.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	req, _ := http.NewRequest("GET", s.URL+"/some/page?x=1", nil)
	req.AddCookie(&http.Cookie{Name: "_gatehouse", Value: "ann"})
	b.ReportAllocs()
	for b.Loop() {
		resp, err := transport.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status)
		}
	}
}

func kibibyte(b *testing.B) *httptest.Server {
	body := make([]byte, 1024)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	b.Cleanup(s.Close)
	return s
}

// BenchmarkProxied compares an authenticated request, counted for Prometheus and
// not, with the bare tuned ReverseProxy; run them several times, and compare the
// minima.
func BenchmarkProxied(b *testing.B) {
	app := kibibyte(b)
	b.Run("bare", func(b *testing.B) {
		u, _ := url.Parse(app.URL)
		pool := &buffers{}
		t, err := way{upstream: upstream{kind: "http"}, connect: time.Second, timeout: 5 * time.Second}.transport(nil)
		if err != nil {
			b.Fatal(err)
		}
		defer t.CloseIdleConnections()
		benchmark(b, &httputil.ReverseProxy{
			Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() },
			Transport: t, BufferPool: pool,
		})
	})
	for name, measured := range map[string]bool{"gateway": false, "measured": true} {
		b.Run(name, func(b *testing.B) {
			cfg := defaults()
			cfg.Routes = to(app.URL, config.Route{Path: "/", Access: anyone}, config.Route{Path: "/admin/", Access: staff})
			f := newGateway(b, cfg, somebody())
			f.Log = slog.New(slog.DiscardHandler)
			if m := metrics.New("", time.Now()); measured {
				f.Measure(func(route string) Meter { return m.Route(route) })
			}
			benchmark(b, f.Gateway)
		})
	}
}

func BenchmarkJudge(b *testing.B) {
	table, err := newTable(to("static:204", config.Route{Path: "/"}, config.Route{Path: "/admin/", Access: staff}, config.Route{Host: "a.example", Path: "/x/"}), "/oauth2")
	if err != nil {
		b.Fatal(err)
	}
	for name, path := range map[string]string{"plain": "/some/page/of/an/application.html", "escaped": "/files/a%2fb%20c"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := table.judge("a.example", "GET", path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestPlainPathAllocatesNothing: judging must not weigh on the hot road.
func TestPlainPathAllocatesNothing(t *testing.T) {
	table, err := newTable(to("static:204", config.Route{Path: "/"}, config.Route{Path: "/admin/", Access: staff}), "/oauth2")
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = table.judge("a.example", "GET", "/some/page.html") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
