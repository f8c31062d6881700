package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/auth"
	"gatehouse/internal/store/storetest"
)

// An administrator's change dies before or after each of its store operations.
// What happened is in the history, and nothing else is.
func TestHistoryOfDyingAdministrators(t *testing.T) {
	mail := "new@people.example"
	changes := map[string]func(ctx context.Context, d *Directory, id string) error{
		"set": func(ctx context.Context, d *Directory, id string) error {
			_, err := d.Set(ctx, id, Edit{Email: &mail, Unset: []string{"name"}})
			return err
		},
		"rename": func(ctx context.Context, d *Directory, id string) error {
			name := "al"
			_, err := d.Set(ctx, id, Edit{Username: &name, Email: &mail})
			return err
		},
		"disable": func(ctx context.Context, d *Directory, id string) error { _, err := d.Disable(ctx, id); return err },
		"unlink": func(ctx context.Context, d *Directory, id string) error {
			_, err := d.Unlink(ctx, id, "acme", nil)
			return err
		},
		"note": func(ctx context.Context, d *Directory, id string) error {
			_, err := d.Note(ctx, id, auth.EventPasswordSet)
			return err
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			for step, done := 1, false; !done; step++ {
				for _, after := range []bool{false, true} {
					h := newHouse(t, nil)
					o := h.resolve(identity("acme", "alice"))
					m := &mortal{left: step, after: after}
					d, _ := h.replica(m.store(h.store))
					err := change(t.Context(), d, o.Account)
					done = done || m.left > 0 && err == nil
					audit(t, h)
					before := h.history(o.Account)
					if m.left > 0 && len(before.Entries) != 2 {
						t.Fatalf("done, and the history is %q", told(before))
					}
					h.clock.add(lease + time.Millisecond)
					if _, err := h.directory.Set(t.Context(), o.Account, Edit{Attributes: map[string][]string{"color": {"red"}}}); err != nil {
						t.Fatal(err)
					}
					audit(t, h)
					if got := h.history(o.Account); len(got.Entries) != len(before.Entries)+1 {
						t.Fatalf("died at %v; one more change made of\n%q\nthis:\n%q", m.ops, told(before), told(got))
					}
				}
			}
		})
	}
}

// Attack on the order of things: a writer has written its entry and sleeps;
// others change the account meanwhile. Its entry must be there if its change
// comes through, and must not be shown if it does not.
func TestHistoryOfASleeper(t *testing.T) {
	for others := range 4 {
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			h := newHouse(t, nil)
			o := h.resolve(identity("acme", "alice"))
			entered := false
			d, _ := h.replica(&storetest.Faulty{Store: h.store, After: func(op, key string) error {
				if entered || op != "update" || key != historyKey(o.Account) {
					return nil
				}
				entered = true
				for i := range others {
					// The first of them dies over it, as the sleeper might have.
					m := &mortal{left: 1 << 30, after: true}
					if i == 0 {
						m.left = 3 // get account, get username, update history
					}
					busy, _ := h.replica(m.store(h.store))
					_, err := busy.Set(context.Background(), o.Account, Edit{Attributes: map[string][]string{"n": {fmt.Sprint(i)}}})
					if (err != nil) != (i == 0) {
						t.Errorf("%d: %v after %v", i, err, m.ops)
					}
				}
				if len(h.history(o.Account).Entries) != max(1, others) {
					t.Errorf("while it sleeps: %q", told(h.history(o.Account)))
				}
				return nil
			}})
			v, err := d.Disable(t.Context(), o.Account)
			if err != nil {
				t.Fatal(err)
			}
			audit(t, h)
			entries := h.history(o.Account).Entries
			if last := entries[len(entries)-1]; last.Decision != v.Decision || last.Event != EventDisabled || len(entries) != max(2, others+1) {
				t.Errorf("%q", told(h.history(o.Account)))
			}
		})
	}
}

// One sign-in makes two changes, one after the other, and dies over the second.
// Were both under one id, the second, which was not made, would be shown
// because the account names the first.
func TestHistoryOfTwoChangesInOne(t *testing.T) {
	h := newHouse(t, nil)
	h.resolve(identity("acme", "alice"))
	b := h.directory.book()
	change := func(value string) error {
		a, err := h.directory.Find(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		next := a.clone()
		next.Attributes["n"] = Attribute{Values: []string{value}, Source: auth.Local}
		return b.swap(t.Context(), a, next)
	}
	if err := change("1"); err != nil {
		t.Fatal(err)
	}
	first := b.decision
	m := &mortal{left: 2} // update history, and then no more
	b.Directory, _ = h.replica(m.store(h.store))
	if err := change("2"); !errors.Is(err, errDead) || b.decision == first {
		t.Fatalf("%v, decisions %s and %s", err, first, b.decision)
	}
	audit(t, h)
	if entries := h.history("alice").Entries; len(entries) != 2 || entries[1].Decision != first {
		t.Errorf("%q", told(h.history("alice")))
	}
}

// Whoever reads a history while the account changes so much that what they
// look for is dropped reads anew.
func TestHistoryReadWhileItChanges(t *testing.T) {
	h := newHouse(t, nil)
	o := h.resolve(identity("acme", "alice"))
	h.resolve(identity("acme", "alice", groups("x")))
	busy := false
	d, _ := h.replica(&storetest.Faulty{Store: h.store, Before: func(op, key string) error {
		if op == "get" && key == historyKey(o.Account) && !busy {
			busy = true
			for i := range maxHistory + 1 {
				h.resolve(identity("acme", "alice", groups(fmt.Sprint("g", i))))
			}
		}
		return nil
	}})
	if history, err := d.History(t.Context(), "alice"); err != nil || len(history.Entries) != maxHistory+1 {
		t.Errorf("%d entries, %v", len(history.Entries), err)
	}
}

// Many change one account at the same time, at two replicas: each change has
// its entry, in an unbroken chain.
func TestHistoryOfManyWriters(t *testing.T) {
	h := newHouse(t, nil)
	_, other := h.replica(h.store)
	manyWriters(t, h, other, 20)
}

func manyWriters(t *testing.T, h *house, other *Resolver, writers int) {
	t.Helper()
	first := h.resolve(identity("acme", "busy"))
	decisions := make([]string, writers)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			r := []*Resolver{h.resolver, other}[i%2]
			if i%4 < 2 {
				o, err := r.Resolve(context.Background(), identity("acme", "busy", groups(fmt.Sprint("g", i))))
				decisions[i] = o.Decision
				if err != nil {
					t.Error(err)
				}
				return
			}
			v, err := r.directory.Set(context.Background(), first.Account, Edit{Attributes: map[string][]string{"n": {fmt.Sprint(i)}}})
			decisions[i] = v.Decision
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	audit(t, h)
	history := h.history(first.Account)
	for i, decision := range decisions {
		if !slices.ContainsFunc(history.Entries, func(e HistoryEntry) bool { return e.Decision == decision }) {
			t.Errorf("writer %d: decision %q is not in the history", i, decision)
		}
	}
	if history.Truncated || len(history.Entries) != writers+1 {
		t.Errorf("%d entries of %d changes and the creation, truncated %v", len(history.Entries), writers, history.Truncated)
	}
}

// The history goes with the account, also when somebody writes into it while
// it is removed: it would tell of a person who is gone.
func TestHistoryGoesWithTheAccount(t *testing.T) {
	for _, until := range []string{historyPrefix, accountPrefix} {
		t.Run(until, func(t *testing.T) {
			h := newHouse(t, nil)
			o := h.resolve(identity("acme", "alice"))
			asleep := false
			d, _ := h.replica(&storetest.Faulty{Store: h.store, Before: func(op, key string) error {
				if op != "update" || key != historyKey(o.Account) || asleep {
					return nil
				}
				asleep = true
				m := &mortal{left: 1 << 30} // who deletes, and perhaps dies after it removed the history
				remover, _ := h.replica(&storetest.Faulty{Store: m.store(h.store), After: func(op, key string) error {
					if until == historyPrefix && op == "delete" && key == historyKey(o.Account) {
						m.left = 0
						return errDead
					}
					return nil
				}})
				if err := remover.Delete(context.Background(), o.Account); (err != nil) != (until == historyPrefix) {
					t.Error(err)
				}
				return nil
			}})
			if _, err := d.Disable(t.Context(), o.Account); err == nil {
				t.Error("an account was disabled that is being deleted")
			}
			for key := range dump(t, h.store) {
				if strings.HasPrefix(key, historyPrefix) || until == accountPrefix && strings.Contains(key, o.Account) {
					t.Errorf("%s is left", key)
				}
			}
			if _, err := h.directory.Note(t.Context(), o.Account, auth.EventPasswordSet); !errors.Is(err, auth.ErrNotFound) {
				t.Errorf("Note: %v, want ErrNotFound", err)
			}
		})
	}
}
