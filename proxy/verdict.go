package proxy

import (
	"errors"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/web"
)

// The verdicts: what was decided about a request, and where its answer ended
// early, why. They are stable names, in the access log and as a label of
// metrics; why exactly is the reason.
const (
	verdictAllowed         = "allowed"         // the rule admits the person
	verdictPublic          = "public"          // the route admits anybody
	verdictOwn             = "own"             // for Gatehouse itself
	verdictUnauthenticated = "unauthenticated" // 401, or sent to sign in
	verdictForbidden       = "forbidden"
	verdictMalformed       = "malformed"
	verdictNotFound        = "not_found"
	verdictMethod          = "method_not_allowed"
	verdictStoreDown       = "store_down"
	verdictUpstream        = "upstream_error" // none, too late, or broken off
	verdictClientGone      = "client_gone"    // before the answer was whole
	verdictCut             = "cut"            // the session or the right ended meanwhile
	verdictInternal        = "internal"
)

// ended settles the verdict of an exchange that was admitted and is over:
// whether its answer ended early, and who ended it.
func (x *exchange) ended(r *http.Request, aborted bool) {
	if x.verdict != verdictAllowed && x.verdict != verdictPublic {
		return
	}
	x.mu.Lock()
	cut := x.cut
	x.mu.Unlock()
	switch {
	case cut != nil:
		x.verdict, x.reason = verdictCut, web.Code(cut)
	case x.unheard, aborted && r.Context().Err() != nil:
		x.verdict = verdictClientGone
	case aborted:
		x.verdict = verdictUpstream
	}
}

// verdictOf is the verdict of a request that is refused with err.
func verdictOf(err error) string {
	switch code := web.Code(err); {
	case code == "store_down":
		return verdictStoreDown
	case errors.Is(err, auth.ErrUpstreamDown), errors.Is(err, auth.ErrUpstreamSlow):
		return verdictUpstream
	case errors.Is(err, auth.ErrUnauthenticated):
		return verdictUnauthenticated
	case errors.Is(err, auth.ErrForbidden):
		return verdictForbidden
	case errors.Is(err, auth.ErrMethodNotAllowed):
		return verdictMethod
	case errors.Is(err, auth.ErrMalformed):
		return verdictMalformed
	case errors.Is(err, auth.ErrNotFound):
		return verdictNotFound
	}
	return verdictInternal
}
