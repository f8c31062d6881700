package provision

import (
	"context"
	"errors"
	"log/slog"

	"gatehouse/auth"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/overlay"
)

// Explanation is what a sign-in would do, and why.
type Explanation struct {
	Verdict auth.Verdict // empty: denied
	Denied  *auth.Denied
	Why     string

	Identity   auth.Identity // after the connection's rules
	Dropped    []Dropped     // what those rules have taken from the answer
	Candidates []Candidate   // accounts that the person could be, as the ladder asks for them

	// Confirmation is what the person would have to prove first. Everything
	// below is then as it would be once they have.
	Confirmation *auth.Confirmation

	Before, After *View // the account; nil: there is none
	Attributes    []AttributeChange
	Groups        []GroupChange
	Person        *auth.Person // whom applications would see; nil: nobody
	SecondFactor  bool         // the account has one
}

// Explain says what Resolve would do with an identity. It has Resolve do it, on
// a store that only seems to change: nothing is written, nobody is told, and
// neither log nor history has it. Errors: auth.ErrInvalidAnswer,
// auth.ErrStoreDown. A denial is no error.
func (r *Resolver) Explain(ctx context.Context, identity auth.Identity) (Explanation, error) {
	var e Explanation
	err := r.rehearsal().explain(ctx, identity, &e)
	if err == nil && e.Confirmation != nil {
		t := r.rehearsal()
		var outcome auth.Outcome
		if outcome, err = t.ResolveConfirmed(ctx, identity, e.Confirmation.Account); err == nil {
			err = t.follow(ctx, identity, outcome, &e)
		}
	}
	if errors.As(err, &e.Denied) {
		e.Denied.Decision = "" // nothing was decided
		e.Verdict, e.Confirmation, e.Why = "", nil, e.Denied.Detail
		return e, nil
	}
	return e, err
}

// rehearsal returns a resolver like r, on a store that only seems to change.
func (r *Resolver) rehearsal() *Resolver {
	d := r.directory
	t := &Resolver{
		directory: &Directory{
			Store: &overlay.Store{Below: d.Store, Top: &memory.Store{Now: d.Now}},
			Index: d.Index, Credentials: d.Credentials, Fits: d.Fits, Quarantine: d.Quarantine,
			Log: slog.New(slog.DiscardHandler), Now: d.Now,
		},
		connections: make(map[string]*connection, len(r.connections)),
		all:         r.all,
		local:       r.local,
		disbelieved: r.disbelieved,
		seed:        r.seed,
	}
	for id, c := range r.connections {
		t.connections[id] = newConnection(c.Connection, c.all)
	}
	return t
}

func (r *Resolver) explain(ctx context.Context, identity auth.Identity, e *Explanation) error {
	conn, id, err := r.admit(identity)
	if err != nil {
		return err
	}
	e.Identity, e.Dropped = id.Identity, dropped(conn, identity, id)
	e.Why = "JIT is off for the connection: no account, the attributes go straight to the application"
	if conn.JIT.Enabled {
		if err := r.ladder(ctx, conn, id, e); err != nil {
			return storeTrouble("explain", err)
		}
	}
	outcome, err := r.Resolve(ctx, identity)
	if err != nil {
		return err
	}
	e.Verdict, e.Confirmation = outcome.Verdict, outcome.Confirmation
	if e.Confirmation != nil {
		return nil
	}
	return r.follow(ctx, identity, outcome, e)
}

// ladder asks what a sign-in asks before it decides.
func (r *Resolver) ladder(ctx context.Context, conn *connection, id admitted, e *Explanation) error {
	s := &signIn{booking: r.directory.book(), resolver: r, conn: conn, id: id}
	return s.run(ctx, func(ctx context.Context) error {
		q, err := s.ask(ctx)
		if err != nil {
			return err
		}
		p, err := decide(q.question)
		if err == nil {
			e.Why = p.why
		}
		e.Candidates = []Candidate{linkCandidate(q), emailCandidate(q)}
		names, err := s.usernameCandidates(ctx, q, p)
		e.Candidates = append(e.Candidates, names...)
		return err
	})
}

// follow adds what comes after the decision: the account as it is then, and the
// person that a request of the session shows.
func (r *Resolver) follow(ctx context.Context, identity auth.Identity, outcome auth.Outcome, e *Explanation) error {
	id := outcome.Identity
	session := &auth.Session{Rules: outcome.Rules, Identity: id, Created: r.directory.now()}
	if outcome.Verdict != auth.PassThrough {
		session.Account, session.JIT = outcome.Account, true
		session.Identity = auth.Identity{
			Connection: id.Connection, Issuer: id.Issuer, Subject: id.Subject,
			AMR: id.AMR, ACR: id.ACR, AuthTime: id.AuthTime, Attributes: outcome.SessionOnly,
		}
	}
	var err error
	if e.Person, err = r.Person(ctx, session); err != nil || !session.JIT {
		return err
	}
	v := visit{held: outcome.SessionOnly}
	if v.conn, v.id, err = r.admit(identity); err != nil {
		return err
	}
	if v.after, err = r.directory.read(ctx, outcome.Account); err != nil {
		return storeTrouble("explain", err)
	}
	if v.before, err = r.before(ctx, outcome.Account); err != nil {
		return storeTrouble("explain", err)
	}
	if e.SecondFactor, err = r.directory.Credentials.HasFactor(ctx, outcome.Account); err != nil {
		return storeTrouble("explain", err)
	}
	e.Attributes, e.Groups, e.After = v.attributes(), v.groups(r), viewOf(v.after)
	if v.before == nil {
		e.After.ID = "" // each sign-in would make another one
	} else {
		e.Before = viewOf(v.before)
	}
	return nil
}

// before is an account as it is below the rehearsal; nil: there is none.
func (r *Resolver) before(ctx context.Context, account string) (*Account, error) {
	d := &Directory{Store: r.directory.Store.(*overlay.Store).Below}
	a, err := d.read(ctx, account)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, nil
	}
	return a, err
}

func viewOf(a *Account) *View {
	v := a.view()
	return &v
}
