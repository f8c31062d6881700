package test

import (
	"testing"

	"gatehouse/test/servers"
)

// TestTraefik replays Traefik; see servers.StartTraefikReplay. What oauth2-proxy
// tells people to write trusts X-Forwarded-*, of which the entry point has
// removed the client's.
func TestTraefik(t *testing.T) {
	t.Parallel()
	for _, trust := range []string{"trustForwardHeader: false", "trustForwardHeader: true"} {
		t.Run(trust, func(t *testing.T) {
			t.Parallel()
			dialect{
				start: func(t testing.TB, addr string, g *servers.Gateway, app *servers.App) {
					servers.StartTraefikReplay(t, addr, deployed(t, "traefik/traefik.yml"),
						deployed(t, "traefik/dynamic.yml", "trustForwardHeader: false", trust, "http://127.0.0.1:4180", g.URL, "http://127.0.0.1:8080", app.URL))
				},
				identity: "X-Auth-Request-", program: 401, down: 503, gone: 500, cookie: true,
				passes: []string{"X-Forwarded-Attr-Unknown"},
			}.tell(t)
		})
	}
}

// TestEnvoy replays Envoy; see servers.StartEnvoyReplay.
func TestEnvoy(t *testing.T) {
	t.Parallel()
	dialect{
		status: 200,
		start: func(t testing.TB, addr string, g *servers.Gateway, app *servers.App) {
			servers.StartEnvoyReplay(t, addr, deployed(t, "envoy/envoy.yaml", "http://127.0.0.1:4180", g.URL), app.URL)
		},
		identity: "X-Auth-Request-", program: 401, down: 503, gone: 503, cookie: true,
	}.tell(t)
}
