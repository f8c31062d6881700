package provision

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store"
	"gatehouse/internal/store/bolt"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/redis"
	"gatehouse/test/servers"
)

// TestStorm lets people and administrators loose on one store through several
// replicas, while store operations fail, lose their answers, hang longer than a
// lease, and processes die at any step. Then everything settles, and the judge
// looks: no two accounts of one person, no broken index, and whatever was
// acknowledged is still true.
//
// GATEHOUSE_STORM=10m makes each storm last that long, and
// GATEHOUSE_STORM_SEED=N repeats the choices of an earlier run; when the
// scheduler does what is its own.
func TestStorm(t *testing.T) {
	var lasts time.Duration
	if v := os.Getenv("GATEHOUSE_STORM"); v != "" {
		var err error
		if lasts, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	seed := rand.Uint64()
	if v := os.Getenv("GATEHOUSE_STORM_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name string
		open func(t *testing.T, c *clock) []store.Store // of each replica
	}{
		{"memory", func(_ *testing.T, c *clock) []store.Store {
			s := &memory.Store{Now: c.Now}
			return []store.Store{s, s, s}
		}},
		{"embedded", func(t *testing.T, _ *clock) []store.Store {
			s, err := bolt.Open(bolt.Options{Path: filepath.Join(t.TempDir(), "gatehouse.db")})
			return []store.Store{closed(t, s, err), s} // one process has the file
		}},
		{"redis", func(t *testing.T, _ *clock) []store.Store {
			o := redis.Options{Mode: redis.Standalone, Addresses: []string{servers.Redis(t, servers.RedisOptions{}).Addr}, Timeout: 10 * time.Second}
			return []store.Store{openRedis(t, o), openRedis(t, o), openRedis(t, o)}
		}},
		{"redis cluster", func(t *testing.T, _ *clock) []store.Store {
			o := redis.Options{Mode: redis.Cluster, Addresses: servers.RedisCluster(t), Timeout: 10 * time.Second}
			return []store.Store{openRedis(t, o), openRedis(t, o), openRedis(t, o)}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d", seed)
			c := newClock()
			replicas := tt.open(t, c)
			h := newHouse(t, replicas[0])
			h.clock = c
			h.conf.Connections = append(h.conf.Connections, jitConnection("third"))
			h.open()
			s := &tempest{t: t, house: h, stores: replicas}
			began := time.Now()
			for round := uint64(0); round == 0 || time.Since(began) < lasts && !t.Failed(); round++ {
				s.round(seed, round)
			}
			t.Logf("%d sign-ins and %d changes by administrators were acknowledged, %d failed", s.signIns, s.changes, s.failures)
		})
	}
}

const (
	stormWorkers = 16
	stormActions = 40 // of each worker, in a round
	stormPeople  = 10 // new ones in each round
	stormSpeed   = 50 // of the clock: a lease ends while people are at work

	stormQuarantine = 5 * lease
)

// tempest is a storm on one store.
type tempest struct {
	*house
	t      *testing.T
	stores []store.Store
	ledger

	people []string // of this round
	calm   bool     // the round's storm is over
}

// round is one storm and the quiet after it.
func (s *tempest) round(seed, round uint64) {
	s.ledger.begin()
	s.people, s.calm = nil, false
	for p := range stormPeople {
		s.people = append(s.people, fmt.Sprintf("p%d-%d", round, p))
	}
	s.clock.run(stormSpeed)
	var wg sync.WaitGroup
	for w := range uint64(stormWorkers) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, round<<16|w))
			for range stormActions {
				s.act(random)
			}
		})
	}
	wg.Wait()
	s.calm = true
	s.clock.run(0)
	s.clock.add(2*lease + stormQuarantine)
	s.settle()
	s.examine()
	s.judge()
	if s.t.Failed() {
		s.t.Errorf("round %d of seed %d", round, seed)
	}
}

// act is one thing that somebody does at some replica, which may go wrong.
func (s *tempest) act(random *rand.Rand) {
	d, r := s.replica(newMishap(random).store(s.stores[random.IntN(len(s.stores))]))
	if random.IntN(10) < 7 {
		s.signIn(r, s.somebody(random), random.IntN(2) == 0)
		return
	}
	d.Quarantine = time.Duration(random.IntN(2)) * stormQuarantine
	who := s.ledger.someAccount(random)
	if who == "" || random.IntN(6) == 0 {
		p := s.people[random.IntN(len(s.people))]
		n := New{Username: p}
		if random.IntN(2) == 0 {
			n.Email = p + "@people.example"
		}
		_, err := d.Add(context.Background(), n)
		s.changed(err)
		return
	}
	s.administer(d, who, random)
}

// somebody is what a person's identity provider says of them today.
func (s *tempest) somebody(random *rand.Rand) auth.Identity {
	i := random.IntN(len(s.people))
	p := s.people[i]
	// Everybody has two subjects at acme, with one e-mail.
	at := []struct{ connection, subject string }{{"acme", p}, {"acme", p + "-twin"}, {"partner", p}, {"third", p}}[random.IntN(4)]
	id := identity(at.connection, at.subject, email(p+"@people.example", true), username(p))
	switch random.IntN(20) {
	case 0, 1, 2:
		id.Email = p + "@moved.example"
	case 3:
		id.Email = s.people[(i+1)%len(s.people)] + "@people.example"
	case 4:
		id.Email, id.EmailVerified = "", false
	case 5:
		id.EmailVerified = false
	}
	id.Groups = []string{"staff", fmt.Sprint("team-", random.IntN(3))}
	return id
}

func (s *tempest) signIn(r *Resolver, id auth.Identity, proves bool) {
	ctx, began := context.Background(), s.ledger.tick()
	o, err := r.Resolve(ctx, id)
	if err == nil && o.Verdict == auth.Confirm {
		if !proves {
			return
		}
		o, err = r.ResolveConfirmed(ctx, id, o.Confirmation.Account)
		if err == nil && o.Verdict == auth.Confirm {
			return // another account has the address now
		}
	}
	var denied *auth.Denied
	switch {
	case err == nil:
		if wrong := s.ledger.acknowledge(o.Account, linkOf(id, time.Time{}), began); wrong != "" {
			s.t.Errorf("%s at %s came in as account %s, %s", id.Subject, id.Connection, o.Account, wrong)
		}
	case errors.As(err, &denied) && s.deserved(denied):
	case errors.Is(err, auth.ErrStoreDown):
		s.ledger.failed()
	default:
		s.t.Errorf("%s at %s: %v", id.Subject, id.Connection, err)
	}
}

// deserved reports whether somebody may be refused like that: an account that
// nobody has disabled or deleted must not say so, least of all one that another
// sign-in has not finished.
func (s *tempest) deserved(d *auth.Denied) bool {
	return d.Reason == auth.DeniedUnconfirmable || d.Reason == auth.DeniedQuarantine && !s.calm ||
		d.Reason == auth.DeniedDisabled && s.ledger.closing(strings.TrimPrefix(d.Detail, "account "))
}

// administer changes an account.
func (s *tempest) administer(d *Directory, who string, random *rand.Rand) {
	ctx := context.Background()
	defer s.ledger.alone(who)()
	var err error
	switch random.IntN(8) {
	case 0:
		s.ledger.close(who)
		s.ledger.leave(who, "")
		if err = d.Delete(ctx, who); err == nil {
			s.ledger.shut(who)
		}
	case 1:
		connection := []string{"acme", "partner", "third"}[random.IntN(3)]
		s.ledger.leave(who, connection)
		_, err = d.Unlink(ctx, who, connection, nil)
	case 2:
		s.ledger.close(who)
		if _, err = d.Disable(ctx, who); err == nil {
			s.ledger.shut(who)
		}
	case 3:
		s.ledger.reopen(who)
		_, err = d.Enable(ctx, who)
	case 4, 5:
		address := s.people[random.IntN(len(s.people))] + []string{"@people.example", "@admin.example"}[random.IntN(2)]
		_, err = d.Set(ctx, who, Edit{Email: &address})
	default:
		list := []string{fmt.Sprint("local-", random.IntN(1000))}
		_, err = d.Set(ctx, who, Edit{Groups: &list})
		s.ledger.assigned(who, list[0], err)
	}
	s.changed(err)
}

func (s *tempest) changed(err error) {
	var refused *RefusedError
	switch {
	case err == nil:
		s.ledger.change()
	case errors.Is(err, auth.ErrNotFound), errors.As(err, &refused):
	case errors.Is(err, auth.ErrStoreDown):
		s.ledger.failed()
	default:
		s.t.Errorf("an administrator is told: %v", err)
	}
}

// settle lets everybody come once more, by every way, and finishes what
// administrators had begun, now that nothing fails.
func (s *tempest) settle() {
	ctx := s.t.Context()
	for id := range s.ledger.accounts {
		if v, err := s.directory.Show(ctx, id); err != nil || v.Status != Deleting {
			continue
		}
		if err := s.directory.Delete(ctx, id); err != nil {
			s.t.Errorf("delete %s again: %v", id, err)
		}
	}
	for _, p := range s.people {
		for _, connection := range []string{"acme", "partner", "third"} {
			id := identity(connection, p)
			_, err := s.resolver.Resolve(ctx, id)
			var denied *auth.Denied
			if err != nil && !(errors.As(err, &denied) && s.deserved(denied)) {
				s.t.Errorf("afterwards %s cannot come through %s: %v", p, connection, err)
			}
		}
	}
}

// examine lets the doctor judge the store. What is left of those who died may
// be in it, and nothing that does harm; after a repair there is not even that.
func (s *tempest) examine() {
	for _, how := range []struct {
		name           string
		repair, traces bool
	}{{"after the storm", false, true}, {"at the repair", true, true}, {"after the repair", false, false}} {
		h, err := s.directory.Examine(s.t.Context(), Examination{Repair: how.repair, Pause: func(context.Context, time.Duration) error {
			s.clock.add(settled)
			return nil
		}})
		if err != nil {
			s.t.Errorf("%s: %v", how.name, err)
		}
		for _, f := range h.Findings {
			if !how.traces || !f.Harmless && !f.Repaired && !trace(f) {
				s.t.Errorf("%s the doctor finds %s at %s: %s", how.name, f.Code, f.Key, f.Detail)
			}
		}
	}
}

// trace reports whether a finding is what somebody wrote about an account at the
// moment of its deletion: when they signed in is noted last, and what they are
// about to change first. It leads to nobody, and a repair removes it.
func trace(f Finding) bool {
	return f.Code == FindOrphan && (strings.HasPrefix(f.Key, signInPrefix) || strings.HasPrefix(f.Key, historyKey("")))
}

// judge compares the store with what the ledger says.
func (s *tempest) judge() {
	live := map[string]*Account{}
	for _, a := range audit(s.t, s.house) {
		live[a.ID] = a
	}
	for id, account := range s.ledger.accounts {
		a := live[id]
		if a == nil {
			if !account.left[""] {
				s.t.Errorf("account %s is gone", id)
			}
			continue
		}
		for l := range account.links {
			if !account.left[""] && !account.left[l.Connection] && !a.linked(l.Connection, l.Issuer, l.Subject) {
				s.t.Errorf("account %s has lost %s at %s, who came in by it", id, l.Subject, l.Connection)
			}
		}
		var local []string
		for _, g := range a.Groups {
			if g.Source == auth.Local {
				local = append(local, g.Name)
			}
		}
		if !account.allows(fmt.Sprint(local)) {
			s.t.Errorf("account %s has the local groups %v, want one of %v", id, local, account.groups)
		}
		if account.shut > 0 && a.Status == Active {
			s.t.Errorf("account %s is open again", id)
		}
	}
}
