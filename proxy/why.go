package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// Outcomes of a Decision.
const (
	Admitted  = "admitted"
	Public    = "public"    // anybody is
	Refused   = "refused"   // 403
	SignIn    = "sign_in"   // nobody is signed in: 302 or 401
	NoRoute   = "no_route"  // 404
	Ambiguous = "ambiguous" // 400: an upstream could read the path as that of another rule
	Own       = "own"       // Gatehouse answers itself
)

// Decision is what the gateway would do with a request, and why.
type Decision struct {
	Outcome string   `json:"outcome"`
	Route   string   `json:"route,omitempty"` // host and path
	Line    int      `json:"line,omitempty"`  // of the configuration
	Rule    []Reason `json:"rule,omitempty"`  // all of them must hold
	// StepUp: a further proof, or a sign-in of another level, would let the
	// person in.
	StepUp bool `json:"step_up,omitempty"`
}

// Reason is one requirement of a rule and whether it holds: yes, no, or
// unknown, which admits nobody.
type Reason struct {
	Kind   string   `json:"kind"`
	Values []string `json:"values,omitempty"`
	Holds  string   `json:"holds"`
	Parts  []Reason `json:"parts,omitempty"`
}

// Decide judges a request for a URL, as the gateway of that configuration would:
// of a person, nil for nobody, at an address, which may be invalid for one that
// is not known. Errors: what is no URL or method.
func Decide(cfg *config.Config, method, address string, p *auth.Person, client netip.Addr) (Decision, error) {
	t, err := newTable(cfg.Routes, cfg.Server.Prefix)
	if err != nil {
		return Decision{}, err
	}
	public, err := url.Parse(cfg.Server.PublicURL)
	if err != nil {
		return Decision{}, fmt.Errorf("read public_url: %w", err)
	}
	at, err := locate(t, public, method, address)
	if err != nil {
		return Decision{}, err
	}
	switch {
	case at.ambiguous:
		return Decision{Outcome: Ambiguous}, nil
	case at.route == nil:
		return Decision{Outcome: NoRoute}, nil
	}
	return at.route.decide(asker{person: p, client: client}), nil
}

// decide is what becomes of a request that falls under the route; the asker's
// person is nil for nobody.
func (rt *route) decide(who asker) Decision {
	d := Decision{Route: rt.name, Line: rt.line}
	switch {
	case rt.own:
		d.Outcome = Own
	case rt.isPublic(who):
		d.Outcome = Public
	case who.person == nil:
		d.Outcome = SignIn
	case rt.access.admits(who):
		d.Outcome, d.Rule = Admitted, rt.access.reasons(who)
	default:
		d.Outcome, d.Rule = Refused, rt.access.reasons(who)
		d.StepUp = rt.access.raise(who) != nil
	}
	return d
}

// located is where a URL falls.
type located struct {
	route     *route // nil: none
	ambiguous bool   // two readings fall under different rules
}

// locate finds the route of a request for a URL; a path alone is one of
// public_url. Errors: what is no URL or method.
func locate(t *table, public *url.URL, method, address string) (located, error) {
	authority, raw := public.Host, address
	if rest, absolute := cutScheme(address); absolute {
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		if authority, raw = rest[:end], rest[end:]; !strings.HasPrefix(raw, "/") {
			raw = "/" + raw
		}
	}
	host, err := normalHost(authority)
	if err != nil {
		return located{}, errors.New("the URL has no host that a request could have")
	}
	if methodError(method) != nil {
		return located{}, fmt.Errorf("%q is no method that may pass", method)
	}
	raw, _, _ = strings.Cut(raw, "#") // a browser keeps it
	target, err := parseTarget(raw)
	if err != nil {
		return located{}, errors.New("the URL's path cannot be sent: it is malformed")
	}
	rt, err := t.judge(host, method, target.path)
	return located{route: rt, ambiguous: err != nil}, nil
}

// reasons are the requirements of a rule, of which all must hold.
func (r *rule) reasons(a asker) []Reason {
	if r.kind == auth.RequireAll {
		var all []Reason
		for i := range r.parts {
			all = append(all, r.parts[i].reason(a))
		}
		return all
	}
	return []Reason{r.reason(a)}
}

func (r *rule) reason(a asker) Reason {
	q := Reason{Kind: r.kind, Values: r.values, Holds: r.judge(a).String()}
	for i := range r.parts {
		q.Parts = append(q.Parts, r.parts[i].reason(a))
	}
	return q
}
