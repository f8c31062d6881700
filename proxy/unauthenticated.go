package proxy

import (
	"cmp"
	"net/http"
	"net/url"

	"gatehouse/internal/web"
)

// unauthenticated sends a person to the sign-in page and tells a program
// where it is.
func (g *Gateway) unauthenticated(x *exchange, r *http.Request) {
	if !g.navigation(x, r) {
		g.Pages.Unauthenticated(x, r, g.origin()+g.prefix+"/sign_in")
		return
	}
	g.sendTo(x, r, "/sign_in")
}

// sendTo redirects a person to an endpoint of ours, from where they come back to
// what they have asked for now.
func (g *Gateway) sendTo(x *exchange, r *http.Request, endpoint string) {
	host := r.Host
	if x.peer.Trusted {
		if v, ok := single(r.Header, "X-Forwarded-Host"); ok && validHost(v) {
			host = v
		}
	}
	at := g.prefix + endpoint
	here, _ := normalHost(host)
	public, _ := normalHost(g.public.Host)
	if here != public || x.original != (original{}) {
		// Sign-ins run on public_url. What a proxy passes on is absolute too:
		// Traefik would complete a path with the address at which it asked.
		at = g.origin() + at
	}
	at += "?rd=" + url.QueryEscape(g.Site.Choose(r, "", x.peer.Trusted))
	x.Header().Set("Location", at)
	x.WriteHeader(http.StatusFound)
}

// navigation reports whether a person is looking at the window that asked.
// Everything else cannot follow a redirect to a page in any useful way. Of a
// question it is the original request that counts.
func (g *Gateway) navigation(x *exchange, r *http.Request) bool {
	method, path := cmp.Or(x.original.method, r.Method), cmp.Or(x.original.path, x.target.path)
	if method != http.MethodGet && method != http.MethodHead || !web.WantsPage(r) {
		return false
	}
	api := false
	g.api.find(spelled(path), func(found []*route) bool {
		api = api || len(found) > 0
		return api
	})
	return !api
}
