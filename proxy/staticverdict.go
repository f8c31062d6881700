package proxy

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// questionHeaders make a request to a static upstream a question about another
// request. X-Forwarded-Proto and -Host alone do not: every load balancer sends
// them with requests that mean themselves.
var questionHeaders = slices.DeleteFunc(slices.Clone(originalHeaders), func(name string) bool {
	return name == "X-Forwarded-Proto" || name == "X-Forwarded-Host"
})

// grant answers a route whose upstream is static:2xx, as oauth2-proxy does with
// static://202: a proxy that passes on whatever it is answered, such as Traefik
// or Caddy, needs no other page of ours to ask. What it is told is the verdict
// of PREFIX/auth, every identity header with it; but a refusal is a redirect to
// the sign-in, or a page, for it ends up in the browser.
//
// A request that describes no other one is about itself: Envoy asks so.
func (g *Gateway) grant(x *exchange, r *http.Request) error {
	r = x.introduce(r)
	q := inquiry{route: x.route}
	if slices.ContainsFunc(questionHeaders, func(name string) bool { return r.Header[name] != nil }) {
		q.route, q.refusal = g.originalRoute(r)
		switch {
		case errors.Is(q.refusal, errOwnRequest):
			// The sign-in page itself is asked about: sent there once more, the
			// browser would go round for ever.
			g.log().LogAttrs(r.Context(), slog.LevelWarn, "forward-auth refused",
				slog.String("request_id", x.id), slog.String("reason", web.Code(auth.ErrForbidden)), slog.Any("error", q.refusal))
			return auth.ErrForbidden
		case q.route == nil:
			q.route = x.route
		case !x.route.public && (x.route.narrow || x.target.path != "/"):
			// Whoever asks at a path that admits few wants no more let in than
			// those. And the path of the question may be the very one that the
			// proxy will forward, as with Envoy; then the description is its
			// client's, who names a public path to have another one opened. At
			// "/", where Traefik and Caddy are told to ask, a public route is
			// public.
			q.asked = x.route
		}
	}
	p, err := g.decide(r, q)
	if err != nil {
		return err
	}
	x.Header().Set("Cache-Control", "no-store")
	for _, f := range g.Identity.of(p).verdict {
		x.Header()[f.name] = f.values
	}
	x.route.response.apply(x.Header())
	x.WriteHeader(x.route.way.code)
	return nil
}
