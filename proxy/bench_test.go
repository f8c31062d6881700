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

// asking serves h and returns what sends it a request of a signed-in person,
// over HTTP/1 with keep-alive or over one connection of HTTP/2 in the clear.
func asking(b *testing.B, h http.Handler, h2 bool) (ask func()) {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = speaking(h2)
	s.Start()
	transport := &http.Transport{MaxIdleConnsPerHost: 64, Protocols: speaking(h2)}
	b.Cleanup(func() { transport.CloseIdleConnections(); s.Close() })
	req, _ := http.NewRequest("GET", s.URL+"/some/page?x=1", nil)
	req.AddCookie(&http.Cookie{Name: "_gatehouse", Value: "ann"})
	return func() {
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

func kibibyte(b *testing.B, h2 bool) string {
	body := make([]byte, 1024)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	s.Config.Protocols = speaking(h2)
	s.Start()
	b.Cleanup(s.Close)
	return map[bool]string{false: "http://", true: "h2c://"}[h2] + s.Listener.Addr().String()
}

// bare is the tuned ReverseProxy alone.
func bare(b *testing.B, app string) http.Handler {
	u, _ := url.Parse(app)
	w := way{upstream: upstream{kind: u.Scheme}, connect: time.Second}
	u.Scheme = w.scheme()
	t, err := w.transport(false, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(t.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() },
		Transport: t, BufferPool: &buffers{},
	}
}

// whole is a gateway, counting for Prometheus or not.
func whole(b *testing.B, app string, measured bool) http.Handler {
	cfg := defaults()
	cfg.Routes = to(app, config.Route{Path: "/", Access: anyone}, config.Route{Path: "/admin/", Access: staff})
	f := newGateway(b, cfg, somebody())
	f.Log = slog.New(slog.DiscardHandler)
	if m := metrics.New("", time.Now()); measured {
		f.Measure(func(route string) Meter { return m.Route(route) })
	}
	return f.Gateway
}

// BenchmarkProxied is an authenticated request, from and to each version of
// HTTP. The metric "bare" is how many times as long it takes as one through
// the bare tuned ReverseProxy: both are asked in turn, and the fastest rounds
// compared, so that other work of the machine counts little.
func BenchmarkProxied(b *testing.B) {
	for _, tt := range []struct {
		name              string
		in, out, measured bool
	}{
		{name: "1to1"}, {name: "1to1measured", measured: true}, {name: "2to1", in: true}, {name: "1to2", out: true}, {name: "2to2", in: true, out: true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			app := kibibyte(b, tt.out)
			ask := [2]func(){asking(b, bare(b, app), tt.in), asking(b, whole(b, app, tt.measured), tt.in)}
			least := [2]time.Duration{time.Hour, time.Hour}
			round := func(which, n int) {
				begun := time.Now()
				for range n {
					ask[which]()
				}
				least[which] = min(least[which], time.Since(begun)/time.Duration(n))
			}
			const size = 20
			round(0, size)
			round(1, size)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ask[1]()
				if i%size == 0 {
					b.StopTimer()
					round(0, size)
					round(1, size)
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(least[1])/float64(least[0]), "bare")
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
