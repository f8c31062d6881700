package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"gatehouse/test/badidp"
	"gatehouse/test/servers"
)

// Storm is what a test lets loose on gateways.
type Storm struct {
	Bin      string
	Replicas int    // processes; 1 for the embedded store
	Store    string // the store section of config.yaml; empty: embedded
	People   int    // new ones in each round
	Kills    int    // in each round
	Rounds   int
	For      time.Duration // more rounds, until this is over
	Seed     uint64        // of every choice; the moments are also the scheduler's
}

// longestQuiet is how long the people are let alone between two kills: a
// sign-in with nothing else to do takes about a tenth of it.
const longestQuiet = 250 * time.Millisecond

// connections through which everybody can come, with the same e-mail address.
var connections = []string{"acme", "partner"}

// Run runs the storm. In each round new people sign in again and again through
// two connections while processes are killed and started. Then everybody signs
// in once more through each connection, which must work, and has one account
// with two links.
func (s Storm) Run(t testing.TB) {
	t.Helper()
	t.Logf("seed %d", s.Seed)
	random := rand.New(rand.NewPCG(s.Seed, 0))
	f := s.build(t)
	began := time.Now()
	known := 0
	for round := 0; round < s.Rounds || time.Since(began) < s.For; round++ {
		people := f.newcomers(t, round, s.People)
		known += len(people)
		f.storm(t, people, random, s.Kills)
		f.everybodyReturns(t, people)
		if all := Accounts(t, f.gateways[0]); len(all) != known {
			t.Errorf("%d accounts for %d people", len(all), known)
		} else if all := withoutTwoLinks(all); len(all) > 0 {
			t.Errorf("not one link for each connection: %+v", all)
		}
		if t.Failed() {
			t.Fatalf("round %d of seed %d failed", round, s.Seed)
		}
	}
}

// field is where a storm takes place.
type field struct {
	front    string // URL that people know
	gateways []*servers.Gateway
	idps     []*badidp.IdP
}

func (s Storm) build(t testing.TB) *field {
	t.Helper()
	f := &field{}
	var addrs []string
	for range s.Replicas {
		g := servers.NewGateway(t, s.Bin, "")
		f.gateways, addrs = append(f.gateways, g), append(addrs, g.Addr)
	}
	f.front = servers.StartBalancer(t, addrs...)
	var text strings.Builder
	fmt.Fprintf(&text, "server: {listen: \"{{addr}}\", public_url: %q, admin_listen: \"{{admin}}\"}\n", f.front)
	fmt.Fprintf(&text, "routes:\n  - {path: /, upstream: %q}\nlocal: {enabled: false}\n%s\nconnections:\n", servers.StartApp(t).URL, s.Store)
	for _, id := range connections {
		idp := badidp.Start(t)
		f.idps = append(f.idps, idp)
		fmt.Fprintf(&text, "  - {id: %s, name: %s, issuer: %q, client_id: %q, client_secret: %q}\n",
			id, id, idp.URL(), badidp.ClientID, badidp.ClientSecret)
	}
	for _, g := range f.gateways {
		g.WriteConfig(t, text.String())
		g.Start(t)
	}
	return f
}

// newcomers are people whom both providers know by other subjects and the same
// e-mail address.
func (f *field) newcomers(t testing.TB, round, n int) []*Person {
	t.Helper()
	people := make([]*Person, n)
	for i := range people {
		name := fmt.Sprintf("person-%d-%d", round, i)
		f.enrol(name)
		var err error
		if people[i], err = NewPerson(name); err != nil {
			t.Fatal(err)
		}
	}
	return people
}

// enrol makes a person known to the providers.
func (f *field) enrol(name string) {
	for at, idp := range f.idps {
		idp.SetPersona(name, map[string]any{
			"sub": fmt.Sprintf("%s-at-%s", name, connections[at]), "preferred_username": name,
			"email": name + "@corp.example", "email_verified": true, "groups": []any{"staff"},
		}, nil)
	}
}

// storm kills processes at random moments while people sign in, and starts
// them again.
func (f *field) storm(t testing.TB, people []*Person, random *rand.Rand, kills int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i, p := range people {
		wg.Go(func() {
			for turn := i; ctx.Err() == nil; turn++ {
				// Most of them fail, and which does not matter here.
				_ = p.SignIn(ctx, f.front, connections[turn%len(connections)])
			}
		})
	}
	for range kills {
		quiet := time.NewTimer(time.Duration(random.Int64N(int64(longestQuiet))))
		<-quiet.C
		g := f.gateways[random.IntN(len(f.gateways))]
		g.Kill()
		g.Start(t)
	}
}

// everybodyReturns fails the test unless each person, with a new browser, can
// sign in through each connection, is the same user, and is so at every replica.
func (f *field) everybodyReturns(t testing.TB, people []*Person) {
	t.Helper()
	var group errgroup.Group
	group.SetLimit(12)
	for _, p := range people {
		group.Go(func() error {
			for _, connection := range connections {
				if err := f.returns(p.Name, connection); err != nil {
					t.Error(err)
				}
			}
			return nil
		})
	}
	_ = group.Wait() // each has told its error
}

func (f *field) returns(name, connection string) error {
	p, err := NewPerson(name)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := p.SignIn(ctx, f.front, connection); err != nil {
		return err
	}
	for i, g := range f.gateways {
		if user, err := p.User(ctx, g.URL); err != nil || user != name {
			return fmt.Errorf("%s is %q at replica %d: %v", name, user, i, err)
		}
	}
	return nil
}

func withoutTwoLinks(all []Account) []Account {
	var wrong []Account
	for _, a := range all {
		if len(a.Links) != 2 || a.Links[0].Connection == a.Links[1].Connection {
			wrong = append(wrong, a)
		}
	}
	return wrong
}
