package signin

import (
	"context"
	"fmt"
	"net/http"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/web"
)

// A step handles one request. It either answers it, or says what has been
// reached; what follows from that is dispatch's to decide.
type step func(w http.ResponseWriter, r *http.Request) (reached, error)

// reached is how far a request has brought a sign-in.
type reached struct {
	milestone  milestone
	connection *Connection  // chosen
	pending    auth.Pending // chosen: ReturnTo; identified and proved: all that is known
}

type milestone int

const (
	answered   milestone = iota // the step has written its answer
	chosen                      // a connection was chosen
	identified                  // the first step is done: there is an identity
	proved                      // the factor that was owed is proved
)

// run serves a step and whatever follows from it.
func (f *Flow) run(s step) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		at, err := s(w, r)
		if err == nil {
			err = f.dispatch(w, r, at)
			if at.milestone != answered {
				err = f.tryAt(err, at.connection, at.pending.ReturnTo)
			}
		}
		if err != nil {
			f.fail(w, r, "sign_in_failed", err)
		}
	}
}

// tryAt tells the page of err where the sign-in can be begun again: the same
// way, too, where that is known and there is another to choose.
func (f *Flow) tryAt(err error, c *Connection, returnTo string) error {
	same := ""
	if c != nil && (len(f.Connections) > 1 || f.Passwords != nil) {
		same = f.startURL(c, returnTo)
	}
	return web.TryAt(err, f.Site.SignIn(returnTo), same)
}

// dispatch is the one place that knows what comes next.
func (f *Flow) dispatch(w http.ResponseWriter, r *http.Request, at reached) error {
	switch at.milestone {
	case answered:
		return nil
	case chosen:
		return f.begin(w, r, at.connection, at.pending.ReturnTo)
	case identified:
		p, err := f.resolve(r.Context(), at.pending)
		if err != nil {
			return err
		}
		owed, err := f.owes(p)
		if err != nil {
			return err
		}
		if owed {
			return f.raise(w, r, p)
		}
		return f.finish(w, r, p, false)
	case proved:
		return f.finish(w, r, at.pending, true)
	}
	return fmt.Errorf("sign-in: milestone %d is not known", at.milestone)
}

// resolve finds the account before any factor is asked for, so that what an
// enrolment stores has a home.
func (f *Flow) resolve(ctx context.Context, p auth.Pending) (auth.Pending, error) {
	outcome, err := f.Resolver.Resolve(ctx, *p.Identity)
	if err != nil {
		return p, err
	}
	if outcome.Account == "" && outcome.Verdict != auth.PassThrough {
		// Without this a resolver's slip would become a session that is nobody.
		return p, fmt.Errorf("resolve: verdict %q without an account", outcome.Verdict)
	}
	p.Outcome = outcome
	return p, nil
}

// owes reports whether a second factor is owed. An identity that passes
// through has no account that could hold one: it is refused, not let in.
func (f *Flow) owes(p auth.Pending) (bool, error) {
	switch {
	case f.Enforce == config.EnforceOff:
		return false, nil
	case f.Enforce == config.EnforceLocal && p.Identity.Connection != auth.Local:
		return false, nil
	case p.Outcome.Account == "":
		return false, &auth.Denied{
			Reason: auth.DeniedFactor, Connection: p.Identity.Connection,
			Detail: "mfa.enforce is all, and an identity that passes through has no account to hold a factor",
		}
	}
	return true, nil
}
