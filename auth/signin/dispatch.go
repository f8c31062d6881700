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
	pending    auth.Pending // chosen: ReturnTo, ACR, Confirms and Links; from identified on: all that is known
}

// through is the connection that a request came in through, "" where that is
// not known. A step may say it beside its error.
func (at reached) through() string {
	if at.connection != nil {
		return at.connection.Provider.ID()
	}
	return at.pending.Connection
}

type milestone int

const (
	answered   milestone = iota // the step has written its answer
	chosen                      // a connection was chosen
	identified                  // the first step is done: there is an identity
	entered                     // a passkey that verified its person is the whole sign-in
	proved                      // the factor that was owed is proved
	enrolled                    // the factor that was owed is enrolled
	claimed                     // the password of the account that must be proved was given
	recalled                    // who is signed in has given the account's password once more
	wanted                      // an identity has signed in that is to be linked to the account of a session
	vouched                     // another identity has signed in to prove that account
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
			f.fail(w, r, signInFailed, at.through(), err)
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
		return f.begin(w, r, at.connection, at.pending)
	case identified:
		outcome, err := f.Resolver.Resolve(r.Context(), *at.pending.Identity)
		return f.resolved(w, r, at.pending, outcome, err, f.owes)
	case entered:
		outcome, err := f.Resolver.Resolve(r.Context(), *at.pending.Identity)
		return f.resolved(w, r, at.pending, outcome, err, f.owesDemanded)
	case claimed:
		owed, err := f.hasFactor(r.Context(), accountOf(at.pending))
		if err != nil {
			return err
		}
		if owed {
			f.drop(w, r, confirmSuffix)
			return f.raise(w, r, at.pending)
		}
		return f.join(w, r, at.pending, "password")
	case recalled:
		owed, err := f.hasFactor(r.Context(), accountOf(at.pending))
		if err != nil {
			return err
		}
		if owed || at.pending.Enrols {
			return f.raise(w, r, at.pending)
		}
		return f.renew(w, r, at.pending)
	case wanted:
		return f.linkOwn(w, r, at.pending)
	case vouched:
		p, err := f.vouchedFor(r, at.pending)
		if err != nil {
			return err
		}
		return f.join(w, r, p, "connection:"+at.pending.Connection)
	case proved:
		if confirming(at.pending) {
			return f.join(w, r, at.pending, "password_and_factor")
		}
		if at.pending.Proves != "" {
			return f.renew(w, r, at.pending)
		}
		owed, err := f.owesEnrolment(r.Context(), at.pending)
		if err != nil {
			return err
		}
		if owed {
			return f.raise(w, r, at.pending)
		}
		return f.finish(w, r, at.pending)
	case enrolled:
		if at.pending.Proves != "" {
			return f.renew(w, r, at.pending)
		}
		return f.finish(w, r, at.pending)
	}
	return fmt.Errorf("sign-in: milestone %d is not known", at.milestone)
}

// resolved goes on from what the resolver has answered. It is asked before any
// factor is, so that what an enrolment stores has a home. Owes reports whether
// the second step is owed.
func (f *Flow) resolved(w http.ResponseWriter, r *http.Request, p auth.Pending, outcome auth.Outcome, err error,
	owes func(context.Context, auth.Pending) (bool, error),
) error {
	if err != nil {
		return err
	}
	p.Outcome = outcome
	switch {
	case confirming(p):
		return f.ask(w, r, p)
	case outcome.Account == "" && outcome.Verdict != auth.PassThrough:
		// Without this a resolver's slip would become a session that is nobody.
		return fmt.Errorf("resolve: verdict %q without an account", outcome.Verdict)
	}
	owed, err := owes(r.Context(), p)
	if err != nil {
		return err
	}
	if owed {
		return f.raise(w, r, p)
	}
	return f.finish(w, r, p)
}

// join has an identity linked to the account that was proved for it. The proof
// is worth nothing else: what comes of it is the sign-in of that identity, as
// its provider has proved it, and where mfa.enforce is all it owes a factor of
// its own. Where the account is no longer the one in question the resolver
// decides as for anybody who comes now, and the proof is void.
func (f *Flow) join(w http.ResponseWriter, r *http.Request, p auth.Pending, by string) error {
	// Once more: the last look may be as old as the person was slow.
	if err := f.stillGood(r, p); err != nil {
		return err
	}
	f.confirmed(r, p, by)
	p.Factor = "" // of the proof, not of the sign-in
	outcome, err := f.Resolver.ResolveConfirmed(r.Context(), *p.Identity, p.Outcome.Confirmation.Account)
	return f.resolved(w, r, p, outcome, err, f.owes)
}

// owes reports whether the second step is owed: by mfa.enforce, or because an
// administrator demands an enrolment of who signs in locally.
func (f *Flow) owes(ctx context.Context, p auth.Pending) (bool, error) {
	owed, err := Owes(f.Enforce, p.Identity.Connection, p.Outcome)
	if err != nil || owed || p.Identity.Connection != auth.Local {
		return owed, err
	}
	return f.owesDemanded(ctx, p)
}

// owesDemanded is owes of a sign-in that is whole already, whatever mfa.enforce
// says: only an enrolment that an administrator demands is left to owe.
func (f *Flow) owesDemanded(ctx context.Context, p auth.Pending) (bool, error) {
	return f.demanded(ctx, p.Outcome.Account)
}

// Owes reports whether a sign-in through a connection owes a second factor
// under mfa.enforce. An identity that passes through has no account that could
// hold one: it is refused, not let in. Errors: *auth.Denied.
func Owes(enforce, connection string, o auth.Outcome) (bool, error) {
	switch {
	case enforce == config.EnforceOff:
		return false, nil
	case enforce == config.EnforceLocal && connection != auth.Local:
		return false, nil
	case o.Account == "":
		return false, &auth.Denied{
			Reason: auth.DeniedFactor, Connection: connection,
			Detail: "mfa.enforce is all, and an identity that passes through has no account to hold a factor",
		}
	}
	return true, nil
}
