package provision

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/config"
	"gatehouse/internal/store"
	"gatehouse/internal/store/memory"
	"gatehouse/internal/store/storetest"
)

// mortal is a process whose store operations end at the nth: before it is
// done, or after. From then on nothing reaches the store.
type mortal struct {
	mu    sync.Mutex
	left  int
	after bool
	ops   []string
}

var errDead = store.Down("dead", errors.New("the process has died"))

func (m *mortal) store(st store.Store) store.Store {
	return &storetest.Faulty{
		Store: st,
		Before: func(op, key string) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			kind, _, _ := strings.Cut(key, ":")
			m.ops = append(m.ops, op+" "+kind)
			m.left--
			if m.left < 0 || m.left == 0 && !m.after {
				return errDead
			}
			return nil
		},
		After: func(string, string) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.left == 0 {
				return errDead
			}
			return nil
		},
	}
}

// TestDyingAtEveryStep: a sign-in dies before or after each of its store
// operations. It must fail with ErrStoreDown; whoever comes next gets one
// account with one link, and nothing stays reserved.
func TestDyingAtEveryStep(t *testing.T) {
	stories := []struct {
		name    string
		prepare func(h *house)
		id      auth.Identity
		links   int // of the one account, at the end
	}{
		{"create", func(*house) {}, identity("acme", "alice"), 1},
		{"create without an e-mail", func(*house) {}, identity("acme", "alice", email("", false)), 1},
		{"create under a taken username", func(h *house) {
			h.add(New{Username: "alice"})
		}, identity("acme", "alice"), 1},
		{"link", func(h *house) {
			h.add(New{Username: "al", Email: "alice@people.example"})
		}, identity("acme", "alice"), 1},
		{"link a second one", func(h *house) { h.resolve(identity("partner", "alice")) }, identity("acme", "alice"), 2},
		{"update", func(h *house) {
			h.resolve(identity("acme", "alice", groups("former")))
		}, identity("acme", "alice"), 1},
		{"another e-mail", func(h *house) {
			h.resolve(identity("acme", "alice", email("former@people.example", true)))
		}, identity("acme", "alice"), 1},
		{"no e-mail any more", func(h *house) { h.resolve(identity("acme", "alice")) }, identity("acme", "alice", email("", false)), 1},
	}
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) {
			for step, done := 1, false; !done; step++ {
				for _, after := range []bool{false, true} {
					h := newHouse(t, nil)
					story.prepare(h)
					before := len(audit(t, h))
					m := &mortal{left: step, after: after}
					_, r := h.replica(m.store(h.store))
					_, err := r.Resolve(t.Context(), story.id)
					if m.left > 0 {
						if err != nil {
							t.Fatalf("nothing failed, and yet: %v", err)
						}
						done = true
						continue
					}
					if !errors.Is(err, auth.ErrStoreDown) {
						t.Fatalf("died %v at %v: %v, want ErrStoreDown", after, m.ops, err)
					}
					// A half-finished sign-in is nobody: what there is of it cannot be used.
					for _, a := range audit(t, h) {
						if a.Change == nil && a.Status != Active {
							t.Fatalf("account %+v", a)
						}
					}
					h.clock.add(lease + time.Millisecond)
					o := h.resolve(story.id)
					live := audit(t, h)
					want := before
					if strings.HasPrefix(story.name, "create") {
						want++
					}
					if len(live) != want {
						t.Fatalf("died at %v: %d accounts, want %d", m.ops, len(live), want)
					}
					for _, a := range live {
						if a.ID == o.Account && (len(a.Links) != story.links || !a.linked("acme", issuerOf("acme"), "alice")) {
							t.Fatalf("died at %v: links %+v", m.ops, a.Links)
						}
						if a.ID == o.Account && a.verifiedEmail() != story.id.Email {
							t.Fatalf("died at %v: e-mail %+v", m.ops, a.Email)
						}
						if a.ID == o.Account && story.name == "create" && a.Username != "alice" {
							t.Fatalf("died at %v: username %q", m.ops, a.Username)
						}
					}
					// Nothing but the account and its names is left; what died may
					// have left entries that lead nowhere, and those expire.
					h.clock.add(remains)
					pending := 0
					for key, value := range dump(t, h.store) {
						if strings.HasPrefix(key, "account:") && strings.Contains(value, `"status":"pending"`) {
							pending++
						}
					}
					if pending > 0 {
						t.Fatalf("died at %v: %d pending accounts are left", m.ops, pending)
					}
				}
			}
		})
	}
}

// A process that only seems dead wakes up after others have taken over. None
// of its writes may count any more, whatever the order.
func TestSleepersLose(t *testing.T) {
	for step := 1; step < 14; step++ {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			h := newHouse(t, nil)
			asleep, wake := make(chan struct{}), make(chan struct{})
			n := 0
			_, sleeper := h.replica(&storetest.Faulty{
				Store: h.store,
				Before: func(string, string) error {
					if n++; n == step {
						close(asleep)
						<-wake
					}
					return nil
				},
			})
			var slept auth.Outcome
			var err error
			finished := make(chan struct{})
			go func() {
				defer close(finished)
				slept, err = sleeper.Resolve(context.Background(), identity("acme", "alice"))
			}()
			select {
			case <-asleep:
			case <-finished: // it has fewer steps
				close(wake)
			}
			h.clock.add(lease + time.Second)
			// Somebody with the same e-mail comes through another connection, and
			// then the same person through the same one.
			h.resolve(identity("partner", "alice"))
			o := h.resolve(identity("acme", "alice"))
			select {
			case <-wake:
			default:
				close(wake)
			}
			<-finished
			if err != nil || slept.Account != o.Account {
				t.Errorf("the sleeper became %+v, %v; the others %s", slept, err, o.Account)
			}
			live := audit(t, h)
			if len(live) != 1 || len(live[0].Links) != 2 {
				t.Errorf("accounts: %+v", live)
			}
		})
	}
}

// Many people, three connections, and a chance of dying at every step: after
// everybody has come through, there is one account a person.
func TestStormOfMortals(t *testing.T) {
	h := newHouse(t, &memory.Store{})
	stormOfMortals(t, h, 12, 2, 0.06)
}

func stormOfMortals(t *testing.T, h *house, people, rounds int, chance float64) {
	t.Helper()
	h.conf.Connections = append(h.conf.Connections, jitConnection("third"))
	h.open()
	// Time flies: a lease ends under the hands of some who are alive, too.
	h.clock.run(50)
	var wg sync.WaitGroup
	for p := range people {
		for _, conn := range []string{"acme", "partner", "third"} {
			for range rounds {
				wg.Go(func() {
					id := identity(conn, fmt.Sprintf("p%d", p))
					for range 1000 {
						_, r := h.replica(&storetest.Faulty{
							Store: h.store,
							Before: func(string, string) error {
								if rand.Float64() < chance {
									return errDead
								}
								return nil
							},
							After: func(string, string) error {
								if rand.Float64() < chance/2 {
									return errDead
								}
								return nil
							},
						})
						if _, err := r.Resolve(context.Background(), id); err == nil {
							return
						} else if !errors.Is(err, auth.ErrStoreDown) {
							t.Errorf("%s at %s: %v", id.Subject, conn, err)
							return
						}
					}
					t.Errorf("%s never came through %s", id.Subject, conn)
				})
			}
		}
	}
	wg.Wait()
	h.clock.run(0)
	h.clock.add(2 * lease)
	for p := range people {
		for _, conn := range []string{"acme", "partner", "third"} {
			h.resolve(identity(conn, fmt.Sprintf("p%d", p)))
		}
	}
	live := audit(t, h)
	if len(live) != people {
		t.Errorf("%d accounts for %d people", len(live), people)
	}
	for _, a := range live {
		if len(a.Links) != 3 {
			t.Errorf("account %s has %d links", a.Username, len(a.Links))
		}
	}
}

// counted counts the operations of a resolver of its own.
func counted(h *house) (*Resolver, *[]string) {
	m := &mortal{left: 1 << 30}
	_, r := h.replica(m.store(h.store))
	return r, &m.ops
}

// What a sign-in costs: each operation is a round trip or two.
func TestOperationsOfASignIn(t *testing.T) {
	h := newHouse(t, nil)
	r, ops := counted(h)
	for _, c := range []struct {
		name  string
		id    auth.Identity
		after time.Duration
		want  string
	}{
		{
			"first", identity("acme", "alice"), 0,
			"get link, get email, create link, create email, create username, create account, " +
				"update email, update username, update link, update account, create signin",
		},
		{"again", identity("acme", "alice"), 0, "get link, get account, get signin"},
		{"the day after", identity("acme", "alice"), 25 * time.Hour, "get link, get account, get signin, update signin, get account"},
		{"changed", identity("acme", "alice", groups("x")), 0, "get link, get account, update history, update account, get signin"},
		{
			"through another connection", identity("partner", "alice", groups("x")), 0,
			"get link, get email, get account, create link, update account, update link, update history, update account, get signin",
		},
		{
			"with another e-mail", identity("acme", "alice", groups("x"), email("al@people.example", true)), 0,
			"get link, get account, get email, create email, update account, update email, get email, update history, update account, update email, get signin",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.clock.add(c.after)
			*ops = nil
			o, err := r.Resolve(t.Context(), c.id)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.SignedIn(t.Context(), o.Account, o.Verdict == auth.Created); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(*ops, ", "); got != c.want {
				t.Errorf("operations: %s\nwant:       %s", got, c.want)
			}
		})
	}
}

// A denial writes nothing, not even for a moment.
func TestDenialsWriteNothing(t *testing.T) {
	h := newHouse(t, nil)
	h.conf.Connections[0].JIT.LinkExisting = config.LinkConfirm
	h.conf.Connections[1].JIT.Create = false
	h.open()
	v := h.add(New{Username: "al", Email: "alice@people.example"})
	h.creds.passwords[v.ID] = true
	r, ops := counted(h)
	for _, id := range []auth.Identity{
		identity("acme", "alice"),                                    // must be confirmed
		identity("partner", "bob"),                                   // no account
		identity("acme", "eve", username(strings.Repeat("e", 9000))), // too large
	} {
		want := auth.ErrForbidden
		if id.Subject == "alice" {
			want = nil
		}
		*ops = nil
		before := fmt.Sprint(dump(t, h.store))
		if o, err := r.Resolve(t.Context(), id); !errors.Is(err, want) || err == nil && o.Verdict != auth.Confirm {
			t.Errorf("%s: %+v, %v", id.Subject, o, err)
		}
		for _, op := range *ops {
			if !strings.HasPrefix(op, "get ") {
				t.Errorf("%s: %s", id.Subject, op)
			}
		}
		if after := fmt.Sprint(dump(t, h.store)); after != before {
			t.Errorf("%s changed the store:\n%s\n%s", id.Subject, before, after)
		}
	}
}

// JIT off: the user store is not even read, and stays byte for byte as it was.
func TestJITOffTouchesNothing(t *testing.T) {
	h := newHouse(t, nil)
	h.resolve(identity("acme", "alice"))
	before := fmt.Sprint(dump(t, h.store))
	r, ops := counted(h)
	o, err := r.Resolve(t.Context(), identity("guest", "alice"))
	if err != nil || o.Verdict != auth.PassThrough || o.Account != "" || o.Identity.Attributes["department"] == nil {
		t.Errorf("outcome %+v, %v", o, err)
	}
	if p, err := r.Person(t.Context(), session(o)); err != nil || p.User != "guest:alice" || p.Email != "alice@people.example" {
		t.Errorf("person %+v, %v", p, err)
	}
	if len(*ops) != 0 {
		t.Errorf("store operations: %v", *ops)
	}
	if after := fmt.Sprint(dump(t, h.store)); after != before {
		t.Error("the user store has changed")
	}
}

// An index entry that was lost (a restored backup, an eviction) is made anew,
// and the person keeps their account.
func TestLostEntriesAreMadeAnew(t *testing.T) {
	h := newHouse(t, nil)
	first := h.resolve(identity("acme", "alice"))
	for key := range dump(t, h.store) {
		if strings.HasPrefix(key, "link:") {
			if err := h.store.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	if again := h.resolve(identity("acme", "alice")); again.Account != first.Account {
		t.Errorf("%+v", again)
	}
	if live := audit(t, h); len(live) != 1 || len(live[0].Links) != 1 {
		t.Errorf("accounts: %+v", live)
	}
}

// Between a sign-in's look at the link and its look at the e-mail, another one
// of the same person makes the account. It must not meet itself there and be
// refused by link_existing.
func TestSignInThatMeetsItself(t *testing.T) {
	for _, mode := range []string{config.LinkAuto, config.LinkAlways, config.LinkConfirm, config.LinkDeny} {
		t.Run(mode, func(t *testing.T) {
			h := newHouse(t, nil)
			h.conf.Connections[0].JIT.LinkExisting = mode
			h.open()
			var first auth.Outcome
			_, slow := h.replica(&storetest.Faulty{
				Store: h.store,
				After: func(op, key string) error {
					if first.Account == "" && strings.HasPrefix(key, "link:") {
						first = h.resolve(identity("acme", "alice"))
					}
					return nil
				},
			})
			o, err := slow.Resolve(t.Context(), identity("acme", "alice"))
			if err != nil || o.Account != first.Account {
				t.Errorf("%+v, %v; the other became %s", o, err, first.Account)
			}
			audit(t, h)
		})
	}
}

// Between a sign-in's look and its write somebody else is linked to the account,
// so that it must be proved now. What the sign-in had reserved is given back:
// whoever must prove something has changed nothing, and their proof finds no
// reservation to wait for.
func TestConfirmationLeavesNoReservation(t *testing.T) {
	h := newHouse(t, nil)
	a := h.add(New{Username: "al", Email: "alice@people.example"})
	h.creds.passwords[a.ID] = true
	alice := func(subject string) auth.Identity {
		return identity("acme", subject, email("alice@people.example", true))
	}
	var before string
	met := false
	_, r := h.replica(&storetest.Faulty{Store: h.store, After: func(op, key string) error {
		if !met && op == "create" && strings.HasPrefix(key, "link:") {
			met = true
			h.resolve(alice("first"))
			left := dump(t, h.store)
			delete(left, key)
			before = fmt.Sprint(left)
		}
		return nil
	}})
	o, err := r.Resolve(t.Context(), alice("second"))
	if err != nil || o.Verdict != auth.Confirm || !met {
		t.Fatalf("%+v, %v", o, err)
	}
	if after := fmt.Sprint(dump(t, h.store)); after != before {
		t.Errorf("the store has changed:\n%s\n%s", before, after)
	}
	// The clock stands still: a reservation would never end.
	if o, err := h.resolver.ResolveConfirmed(t.Context(), alice("second"), a.ID); err != nil || o.Verdict != auth.Linked {
		t.Errorf("proved: %+v, %v", o, err)
	}
	audit(t, h)
}

// A replica whose clock is an hour ahead dies with names reserved. Nobody has
// to wait until that hour is over.
func TestClockThatIsAhead(t *testing.T) {
	h := newHouse(t, nil)
	m := &mortal{left: 9, after: true}
	_, r := h.replica(m.store(h.store))
	h.clock.add(time.Hour)
	if o, err := r.Resolve(t.Context(), identity("acme", "alice")); err == nil {
		t.Fatalf("%+v", o)
	}
	h.clock.add(-time.Hour)
	h.clock.run(50)
	if o := h.resolve(identity("acme", "alice")); o.Verdict != auth.Created {
		t.Errorf("%+v", o)
	}
	if n := len(audit(t, h)); n != 1 {
		t.Errorf("%d accounts", n)
	}
}
