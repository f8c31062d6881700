package provision

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"gatehouse/auth"
)

func TestFirstSignInMakesAnAccountAndTheNextFindsIt(t *testing.T) {
	h := newHouse(t, nil)
	first := h.resolve(identity("acme", "alice"))
	if first.Verdict != auth.Created || first.Account == "" {
		t.Fatalf("first sign-in: %+v", first)
	}
	again := h.resolve(identity("acme", "alice"))
	if again.Verdict != auth.Unchanged || again.Account != first.Account {
		t.Fatalf("second sign-in: %+v", again)
	}
	v := h.show("alice")
	if v.Status != Active || v.Email != "alice@people.example" || !v.EmailVerified || v.Name != "Name of alice" ||
		v.Attributes["department"].Source != "acme" || len(v.Links) != 1 || v.LastSignIn.IsZero() {
		t.Errorf("account: %+v", v)
	}
	p, err := h.resolver.Person(t.Context(), session(first))
	if err != nil || p.User != "alice" || p.Email != "alice@people.example" || p.Groups[0] != "staff" {
		t.Errorf("person: %+v, %v", p, err)
	}
	if n := len(audit(t, h)); n != 1 {
		t.Errorf("%d accounts", n)
	}
}

// A hundred tabs, a retrying client or two replicas behind a load balancer
// begin the first sign-in of one person at once: one account comes of it.
func TestParallelFirstSignInsOfOnePerson(t *testing.T) {
	h := newHouse(t, nil)
	_, other := h.replica(h.store)
	storm(t, 100, func(i int) (auth.Identity, *Resolver) {
		r := h.resolver
		if i%2 == 0 {
			r = other
		}
		return identity("acme", "alice"), r
	})
	if live := audit(t, h); len(live) != 1 || len(live[0].Links) != 1 {
		t.Errorf("accounts: %+v", live)
	}
}

// The same with two connections and one e-mail: one account with two links.
func TestParallelFirstSignInsThroughTwoConnections(t *testing.T) {
	h := newHouse(t, nil)
	storm(t, 60, func(i int) (auth.Identity, *Resolver) {
		return identity([]string{"acme", "partner"}[i%2], "alice"), h.resolver
	})
	if live := audit(t, h); len(live) != 1 || len(live[0].Links) != 2 {
		t.Errorf("accounts: %+v", live)
	}
}

// The letter case of an address makes nobody another person: not at another
// connection, and not when the same one spells it anew.
func TestOneAddressInManySpellings(t *testing.T) {
	h := newHouse(t, nil)
	spellings := []string{"Alice@people.example", "alice@People.Example", "ALICE@PEOPLE.EXAMPLE"}
	for i := range 6 {
		id := identity([]string{"acme", "partner"}[i%2], "alice")
		id.Email = spellings[i%3]
		if _, err := h.resolver.Resolve(t.Context(), id); err != nil {
			t.Fatalf("Resolve %s from %s: %v", id.Email, id.Connection, err)
		}
	}
	live := audit(t, h)
	if len(live) != 1 || len(live[0].Links) != 2 {
		t.Fatalf("accounts: %+v", live)
	}
	if got := live[0].Email.Address; got != spellings[1] {
		t.Errorf("e-mail %q, want the last spelling of the connection that gave it, %q", got, spellings[1])
	}
	if _, _, active, err := h.directory.ByLogin(t.Context(), "aLiCe@people.example"); err != nil || !active {
		t.Errorf("ByLogin: %v, %v", active, err)
	}
}

// storm resolves n identities at once; all must come to an account, the same
// one for the same identity.
func storm(t *testing.T, n int, make func(i int) (auth.Identity, *Resolver)) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	accounts := map[string]string{}
	for i := range n {
		id, r := make(i)
		wg.Go(func() {
			o, err := r.Resolve(context.Background(), id)
			mu.Lock()
			defer mu.Unlock()
			key := fmt.Sprint(id.Connection, id.Subject)
			if err != nil {
				t.Errorf("Resolve %d: %v", i, err)
			} else if accounts[key] != "" && accounts[key] != o.Account {
				t.Errorf("%s became %s and %s", key, accounts[key], o.Account)
			} else {
				accounts[key] = o.Account
			}
		})
	}
	wg.Wait()
}

// People without a subject would all be the same person.
func TestIdentityWithoutASubject(t *testing.T) {
	h := newHouse(t, nil)
	for _, connection := range []string{"acme", "guest"} {
		if o, err := h.resolver.Resolve(t.Context(), identity(connection, "")); !errors.Is(err, auth.ErrInvalidAnswer) {
			t.Errorf("%s: %+v, %v", connection, o, err)
		}
	}
}

func TestUnverifiedEmailIsLoggedOnceAConnection(t *testing.T) {
	h := newHouse(t, nil)
	var log strings.Builder
	h.directory.Log = slog.New(slog.NewTextHandler(&log, nil))
	for _, connection := range []string{"acme", "acme", "guest", "guest"} {
		h.resolve(identity(connection, "alice", email("alice@people.example", false)))
	}
	h.resolve(identity("partner", "alice"))
	if n := strings.Count(log.String(), "trust_email: always"); n != 2 || strings.Contains(log.String(), "alice@") {
		t.Errorf("%d lines, want one for acme and one for guest:\n%s", n, log.String())
	}
}
