package oidc

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The header of an answer is bounded as its body is. Attack: a provider, or
// who sits in its place, fills the memory by headers.
func TestHeadersOfAnswersAreBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes int
		want  bool
	}{"as servers send": {8 << 10, true}, "far too long": {maxHeader + 8<<10, false}} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Long", strings.Repeat("a", tt.bytes))
			}))
			defer server.Close()
			client := newClient(5 * time.Second)
			defer client.CloseIdleConnections()
			resp, err := client.Get(server.URL)
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != tt.want {
				t.Errorf("%d bytes: %v", tt.bytes, err)
			}
		})
	}
}
