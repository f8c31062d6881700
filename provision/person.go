package provision

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"gatehouse/auth"
)

// person is an account as requests need it: read-only, with the auth.Person of
// each way in which its sessions came.
type person struct {
	account *Account // nil: there is none
	base    auth.Person
	ways    atomic.Pointer[[]way]
}

// way is the account as it came in, by the rules of one configuration.
type way struct {
	by     *Resolver
	person *auth.Person
}

// mostWays bounds what one account keeps; further ones are made anew.
const mostWays = 8

func newPerson(a *Account) *person {
	p := &person{account: a}
	if a == nil {
		return p
	}
	p.base = auth.Person{
		User:              a.Username,
		PreferredUsername: a.Username,
		Account:           a.ID,
	}
	return p
}

// as returns the account as it came in by id, with what r's configuration leaves
// in force of it. It allocates only the first time.
func (p *person) as(id *auth.Identity, r *Resolver) *auth.Person {
	old := p.ways.Load()
	var ways []way
	if old != nil {
		ways = *old
	}
	for _, w := range ways {
		if w.by == r && w.person.Connection == id.Connection && w.person.ACR == id.ACR && slices.Equal(w.person.AMR, id.AMR) {
			return w.person
		}
	}
	as := p.base
	as.Email, as.Groups, as.Attributes = r.emailOf(p.account), r.groupsOf(p.account), r.attributesOf(p.account)
	as.Connection, as.AMR, as.ACR = id.Connection, id.AMR, id.ACR
	if len(ways) < mostWays {
		more := append(slices.Clip(ways), way{r, &as})
		p.ways.CompareAndSwap(old, &more)
	}
	return &as
}

// Person returns who a session is now. Errors: auth.ErrUnauthenticated when
// the session must not go on (the account is disabled or gone or the identity
// no longer linked to it; the connection is gone, or has another issuer, JIT
// setting or other rules than when the session was made), auth.ErrStoreDown
// when that cannot be known.
func (r *Resolver) Person(ctx context.Context, s *auth.Session) (*auth.Person, error) {
	id := &s.Identity
	if id.Connection == auth.Local {
		if !r.local {
			return nil, fmt.Errorf("local sign-in is off: %w", auth.ErrUnauthenticated)
		}
		return r.ofAccount(ctx, s)
	}
	conn := r.connections[id.Connection]
	switch {
	case conn == nil || conn.Issuer != id.Issuer:
		return nil, fmt.Errorf("connection %s is not what it was: %w", id.Connection, auth.ErrUnauthenticated)
	case conn.JIT.Enabled != s.JIT || s.JIT != (s.Account != ""):
		return nil, fmt.Errorf("jit.enabled of connection %s is not what it was: %w", id.Connection, auth.ErrUnauthenticated)
	case conn.rules != s.Rules: // also of a session from before sessions bore them
		return nil, fmt.Errorf("the rules of connection %s are not what they were: %w", id.Connection, auth.ErrUnauthenticated)
	case s.JIT:
		return r.ofAccount(ctx, s)
	}
	return r.passThrough(conn, s), nil
}

func (r *Resolver) ofAccount(ctx context.Context, s *auth.Session) (*auth.Person, error) {
	people := r.directory.people()
	p, err := people.Get(ctx, s.Account)
	if err == nil && !p.admits(s) && r.directory.young(s) {
		// The session may be younger than what is cached: another replica has
		// made the link, and the word of it is still on its way. An older one
		// is refused from the cache: else whoever has left could make the store
		// work with each request.
		people.Forget(s.Account)
		p, err = people.Get(ctx, s.Account)
	}
	if err != nil {
		return nil, storeTrouble("person", err)
	}
	if !p.admits(s) {
		return nil, fmt.Errorf("account %s is refused or not linked: %w", s.Account, auth.ErrUnauthenticated)
	}
	return r.inSession(p, s), nil
}

// young reports whether a session may know more than a cache does.
func (d *Directory) young(s *auth.Session) bool {
	return d.now().Sub(s.Created) <= max(d.CacheTTL, time.Minute) // a minute: clocks of replicas differ
}

// admits reports whether the session may go on.
func (p *person) admits(s *auth.Session) bool {
	id := &s.Identity
	return p.account != nil && !p.account.refused() &&
		(id.Connection == auth.Local || p.account.linked(id.Connection, id.Issuer, id.Subject))
}

// held is the person of a session that itself holds something of who they are.
// A session that is cached is the same pointer on each request, and so its
// person should be: what is made from a person, such as its headers, is then
// made once.
type held struct {
	session *auth.Session
	account *person // nil: it passes through
	person  *auth.Person
}

// once returns the person of a session and an account, made by f the first
// time. The table is bounded: a session may push out another, never grow it.
func (r *Resolver) once(s *auth.Session, account *person, f func() *auth.Person) *auth.Person {
	slot := &r.held[maphash.Comparable(r.seed, s)%uint64(len(r.held))]
	if h := slot.Load(); h != nil && h.session == s && h.account == account {
		return h.person
	}
	p := f()
	slot.Store(&held{s, account, p})
	return p
}

// inSession returns the account as a session sees it: the attributes that are
// the session's own are put before those of the account.
func (r *Resolver) inSession(p *person, s *auth.Session) *auth.Person {
	if len(s.Identity.Attributes) == 0 {
		return p.as(&s.Identity, r)
	}
	return r.once(s, p, func() *auth.Person { return with(p.as(&s.Identity, r), s.Identity.Attributes) })
}

// with returns the person with other values of some attributes.
func with(p *auth.Person, attributes map[string][]string) *auth.Person {
	other := *p
	other.Attributes = maps.Clone(p.Attributes)
	maps.Copy(other.Attributes, attributes)
	return &other
}

// passThrough returns the person of a pass-through session.
func (r *Resolver) passThrough(conn *connection, s *auth.Session) *auth.Person {
	return r.once(s, nil, func() *auth.Person { return passThrough(conn, &s.Identity) })
}

// passThrough makes a person of what the session itself holds: an identity
// that was admitted.
func passThrough(conn *connection, id *auth.Identity) *auth.Person {
	p := &auth.Person{
		User:              conn.user.render(*id),
		PreferredUsername: passableUsername(*id),
		Groups:            id.Groups,
		Attributes:        id.Attributes,
		Connection:        id.Connection,
		AMR:               id.AMR,
		ACR:               id.ACR,
	}
	if id.EmailVerified {
		p.Email = id.Email
	}
	return p
}
