package metrics

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// used returns metrics of which every series has counted something.
func used(t testing.TB) *Metrics {
	t.Helper()
	m := New("v1.2.3", time.Unix(1_700_000_000, 0))
	rt := m.Route("/")
	rt.Opened()
	rt.Closed("allowed", http.StatusOK, time.Second, 500*time.Millisecond)
	rt.Asked("allowed")
	m.SignIn("acme", "success")
	m.Provisioned("acme", "created")
	m.SessionEnded()
	m.Mail("sent")
	m.Reloaded(true, time.Unix(1_700_000_001, 0))
	return m
}

func scrape(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestConventions: names, units and help are as Prometheus wants them.
func TestConventions(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t, used(t)))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestProcessAndBuildAreThere(t *testing.T) {
	text := scrape(t, New("v1.2.3", time.Now()))
	for _, want := range []string{`gatehouse_build_info{goversion="go`, `version="v1.2.3"} 1`, "\ngo_goroutines ", "\nprocess_cpu_seconds_total "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestRoute(t *testing.T) {
	m := New("", time.Now())
	rt := m.Route("/app/")
	for range 3 {
		rt.Opened()
	}
	rt.Closed("allowed", http.StatusOK, 20*time.Millisecond, 10*time.Millisecond)
	rt.Closed("allowed", http.StatusSwitchingProtocols, time.Hour, 0)
	// After a reload the same route counts on.
	m.Route("/app/").Closed("malformed", 999, 0, 0)
	want := `
# HELP gatehouse_http_requests_open Requests of the public listener that are not over yet, WebSockets and event streams among them.
# TYPE gatehouse_http_requests_open gauge
gatehouse_http_requests_open{route="/app/"} 0
# HELP gatehouse_http_requests_total Requests of the public listener that are over, by route, by what was decided about them, and by class of status.
# TYPE gatehouse_http_requests_total counter
gatehouse_http_requests_total{code="1xx",route="/app/",verdict="allowed"} 1
gatehouse_http_requests_total{code="2xx",route="/app/",verdict="allowed"} 1
gatehouse_http_requests_total{code="other",route="/app/",verdict="malformed"} 1
`
	if err := testutil.GatherAndCompare(m.registry, strings.NewReader(want), "gatehouse_http_requests_total", "gatehouse_http_requests_open"); err != nil {
		t.Error(err)
	}
	for metric, want := range map[string]string{
		"gatehouse_http_request_duration_seconds_count":  "2", // the WebSocket is not in it
		"gatehouse_http_upstream_duration_seconds_count": "1",
		"gatehouse_http_request_duration_seconds_sum":    "0.02",
	} {
		if line := metric + `{route="/app/"} ` + want + "\n"; !strings.Contains(scrape(t, m), line) {
			t.Errorf("no %s", line)
		}
	}
}

// TestCountingAllocatesNothing: a request must not pay for being counted.
func TestCountingAllocatesNothing(t *testing.T) {
	rt := New("", time.Now()).Route("/")
	count := func() {
		rt.Opened()
		rt.Closed("allowed", http.StatusOK, time.Millisecond, time.Millisecond)
	}
	count()
	if n := testing.AllocsPerRun(100, count); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRoute(b *testing.B) {
	rt := New("", time.Now()).Route("/")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			rt.Opened()
			rt.Closed("allowed", http.StatusOK, time.Millisecond, time.Millisecond)
		}
	})
}

func TestReloaded(t *testing.T) {
	const (
		ok = "gatehouse_config_last_reload_successful "
		at = "gatehouse_config_last_reload_success_timestamp_seconds "
	)
	m := New("", time.Unix(1_700_000_000, 0))
	wants := func(lines ...string) {
		t.Helper()
		text := scrape(t, m)
		for _, line := range lines {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("no %s", line)
			}
		}
	}
	wants(ok+"1", at+"1.7e+09", `gatehouse_config_reloads_total{result="applied"} 0`, `gatehouse_config_reloads_total{result="refused"} 0`)
	m.Reloaded(false, time.Unix(1_700_000_050, 0))
	wants(ok+"0", at+"1.7e+09", `gatehouse_config_reloads_total{result="applied"} 0`, `gatehouse_config_reloads_total{result="refused"} 1`)
	m.Reloaded(true, time.Unix(1_700_000_100, 0))
	wants(ok+"1", at+"1.7000001e+09", `gatehouse_config_reloads_total{result="applied"} 1`, `gatehouse_config_reloads_total{result="refused"} 1`)
}
