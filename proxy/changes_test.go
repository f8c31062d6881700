package proxy

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/internal/config"
)

func secrets(pairs ...string) map[string]config.Secret {
	m := map[string]config.Secret{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = config.NewSecret(pairs[i+1])
	}
	return m
}

// picked are the headers of h with those names.
func picked(h http.Header, names ...string) http.Header {
	out := http.Header{}
	for _, n := range names {
		if v := h[n]; v != nil {
			out[n] = v
		}
	}
	return out
}

// TestRouteHeaders: what a route sets stands alone, in whatever spelling the
// client or the application sent the same, and what it removes is gone.
func TestRouteHeaders(t *testing.T) {
	app := newApplication(t)
	app.answer(func(w http.ResponseWriter, r *http.Request) {
		app.mu.Lock()
		app.last = r
		app.mu.Unlock()
		h := w.Header()
		h["X_robots_tag"] = []string{"all"}
		h.Set("Server", "application/1")
		h.Set("Link", "</a>")
		w.WriteHeader(http.StatusEarlyHints)
		h.Set("Server", "application/1")
		h.Set("X-Kept", "yes")
	})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.txt"), []byte("page"), 0o600); err != nil {
		t.Fatal(err)
	}
	response := config.HeaderChanges{Set: secrets("x-robots-tag", "none"), Remove: []string{"server", "Last-Modified"}}
	cfg := defaults()
	cfg.Routes = to(
		app.URL,
		config.Route{Path: "/", Access: anyone, Headers: config.RouteHeaders{
			Request:  config.HeaderChanges{Set: secrets("X-Api-Key", "hush", "Authorization", "Basic x"), Remove: []string{"X-Debug", "X-HTTP-Method-Override"}},
			Response: response,
		}},
		config.Route{Path: "/file/", Upstream: "file:" + dir, Access: public, StripPrefix: true, Headers: config.RouteHeaders{Response: response}},
		config.Route{Path: "/static/", Upstream: "static:204", Access: public, Headers: config.RouteHeaders{Response: response}},
		config.Route{Path: "/plain/", Access: public},
	)
	f := start(t, cfg, somebody())
	sent := []string{
		"X-Api-Key: mine", "X_Api_Key: mine", "x.api.key: mine", "Authorization: Bearer mine", "X-Debug: 1", "X_Debug: 1", "X-Other: 1", "X-HTTP-Method-Override: DELETE",
	}
	watched := []string{"X-Api-Key", "X_api_key", "X.api.key", "Authorization", "X-Debug", "X_debug", "X-Other", "X-Http-Method-Override", "X-Forwarded-User"}
	for target, want := range map[string]http.Header{
		"/": {"X-Api-Key": {"hush"}, "Authorization": {"Basic x"}, "X-Other": {"1"}, "X-Forwarded-User": {"ann"}},
		"/plain/": {
			"X-Api-Key": {"mine"}, "X_api_key": {"mine"}, "X.api.key": {"mine"}, "Authorization": {"Bearer mine"}, "X-Debug": {"1"}, "X_debug": {"1"},
			"X-Other": {"1"}, "X-Http-Method-Override": {"DELETE"}, "X-Forwarded-User": {"ann"},
		},
	} {
		hints := f.get(t, target, "ann", sent...)
		if diff := cmp.Diff(want, picked(app.got().Header, watched...)); diff != "" {
			t.Errorf("%s: to the application (-want +got):\n%s", target, diff)
		}
		if hints.StatusCode != http.StatusEarlyHints || (hints.Header["Server"] == nil) != (target == "/") {
			t.Errorf("%s: early hints are %d %v", target, hints.StatusCode, hints.Header)
		}
	}

	names := []string{"X-Robots-Tag", "X_robots_tag", "Server", "X-Kept", "Last-Modified"}
	for target, want := range map[string]http.Header{
		"/file/page.txt": {"X-Robots-Tag": {"none"}},
		"/file/none":     {}, // Gatehouse's own page
		"/static/":       {"X-Robots-Tag": {"none"}},
	} {
		if diff := cmp.Diff(want, picked(f.get(t, target, "").Header, names...)); diff != "" {
			t.Errorf("%s: to the client (-want +got):\n%s", target, diff)
		}
	}
	req, _ := http.NewRequest("GET", "http://"+f.addr+"/", nil)
	req.AddCookie(&http.Cookie{Name: "_gatehouse", Value: "ann"})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if diff := cmp.Diff(http.Header{"X-Robots-Tag": {"none"}, "X-Kept": {"yes"}}, picked(resp.Header, names...)); diff != "" {
		t.Errorf("to the client (-want +got):\n%s", diff)
	}
}

// TestRouteHeadersOfTrailers: what a route removes does not come in behind
// the body.
func TestRouteHeadersOfTrailers(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(app.URL, config.Route{Path: "/", Access: public, Headers: config.RouteHeaders{
		Request: config.HeaderChanges{Set: secrets("X-Api-Key", "hush"), Remove: []string{"X-Debug"}},
	}})
	f := start(t, cfg, somebody())
	f.raw(t, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X_Api_Key, X-Debug\r\n\r\n"+
		"1\r\nz\r\n0\r\nX-Sum: 7\r\nX_Api_Key: mine\r\nX-Debug: 1\r\n\r\n")
	if app.got() == nil {
		t.Fatal("nothing was forwarded")
	}
	if diff := cmp.Diff(http.Header{"X-Sum": {"7"}}, app.trailer); diff != "" {
		t.Errorf("trailers (-want +got):\n%s", diff)
	}
}

// TestRouteHeadersOfAnswersTrailers: nor on the way back, announced or not.
// Servers on the way, and some clients, put trailers among the headers.
func TestRouteHeadersOfAnswersTrailers(t *testing.T) {
	sent := map[string]string{"Server": "application/1", "X-Frame-Options": "ALLOWALL", "X_frame_options": "ALLOWALL", "X-Request-Id": "forged-request-id", "X-Sum": "7"}
	for name, out := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				prefix := http.TrailerPrefix
				if r.URL.Path == "/announced" {
					prefix = ""
					for name := range sent {
						w.Header().Add("Trailer", name)
					}
				}
				_, _ = io.WriteString(w, "body")
				_ = http.NewResponseController(w).Flush()
				for name, value := range sent {
					w.Header()[prefix+name] = []string{value}
				}
			}))
			app.Config.Protocols = speaking(out)
			app.Start()
			defer app.Close()
			cfg := defaults()
			cfg.Routes = to(map[bool]string{false: "http://", true: "h2c://"}[out]+app.Listener.Addr().String(), config.Route{
				Path: "/", Access: public, Headers: config.RouteHeaders{Response: config.HeaderChanges{Set: secrets("X-Frame-Options", "DENY"), Remove: []string{"Server"}}},
			})
			f := start(t, cfg, somebody())
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for _, target := range []string{"/announced", "/surprise"} {
				resp, err := transport.RoundTrip(request(t, "GET", f.addr, target, nil))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(body) != "body" {
					t.Errorf("%s: %q, %v", target, body, err)
				}
				if diff := cmp.Diff(http.Header{"X-Sum": {"7"}}, resp.Trailer); diff != "" {
					t.Errorf("%s: trailers (-want +got):\n%s", target, diff)
				}
				if got := resp.Header["X-Frame-Options"]; !slices.Equal(got, []string{"DENY"}) {
					t.Errorf("%s: X-Frame-Options %q", target, got)
				}
			}
		})
	}
}
