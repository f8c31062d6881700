package proxy

import (
	"errors"
	"net/http"
	"slices"

	"gatehouse/auth"
	"gatehouse/internal/clientip"
)

// factorKinds are the second proofs of local sign-ins.
var factorKinds = [...]string{auth.KindTOTP, auth.KindPasskey, auth.KindEmailCode, auth.KindRecovery}

// raise is what further sign-in of the asker would meet the rule; nil when none
// would, because something else is missing too.
func (r *rule) raise(a asker) *auth.Raise {
	as := func(amr []string, acr string) bool {
		p := *a.person
		p.AMR, p.ACR = amr, acr
		return r.admits(asker{person: &p, client: a.client})
	}
	var raise auth.Raise
	if a.person.IsLocal() {
		for _, kind := range factorKinds {
			if as(auth.WithFactor(a.person.AMR, kind), a.person.ACR) {
				raise.Factors = append(raise.Factors, kind)
			}
		}
		if raise.Factors == nil {
			return nil
		}
		return &raise
	}
	more := slices.Concat(a.person.AMR, r.named(auth.RequireAMR))
	if as(more, a.person.ACR) {
		return &raise
	}
	for _, level := range r.named(auth.RequireACR) {
		if as(more, level) && !slices.Contains(raise.ACR, level) {
			raise.ACR = append(raise.ACR, level)
		}
	}
	if raise.ACR == nil {
		return nil
	}
	return &raise
}

// named are the values that the rule asks for of a kind of requirement. What
// must not hold is asked of nobody.
func (r *rule) named(kind string) []string {
	switch r.kind {
	case kind:
		return r.values
	case auth.RequireNot:
		return nil
	}
	var all []string
	for i := range r.parts {
		all = append(all, r.parts[i].named(kind)...)
	}
	return all
}

// Forbids returns what keeps a person, who makes the request r, from opening a
// URL of the site with GET, and nil where nothing does or no rule is about it.
func (g *Gateway) Forbids(r *http.Request, address string, p *auth.Person) *auth.Forbidden {
	at, err := locate(g.table, g.public, http.MethodGet, address)
	if err != nil || at.route == nil || at.route.own {
		return nil
	}
	who := by(p, clientip.From(r.Context()))
	if at.route.admits(who) {
		return nil
	}
	if x := exchangeOf(r); x != nil {
		// The id on the page that tells why is that of this request.
		x.person, x.told = p, at.route
	}
	return at.route.forbids(who)
}

// raisable is err where a further sign-in would let in whom it refuses.
func raisable(err error) (forbidden *auth.Forbidden, would bool) {
	forbidden, ok := errors.AsType[*auth.Forbidden](err)
	return forbidden, ok && forbidden.Raise != nil
}
