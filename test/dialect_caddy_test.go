package test

import (
	"testing"

	"gatehouse/test/servers"
)

func caddy(bin string) dialect {
	return dialect{
		start: func(t testing.TB, addr string, g *servers.Gateway, app *servers.App) {
			servers.StartCaddy(t, bin, addr, deployed(t, "caddy/Caddyfile",
				"app.example.com {", "http://"+addr+" {", "127.0.0.1:4180", g.Addr, "127.0.0.1:8080", app.Addr,
				"#X-Auth-Request-Attr-Department", "X-Auth-Request-Attr-Department"))
		},
		identity: "X-Forwarded-", program: 401, down: 503, gone: 502, upgrades: true,
	}
}

// TestDebianCaddy is Debian's caddy, of 2022.
func TestDebianCaddy(t *testing.T) {
	t.Parallel()
	caddy("caddy").tell(t)
}

// TestNewestCaddy is the release that test/caddy/go.mod names.
func TestNewestCaddy(t *testing.T) {
	t.Parallel()
	caddy(servers.BuildCaddy(t, "caddy")).tell(t)
}
