package provision

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"gatehouse/auth"
	"gatehouse/internal/config"
)

// Resolver applies the rules of one configuration to identities and sessions.
// It is safe for concurrent use.
type Resolver struct {
	directory   *Directory
	connections map[string]*connection
	all         config.JITProvisioning // what holds for every connection
	local       bool

	// Decided hears each decision about an identity of a connection: its verdict,
	// "denied", or "failed" where none could be made. Set before use; nil: nobody
	// counts.
	Decided func(connection, verdict string)

	disbelieved map[string]bool // connections with trust_email: never, also those that are disabled

	seed maphash.Seed
	held [1024]atomic.Pointer[held]
}

// connection is a configured connection, ready for use.
type connection struct {
	config.Connection
	all    config.JITProvisioning // what holds for every connection
	user   userTemplate
	rules  string      // fingerprint; see rules
	warned atomic.Bool // that its e-mails are not verified
}

var _ auth.Resolver = (*Resolver)(nil)

// NewResolver returns the resolver of a valid configuration.
func NewResolver(c *config.Config, d *Directory) *Resolver {
	r := &Resolver{
		directory: d, connections: map[string]*connection{}, all: c.JITProvisioning,
		local: c.Local.Enabled, seed: maphash.MakeSeed(), disbelieved: map[string]bool{},
	}
	for _, conn := range c.Connections {
		r.disbelieved[conn.ID] = conn.TrustEmail == config.TrustNever
		if conn.Disabled {
			continue // as if the file did not name it
		}
		r.connections[conn.ID] = newConnection(conn, c.JITProvisioning)
	}
	return r
}

func newConnection(conn config.Connection, all config.JITProvisioning) *connection {
	c := &connection{Connection: conn, all: all, user: parseUserTemplate(conn.User)}
	c.rules = rules(c)
	return c
}

// Resolve implements auth.Resolver.
//
// An identity of a connection whose JIT is off passes through, and the store
// is neither read nor written. One whose JIT is on becomes an account. A local
// identity is the account that its subject names.
//
// Errors: *auth.Denied and auth.ErrInvalidAnswer, after which nothing has
// changed; auth.ErrStoreDown, after which nobody can use what was begun, and
// the next sign-in starts anew or finds it finished. A denial names its
// decision, as an outcome does.
func (r *Resolver) Resolve(ctx context.Context, identity auth.Identity) (auth.Outcome, error) {
	return r.resolve(ctx, identity, "")
}

// ResolveConfirmed implements auth.Resolver.
func (r *Resolver) ResolveConfirmed(ctx context.Context, identity auth.Identity, account string) (auth.Outcome, error) {
	return r.resolve(ctx, identity, account)
}

func (r *Resolver) resolve(ctx context.Context, identity auth.Identity, proved string) (auth.Outcome, error) {
	return r.decided(ctx, identity, func(b *booking) (auth.Outcome, error) { return r.decision(ctx, b, identity, proved) })
}

// decided gives what f decides about an identity an id of its own, and says in
// the log what it was.
func (r *Resolver) decided(ctx context.Context, identity auth.Identity, f func(*booking) (auth.Outcome, error)) (auth.Outcome, error) {
	b := r.directory.book()
	outcome, err := f(b)
	if denied, ok := errors.AsType[*auth.Denied](err); ok {
		denied.Decision = b.decision
	}
	if identity.Connection != auth.Local {
		r.tell(ctx, identity, b.decision, outcome, err)
	}
	if err != nil {
		return auth.Outcome{}, err
	}
	outcome.Decision = b.decision
	return outcome, nil
}

func (r *Resolver) decision(ctx context.Context, b *booking, identity auth.Identity, proved string) (auth.Outcome, error) {
	if identity.Connection == auth.Local {
		return r.resolveLocal(ctx, identity)
	}
	conn, id, err := r.admit(identity)
	if err != nil {
		return auth.Outcome{}, err
	}
	r.warnUnverified(ctx, conn, id)
	if !conn.JIT.Enabled {
		if err := r.directory.fits(conn.user.render(id.Identity), id.Email); err != nil {
			return auth.Outcome{}, denied(conn, auth.DeniedTooLarge, err.Error())
		}
		return auth.Outcome{Verdict: auth.PassThrough, Identity: id.Identity, Rules: conn.rules}, nil
	}
	s := &signIn{booking: b, resolver: r, conn: conn, id: id, proved: proved}
	var outcome auth.Outcome
	err = s.run(ctx, func(ctx context.Context) (err error) {
		outcome, err = s.attempt(ctx)
		return err
	})
	if err != nil {
		return auth.Outcome{}, storeTrouble("resolve, decision "+b.decision, err)
	}
	outcome.Rules = conn.rules
	return outcome, nil
}

// admit judges an identity by the rules of its connection, before any account
// is looked for.
func (r *Resolver) admit(identity auth.Identity) (*connection, admitted, error) {
	conn := r.connections[identity.Connection]
	if conn == nil {
		return nil, admitted{}, &auth.Denied{
			Reason: auth.DeniedConnection, Connection: identity.Connection, Detail: "the connection is not configured, or not enabled",
		}
	}
	if identity.Subject == "" || identity.Issuer == "" {
		// Everybody without one would be the same person.
		return nil, admitted{}, fmt.Errorf("resolve: no subject or issuer: %w", auth.ErrInvalidAnswer)
	}
	id, err := admit(conn, identity)
	return conn, id, err
}

// Proves implements auth.Resolver.
func (r *Resolver) Proves(ctx context.Context, identity auth.Identity, account string) error {
	conn, id, err := r.admit(identity)
	if err != nil {
		return err
	}
	if !conn.JIT.Enabled {
		return denied(conn, auth.DeniedProof, "its people have no account")
	}
	a, err := r.directory.lookup(ctx, r.directory.names().link(linkOf(id.Identity, r.directory.now())))
	switch {
	case errors.Is(err, auth.ErrNotFound), err == nil && a.ID != account:
		return denied(conn, auth.DeniedProof, "the identity is not linked to account "+account)
	case err != nil:
		return storeTrouble("prove account", err)
	case a.refused():
		return denied(conn, auth.DeniedDisabled, "account "+a.ID)
	}
	return nil
}

// provedThrough are the connections but one whose sign-ins prove the account:
// those through which identities are linked to it, and that are what they were.
func (r *Resolver) provedThrough(a *Account, but string) []string {
	var ids []string
	for _, l := range a.Links {
		if l.Connection != but && r.leadsIn(l) && !slices.Contains(ids, l.Connection) {
			ids = append(ids, l.Connection)
		}
	}
	return ids
}

func (r *Resolver) resolveLocal(ctx context.Context, identity auth.Identity) (auth.Outcome, error) {
	refuse := func(reason auth.Reason, detail string) (auth.Outcome, error) {
		return auth.Outcome{}, &auth.Denied{Reason: reason, Connection: auth.Local, Detail: detail}
	}
	if !r.local {
		return refuse(auth.DeniedConnection, "local sign-in is off")
	}
	a, err := r.directory.read(ctx, identity.Subject)
	if errors.Is(err, auth.ErrNotFound) {
		return refuse(auth.DeniedNoAccount, "account "+identity.Subject+" is gone")
	}
	if err != nil {
		return auth.Outcome{}, storeTrouble("resolve", err)
	}
	if a.refused() {
		return refuse(auth.DeniedDisabled, fmt.Sprintf("account %s is %s", a.ID, a.Status))
	}
	return auth.Outcome{Verdict: auth.Unchanged, Account: a.ID, Identity: identity}, nil
}

// SignedIn implements auth.Resolver.
func (r *Resolver) SignedIn(ctx context.Context, account string, made bool) error {
	return storeTrouble("note a sign-in", r.directory.noteSignIn(ctx, account, made))
}

// warnUnverified says once per connection why people have no e-mail.
func (r *Resolver) warnUnverified(ctx context.Context, conn *connection, id admitted) {
	if id.Email == "" || id.EmailVerified || conn.warned.Swap(true) {
		return
	}
	r.directory.log().WarnContext(ctx, "the e-mail of a person is not verified: it is not sent to applications and matches no account. "+
		"If this identity provider only hands out addresses that it has verified, set trust_email: always for the connection",
		"connection", conn.ID, "trust_email", conn.TrustEmail)
}
