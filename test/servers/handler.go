package servers

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// StartHandler starts a server of one function, for an application or a
// provider that does one thing, and returns its URL.
func StartHandler(t testing.TB, serve http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	return server.URL
}
