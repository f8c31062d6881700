package proxy

import (
	"strings"
	"testing"

	"gatehouse/internal/config"
)

// Attack: a POST, which everybody may send, with a header that has the
// application take it for a DELETE, which few may.
func TestMethodOverrides(t *testing.T) {
	app := newApplication(t)
	cfg := defaults()
	cfg.Routes = to(
		app.URL,
		config.Route{Path: "/", Access: anyone},
		config.Route{Path: "/items/", Access: staff, Methods: []string{"DELETE", "PATCH"}},
	)
	f := start(t, cfg, somebody())
	for _, tt := range []struct {
		method, target string
		headers        []string
		want           int
	}{
		{"POST", "/items/1", []string{"X-HTTP-Method-Override: DELETE"}, 400},
		{"POST", "/items/1", []string{"X-HTTP-Method: DELETE"}, 400},
		{"POST", "/items/1", []string{"X-Method-Override: DELETE"}, 400},
		{"POST", "/items/1", []string{"x_http.method-override:delete "}, 400},
		{"POST", "/items/1", []string{"X-HTTP-Method-Override: PUT, DELETE"}, 400},
		{"POST", "/items/1", []string{"X-HTTP-Method-Override: PUT", "X-HTTP-Method-Override: DELETE"}, 400},
		{"POST", "/items/1", []string{"X-HTTP-Method-Override: PUT", "X-Method-Override: DELETE"}, 400},
		{"GET", "/items/1", []string{"X-HTTP-Method-Override: PATCH"}, 400},
		{"POST", "/items/1", []string{"X-HTTP-Method-Override: " + strings.Repeat("PUT,", 5)}, 400},
		// No rule stands between these, so applications get what they rely on.
		{"POST", "/items/1", []string{"X-HTTP-Method-Override: PUT"}, 200},
		{"POST", "/items/1", []string{"X-HTTP-Method-Override:"}, 200},
		{"POST", "/other", []string{"X-HTTP-Method-Override: DELETE"}, 200},
		{"DELETE", "/items/1", []string{"X-HTTP-Method-Override: PATCH"}, 403},
	} {
		resp := f.send(t, tt.method, tt.target, "bob", append(tt.headers, "Content-Length: 0")...)
		if resp.StatusCode != tt.want {
			t.Errorf("%s %s with %q: status %d, want %d", tt.method, tt.target, tt.headers, resp.StatusCode, tt.want)
		}
	}
}
