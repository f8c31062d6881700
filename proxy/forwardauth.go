package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/clientip"
	"gatehouse/internal/config"
	"gatehouse/internal/web"
)

// ForwardAuth returns the handler of PREFIX/auth: the verdict about a request
// that another proxy forwards itself. It answers 202 with every identity
// header, 401, 403, or 503 when the store is down, and nothing else: the
// asking proxy could take a redirect or an error page for the application's.
//
// The verdict is on the session alone, or on the route of the original
// request where headers describe it; see originalRequest. The parameters
// allowed_groups, allowed_emails and allowed_email_domains narrow it.
func (g *Gateway) ForwardAuth() http.Handler { return http.HandlerFunc(g.forwardAuth) }

func (g *Gateway) forwardAuth(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	p, err := g.verdict(r)
	if err != nil {
		if x := exchangeOf(r); x != nil {
			x.reason = web.Code(err)
		}
		switch {
		case errors.Is(err, auth.ErrUnauthenticated):
			w.WriteHeader(http.StatusUnauthorized)
		case errors.Is(err, auth.ErrForbidden):
			w.WriteHeader(http.StatusForbidden)
		default: // the store, or what nobody foresaw: try again, and no entry
			h.Set("Retry-After", "5")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	for _, f := range g.Identity.of(p).verdict {
		h[f.name] = f.values
	}
	w.WriteHeader(http.StatusAccepted)
}

// verdict is the decision of PREFIX/auth.
func (g *Gateway) verdict(r *http.Request) (*auth.Person, error) {
	q := inquiry{}
	q.route, q.refusal = g.originalRoute(r)
	var err error
	if q.further, err = parseAllowed(r.URL.RawQuery); err != nil {
		q.refusal = err
	}
	return g.decide(r, q)
}

// inquiry is what another proxy wants to know.
type inquiry struct {
	route   *route // of the original request; nil: any session will do
	asked   *route // at which the question came, where its rule must admit as well; nil: it need not
	further *rule  // must admit as well; nil: nothing more is asked
	refusal error  // why there can be no positive verdict
}

// decide returns who the request comes from, nil for anybody on a public
// route, and notes the verdict. Without a session the error is
// auth.ErrUnauthenticated, whatever else may be wrong: a sign-in is the first
// thing to try.
func (g *Gateway) decide(r *http.Request, q inquiry) (*auth.Person, error) {
	p, err := g.decision(r, q)
	verdict, meter := verdictAllowed, g.unrouted
	switch {
	case err != nil:
		verdict = verdictOf(err)
	case p == nil:
		verdict = verdictPublic
	}
	if q.route != nil {
		meter = q.route.meter
	}
	meter.Asked(verdict)
	if x := exchangeOf(r); x != nil {
		x.verdict, x.inquiry = verdict, q
	}
	return p, err
}

func (g *Gateway) decision(r *http.Request, q inquiry) (*auth.Person, error) {
	if q.refusal == nil && q.route != nil && q.asked == nil && q.further == nil && q.route.isPublic(by(nil, clientip.From(r.Context()))) {
		return nil, nil
	}
	_, p, err := g.Sessions.Authenticate(r)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, auth.ErrUnauthenticated
	}
	if x := exchangeOf(r); x != nil {
		x.person = p
	}
	who := by(p, clientip.From(r.Context()))
	switch {
	case q.refusal != nil:
		g.log().LogAttrs(r.Context(), slog.LevelWarn, "forward-auth refused",
			slog.String("request_id", web.RequestID(r.Context())), slog.String("reason", web.Code(auth.ErrForbidden)), slog.Any("error", q.refusal))
		return nil, auth.ErrForbidden
	case q.route != nil && !q.route.admits(who):
		return nil, q.route.forbids(who)
	case q.asked != nil && !q.asked.access.admits(who):
		// Of the page that they come back to another rule decides, so no sign-in
		// can be raised to this one.
		forbidden := q.asked.forbids(who)
		forbidden.Raise = nil
		return nil, forbidden
	case q.further != nil && !q.further.admits(who):
		return nil, &auth.Forbidden{Missing: q.further.missing(who)}
	}
	return p, nil
}

var errOwnRequest = errors.New("the original request is for Gatehouse itself")

// originalRoute returns the route of the original request, nil when the
// request says nothing about one. The error is why the verdict cannot be
// positive.
func (g *Gateway) originalRoute(r *http.Request) (*route, error) {
	if !describesOriginal(r.Header) {
		return nil, nil
	}
	if !clientip.From(r.Context()).Trusted {
		// Ignoring the headers would grant, on the session alone, what a
		// narrower route refuses; believing them, whatever a client says.
		if slices.ContainsFunc(g.table.routes, func(rt *route) bool { return rt.narrow }) {
			return nil, errors.New("the asking proxy is not in trusted_proxies, so its description of the request is not believed")
		}
		return nil, nil
	}
	o, err := originalRequest(r.Header)
	if err != nil {
		return nil, err
	}
	if x := exchangeOf(r); x != nil {
		x.original = o
	}
	rt, err := g.table.route(o, r.Header)
	switch {
	case err != nil:
		return nil, err
	case rt == nil:
		return nil, errors.New("no route for the original request")
	case rt.own:
		return nil, errOwnRequest
	}
	return rt, nil
}

// allowedParameters narrow a verdict; each that is present must hold.
var allowedParameters = []string{"allowed_groups", "allowed_emails", "allowed_email_domains"}

// maxAllowed bounds the query that narrows a verdict, in bytes: a proxy writes
// it, but a stranger may ask too.
const maxAllowed = 16 << 10

// parseAllowed compiles the allowed_* parameters; nil when there is none. One
// that is present and names nobody admits nobody, and one that is misspelt is
// an error: neither may open what it was meant to narrow.
func parseAllowed(query string) (*rule, error) {
	if query == "" {
		return nil, nil
	}
	if len(query) > maxAllowed {
		return nil, errors.New("the query is too long")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the query cannot be read")
	}
	for name := range values {
		if strings.HasPrefix(strings.ToLower(name), "allowed") && !slices.Contains(allowedParameters, name) {
			return nil, fmt.Errorf("unknown parameter %.40q", name)
		}
	}
	entries := func(name string) []string {
		if !values.Has(name) {
			return nil
		}
		all := []string{}
		for _, list := range values[name] {
			for entry := range strings.SplitSeq(list, ",") {
				if entry = strings.TrimSpace(entry); entry != "" {
					all = append(all, entry)
				}
			}
		}
		return all
	}
	a := config.Access{
		Groups:       entries("allowed_groups"),
		Emails:       entries("allowed_emails"),
		EmailDomains: entries("allowed_email_domains"),
	}
	if !narrower(a) {
		return nil, nil
	}
	return compileAccess(a), nil
}
